// What a CRL says, whether it comes from our own fixture or from openssl, and what is refused of hostile bytes.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { isCrlOf, parseCrl, readCrls, serialOf } from '../../src/certdb/crl.ts';
import type { Crl } from '../../src/certdb/crl.ts';
import { extension, makeAuthority } from '../support/authority.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-crl-'));
after(() => rmSync(folder, { recursive: true }));
const authority = makeAuthority(folder);
const other = makeAuthority(folder, 'Other CA');
const ca = new X509Certificate(authority.ca);
const anna = authority.issue({ names: ['anna.example'] });
const der = authority.crl([anna.serial, '00a1b2']);

function parsed(bytes: Buffer): Crl {
  const crl = parseCrl(bytes);
  assert.ok(!('problem' in crl), JSON.stringify(crl));
  return crl;
}

function problemIn(bytes: Buffer): string {
  const crls = readCrls(bytes);
  assert.ok('problem' in crls);
  return crls.problem;
}

const pem = (bytes: Buffer): string =>
  `-----BEGIN X509 CRL-----\n${bytes.toString('base64')}\n-----END X509 CRL-----\n`;

test('a CRL tells what it revokes, from when to when it holds, and whose it is', () => {
  const crl = parsed(der);
  assert.equal(crl.serials.size, 2);
  assert.ok(crl.serials.has(serialOf(new X509Certificate(anna.cert))));
  assert.ok(!crl.serials.has(serialOf(new X509Certificate(authority.issue({ names: ['b.example'] }).cert))));
  assert.ok(crl.thisUpdate < Date.now() && (crl.nextUpdate ?? 0) > Date.now());
  assert.equal(isCrlOf(crl, ca), true);
  assert.equal(isCrlOf(crl, new X509Certificate(other.ca)), false);
});

test('one that revokes nothing, and one that does not say when the next one comes, are CRLs too', () => {
  assert.equal(parsed(authority.crl([])).serials.size, 0);
  assert.equal(parsed(authority.crl([], { nextInDays: null })).nextUpdate, null);
});

test('a file may hold several in PEM, with words between, or one as DER', () => {
  const text = `of the CA\n${pem(der)}and of the other\n${pem(other.crl([]))}`;
  const crls = readCrls(Buffer.from(text));
  assert.ok(Array.isArray(crls));
  assert.deepEqual(
    crls.map((crl: Crl) => crl.serials.size),
    [2, 0],
  );
  const single = readCrls(der);
  assert.ok(Array.isArray(single) && single.length === 1);
});

test('a signature that is not of the issuer is found out, also in the issuer’s name', () => {
  const changed = Buffer.from(der);
  changed.writeUInt8((changed.at(-1) ?? 0) ^ 1, changed.length - 1);
  assert.equal(isCrlOf(parsed(changed), ca), false);
  const impostor = makeAuthority(mkdtempSync(path.join(folder, 'x-')));
  assert.equal(isCrlOf(parsed(impostor.crl([])), ca), false);
});

test('what is no CRL is named', () => {
  assert.match(problemIn(Buffer.from(authority.ca)), /"CERTIFICATE" where a CRL is wanted/);
  assert.match(problemIn(Buffer.from('hello')), /holds no CRL/);
  assert.match(problemIn(Buffer.alloc(0)), /is empty/);
  assert.match(problemIn(der.subarray(0, 100)), /is cut off/);
  assert.match(problemIn(Buffer.from(pem(der).slice(0, 200))), /is cut off/);
  assert.match(problemIn(ca.raw), /damaged or no CRL/);
  assert.match(problemIn(Buffer.concat([der, Buffer.of(0)])), /damaged/);
  assert.match(problemIn(Buffer.from(pem(der) + pem(der.subarray(0, 50)))), /^CRL 2 in it: is cut off/);
});

test('delta and indirect CRLs and unknown critical extensions are refused, a distribution point is not', () => {
  const critical = (id: string, hex: string): Buffer => extension(id, Buffer.from(hex, 'hex'), 'critical');
  const withExtension = (one: Buffer): Buffer => authority.crl([], { extensions: [one] });
  assert.match(problemIn(withExtension(critical('551d1b', '020101'))), /delta CRL/);
  assert.match(problemIn(withExtension(critical('551d1c', '30038401ff'))), /indirect CRL/);
  assert.match(
    problemIn(withExtension(critical('2a03', '0500'))),
    /critical extension that is not known \(1\.2\.3\)/,
  );
  assert.equal(parsed(withExtension(critical('551d1c', '30038101ff'))).serials.size, 0);
  assert.equal(parsed(withExtension(extension('2a03', Buffer.from('0500', 'hex')))).serials.size, 0);
});

test('whatever is changed or cut off, nothing throws, and no changed one is signed', () => {
  for (let length = 0; length < der.length; length++) {
    assert.ok('problem' in parseCrl(der.subarray(0, length)));
  }
  for (let place = 0; place < der.length; place++) {
    for (const bit of [1, 0x80]) {
      const changed = Buffer.from(der);
      changed.writeUInt8((changed[place] ?? 0) ^ bit, place);
      const crl = parseCrl(changed);
      assert.ok('problem' in crl || !isCrlOf(crl, ca), `octet ${place}`);
    }
  }
});
