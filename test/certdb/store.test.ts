import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { makeSelfSigned } from '../../src/certdb/issue.ts';
import { ensureSelfSigned, openCertificates } from '../../src/certdb/store.ts';
import { SettingsError } from '../../src/errors.ts';
import { makeAuthority } from '../support/authority.ts';
import { manualWorld } from '../support/manual-world.ts';

const base = mkdtempSync(path.join(tmpdir(), 'sallyport-store-'));
after(() => rmSync(base, { recursive: true, force: true }));
const world = manualWorld();
const request = { nickname: 'Server-Cert', names: ['mx.test', '127.0.0.1', '::1'], world };
const folderFor = (name: string): string => path.join(base, name);

function refuses(act: () => unknown, message: RegExp): void {
  assert.throws(act, (error) => error instanceof SettingsError && message.test(error.message));
}

test('the first start makes a pair that reads back, for 90 days, and only its owner can read it', async () => {
  const folder = folderFor('new/certs');
  assert.equal(await ensureSelfSigned(folder, request), 'made');
  const pair = openCertificates(folder).keyPair('Server-Cert');
  assert.equal(pair.keyType, 'ec');
  assert.deepEqual(pair.names, ['mx.test', '127.0.0.1', '::1']);
  assert.equal(pair.notAfter, world.now() + 90 * 86_400_000);
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  assert.deepEqual(readdirSync(folder).toSorted(), ['Server-Cert.cert.pem', 'Server-Cert.key.pem']);
  for (const name of readdirSync(folder)) assert.equal(statSync(path.join(folder, name)).mode & 0o777, 0o600);
});

test('the self-signed certificate is for servers, no CA, and has a positive random serial number', async () => {
  const options = { names: ['mx.test'], days: 90, now: Date.now() };
  const [one, two] = [await makeSelfSigned(options), await makeSelfSigned(options)];
  const certificate = new X509Certificate(one.cert);
  assert.equal(certificate.ca, false);
  assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1']);
  assert.ok(certificate.verify(certificate.publicKey));
  assert.match(certificate.serialNumber, /^[4-7][0-9A-F]{31}$/);
  assert.notEqual(certificate.serialNumber, new X509Certificate(two.cert).serialNumber);
  assert.equal(certificate.subject, 'CN=mx.test');
  const asked = `${'long.'.repeat(20)}test`;
  const long = new X509Certificate((await makeSelfSigned({ ...options, names: [asked] })).cert);
  assert.equal(long.subject, 'CN=Sallyport');
  assert.equal(long.subjectAltName, `DNS:${asked}`);
});

test('a pair that is there is kept untouched', async () => {
  const folder = folderFor('kept');
  await ensureSelfSigned(folder, request);
  const before = readFileSync(path.join(folder, 'Server-Cert.cert.pem'), 'utf8');
  assert.equal(await ensureSelfSigned(folder, request), 'kept');
  assert.equal(readFileSync(path.join(folder, 'Server-Cert.cert.pem'), 'utf8'), before);
});

test('a key without a certificate, as a crash leaves it, is put aside and a whole pair made', async () => {
  const folder = folderFor('crashed');
  await ensureSelfSigned(folder, request);
  const orphan = readFileSync(path.join(folder, 'Server-Cert.key.pem'), 'utf8');
  rmSync(path.join(folder, 'Server-Cert.cert.pem'));
  assert.equal(await ensureSelfSigned(folder, request), 'made');
  openCertificates(folder).keyPair('Server-Cert');
  const aside = readdirSync(folder).filter((name) => name.endsWith('.old'));
  assert.equal(aside.length, 1);
  assert.equal(readFileSync(path.join(folder, aside[0] ?? ''), 'utf8'), orphan);
});

test('a certificate without its key is kept, and reading it names the missing key file', async () => {
  const folder = folderFor('keyless');
  await ensureSelfSigned(folder, request);
  rmSync(path.join(folder, 'Server-Cert.key.pem'));
  assert.equal(await ensureSelfSigned(folder, request), 'kept');
  refuses(() => openCertificates(folder).keyPair('Server-Cert'), /Server-Cert\.key\.pem: does not exist/);
});

test('a folder that cannot be made is a settings error that names it', async () => {
  const file = folderFor('a-file');
  writeFileSync(file, '');
  await assert.rejects(
    ensureSelfSigned(path.join(file, 'certs'), request),
    (error) => error instanceof SettingsError && /a-file\/certs: no self-signed/.test(error.message),
  );
});

test('an unknown nickname is answered with the near ones', async () => {
  const folder = folderFor('near');
  const store = openCertificates(folder);
  refuses(
    () => store.keyPair('Org-Cert'),
    /near: the certificate database does not exist, "Org-Cert" is wanted/,
  );
  await ensureSelfSigned(folder, { ...request, nickname: 'Org-Cert' });
  await ensureSelfSigned(folder, request);
  assert.deepEqual(store.nicknames(), ['Org-Cert', 'Server-Cert']);
  refuses(() => store.keyPair('server-cret'), /"server-cret", did you mean "Server-Cert"\?$/);
  refuses(() => store.keyPair('Something-Else'), /nickname "Something-Else"$/);
});

test('a nickname is never a path', () => {
  const folder = folderFor('paths');
  makeAuthority(base).issue({ names: ['mx.test'], file: 'outside' });
  for (const nickname of ['../outside', '', '.hidden', 'a/b', 'nul\0', 'x'.repeat(300)]) {
    refuses(() => openCertificates(folder).keyPair(nickname), /cannot be a certificate's nickname$/);
  }
});
