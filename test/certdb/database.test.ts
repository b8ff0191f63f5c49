import assert from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import fs, {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import { createDatabase, databaseFile, openDatabase } from '../../src/certdb/database.ts';
import type { CertificateDatabase, Change } from '../../src/certdb/database.ts';
import { makeSelfSigned } from '../../src/certdb/issue.ts';
import { keyIdOf } from '../../src/certdb/pem.ts';
import { SettingsError } from '../../src/errors.ts';
import { manualWorld } from '../support/manual-world.ts';

const base = mkdtempSync(path.join(tmpdir(), 'sallyport-database-'));
after(() => rmSync(base, { recursive: true, force: true }));
const world = manualWorld();
const PASSWORD = 'opens it: all of it';

function refuses(act: () => unknown, message: RegExp): void {
  assert.throws(act, (error) => error instanceof SettingsError && message.test(error.message));
}

/** A database under PASSWORD, unlocked, with one self-signed certificate. */
async function made(name: string): Promise<{ folder: string; database: CertificateDatabase; cert: string }> {
  const folder = path.join(base, name);
  createDatabase(folder, PASSWORD);
  const database = openDatabase(folder, world);
  database.unlock(PASSWORD);
  const { cert, key } = await makeSelfSigned({ names: ['mx.test'], days: 90, now: world.now() });
  database.change((change) => {
    change.addKey(key);
    change.addCertificate({ nickname: 'Server-Cert', cert });
  });
  return { folder, database, cert };
}

test('what is put in comes out of another opening, key and all', async () => {
  const { folder, database, cert } = await made('round');
  database.close();
  const again = openDatabase(folder, world);
  again.unlock(PASSWORD);
  const [entry] = again.find('Server-Cert');
  assert.equal(entry?.cert, cert);
  assert.equal(entry.keyType, 'ec');
  assert.equal(entry.hasKey, true);
  assert.equal(entry.trust, ',,');
  const key = again.privateKey(entry.keyId);
  assert.ok(key !== null && new X509Certificate(cert).checkPrivateKey(key));
  again.close();
});

test('only its owner can read it, and the folder too is the owner’s', async () => {
  const { folder, database } = await made('modes');
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  assert.deepEqual(readdirSync(folder), ['cert.db']);
  assert.equal(statSync(databaseFile(folder)).mode & 0o777, 0o600);
  database.close();
  chmodSync(databaseFile(folder), 0o640);
  refuses(() => openDatabase(folder, world), /has mode 0640, .*: chmod 600 .*cert\.db$/);
});

test('no key and no password is in the file in clear', async () => {
  const { folder, database } = await made('sealed');
  const key = generateKeyPairSync('ed25519').privateKey;
  database.change((change) => change.addKey(key));
  const bytes = readFileSync(databaseFile(folder));
  const raw = key.export({ type: 'pkcs8', format: 'der' }).subarray(-32);
  assert.equal(bytes.includes(raw), false);
  assert.equal(bytes.includes(raw.toString('base64')), false);
  assert.equal(bytes.includes(PASSWORD), false);
  assert.equal(bytes.includes('BEGIN PRIVATE KEY'), false);
  assert.ok(bytes.includes('BEGIN ENCRYPTED PRIVATE KEY'));
  database.close();
});

test('certificates are read without the password, keys are not, and a wrong one opens nothing', async () => {
  const { folder, database, cert } = await made('locked');
  database.close();
  const again = openDatabase(folder, world);
  assert.equal(again.entries()[0]?.cert, cert);
  const { keyId = '' } = again.entries()[0] ?? {};
  refuses(() => again.privateKey(keyId), /password is needed$/);
  refuses(() => again.unlock(`${PASSWORD} `), /cert\.db: the certificate database password is wrong$/);
  refuses(() => again.privateKey(keyId), /password is needed$/);
  again.unlock(PASSWORD);
  assert.ok(again.privateKey(keyId) !== null);
  again.close();
});

test('a new password opens it, the old one does not, and the keys are the same', async () => {
  const { folder, database } = await made('changed');
  const keyId = database.entries()[0]?.keyId ?? '';
  database.change((change) => change.setPassword('new'));
  database.close();
  const again = openDatabase(folder, world);
  refuses(() => again.unlock(PASSWORD), /password is wrong$/);
  again.unlock('new');
  const key = again.privateKey(keyId);
  assert.equal(key === null ? null : keyIdOf(key), keyId);
  again.close();
});

test('a change that fails in the middle has not happened', async () => {
  const { database, cert } = await made('whole');
  const key = generateKeyPairSync('ed25519').privateKey;
  assert.throws(
    () =>
      database.change((change) => {
        change.addKey(key);
        change.setTrust('Server-Cert', 'C,,');
        change.addCertificate({ nickname: 'Server-Cert', cert });
      }),
    /the nickname "Server-Cert" is taken/,
  );
  assert.equal(database.find('Server-Cert')[0]?.trust, ',,');
  assert.equal(database.privateKey(keyIdOf(key)), null);
  database.close();
});

test('a removed certificate takes its key along, unless another one uses it', async () => {
  const { database, cert } = await made('removed');
  const keyId = database.entries()[0]?.keyId ?? '';
  database.change((change) => change.addCertificate({ nickname: 'Twin', cert }));
  database.change((change) => change.removeCertificate('Server-Cert'));
  assert.ok(database.privateKey(keyId) !== null);
  database.change((change) => change.removeCertificate('Twin'));
  assert.equal(database.privateKey(keyId), null);
  assert.deepEqual(database.entries(), []);
  database.close();
});

test('two changes at once: the second waits its time, then says busy', async (t) => {
  const { folder, database } = await made('busy');
  const other = new DatabaseSync(databaseFile(folder));
  t.after(() => other.close());
  other.exec('BEGIN IMMEDIATE');
  refuses(
    () => database.change((change) => change.setTrust('Server-Cert', 'C,,')),
    /is busy: another change/,
  );
  other.exec('ROLLBACK');
  database.change((change) => change.setTrust('Server-Cert', 'C,,'));
  assert.equal(database.find('Server-Cert')[0]?.trust, 'C,,');
  database.close();
});

test('a new database comes with its first contents, or not at all', async () => {
  const { cert, key } = await makeSelfSigned({ names: ['mx.test'], days: 90, now: world.now() });
  const folder = path.join(base, 'contents');
  const fill = (change: Change): void => {
    change.addKey(key);
    change.addCertificate({ nickname: 'Server-Cert', cert });
  };
  const twice = (change: Change): void => {
    fill(change);
    fill(change);
  };
  refuses(() => createDatabase(folder, PASSWORD, { world, fill: twice }), /is taken/);
  assert.deepEqual(readdirSync(folder), []);
  createDatabase(folder, PASSWORD, { world, fill });
  assert.deepEqual(readdirSync(folder), ['cert.db']);
  const database = openDatabase(folder, world);
  assert.equal(database.entries()[0]?.hasKey, true);
  database.close();
});

test('an unknown nickname is answered with the near ones', async () => {
  const { database, cert } = await made('near');
  database.change((change) => change.addCertificate({ nickname: 'Org-Cert', cert }));
  refuses(() => database.find('server-cret'), /"server-cret", did you mean "Server-Cert"\?$/);
  refuses(() => database.find('Something-Else'), /nickname "Something-Else"$/);
  database.close();
});

test('what is no database is called that, and none is told how to be made', () => {
  const folder = path.join(base, 'none');
  refuses(() => openDatabase(folder, world), /does not exist, make one: sallyport cert generate-certDB$/);
  createDatabase(folder, PASSWORD);
  refuses(() => createDatabase(folder, PASSWORD), /there is a certificate database already$/);
  writeFileSync(databaseFile(folder), 'this is not SQLite at all, but text that is long enough'.repeat(40));
  refuses(() => openDatabase(folder, world), /is damaged or not a certificate database$/);
  rmSync(databaseFile(folder));
  new DatabaseSync(databaseFile(folder)).close();
  chmodSync(databaseFile(folder), 0o600);
  refuses(() => openDatabase(folder, world), /is not a certificate database$/);
});

test('a change that is rehearsed fails as it would, and else leaves no trace', async () => {
  const { folder, database } = await made('rehearsed');
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const before = readFileSync(databaseFile(folder));
  database.rehearse((change) => change.keepAccount('https://ca.test', privateKey));
  refuses(() => database.rehearse((change) => change.removeCertificate('Mail')), /no certificate has/);
  assert.equal(database.accountKey('https://ca.test'), null);
  database.close();
  assert.deepEqual(readFileSync(databaseFile(folder)), before);
});

test('root is not told to take the database from the user that the server runs as', async (t) => {
  if (process.getuid?.() !== 0) t.mock.method(process as { getuid(): number }, 'getuid', () => 0);
  const { folder, database } = await made('owned');
  database.close();
  const file = databaseFile(folder);
  const stats = statSync(file);
  t.mock.method(fs, 'statSync', () => Object.assign(Object.create(stats), { uid: 12_345, mode: stats.mode }));
  syncBuiltinESMExports();
  t.after(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
  refuses(
    () => openDatabase(folder, world),
    /belongs to user 12345, and this is root: do this as that user \(sudo -u '#12345' …\), or give it to root: chown 0 /,
  );
});
