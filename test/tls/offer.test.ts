import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import type { ServerTlsMaterial } from '../../src/tls/context.ts';
import { offerOf, type TlsOffer } from '../../src/tls/offer.ts';
import { makeAuthority } from '../support/authority.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-offer-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const authority = makeAuthority(folder);
const ec = authority.issue({ names: ['mx.test'] });
const rsa = authority.issue({ names: ['mx.test'], keyType: 'rsa' });

const material: ServerTlsMaterial = {
  certificates: [rsa, ec],
  sni: [],
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  ciphers: 'default',
  groups: 'default',
};

const suitesOf = ({ versions }: TlsOffer): Record<string, readonly string[]> =>
  Object.fromEntries(versions.map(({ version, suites }) => [version, suites]));

test('by default clients are offered three suites of TLS 1.3 and six of TLS 1.2, in the order of the list', async () => {
  const offer = await offerOf(material);
  assert.deepEqual(suitesOf(offer), {
    'TLSv1.3': ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'],
    'TLSv1.2': [
      'ECDHE-ECDSA-AES128-GCM-SHA256',
      'ECDHE-RSA-AES128-GCM-SHA256',
      'ECDHE-ECDSA-AES256-GCM-SHA384',
      'ECDHE-RSA-AES256-GCM-SHA384',
      'ECDHE-ECDSA-CHACHA20-POLY1305',
      'ECDHE-RSA-CHACHA20-POLY1305',
    ],
  });
  assert.deepEqual(offer.groups, ['X25519MLKEM768', 'X25519', 'P-256', 'P-384']);
  assert.deepEqual(offer.keys, ['RSA 2048', 'ECDSA P-256']);
  assert.deepEqual([offer.unusable, offer.problems], [[], []]);
});

test('with one type of key the suites of the other are not offered, and it is said why', async () => {
  for (const [certificate, has, lacks] of [
    [ec, 'ECDSA', 'RSA'],
    [rsa, 'RSA', 'ECDSA'],
  ] as const) {
    const offer = await offerOf({ ...material, certificates: [certificate] });
    assert.ok(suitesOf(offer)['TLSv1.2']?.every((suite) => suite.startsWith(`ECDHE-${has}-`)));
    assert.equal(offer.unusable.length, 3);
    for (const { suite, reason } of offer.unusable) {
      assert.ok(suite.startsWith(`ECDHE-${lacks}-`));
      assert.match(reason, new RegExp(`with an ${lacks} key`));
    }
  }
});

test('modern offers TLS 1.3 alone, old goes down to TLS 1.0 with what OpenSSL has', async () => {
  const modern = await offerOf({ ...material, ciphers: 'modern', minVersion: 'TLSv1.3' });
  assert.deepEqual(Object.keys(suitesOf(modern)), ['TLSv1.3']);
  const old = suitesOf(await offerOf({ ...material, ciphers: 'old', minVersion: 'TLSv1' }));
  assert.deepEqual(Object.keys(old), ['TLSv1.3', 'TLSv1.2', 'TLSv1.1', 'TLSv1']);
  assert.equal(old['TLSv1.2']?.length, 20);
  assert.deepEqual(old['TLSv1'], [
    'ECDHE-ECDSA-AES128-SHA',
    'ECDHE-RSA-AES128-SHA',
    'ECDHE-ECDSA-AES256-SHA',
    'ECDHE-RSA-AES256-SHA',
    'AES128-SHA',
    'AES256-SHA',
  ]);
});

test('a version that the security level forbids has no suite', async () => {
  const offer = await offerOf({ ...material, ciphers: 'HIGH', minVersion: 'TLSv1' });
  assert.deepEqual(suitesOf(offer)['TLSv1'], []);
  assert.notEqual(suitesOf(offer)['TLSv1.2']?.length, 0);
  assert.deepEqual(offer.problems, []);
});

test('certificates by name are told with their keys, and do not change the suites', async () => {
  const sni = [{ pattern: '*.other.test', certificates: [rsa, ec] }];
  const offer = await offerOf({ ...material, certificates: [ec], sni });
  assert.deepEqual(offer.names, [{ name: '*.other.test', keys: ['RSA 2048', 'ECDSA P-256'] }]);
  assert.equal(suitesOf(offer)['TLSv1.2']?.length, 3);
});

test('groups come in the order of the settings, and only where the version has them', async () => {
  const { groups } = await offerOf({
    ...material,
    groups: 'P-384:X25519MLKEM768:X25519',
    maxVersion: 'TLSv1.2',
  });
  assert.deepEqual(groups, ['P-384', 'X25519']);
});

test('suites that need more than a certificate are told as not offered', async () => {
  const offer = await offerOf({
    ...material,
    ciphers: 'DHE-RSA-AES128-GCM-SHA256:AES128-SHA',
    maxVersion: 'TLSv1.2',
  });
  assert.deepEqual(suitesOf(offer), { 'TLSv1.2': ['AES128-SHA'] });
  assert.match(offer.unusable[0]?.reason ?? '', /Diffie-Hellman/);
});
