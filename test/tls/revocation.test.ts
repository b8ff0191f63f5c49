// The way from a certificate to a trusted one, and what CRLs say of those on it.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { Anchors, Revocation } from '../../src/tls/revocation.ts';
import { makeAuthority, type Authority, type Issued } from '../support/authority.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-revocation-'));
after(() => rmSync(folder, { recursive: true }));
const root = makeAuthority(folder, 'Root');
const below = root.intermediate('Below');
const anna = below.issue({ names: ['anna.example'] });
const now = Date.now();

const certificatesOf = ({ cert }: Issued): X509Certificate[] =>
  (cert.match(/-----BEGIN[^]*?-----END CERTIFICATE-----/g) ?? []).map((pem) => new X509Certificate(pem));

const [leaf, ...chain] = certificatesOf(anna) as [X509Certificate, ...X509Certificate[]];
const pathFor = (trusted: readonly Authority[], shown: readonly X509Certificate[]): number | undefined =>
  new Anchors(trusted.map(({ ca }) => ca)).path(leaf, shown, now)?.length;

test('the way leads over what was shown to a trusted certificate, by the shortest way', () => {
  assert.equal(pathFor([root], chain), 3);
  assert.equal(pathFor([root, below], chain), 2);
  assert.equal(pathFor([below], []), 2);
});

test('without the intermediate, or with nothing that is trusted, there is none', () => {
  assert.equal(pathFor([root], []), undefined);
  assert.equal(pathFor([makeAuthority(folder, 'Other')], chain), undefined);
  assert.equal(pathFor([], chain), undefined);
});

test('no way leads over a certificate that has expired, or that is no CA', () => {
  const expired = new X509Certificate(below.selfSigned());
  assert.equal(new Anchors([root.ca]).path(leaf, [expired], now), null);
  assert.equal(new Anchors([root.ca]).path(leaf, [leaf, leaf], now), null);
});

test('where there are CRLs and no way, nothing is called good', () => {
  const lists = new Revocation([root.crl([])]);
  assert.equal(lists.judge(null), 'no-path');
  assert.equal(new Revocation([]).judge(null), 'good');
});

test('each certificate is looked for in the CRLs of the one above it', () => {
  const way = new Anchors([root.ca]).path(leaf, chain, now);
  assert.equal(new Revocation([root.crl([]), below.crl([])]).judge(way), 'good');
  assert.equal(new Revocation([below.crl([anna.serial])]).judge(way), 'revoked');
  assert.equal(new Revocation([root.crl([below.serial])]).judge(way), 'revoked');
  // The serial number of one CA's certificate in the CRL of another.
  assert.equal(new Revocation([root.crl([anna.serial])]).judge(way), 'good');
  assert.equal(new Revocation([below.crl([]), below.crl([anna.serial])]).judge(way), 'revoked');
});

test('bytes that are no CRL are none', () => {
  assert.equal(new Revocation([Buffer.from('nonsense')]).isEmpty, true);
});
