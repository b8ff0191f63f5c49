import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openDatabase } from '../../../src/certdb/database.ts';
import { defaultSettings } from '../../../src/config/load.ts';
import { readPasswordFile } from '../../../src/config/password-file.ts';
import type { Settings } from '../../../src/config/settings.ts';
import { SettingsError } from '../../../src/errors.ts';
import { CertificateKeeper } from '../../../src/service/certificates/keeper.ts';
import { makeAuthority } from '../../support/authority.ts';
import { manualWorld } from '../../support/manual-world.ts';
import { temporaryFolder } from '../stub-supervisor.ts';

const world = manualWorld();

function acmeFor(nicknames: readonly string[]): Settings['certificates']['acme'] {
  return {
    directory: 'https://ca.test/directory',
    contact: [],
    agreeTerms: true,
    names: Object.fromEntries(nicknames.map((nickname) => [nickname, ['old.test']])),
    challenge: 'http-01',
    listen: null,
    keyType: 'rsa',
    renewBeforeMs: null,
    ca: null,
    eab: null,
  };
}

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
  assert.match(keeper.passwordWarning() ?? '', /sslpassword\.conf: .*documentation prints/);
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

test('a pair of an older version that cannot be read is left out and told of, but not where the settings name it', () => {
  using folder = temporaryFolder();
  const settings = settingsIn(folder.path);
  const { database } = settings.certificates;
  mkdirSync(database, { mode: 0o700 });
  const issued = makeAuthority(folder.path).issue({ names: ['old.test'], keyType: 'rsa' });
  copyFileSync(issued.certFile, join(database, 'Mail.cert.pem'));
  copyFileSync(issued.keyFile, join(database, 'Mail.key.pem'));
  for (const name of ['Other.cert.pem', 'Other.key.pem'])
    writeFileSync(join(database, name), 'broken', { mode: 0o600 });
  const naming = (...nicknames: string[]): CertificateKeeper =>
    new CertificateKeeper(
      {
        ...settings,
        certificates: { ...settings.certificates, acme: acmeFor(nicknames) },
      },
      world,
    );
  assert.throws(() => naming('Mail', 'Other').takeIn(), /Other\.cert\.pem: holds no PEM/);
  assert.equal(existsSync(join(database, 'cert.db')), false);
  const keeper = naming('Mail');
  assert.deepEqual(keeper.toTakeIn(), ['Mail']);
  assert.deepEqual(keeper.pairs('Mail')[0]?.names, ['old.test'], 'read where it is, as by check');
  assert.match(keeper.takeIn().join('\n'), /took in Mail .*\n.*Other\.cert\.pem: .*Other is not taken in/);
  assert.deepEqual(keeper.toTakeIn(), []);
  assert.deepEqual(keeper.pairs('Mail')[0]?.names, ['old.test']);
  keeper.close();
});
