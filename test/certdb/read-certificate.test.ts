import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { certificatesIn, readCertificates } from '../../src/certdb/read-certificate.ts';
import { writePkcs12 } from '../../src/certdb/pkcs12.ts';
import { makeSelfSigned } from '../../src/certdb/issue.ts';
import { SettingsError } from '../../src/errors.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-read-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const now = Date.UTC(2026, 0, 15);
const one = await makeSelfSigned({ names: ['one.test'], days: 30, now });
const two = await makeSelfSigned({ names: ['two.test'], days: 30, now });
const keyPem = one.key.export({ type: 'pkcs8', format: 'pem' }).toString();

const read = (text: string | Buffer): ReturnType<typeof certificatesIn> =>
  certificatesIn(Buffer.from(text), { source: 'a.pem', now });

function refuses(text: string | Buffer, message: RegExp): void {
  assert.throws(
    () => read(text),
    (error) => error instanceof SettingsError && message.test(error.message),
  );
}

test('a chain is read in its order, with text and a key around it', () => {
  const { certificates, warnings } = read(`bag: x\n${one.cert}${keyPem}\n${two.cert}\nend`);
  assert.deepEqual(certificates, [one.cert, two.cert]);
  assert.deepEqual(warnings, []);
});

test('a file is read like its bytes', () => {
  const file = path.join(folder, 'chain.pem');
  writeFileSync(file, one.cert);
  assert.deepEqual(readCertificates(file, now).certificates, [one.cert]);
  assert.throws(() => readCertificates(path.join(folder, 'none.pem'), now), /none\.pem: does not exist/);
  assert.throws(() => readCertificates(folder, now), /is not a regular file/);
});

test('lines that end in CR LF are lines', () => {
  assert.deepEqual(read(one.cert.replaceAll('\n', '\r\n')).certificates, [one.cert]);
});

test('dates that do not fit and doubles are warned of, and taken', () => {
  const late = certificatesIn(Buffer.from(one.cert), { source: 'a.pem', now: now + 31 * 86_400_000 });
  assert.match(late.warnings.join(), /^a\.pem: the certificate "CN=one\.test" has expired/);
  const early = certificatesIn(Buffer.from(one.cert), { source: 'a.pem', now: now - 86_400_000 });
  assert.match(early.warnings.join(), /is not yet valid/);
  const double = read(one.cert + one.cert);
  assert.equal(double.certificates.length, 1);
  assert.match(double.warnings.join(), /twice/);
});

test('what is no certificate is named with what makes one of it', () => {
  refuses('', /a\.pem: is empty/);
  refuses('hello', /holds no PEM/);
  refuses(keyPem, /holds a private key where a certificate is wanted/);
  refuses(new X509Certificate(one.cert).raw, /is binary \(DER\).*openssl x509 -inform DER/);
  refuses('-----BEGIN CERTIFICATE REQUEST-----\n', /a certificate request where/);
  refuses('-----BEGIN PKCS7-----\n', /openssl pkcs7 -print_certs/);
  refuses('-----BEGIN X509 CRL-----\n', /revocation list/);
  refuses(Buffer.from(`\u{FEFF}${one.cert}`, 'utf16le'), /UTF-16/);
  const bundle = writePkcs12({ ...one, extra: [], friendlyName: null, password: 'x', form: 'legacy' });
  refuses(bundle, /PKCS#12 .* import-cert takes it/);
  refuses(Buffer.from([0x30, 0x82, 1, 2, 3]), /binary and no certificate/);
});

test('a certificate that is cut off refuses the whole file, wherever it stands in it', () => {
  const cut = two.cert.slice(0, -40);
  refuses(cut, /certificate 1 of 1 in it is cut off/);
  refuses(`${one.cert}${cut}`, /certificate 2 of 2 in it is cut off/);
  refuses(`${one.cert}${two.cert.replace(/.{64}\n/, '')}`, /certificate 2 of 2 in it is damaged/);
});
