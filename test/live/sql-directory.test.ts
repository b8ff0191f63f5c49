// Users in a database, their mail on two real Dovecots, with SQLite, PostgreSQL and MariaDB alike: each gets to the store
// that the row names, under the name that is replayed there. The database is stopped and comes back.

import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';

import { type Issued, makeAuthority } from '../support/authority.ts';
import { Dialogue } from '../support/dialogue.ts';
import { startDovecot } from '../support/dovecot.ts';
import { type Front, startFront } from '../support/front.ts';
import { startMariaDb } from '../support/mariadb.ts';
import { startPostgres } from '../support/postgres.ts';
import { makePassable } from '../support/maildir.ts';
import { converse, run, until } from '../support/program.ts';
import {
  LOOKUP,
  MARIADB_ROLE,
  PASSWORD,
  POSTGRES_QUERIES,
  POSTGRES_ROLE,
  QUERIES,
  tables,
} from '../support/sql-data.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-sql-'));
makePassable(folder);
const authority = makeAuthority(folder);
const people = makeAuthority(folder, 'People CA');
const certified = (email: string): Issued =>
  people.issue({ names: ['pc.example.com'], purpose: 'client', emails: [email] });

writeFileSync(join(folder, 'masters'), 'root:{PLAIN}of the master\n', { mode: 0o644 });
const extra = `passdb {\n  driver = passwd-file\n  args = ${folder}/masters\n  master = yes\n  result_success = continue\n}`;
const [one, two] = await Promise.all([
  // The one knows its users by their addresses, the other by their names.
  startDovecot({ folder: join(folder, 'one'), users: { 'anna@example.com': PASSWORD }, extra }),
  startDovecot({ folder: join(folder, 'two'), users: { hugo: PASSWORD, 'b-7': PASSWORD }, extra }),
]);
const first = `127.0.0.1:${one.imapPort}`;
const second = `127.0.0.1:${two.imapPort}`;

const DATA = tables(
  [
    { login: 'anna@example.com', host: first },
    { login: "o'neil@example.com", replay: 'anna@example.com' },
    { login: 'berta@example.com', host: second, replay: 'b-7' },
    { login: 'held@example.com', status: 'hold' },
    { login: 'gone@example.com', status: '0' },
    { login: 'local@example.com', access: '+imaps:10.0.0.0/8' },
    { login: 'lost@example.com', host: '192.0.2.99:143' },
    { login: 'odd@example.com', host: 'no host at all!' },
    { login: 'twin@example.com' },
    { login: 'twin@example.com' },
    { login: 'other@example.com', backend: 'second' },
    { login: 'wild@example.com', backend: 'nowhere' },
    { login: 'hugo@example.org' },
  ],
  [
    { name: 'example.com', host: first },
    { name: 'example.org', host: second, replay: '%U' },
    { name: 'alias.example.org', own: 'example.org', host: second, replay: '%U' },
  ],
);

interface Database {
  readonly settings: Readonly<Record<string, unknown>>;
  stop(): Promise<void>;
  start(): Promise<void>;
  /** How many users there are. */
  count(): Promise<number>;
  remove(): Promise<void>;
}

async function sqlite(): Promise<Database> {
  const file = join(folder, 'users.db');
  const made = new DatabaseSync(file);
  made.exec(DATA);
  made.close();
  return {
    settings: { url: `sqlite:${file}`, ...QUERIES },
    stop: async () => renameSync(file, `${file}.away`),
    start: async () => renameSync(`${file}.away`, file),
    count: async () => {
      const database = new DatabaseSync(file);
      const row = database.prepare('SELECT count(*) AS n FROM users').get();
      database.close();
      return Number(row?.['n']);
    },
    remove: async () => undefined,
  };
}

async function postgres(): Promise<Database> {
  const server = await startPostgres({ sql: `${DATA}${POSTGRES_ROLE}`, authority });
  return {
    settings: {
      url: `postgres://${LOOKUP.user}@127.0.0.1:${server.port}/mail`,
      password: LOOKUP.password,
      tls: 'required',
      ca: authority.caFile,
      ...POSTGRES_QUERIES,
    },
    ...server,
    count: async () => Number(await server.sql('SELECT count(*) FROM users')),
  };
}

async function mariadb(): Promise<Database> {
  const server = await startMariaDb({ sql: `${DATA}\n${MARIADB_ROLE}`, authority });
  return {
    settings: {
      url: `mysql://${LOOKUP.user}@localhost:${server.port}/mail`,
      password: LOOKUP.password,
      tls: 'required',
      ca: authority.caFile,
      ...QUERIES,
    },
    ...server,
    count: async () => Number(await server.sql('SELECT count(*) FROM users')),
  };
}

const shown = authority.issue({ names: ['localhost'], file: 'front' });

function front(name: string, sql: Database['settings']): Promise<Front> {
  return startFront({
    folder: join(folder, `front-${name}`),
    settings: {
      hostname: 'mail.example.com',
      workers: 1,
      tls: { certificate: { cert: shown.certFile, key: shown.keyFile } },
      services: {
        imaps: {
          protocol: 'imap',
          listen: ['127.0.0.1:0'],
          tls: { mode: 'implicit', clientCa: [people.caFile] },
          backend: 'stores',
          verify: 'directory',
        },
      },
      backends: {
        stores: { hosts: ['127.0.0.1'], tls: 'notls', admin: { user: 'root', password: 'of the master' } },
        second: { servers: [second], hosts: ['127.0.0.1'], tls: 'notls' },
      },
      directory: {
        type: 'sql',
        defaultDomain: 'example.com',
        cache: { ttl: 0 },
        sql: { timeout: 3, backends: ['second'], ...sql },
      },
      penalties: { remembered: 0 },
    },
  });
}

interface Visit {
  /** `OK`, or the refusal. */
  readonly answer: string;
  readonly backend: unknown;
  readonly user: unknown;
}

async function visit(to: Front, name: string, password = PASSWORD): Promise<Visit> {
  const before = to.log().length;
  const session = await Dialogue.connectTls({
    port: to.port('imaps'),
    host: '127.0.0.1',
    ca: authority.ca,
    waitMs: 15_000,
  });
  await session.expect(/^\* OK /);
  const escaped = name.replaceAll(/["\\]/g, String.raw`\$&`);
  const answer = (await session.ask(`a LOGIN "${escaped}" "${password}"`, /^a /)).at(-1) ?? '';
  if (answer.startsWith('a OK')) await session.ask('s SELECT INBOX', /^s OK/);
  await session.ask('b LOGOUT', /^b OK /);
  await session.closed();
  const line = await until(
    () =>
      to
        .log()
        .slice(before)
        .find((entry) => entry['event'] === 'closed'),
    5000,
    () => 'no closing line',
  );
  return { answer: answer.startsWith('a OK') ? 'OK' : answer, backend: line['backend'], user: line['user'] };
}

for (const [name, start] of Object.entries({ sqlite, postgres, mariadb })) {
  describe(name, async () => {
    const database = await start();
    const served = await front(name, database.settings);
    after(async () => {
      await served.stop();
      await database.remove();
    });
    const came = (who: string, password?: string): Promise<Visit> => visit(served, who, password);

    test('each user gets to the store that the row names, however the name is typed', async () => {
      const anna = { answer: 'OK', backend: first, user: 'anna@example.com' };
      for (const typed of ['anna', 'anna@example.com', 'ANNA@Example.COM'])
        assert.deepEqual(await came(typed), anna);
    });

    test('the row says how the user is called at the store', async () => {
      assert.deepEqual(await came('berta'), { answer: 'OK', backend: second, user: 'berta@example.com' });
    });

    test('the domain gives the host and the way of names, an alias leads to it', async () => {
      const hugo = { answer: 'OK', backend: second, user: 'hugo@example.org' };
      assert.deepEqual(await came('hugo@example.org'), hugo);
      assert.deepEqual(await came('hugo@alias.example.org'), hugo);
      assert.match((await came('hugo@nowhere.example')).answer, /^a NO \[AUTHENTICATIONFAILED\]/);
    });

    test('a wrong password and an unknown user are told the same; no store hears of it', async () => {
      const answers = [await came('anna', 'wrong'), await came('nemo'), await came('anna', '')];
      for (const { answer, backend } of answers) {
        assert.match(answer, /^a NO \[AUTHENTICATIONFAILED\]/);
        assert.equal(backend, null);
      }
    });

    test('ids that are SQL find nobody and change nothing, and a name with a quote in it is a name', async () => {
      const before = await database.count();
      for (const id of [
        `x' OR '1'='1`,
        `x' OR 1=1 -- `,
        `anna@example.com' -- `,
        `anna@example.com'/*`,
        `x'; DELETE FROM users; -- `,
        `x\\' OR 1=1 -- `,
        `x" OR ""="`,
        `x' UNION SELECT 'anna@example.com', '{PLAIN}x', null, null, null, null, null -- `,
        ':login',
        '$1',
        '?',
        '%',
      ])
        assert.match((await came(id, 'x')).answer, /^a NO \[AUTHENTICATIONFAILED\]/, id);
      assert.equal(await database.count(), before);
      assert.equal((await came("o'neil")).answer, 'OK');
    });

    test('status, rules, and hosts and backends that are not allowed keep users out', async () => {
      assert.match((await came('held')).answer, /^a NO \[UNAVAILABLE\]/);
      assert.match((await came('gone')).answer, /^a NO \[(?!AUTHENTICATIONFAILED)/);
      assert.match((await came('gone', 'wrong')).answer, /^a NO \[AUTHENTICATIONFAILED\]/);
      assert.match((await came('local')).answer, /^a NO \[(?!AUTHENTICATIONFAILED)/);
      for (const user of ['lost', 'odd', 'wild'])
        assert.match((await came(user)).answer, /^a NO \[UNAVAILABLE\]/, user);
      const log = JSON.stringify(served.log());
      assert.match(log, /192\.0\.2\.99/);
      assert.match(log, /the column hosts says/);
      assert.match(log, /nowhere/);
      assert.doesNotMatch(log, new RegExp(PASSWORD));
      assert.doesNotMatch(log, new RegExp(LOOKUP.password));
    });

    test('two rows for one user let nobody in, one in another backend does', async () => {
      assert.match((await came('twin')).answer, /^a NO \[UNAVAILABLE\]/);
      assert.match(JSON.stringify(served.log()), /DIRECTORY_AMBIGUOUS/);
      // The other store does not know the name, but it was asked.
      assert.equal((await came('other')).backend, second);
    });

    test('a certificate is the user whose address it has, of two users nobody, and a password goes on', async () => {
      const rows: readonly (readonly [string, RegExp])[] = [
        ['Berta@example.com', /^a OK /],
        ['hugo@example.org', /^a OK /],
        ['held@example.com', /^a NO \[UNAVAILABLE\]/],
        ['twin@example.com', /^a NO \[AUTHENTICATIONFAILED\]/],
        ["x' OR '1'='1@example.com", /^a NO /],
      ];
      for (const [email, expected] of rows) {
        const { certFile, keyFile } = certified(email);
        const certificate = ['-cert', certFile, '-key', keyFile, '-CAfile', authority.caFile];
        const to = ['s_client', '-connect', `localhost:${served.port('imaps')}`, ...certificate, '-quiet'];
        await using session = Dialogue.over(converse('openssl', to));
        await session.expect(/^\* OK /);
        const answer = (await session.ask('a AUTHENTICATE EXTERNAL =', /^a /)).at(-1) ?? '';
        assert.match(answer, expected, email);
        if (answer.startsWith('a NO')) await session.ask(`p LOGIN anna "${PASSWORD}"`, /^p OK/);
        await session.ask('s SELECT INBOX', /^s OK/);
        await session.ask('b LOGOUT', /^b OK /);
      }
    });

    test('check --probe says what the queries give', async () => {
      const args = ['src/main.ts', 'check', '--probe', '--config', served.settingsFile];
      const { text } = await run(process.execPath, args, { cwd: join(import.meta.dirname, '../..') });
      assert.match(text, /userQuery gives user, password, hosts, replay, status, access, backend\n/);
      assert.match(text, /domainQuery gives domain, hosts, replay\n/);
      assert.doesNotMatch(text, new RegExp(LOOKUP.password));
    });

    test('while the database is away logins are put off, and go on when it is back', async () => {
      await database.stop();
      assert.match((await came('anna')).answer, /^a NO \[UNAVAILABLE\]/);
      assert.match((await came('anna', 'wrong')).answer, /^a NO \[UNAVAILABLE\]/);
      assert.equal(served.log().filter((line) => line['event'] === 'directory-down').length, 1);
      await database.start();
      assert.equal((await came('anna')).answer, 'OK');
      assert.equal(served.log().filter((line) => line['event'] === 'directory-up').length, 1);
    });
  });
}

after(async () => {
  await Promise.all([one.stop(), two.stop()]);
  rmSync(folder, { recursive: true, force: true });
});
