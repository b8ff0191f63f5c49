import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { readKeyPair, type KeyFiles, type KeyPair } from '../../src/certdb/pem.ts';
import { SettingsError } from '../../src/errors.ts';
import { makeAuthority } from '../support/authority.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-pem-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const authority = makeAuthority(folder);
const ec = authority.issue({ names: ['mx.test', '*.mx.test', '127.0.0.1', '2001:db8::1'], file: 'ec' });
const rsa = authority.issue({ names: ['mx.test'], keyType: 'rsa', file: 'rsa' });

const read = (cert: string, key: string, passphrase: string | null = null): KeyPair =>
  readKeyPair({ cert, key, passphrase });

function write(name: string, content: string | Buffer, mode = 0o600): string {
  const file = path.join(folder, name);
  writeFileSync(file, content, { mode });
  chmodSync(file, mode);
  return file;
}

function refuses(files: Omit<KeyFiles, 'passphrase'> & { passphrase?: string }, message: RegExp): void {
  assert.throws(
    () => readKeyPair({ passphrase: null, ...files }),
    (error) => {
      assert.ok(error instanceof SettingsError, String(error));
      assert.equal(error.mistakes.length, 1);
      assert.match(error.message, message);
      return true;
    },
  );
}

test('an ECDSA pair is read with its chain, names, dates and fingerprint', () => {
  const pair = read(ec.certFile, ec.keyFile);
  assert.equal(pair.keyType, 'ec');
  assert.equal(pair.cert, ec.cert);
  assert.equal(pair.key, ec.key);
  assert.deepEqual(pair.names, ['mx.test', '*.mx.test', '127.0.0.1', '2001:db8::1']);
  assert.equal(pair.subject, 'CN=mx.test');
  assert.match(pair.fingerprint256, /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
  const days = (pair.notAfter - Date.now()) / 86_400_000;
  assert.ok(days > 29 && days < 31, `${days} days`);
  assert.ok(pair.notBefore < Date.now());
});

test('an RSA pair says so', () => {
  assert.equal(read(rsa.certFile, rsa.keyFile).keyType, 'rsa');
});

test('certificate and key may share one file, in any order, with text around them', () => {
  const both = write('both.pem', `Our mail certificate\n${rsa.key}\nchain:\n${rsa.cert}`);
  const pair = read(both, both);
  assert.equal(pair.cert, rsa.cert);
  assert.equal(pair.key, rsa.key);
});

test('a shared file that others can read is refused for the key in it', () => {
  const both = write('both-open.pem', rsa.key + rsa.cert, 0o644);
  refuses({ cert: both, key: both }, /both-open\.pem: has mode 0644.*chmod 600 .*both-open\.pem$/);
});

test('an expired certificate and one that is not valid yet are returned for the caller to warn', () => {
  const expired = authority.issue({ names: ['old.test'], days: -2 });
  assert.ok(read(expired.certFile, expired.keyFile).notAfter < Date.now());
  const early = authority.issue({ names: ['new.test'], startsInDays: 2 });
  assert.ok(read(early.certFile, early.keyFile).notBefore > Date.now());
});

test('a missing file is named with what was wanted from it', () => {
  const missing = path.join(folder, 'nowhere.pem');
  refuses(
    { cert: missing, key: ec.keyFile },
    /nowhere\.pem: does not exist, a certificate in PEM is wanted$/,
  );
  refuses(
    { cert: ec.certFile, key: missing },
    /nowhere\.pem: does not exist, a private key in PEM is wanted$/,
  );
});

test('a folder, an empty file, a text and a giant are told apart', () => {
  refuses({ cert: folder, key: ec.keyFile }, /not a regular file/);
  refuses({ cert: write('empty.pem', ''), key: ec.keyFile }, /empty\.pem: is empty/);
  refuses({ cert: write('text.pem', 'hello'), key: ec.keyFile }, /text\.pem: holds no PEM/);
  refuses(
    { cert: write('cut.pem', ec.cert.slice(0, 200)), key: ec.keyFile },
    /cut\.pem: holds PEM that is cut off/,
  );
  refuses(
    { cert: write('giant.pem', Buffer.alloc(2_000_000)), key: ec.keyFile },
    /giant\.pem: has 2000000 bytes/,
  );
});

test('DER where PEM is wanted is refused with the command that converts it', () => {
  const der = (pem: string): Buffer => Buffer.from(pem.split('-----')[2] ?? '', 'base64');
  const cert = write('cert.der', der(ec.cert));
  const key = write('key.der', der(ec.key));
  refuses({ cert, key: ec.keyFile }, /cert\.der: is binary \(DER\).*openssl x509 -inform DER/);
  refuses({ cert: ec.certFile, key }, /key\.der: is binary \(DER\).*openssl pkey -inform DER/);
});

test('a key in the place of the certificate, the reverse, and both swapped each have their words', () => {
  refuses(
    { cert: ec.keyFile, key: ec.keyFile },
    /ec\.key\.pem: holds a private key where a certificate is wanted/,
  );
  refuses(
    { cert: ec.certFile, key: ec.certFile },
    /ec\.cert\.pem: holds a certificate where a private key is wanted/,
  );
  refuses({ cert: ec.keyFile, key: ec.certFile }, /they are swapped/);
});

test('other PEM is named by its label', () => {
  const request = write(
    'req.pem',
    '-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n',
  );
  refuses(
    { cert: request, key: ec.keyFile },
    /req\.pem: holds "CERTIFICATE REQUEST" where a certificate is wanted/,
  );
});

test('a damaged certificate is counted, a damaged key is named', () => {
  const broken = '-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgI=\n-----END CERTIFICATE-----\n';
  refuses({ cert: write('broken.pem', ec.cert + broken), key: ec.keyFile }, /certificate 3 in it is damaged/);
  const key = write('broken-key.pem', ec.key.replace(/\n[^-]{20}/, '\nAAAAAAAAAAAAAAAAAAAA'));
  refuses({ cert: ec.certFile, key }, /broken-key\.pem: holds a damaged private key/);
});

test('a certificate that does not belong to the key is refused', () => {
  refuses(
    { cert: ec.certFile, key: rsa.keyFile },
    /ec\.cert\.pem: the certificate does not match .*rsa\.key\.pem/,
  );
});

test('a chain in the wrong order is refused with the place of the right certificate', () => {
  const [leaf = '', ca = ''] = ec.cert.split(/(?<=-----END CERTIFICATE-----\n)/);
  const turned = write('turned.pem', ca + leaf);
  refuses({ cert: turned, key: ec.keyFile }, /turned\.pem: certificate 2 in it matches the key/);
});

test('an encrypted key, new or old style, opens with its passphrase only', () => {
  const key = createPrivateKey(rsa.key);
  const cipher = 'aes-256-cbc';
  const modern = key.export({ type: 'pkcs8', format: 'pem', cipher, passphrase: 'geheim' });
  const legacy = key.export({ type: 'pkcs1', format: 'pem', cipher, passphrase: 'geheim' });
  for (const [name, text] of Object.entries({ modern, legacy })) {
    const file = write(`${name}.key.pem`, text);
    assert.equal(read(rsa.certFile, file, 'geheim').key, rsa.key);
    refuses({ cert: rsa.certFile, key: file }, /is encrypted and no passphrase is given/);
    refuses({ cert: rsa.certFile, key: file, passphrase: 'falsch' }, /the passphrase is wrong$/);
  }
});

test('a passphrase for a key that needs none is ignored', () => {
  assert.equal(read(ec.certFile, ec.keyFile, 'unused').key, ec.key);
});

test('a key that the group or the world can read is refused with the chmod to run, 0400 is fine', () => {
  const open = write('open.key.pem', ec.key, 0o640);
  refuses({ cert: ec.certFile, key: open }, /open\.key\.pem: has mode 0640.*: chmod 600 .*open\.key\.pem$/);
  chmodSync(open, 0o604);
  refuses({ cert: ec.certFile, key: open }, /has mode 0604/);
  chmodSync(open, 0o400);
  assert.equal(read(ec.certFile, open).key, ec.key);
});

if (process.getuid?.() === 0) {
  test('a key that belongs to another user is refused', () => {
    const foreign = write('foreign.key.pem', ec.key);
    chownSync(foreign, 12_345, 0);
    refuses({ cert: ec.certFile, key: foreign }, /belongs to user 12345/);
  });
}
