import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test, type TestContext } from 'node:test';
import { loadSettings } from '../../../src/config/load.ts';
import type { Settings } from '../../../src/config/settings.ts';
import { driverProblem } from '../../../src/identity/sql/servers.ts';
import { withoutVainMechanisms } from '../../../src/service/directories/certificate-logins.ts';
import { withoutSecrets } from '../../../src/service/configuration.ts';
import { namedBackends } from '../../../src/service/directories/material.ts';
import {
  NO_SQL,
  probeSql,
  readSqlMaterial,
  sqlFiles,
} from '../../../src/service/directories/sql-material.ts';
import { unprovenMistakes } from '../../../src/service/directories/unproven.ts';
import { parseSqlUrl } from '../../../src/wire/sql-url.ts';
import { realWorld } from '../../../src/world.ts';
import { settingsFile } from '../../config/settings-file.ts';
import { testMaterial } from '../../support/gateway.ts';

const YAML = `
services:
  imap: { protocol: imap, listen: "127.0.0.1:143", backend: stores }
backends:
  stores: { hosts: "*.internal" }
  old: { servers: "old:143", login: proxy, admin: { user: root, password: x } }
directory:
  type: sql
  sql:
    url: postgres://lookup@db.internal/mail
    userQuery: SELECT hash AS password, host AS hosts FROM users WHERE login = :login
    password: { file: sql.secret }
    ca: ca.pem
    backends: old
`;

function given(t: TestContext, yaml = YAML): { readonly settings: Settings; readonly folder: string } {
  const { file, folder } = settingsFile(t, yaml);
  writeFileSync(join(folder, 'sql.secret'), 'of the lookup\n', { mode: 0o600 });
  writeFileSync(join(folder, 'ca.pem'), testMaterial().authority.ca);
  return { settings: loadSettings({ file }), folder };
}

const refuse = (error: unknown): never => assert.fail(String(error));

test('password and CAs are read, and their files are watched', (t) => {
  const { settings, folder } = given(t);
  const material = readSqlMaterial(settings, refuse);
  assert.equal(material.password, 'of the lookup');
  assert.match(material.ca ?? '', /BEGIN CERTIFICATE/);
  assert.deepEqual(sqlFiles(settings), [join(folder, 'ca.pem'), join(folder, 'sql.secret')]);
});

test('what cannot be read is told with its key', (t) => {
  const { settings, folder } = given(t);
  writeFileSync(join(folder, 'ca.pem'), 'no certificate');
  writeFileSync(join(folder, 'sql.secret'), '');
  const told: string[] = [];
  readSqlMaterial(settings, (error, where) => told.push(`${String(error)}${where}`));
  assert.match(told[0] ?? '', /expected CA certificates in PEM.*\(for directory\.sql\.ca\)/);
  assert.match(told[1] ?? '', /sql\.secret.*\(for directory\.sql\.password\)/);
});

test('the settings of workers hold no password of the database', (t) => {
  const { settings } = given(t);
  assert.equal(withoutSecrets(settings).directory.sql.password, null);
});

test('of another type of directory nothing is read', (t) => {
  const { settings } = given(t);
  const other = { ...settings, directory: { ...settings.directory, type: 'none' as const } };
  assert.deepEqual(readSqlMaterial(other, refuse), NO_SQL);
  assert.deepEqual(sqlFiles(other), []);
});

test('the backends that rows may name are known, and one where nobody checks passwords is refused', (t) => {
  const { settings } = given(t);
  assert.deepEqual([...namedBackends(settings, [], 'imap')], ['old']);
  assert.deepEqual([...namedBackends(settings, [], 'smtp')], []);
  assert.match(
    unprovenMistakes(settings, []).join('\n'),
    /services\.imap\.verify: .*backends\.old has login: proxy/,
  );
});

test('EXTERNAL is offered where a query says whose an address is', (t) => {
  const offered = (yaml: string): readonly string[] => {
    const { settings } = given(t, yaml);
    const service = settings.services['imap'] ?? assert.fail();
    return withoutVainMechanisms(service, settings).mechanisms;
  };
  assert.ok(!offered(YAML).includes('EXTERNAL'));
  const asked = YAML.replace('    ca:', '    mailQuery: SELECT * FROM users WHERE mail = :mail\n    ca:');
  assert.ok(offered(asked).includes('EXTERNAL'));
});

test('a driver is missing only where it is needed and not installed', () => {
  for (const text of ['sqlite:/x', 'postgres://u@h/d', 'mysql://u@h/d']) {
    const url = parseSqlUrl(text);
    assert.ok('dialect' in url);
    assert.equal(driverProblem(url), null);
  }
});

test('the probe says what each query gives, what it lacks, and what is wrong with it', async (t) => {
  const { settings, folder } = given(
    t,
    `
services:
  imap: { protocol: imap, listen: "127.0.0.1:143", backend: stores, verify: directory }
backends: { stores: { servers: "s:143" } }
directory:
  type: sql
  sql:
    url: "sqlite:users.db"
    userQuery: SELECT host AS Hosts, quota FROM users WHERE login = :login
    domainQuery: SELECT 1 AS status FROM nowhere WHERE name = :domain
    mailQuery: SELECT login AS user, hash AS password2 FROM users WHERE login = :mail
`,
  );
  const database = new DatabaseSync(join(folder, 'users.db'));
  database.exec('CREATE TABLE users (login TEXT, host TEXT, quota TEXT, hash TEXT)');
  database.close();
  const [user, domain, mail] = await probeSql(settings, NO_SQL, realWorld);
  assert.equal(user?.server, `sqlite:${join(folder, 'users.db')}`);
  assert.deepEqual([user?.columns, user?.attributes, user?.error], [['hosts'], ['quota'], null]);
  assert.deepEqual(user?.warnings, [
    'no column user: a name that is spelled in several ways would count as several users',
    'no column password: services.imap has verify: directory',
  ]);
  assert.match(domain?.error ?? '', /no such table: nowhere/);
  assert.deepEqual([mail?.columns, mail?.warnings], [['user', 'password2'], []]);
});
