import assert from 'node:assert/strict';
import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { makeSelfSigned } from '../../src/certdb/issue.ts';
import { keyIdOf } from '../../src/certdb/pem.ts';
import {
  certificateAttributes,
  ecdsaSignature,
  ecPublicKey,
  CURVE_PARAMETERS,
  libraryOf,
  nearOrAll,
  nssParameters,
  pinOf,
  rsaPublicKey,
} from '../../src/certdb/token-values.ts';

const source = { name: 'card', library: null, nss: null, token: null, slot: null };

test('an ECDSA signature of a token becomes the one of a certificate', () => {
  for (const namedCurve of ['P-256', 'P-384']) {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve });
    for (let round = 0; round < 40; round++) {
      const bytes = Buffer.from(`text ${round}`);
      const raw = sign('sha256', bytes, { key: privateKey, dsaEncoding: 'ieee-p1363' });
      assert.ok(verify('sha256', bytes, publicKey, ecdsaSignature(raw)));
    }
  }
});

test('a public key is read from the attributes of a token, also from a bare point', () => {
  for (const bits of [256, 384]) {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: `P-${bits}` });
    const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
    const point = Buffer.concat([Buffer.from([4]), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
    const parameters = CURVE_PARAMETERS[bits] ?? Buffer.alloc(0);
    const wrapped = Buffer.concat([Buffer.from([4, point.length]), point]);
    for (const given of [point, wrapped])
      assert.equal(keyIdOf(ecPublicKey(parameters, given)), keyIdOf(publicKey));
  }
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const { n = '', e = '' } = publicKey.export({ format: 'jwk' });
  const halves = [n, e].map((text) => Buffer.from(text, 'base64url')) as [Buffer, Buffer];
  assert.equal(keyIdOf(rsaPublicKey(...halves)), keyIdOf(publicKey));
});

test('a certificate object gets its subject, issuer and serial number as DER', async () => {
  const { cert } = await makeSelfSigned({ names: ['mail.example.com'], days: 9, now: Date.now() });
  const { subject, issuer, serial, value } = certificateAttributes(cert);
  assert.deepEqual(subject, issuer);
  assert.equal(subject[0], 0x30);
  assert.equal(serial[0], 0x02);
  assert.ok(value.includes(Buffer.concat([serial, Buffer.alloc(0)])));
  assert.ok(subject.includes(Buffer.from('mail.example.com')));
});

test('a PIN is found by the name of the module, then by the label of the token', () => {
  const passwords = new Map([
    ['card', 'one'],
    ['Mail', 'two'],
  ]);
  assert.equal(pinOf(passwords, { module: 'card', label: 'Mail' }), 'one');
  assert.equal(pinOf(passwords, { module: 'other', label: 'Mail' }), 'two');
  assert.equal(pinOf(passwords, { module: 'other', label: 'Other' }), null);
});

test('an NSS database must be there, and be of the kind of today', () => {
  const nss = mkdtempSync(join(tmpdir(), "sallyport-nss'-"));
  try {
    assert.throws(
      () => nssParameters({ ...source, nss }, 'read'),
      /holds no NSS database, expected cert9\.db/,
    );
    writeFileSync(join(nss, 'cert8.db'), '');
    assert.throws(() => nssParameters({ ...source, nss }, 'read'), /of the old kind \(cert8\.db\)/);
    writeFileSync(join(nss, 'cert9.db'), '');
    const parameters = nssParameters({ ...source, nss }, 'read') ?? '';
    assert.ok(parameters.startsWith(`configdir='sql:${nss.replaceAll("'", "\\'")}'`));
    assert.match(parameters, /flags=readOnly$/);
    assert.doesNotMatch(nssParameters({ ...source, nss }, 'write') ?? '', /readOnly/);
    assert.equal(nssParameters(source, 'read'), null);
  } finally {
    rmSync(nss, { recursive: true });
  }
});

test('a library that is not there is named with its setting', () => {
  assert.throws(
    () => libraryOf({ ...source, library: '/nowhere.so' }),
    /certificates\.modules\.card: there is no file \/nowhere\.so/,
  );
  assert.equal(libraryOf({ ...source, library: import.meta.filename }), import.meta.filename);
});

test('a name that is near is proposed, else all there are', () => {
  assert.equal(nearOrAll('Servr-Cert', ['Server-Cert']), ', did you mean "Server-Cert"?');
  assert.equal(nearOrAll('x', ['Server-Cert', 'B']), ', did you mean "B"?');
  assert.equal(nearOrAll('zzzz', ['Server-Cert', 'Bee']), ', there is "Server-Cert", "Bee"');
  assert.equal(nearOrAll('x', []), '');
});
