import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openDatabase } from '../../src/certdb/database.ts';
import { defaultSettings } from '../../src/config/load.ts';
import { readPasswordFile } from '../../src/config/password-file.ts';
import type { Settings } from '../../src/config/settings.ts';
import { SettingsError } from '../../src/errors.ts';
import { CertificateKeeper } from '../../src/service/certificate-keeper.ts';
import { makeAuthority } from '../support/authority.ts';
import { manualWorld } from '../support/manual-world.ts';
import { temporaryFolder } from './stub-supervisor.ts';

const world = manualWorld();

function settingsIn(folder: string): Settings {
  const certificates = {
    ...defaultSettings().certificates,
    database: join(folder, 'certs'),
    passwordFile: join(folder, 'sslpassword.conf'),
  };
  return { ...defaultSettings(), certificates };
}

test('a first start makes database, password and certificate, a second one nothing', async () => {
  using folder = temporaryFolder();
  const settings = settingsIn(folder.path);
  const first = new CertificateKeeper(settings, world);
  assert.equal(first.lacksDefault(), true);
  assert.match(
    (await first.makeFirst('mx.test')).join('\n'),
    /made the certificate database.*\n.*made Server-Cert/,
  );
  first.close();
  const second = new CertificateKeeper(settings, world);
  assert.equal(second.lacksDefault(), false);
  assert.deepEqual(await second.makeFirst('mx.test'), []);
  assert.deepEqual(
    second.pairs('Server-Cert').map(({ names, keyType }) => [names, keyType]),
    [[['mx.test'], 'ec']],
  );
  second.close();
});

test('a password that stands in the file already is the one of the new database', async () => {
  using folder = temporaryFolder();
  const settings = settingsIn(folder.path);
  const { passwordFile, database } = settings.certificates;
  writeFileSync(passwordFile, 'softhsm:1234\nInternal (Software) Token:netscape!\n', { mode: 0o600 });
  const keeper = new CertificateKeeper(settings, world);
  await keeper.makeFirst('mx.test');
  keeper.close();
  assert.equal(readPasswordFile(passwordFile).get('softhsm'), '1234');
  const opened = openDatabase(database, world);
  opened.unlock('netscape!');
  opened.close();
});

test('pairs of PEM files that an older version had there are taken in, chain and all, and left alone', async () => {
  using folder = temporaryFolder();
  const settings = settingsIn(folder.path);
  const { database } = settings.certificates;
  mkdirSync(database, { mode: 0o700 });
  const issued = makeAuthority(folder.path).issue({ names: ['old.test'], keyType: 'rsa' });
  copyFileSync(issued.certFile, join(database, 'Server-Cert.cert.pem'));
  copyFileSync(issued.keyFile, join(database, 'Server-Cert.key.pem'));
  const keeper = new CertificateKeeper(settings, world);
  assert.equal(keeper.lacksDefault(), false);
  assert.match((await keeper.makeFirst('mx.test')).join('\n'), /took in Server-Cert from .*remove them$/);
  const [pair] = keeper.pairs('Server-Cert');
  assert.deepEqual(pair?.names, ['old.test']);
  assert.ok(
    new X509Certificate(pair.cert).checkPrivateKey((await import('node:crypto')).createPrivateKey(pair.key)),
  );
  assert.equal(
    readFileSync(join(database, 'Server-Cert.key.pem'), 'utf8'),
    readFileSync(issued.keyFile, 'utf8'),
  );
  keeper.close();
});

test('without a password for the database, or with a wrong one, both files are named and nothing is changed', async () => {
  using folder = temporaryFolder();
  const settings = settingsIn(folder.path);
  const { passwordFile } = settings.certificates;
  const made = new CertificateKeeper(settings, world);
  await made.makeFirst('mx.test');
  made.close();
  const refused = (text: string, message: RegExp): void => {
    writeFileSync(passwordFile, text, { mode: 0o600 });
    const keeper = new CertificateKeeper(settings, world);
    assert.throws(
      () => keeper.pairs('Server-Cert'),
      (error) =>
        error instanceof SettingsError && message.test(error.message) && !/swordfish/.test(error.message),
    );
    keeper.close();
  };
  refused('softhsm:swordfish\n', /sslpassword\.conf: expected a line "Internal \(Software\) Token:password"/);
  refused(
    'Internal (Software) Token:swordfish\n',
    /cert\.db: the certificate database password is wrong \(from .*sslpassword\.conf\)/,
  );
  assert.ok(existsSync(join(settings.certificates.database, 'cert.db')));
});
