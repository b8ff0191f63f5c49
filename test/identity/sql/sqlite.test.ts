// Real files of SQLite; the runtime brings it.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { explain } from '../../../src/log.ts';
import type { Answer } from '../../../src/identity/directory.ts';
import { loginOf } from '../../support/ldap-site.ts';
import { openSqlDirectory, sqlSettings } from '../../support/sql-site.ts';

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-sqlite-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function fill(file: string, users: Readonly<Record<string, string>>, pragma = ''): void {
  const database = new DatabaseSync(file);
  database.exec(`${pragma}; CREATE TABLE users (login TEXT, user TEXT, password TEXT, hosts TEXT)`);
  const insert = database.prepare('INSERT INTO users VALUES (?, ?, ?, ?)');
  for (const [login, host] of Object.entries(users)) insert.run(login, login, `{PLAIN}${login}`, host);
  database.close();
}

function open(t: TestContext, file: string, changes: Parameters<typeof sqlSettings>[1] = {}) {
  const rig = openSqlDirectory({ settings: sqlSettings(`sqlite:${file}`, changes) });
  t.after(() => rig.directory.close());
  return { ...rig, find: (id: string) => rig.directory.find(loginOf(id), null) };
}

function hostsOf(answer: Answer): readonly string[] | string {
  return answer.kind === 'account' ? answer.account.hosts : answer.kind;
}

test('a user is found, and ids that are SQL find nobody and change nothing', async (t) => {
  const file = join(folderOf(t), 'users.db');
  fill(file, { 'anna@example.com': 'one', "o'neil@example.com": 'two' });
  const { find } = open(t, file);
  const answer = await find('anna@example.com');
  assert.deepEqual(answer.kind === 'account' && answer.account.secrets, ['{PLAIN}anna@example.com']);
  for (const id of [
    `anna@example.com' --`,
    `' OR 1=1 --`,
    `'; DROP TABLE users; --`,
    `anna@example.com"/*`,
    `%`,
    ':login',
    '?1',
    'anna@example.com\u0000',
  ])
    assert.equal(hostsOf(await find(id)), 'nobody', id);
  assert.deepEqual(hostsOf(await find("o'neil@example.com")), ['two']);
});

test('two rows are an error, also of a table without end', async (t) => {
  const file = join(folderOf(t), 'users.db');
  fill(file, {});
  const endless = 'WITH RECURSIVE n(user) AS (SELECT :login UNION ALL SELECT user FROM n) SELECT user FROM n';
  await assert.rejects(open(t, file, { userQuery: endless }).find('anna'), { code: 'DIRECTORY_AMBIGUOUS' });
});

for (const [how, replace] of [
  ['another is moved into its place', (from: string, to: string) => renameSync(from, to)],
  ['it is written over', (from: string, to: string) => copyFileSync(from, to)],
] as const) {
  test(`what is in the file counts after ${how}`, async (t) => {
    const folder = folderOf(t);
    const file = join(folder, 'users.db');
    const next = join(folder, 'next.db');
    fill(file, { anna: 'one' });
    fill(next, { anna: 'two' });
    const { find } = open(t, file);
    assert.deepEqual(hostsOf(await find('anna')), ['one']);
    replace(next, file);
    assert.deepEqual(hostsOf(await find('anna')), ['two']);
  });
}

for (const mode of ['DELETE', 'WAL']) {
  test(`what another process commits counts at once (journal_mode ${mode})`, async (t) => {
    const file = join(folderOf(t), 'users.db');
    fill(file, { anna: 'one' }, `PRAGMA journal_mode = ${mode}`);
    const { find } = open(t, file);
    assert.deepEqual(hostsOf(await find('anna')), ['one']);
    const other = new DatabaseSync(file);
    other.exec("UPDATE users SET hosts = 'two'; ALTER TABLE users ADD COLUMN more TEXT");
    assert.deepEqual(hostsOf(await find('anna')), ['two']);
    other.close();
  });
}

test('a file that is missing, no database, or without the table is down, and up again when it is there', async (t) => {
  const folder = folderOf(t);
  const file = join(folder, 'users.db');
  const { find } = open(t, file);
  await assert.rejects(find('anna'), { code: 'DIRECTORY_DOWN' });
  writeFileSync(file, 'no database at all, but a text that is long enough to look like one'.repeat(100));
  await assert.rejects(find('anna'), { code: 'DIRECTORY_DOWN' });
  writeFileSync(file, '');
  await assert.rejects(find('anna'), { code: 'DIRECTORY_DOWN' });
  rmSync(file);
  fill(file, { anna: 'one' });
  assert.deepEqual(hostsOf(await find('anna')), ['one']);
});

test('a file that cannot be opened is told with who has tried', async (t) => {
  const file = join(folderOf(t), 'users.db');
  // As root, who may read everything, there is no other such file.
  const socket = createServer();
  socket.listen(file);
  t.after(() => socket.close());
  await once(socket, 'listening');
  const { find } = open(t, file);
  const us = String(process.geteuid?.());
  await assert.rejects(find('anna'), (error: Error) =>
    explain(error).includes(`database file (as user id ${us})`),
  );
});

test('nothing is written', async (t) => {
  const file = join(folderOf(t), 'users.db');
  fill(file, { anna: 'one' });
  const { find } = open(t, file, { userQuery: 'DELETE FROM users WHERE login = :login RETURNING *' });
  await assert.rejects(find('anna'), { code: 'DIRECTORY_DOWN' });
  assert.deepEqual(hostsOf(await open(t, file).find('anna')), ['one']);
});

test('a lock of somebody else is waited for within the time, and then it is down', async (t) => {
  const file = join(folderOf(t), 'users.db');
  fill(file, { anna: 'one' });
  const { find } = open(t, file, { timeoutMs: 1500 });
  // The thread is there, so that only the lock takes time.
  assert.deepEqual(hostsOf(await find('anna')), ['one']);
  const other = new DatabaseSync(file);
  other.exec('BEGIN EXCLUSIVE');
  await assert.rejects(find('anna'), { code: 'DIRECTORY_DOWN' });
  other.exec('COMMIT');
  assert.deepEqual(hostsOf(await find('anna')), ['one']);
  other.close();
});

test('a query that runs long fails in time, those behind it at once, and nobody else waits', async (t) => {
  const file = join(folderOf(t), 'users.db');
  fill(file, { anna: 'one', slow: 'one' });
  const userQuery = `SELECT *, (WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n
    WHERE x < CASE :login WHEN 'slow' THEN 12000000 ELSE 1 END) SELECT count(*) FROM n) AS x
    FROM users WHERE login = :login`;
  const { find, events } = open(t, file, { userQuery, timeoutMs: 300 });
  assert.deepEqual(hostsOf(await find('anna')), ['one']);
  let turns = 0;
  const timer = setInterval(() => turns++, 5);
  await assert.rejects(find('slow'), { code: 'DIRECTORY_DOWN' });
  clearInterval(timer);
  // The event loop went on meanwhile.
  assert.ok(turns > 1, `${turns} turns`);
  await assert.rejects(find('anna'), /beyond its time/);
  assert.match(events.join(''), /directory query slow/);
  for (;;) {
    const answer = await find('anna').catch(() => null);
    if (answer === null) {
      await new Promise((resolve) => setImmediate(resolve));
      continue;
    }
    assert.deepEqual(hostsOf(answer), ['one']);
    break;
  }
});
