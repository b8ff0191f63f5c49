import assert from 'node:assert/strict';
import { createPublicKey, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { isIssuedBy, isSelfSigned } from '../../src/certdb/chain.ts';
import { certificateNames, parseName } from '../../src/certdb/distinguished-name.ts';
import type { Name } from '../../src/certdb/distinguished-name.ts';
import { makeRequest, makeSelfSigned, monthsLater, selfSign, signRequest } from '../../src/certdb/issue.ts';
import type { CertificateWish, Issuer, SignWish } from '../../src/certdb/issue.ts';
import { generateKey, softwareSigner } from '../../src/certdb/keys.ts';
import type { Signer } from '../../src/certdb/keys.ts';
import { SettingsError } from '../../src/errors.ts';

const NOW = Date.UTC(2026, 6, 28, 12, 58, 31);
const DAY_MS = 86_400_000;
const none = { dns: [], ip: [], email: [] };

function name(text: string): Name {
  const parsed = parseName(text);
  assert.ok(!('problem' in parsed));
  return parsed;
}

const signer = (type: 'rsa' | 'ec' | 'ed25519' = 'ec', bits?: number): Signer =>
  softwareSigner(generateKey({ type, bits }));

async function certificate(wish: Partial<CertificateWish> = {}, by = signer()): Promise<X509Certificate> {
  const whole: CertificateWish = { ...none, subject: name('CN=mx.test'), now: NOW, use: 'server', ...wish };
  return new X509Certificate(await selfSign(by, whole));
}

async function authority(wish: Partial<CertificateWish> = {}): Promise<Issuer> {
  const by = signer();
  return {
    signer: by,
    certificate: await certificate({ subject: name('CN=Our CA'), use: 'ca', ...wish }, by),
  };
}

async function issue(wish: Partial<SignWish> = {}): Promise<X509Certificate> {
  const request = await makeRequest(signer(), { ...none, subject: name('CN=mx.test') });
  const issuer = wish.issuer ?? (await authority());
  return new X509Certificate(await signRequest({ request, now: NOW, use: 'server', ...wish, issuer }));
}

const refuses = (work: Promise<unknown>, message: RegExp): Promise<void> =>
  assert.rejects(work, (error) => {
    assert.ok(error instanceof SettingsError, String(error));
    assert.match(error.message, message);
    return true;
  });

for (const [type, bits] of [
  ['rsa', 2048],
  ['ec', 256],
  ['ec', 384],
  ['ed25519', undefined],
] as const) {
  test(`a self-signed certificate of ${type} ${bits ?? ''} verifies under its own key`, async () => {
    const by = signer(type, bits);
    const made = await certificate({}, by);
    assert.ok(isSelfSigned(made));
    assert.equal(made.publicKey.equals(by.publicKey), true);
    assert.equal(made.subjectAltName, 'DNS:mx.test');
    assert.equal(made.ca, false);
    assert.deepEqual(made.keyUsage, ['1.3.6.1.5.5.7.3.1']);
  });
}

test('a certificate is valid for three calendar months from now, to the second', async () => {
  const made = await certificate();
  assert.equal(Date.parse(made.validFrom), NOW);
  assert.equal(Date.parse(made.validTo), Date.UTC(2026, 9, 28, 12, 58, 31));
});

test('three months after a day that the month lacks is its last day', () => {
  assert.equal(monthsLater(Date.UTC(2026, 10, 30, 1), 3), Date.UTC(2027, 1, 28, 1));
  assert.equal(monthsLater(Date.UTC(2006, 6, 28, 12, 58), 3), Date.UTC(2006, 9, 28, 12, 58));
});

test('days count from now, and a date beyond 2049 is read as it was meant', async () => {
  assert.equal(Date.parse((await certificate({ days: 30 })).validTo), NOW + 30 * DAY_MS);
  const notAfter = Date.UTC(2060, 0, 2);
  assert.equal(Date.parse((await certificate({ notAfter })).validTo), notAfter);
});

test('days that are none are refused', async () => {
  await refuses(certificate({ days: 0 }), /1 to 36525 whole days, not 0/);
  await refuses(certificate({ days: 1.5 }), /whole days/);
  await refuses(certificate({ notAfter: NOW }), /end before it begins/);
});

test('names that are given stand in place of the common name', async () => {
  const given = { dns: ['a.test', '*.b.test', 'ö.test.'], ip: ['::1', '127.0.0.1'], email: ['a@b.test'] };
  const made = await certificate(given);
  assert.equal(
    made.subjectAltName,
    'DNS:a.test, DNS:*.b.test, DNS:xn--nda.test, IP Address:0:0:0:0:0:0:0:1, IP Address:127.0.0.1, email:a@b.test',
  );
});

test('a common name that is an address is one among the alternative names, a person is none', async () => {
  assert.equal((await certificate({ subject: name('CN=192.0.2.1') })).subjectAltName, 'IP Address:192.0.2.1');
  assert.equal((await certificate({ subject: name('CN=Alice Liddell') })).subjectAltName, undefined);
  assert.equal((await certificate({ subject: name('CN=alice'), use: 'client' })).subjectAltName, undefined);
});

test('names that no certificate can have are refused by name', async () => {
  await refuses(certificate({ dns: ['a b'] }), /"a b" is no host name/);
  await refuses(certificate({ dns: ['127.0.0.1'] }), /give it as an IP address/);
  await refuses(certificate({ ip: ['fe80::1%eth0'] }), /no IP address/);
  await refuses(certificate({ email: ['ö@b.test'] }), /no e-mail address/);
});

test('a CA of ours certifies what a request asks for, and the chain verifies', async () => {
  for (const type of ['rsa', 'ec', 'ed25519'] as const) {
    const by = signer(type, type === 'rsa' ? 2048 : undefined);
    const wish = { subject: name('CN=mx.test,O=Größe'), dns: ['a.test'], ip: ['::1'], email: ['a@b.test'] };
    const issuer = await authority();
    const made = await issue({ request: await makeRequest(by, wish), issuer, use: 'client', days: 10 });
    assert.ok(isIssuedBy(made, issuer.certificate));
    assert.ok(made.publicKey.equals(by.publicKey));
    assert.deepEqual(certificateNames(made), { subject: 'CN=mx.test,O=Größe', issuer: 'CN=Our CA' });
    assert.match(made.subjectAltName ?? '', /^DNS:a\.test, IP Address:0:0:0:0:0:0:0:1, email:a@b\.test$/);
    assert.deepEqual(made.keyUsage, ['1.3.6.1.5.5.7.3.2']);
  }
});

test('a CA certifies a CA below it, and that one certifies a server', async () => {
  const root = await authority();
  const below = signer();
  const request = await makeRequest(below, { ...none, subject: name('CN=Below') });
  const middle = await issue({ request, issuer: root, use: 'ca' });
  assert.equal(middle.ca, true);
  assert.ok(isIssuedBy(await issue({ issuer: { certificate: middle, signer: below } }), middle));
});

test('a certificate ends with its CA at the latest', async () => {
  const issuer = await authority({ days: 5 });
  assert.equal(Date.parse((await issue({ issuer, days: 30 })).validTo), NOW + 5 * DAY_MS);
});

test('a certificate that is none of a CA certifies nobody', async () => {
  await refuses(
    issue({ issuer: await authority({ use: 'server' }) }),
    /"CN=Our CA" is none of a CA: its CA flag/,
  );
  const issuer = await authority();
  await refuses(issue({ issuer: { ...issuer, signer: signer() } }), /does not match its private key/);
  await refuses(issue({ issuer, now: NOW + 200 * DAY_MS }), /has expired/);
  await refuses(issue({ issuer, now: NOW - DAY_MS }), /not yet valid/);
});

test('a request that was changed after signing proves nothing', async () => {
  const request = await makeRequest(signer(), { ...none, subject: name('CN=mx.test') });
  const place = request.indexOf('mx.test');
  request.write('my', place);
  await refuses(issue({ request, source: 'a.csr' }), /^a\.csr: is not signed by its own key/);
});

test('a request is taken as PEM under both labels, with text before it', async () => {
  const request = await makeRequest(signer(), { ...none, subject: name('CN=mx.test') });
  for (const label of ['CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST']) {
    const body = `Phone: 555\n-----BEGIN ${label}-----\n${request.toString('base64')}\n-----END ${label}-----\n`;
    assert.equal((await issue({ request: Buffer.from(body) })).subjectAltName, 'DNS:mx.test');
  }
});

test('what is no request is named', async () => {
  const source = 'a.csr';
  await refuses(issue({ source, request: Buffer.from('') }), /a\.csr: is empty/);
  await refuses(issue({ source, request: Buffer.from('hello') }), /no certificate request/);
  await refuses(issue({ source, request: Buffer.alloc(70_000) }), /70000 bytes/);
  const pem = (await certificate()).toString();
  await refuses(issue({ source, request: Buffer.from(pem) }), /holds a "CERTIFICATE" where/);
  const cut = Buffer.from('-----BEGIN CERTIFICATE REQUEST-----\nMIIB');
  await refuses(issue({ source, request: cut }), /cut off/);
});

test('every cut of a request is refused without another error', async () => {
  const request = await makeRequest(signer(), { ...none, subject: name('CN=mx.test') });
  const issuer = await authority();
  for (let length = 0; length < request.length; length += 7) {
    await refuses(issue({ request: request.subarray(0, length), issuer }), /the certificate request: is /);
  }
});

test('the certificate of a first start names the host and lets clocks be an hour behind', async () => {
  const { cert, key } = await makeSelfSigned({ names: ['mx.test', '127.0.0.1'], days: 90, now: NOW });
  const made = new X509Certificate(cert);
  assert.ok(made.checkPrivateKey(key));
  assert.equal(made.subjectAltName, 'DNS:mx.test, IP Address:127.0.0.1');
  assert.equal(Date.parse(made.validFrom), NOW - 3_600_000);
  assert.equal(Date.parse(made.validTo), NOW + 90 * DAY_MS);
});

test('a key that signs something else than it says is found out before the certificate leaves', async () => {
  const [one, other] = [signer(), signer()];
  await refuses(certificate({}, { ...one, sign: (bytes) => other.sign(bytes) }), /signature .* is wrong/);
});

test('key sizes that nobody should use are refused, those around them are made', () => {
  assert.throws(() => generateKey({ type: 'rsa', bits: 1024 }), /2048 to 8192/);
  assert.throws(() => generateKey({ type: 'ec', bits: 521 }), /256 or 384/);
  assert.throws(() => generateKey({ type: 'ed25519', bits: 256 }), /one size/);
  assert.equal(generateKey({ type: 'rsa', bits: 2048 }).asymmetricKeyDetails?.modulusLength, 2048);
  assert.equal(createPublicKey(generateKey({ type: 'ec' })).asymmetricKeyDetails?.namedCurve, 'prime256v1');
});
