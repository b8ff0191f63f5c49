// PostgreSQL and MariaDB as servers of a directory: time, floods, connections that break, fail-over, sockets, TLS.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';

import { parse } from 'yaml';

import { GateError } from '../../src/errors.ts';
import { ServerFailure } from '../../src/identity/server-pool.ts';
import type { SqlAnswer } from '../../src/identity/sql/source.ts';
import type { SqlSettings } from '../../src/config/settings.ts';
import { loginOf } from '../support/ldap-site.ts';
import { makeAuthority } from '../support/authority.ts';
import { startMariaDb } from '../support/mariadb.ts';
import { freePort } from '../support/ports.ts';
import { startPostgres } from '../support/postgres.ts';
import { until } from '../support/program.ts';
import { LOOKUP, MARIADB_ROLE, POSTGRES_ROLE } from '../support/sql-data.ts';
import { openSqlDirectory, type SqlRig, sqlSettings } from '../support/sql-site.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-sql-servers-'));
const authority = makeAuthority(folder);
const strangers = makeAuthority(mkdtempSync(join(folder, 'strangers-')));

const [postgres, mariadb] = await Promise.all([
  startPostgres({
    authority,
    names: ['db.example.com', 'localhost', '127.0.0.1'],
    sql: `CREATE TABLE users (login TEXT, n INT, tags TEXT[], active BOOLEAN, net CIDR);
      INSERT INTO users VALUES ('anna', 7, '{"a,b",c}', true, '10.0.0.0/8');
      ${POSTGRES_ROLE}`,
  }),
  startMariaDb({
    authority,
    names: ['db.example.com', 'localhost'],
    sql: `CREATE TABLE users (login VARCHAR(64), n INT, active BIT(1), latin VARCHAR(9) CHARACTER SET latin1,
        big BIGINT, raw VARBINARY(9));
      INSERT INTO users VALUES ('anna', 7, b'1', 'x', 9007199254740993, 'raw');
      ${MARIADB_ROLE}`,
  }),
]);
after(async () => {
  await Promise.all([postgres.remove(), mariadb.remove()]);
  rmSync(folder, { recursive: true, force: true });
});

interface Kind {
  readonly scheme: string;
  readonly port: number;
  /** The mark of the first value. */
  readonly mark: string;
  readonly slow: string;
  /** Ends every connection of the lookup. */
  readonly kill: () => Promise<unknown>;
  /** Statements of the lookup that run now, and its connections. */
  readonly running: () => Promise<string>;
  readonly connections: () => Promise<number>;
  readonly flood: string;
  readonly socket: string;
}

const KINDS: Readonly<Record<string, Kind>> = {
  postgres: {
    scheme: 'postgres',
    port: postgres.port,
    mark: '$1',
    slow: 'SELECT pg_sleep(60), $1::text',
    kill: () =>
      postgres.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${LOOKUP.user}'`),
    running: () =>
      postgres.sql(
        `SELECT query FROM pg_stat_activity WHERE usename = '${LOOKUP.user}' AND state <> 'idle' AND query LIKE '%sleep%'`,
      ),
    connections: async () =>
      Number(await postgres.sql(`SELECT count(*) FROM pg_stat_activity WHERE usename = '${LOOKUP.user}'`)),
    flood: "SELECT 'x' FROM generate_series(1, 5000000) WHERE $1 <> ''",
    socket: `postgres://${LOOKUP.user}@/mail?host=${postgres.folder}&port=${postgres.port}`,
  },
  mariadb: {
    scheme: 'mysql',
    port: mariadb.port,
    mark: '?',
    slow: 'SELECT sleep(60), ?',
    kill: () => mariadb.sql(`KILL USER '${LOOKUP.user}'@'127.0.0.1'`),
    running: () =>
      mariadb.sql(
        `SELECT info FROM information_schema.processlist WHERE user = '${LOOKUP.user}' AND info LIKE '%sleep%'`,
      ),
    connections: async () =>
      Number(
        await mariadb.sql(
          `SELECT count(*) FROM information_schema.processlist WHERE user = '${LOOKUP.user}'`,
        ),
      ),
    flood: "SELECT 'x' FROM seq_1_to_5000000 WHERE ? <> ''",
    socket: `mysql://${LOOKUP.user}@/mail?socket=${mariadb.socket}`,
  },
};

function open(url: string, changes: Partial<SqlSettings> = {}, password: string = LOOKUP.password): SqlRig {
  return openSqlDirectory({
    settings: sqlSettings(url, { retryMs: 50, ...changes }),
    password,
    ca: authority.ca,
  });
}

/** Runs one question on a directory of its own. */
async function ask(rig: SqlRig, text: string, ...values: readonly (string | null)[]): Promise<SqlAnswer> {
  try {
    return await rig.source.ask({ text, values });
  } finally {
    rig.directory.close();
  }
}

const failure =
  (blame: string, words: RegExp) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof ServerFailure, String(error));
    assert.equal(error.blame, blame);
    assert.match(error.message, words);
    return true;
  };

const down =
  (words: RegExp) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof GateError && error.code === 'DIRECTORY_DOWN', String(error));
    assert.match(String(error.context['found']), words);
    return true;
  };

for (const [name, kind] of Object.entries(KINDS)) {
  describe(name, () => {
    const { mark, scheme, port } = kind;
    const url = `${scheme}://${LOOKUP.user}@127.0.0.1:${port}/mail`;
    const byLogin = `SELECT login, n FROM users WHERE login = ${mark}`;

    test('a question has its answer, none has columns without rows', async () => {
      const rows = [['anna', scheme === 'mysql' ? 7 : '7']];
      assert.deepEqual(await ask(open(url), byLogin, 'anna'), { columns: ['login', 'n'], rows });
      assert.deepEqual(await ask(open(url), byLogin, null), { columns: ['login', 'n'], rows: [] });
    });

    test('a query that takes too long is given up, by the server as well', async () => {
      const rig = open(url, { timeoutMs: 400 });
      await assert.rejects(ask(rig, kind.slow, 'x'), down(/no answer in|57014|1969/));
      await until(
        async () => (await kind.running()).trim() === '',
        5000,
        () => 'it still runs',
      );
      await until(
        async () => (await kind.connections()) === 0,
        5000,
        () => 'there are connections left',
      );
    });

    test('of rows without end two are taken, and an answer that is too large is none', async () => {
      assert.equal((await ask(open(url), kind.flood, 'x')).rows.length, 2);
      const large = `SELECT repeat('x', 9000000) FROM users WHERE login = ${mark}`;
      const rig = open(url);
      await assert.rejects(
        rig.source.ask({ text: large, values: ['anna'] }),
        failure('question', /more than 4194304 bytes/),
      );
      assert.equal((await ask(rig, byLogin, 'anna')).rows.length, 1);
      assert.doesNotMatch(rig.events.join(''), /server down/);
    });

    test('a query that is wrong, or writes, is no failure of the server', async () => {
      await assert.rejects(
        ask(open(url), `SELECT * FROM nowhere WHERE login = ${mark}`, 'x'),
        failure('question', /nowhere/),
      );
      await assert.rejects(
        ask(open(url), `INSERT INTO users (login) VALUES (${mark})`, 'x'),
        failure('question', /read-only|denied/),
      );
    });

    test('connections are kept, so many and no more', async () => {
      const rig = open(url, { connections: 3 });
      const answers = await Promise.all(
        Array.from({ length: 40 }, () => rig.source.ask({ text: byLogin, values: ['anna'] })),
      );
      assert.equal(answers.filter(({ rows }) => rows.length === 1).length, 40);
      assert.ok((await kind.connections()) <= 3);
      rig.directory.close();
      await until(
        async () => (await kind.connections()) === 0,
        5000,
        () => 'there are connections left',
      );
    });

    test('connections that the server has ended are replaced', async () => {
      const rig = open(url, { connections: 2 });
      const one = { text: byLogin, values: ['anna'] };
      await Promise.all([rig.source.ask(one), rig.source.ask(one)]);
      await kind.kill();
      assert.equal((await rig.source.ask(one)).rows.length, 1);
      assert.equal((await ask(rig, byLogin, 'anna')).rows.length, 1);
      assert.doesNotMatch(rig.events.join(''), /server down/);
    });

    test('of several servers the next is asked when one is dead', async () => {
      const dead = await freePort();
      const rig = open(`${scheme}://${LOOKUP.user}@127.0.0.1:${dead},127.0.0.1:${port}/mail`);
      assert.equal((await ask(rig, byLogin, 'anna')).rows.length, 1);
      assert.equal(rig.events.filter((line) => line.includes('directory server down')).length, 1);
    });

    test('a Unix socket', async () => {
      assert.equal((await ask(open(kind.socket), byLogin, 'anna')).rows.length, 1);
    });

    test('a wrong password of ours is a directory that is down, and in no message', async () => {
      const rig = open(url, {}, 'sesame');
      await assert.rejects(ask(rig, byLogin, 'anna'), down(/28P01|1045/));
      assert.doesNotMatch(rig.events.join(''), /sesame/);
    });

    describe('TLS', () => {
      const named = `${scheme}://${LOOKUP.user}@localhost:${port}/mail`;
      const cipher =
        scheme === 'mysql'
          ? "SELECT variable_value FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher' AND ? <> ''"
          : "SELECT cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl AND $1 <> ''";

      test('where it is required', async () => {
        const { rows } = await ask(open(named, { tls: 'required' }), cipher, 'x');
        assert.match(String(rows[0]?.[0]), /AES|CHACHA/);
      });

      test('not to loopback where nothing is said', async () => {
        const { rows } = await ask(open(named), cipher, 'x');
        assert.equal(rows[0]?.[0] ?? '', '');
      });

      test('a certificate of somebody else, or for another name, is refused', async () => {
        const settings = sqlSettings(named, { tls: 'required', retryMs: 50 });
        const stranger = openSqlDirectory({ settings, password: LOOKUP.password, ca: strangers.ca });
        await assert.rejects(ask(stranger, byLogin, 'anna'), down(/self-signed|unable to|UNABLE/i));
        const other = open(named, { tls: 'required', tlsName: 'other.example.com' });
        await assert.rejects(ask(other, byLogin, 'anna'), down(/other\.example\.com|altnames/i));
      });

      test('tlsName is the name that counts, and verifyCertificate: false takes any', async () => {
        const right = open(url, { tls: 'required', tlsName: 'db.example.com' });
        assert.equal((await ask(right, byLogin, 'anna')).rows.length, 1);
        const any = openSqlDirectory({
          settings: sqlSettings(named, { tls: 'required', verifyCertificate: false }),
          password: LOOKUP.password,
          ca: strangers.ca,
        });
        assert.equal((await ask(any, byLogin, 'anna')).rows.length, 1);
      });
    });
  });
}

test('PostgreSQL: lists, yes and no, networks, and texts that are no number', async () => {
  const url = `postgres://${LOOKUP.user}@127.0.0.1:${postgres.port}/mail`;
  const all = await ask(open(url), 'SELECT tags, active FROM users WHERE net >>= $1', '10.1.2.3');
  assert.deepEqual(all.rows, [[['a,b', 'c'], true]]);
  const { directory, events } = open(url, { userQuery: 'SELECT login AS user2 FROM users WHERE n = :user' });
  assert.deepEqual(await directory.find(loginOf("1' OR 1=1"), null), { kind: 'nobody' });
  assert.equal((await directory.find(loginOf('7'), null)).kind, 'account');
  assert.match(events.join(''), /login name refused.*22P02/);
  directory.close();
  await assert.rejects(
    ask(open(url), 'SELECT login FROM users WHERE login = $1', 'a\u0000b'),
    failure('missing', /22021/),
  );
});

test('MariaDB: large numbers, bits, bytes, and characters that a column does not have', async () => {
  const url = `mysql://${LOOKUP.user}@127.0.0.1:${mariadb.port}/mail`;
  const all = await ask(open(url), 'SELECT big, active, raw FROM users WHERE login = ?', 'anna');
  assert.deepEqual(all.rows, [['9007199254740993', Buffer.from([1]), Buffer.from('raw')]]);
  await assert.rejects(
    ask(open(url), 'SELECT login FROM users WHERE latin = ?', '\u{1f600}'),
    failure('missing', /1267/),
  );
});

/** What the guide shows: tables and the settings behind them, by the scheme of the url. */
function guided(): ReadonlyMap<string, { readonly tables: string; readonly sql: Partial<SqlSettings> }> {
  const text = readFileSync(join(import.meta.dirname, '../../config/guide/directory.md'), 'utf8');
  const found = text.matchAll(/```sql\n([^`]*)```\n\n```yaml\n([^`]*)```/g);
  return new Map(
    [...found].map(([, tables = '', yaml = '']) => {
      const settings = parse(yaml) as { readonly directory: { readonly sql: Record<string, string> } };
      const { url = '', userQuery = '', domainQuery = null, mailQuery = null } = settings.directory.sql;
      return [url.slice(0, url.indexOf(':')), { tables, sql: { userQuery, domainQuery, mailQuery } }];
    }),
  );
}

describe('the examples of the guide', () => {
  const examples = guided();
  const example = (scheme: string) => examples.get(scheme) ?? assert.fail(`no example for ${scheme}`);

  async function found(rig: SqlRig, id: string) {
    const answer = await rig.directory.find(loginOf(id), null);
    if (answer.kind !== 'account') return answer.kind;
    const { user, replay, hosts, status, secrets } = answer.account;
    return [user, replay, hosts.join(), status, secrets.join()];
  }

  test("tables of one's own in PostgreSQL", async () => {
    const { tables, sql } = example('postgres');
    await postgres.sql(`CREATE SCHEMA guide; SET search_path = guide; ${tables}
      INSERT INTO domains VALUES ('example.com', 'one.stores', NULL);
      INSERT INTO users VALUES ('anna@example.com', '{SSHA}x', NULL, 'a-1'), ('bob@example.com', '{SSHA}y', 'two.stores', NULL);
      INSERT INTO addresses VALUES ('anna@mail.org', 'anna@example.com');
      GRANT USAGE ON SCHEMA guide TO ${LOOKUP.user}; GRANT SELECT ON ALL TABLES IN SCHEMA guide TO ${LOOKUP.user};
      ALTER ROLE ${LOOKUP.user} SET search_path = guide`);
    const rig = open(`postgres://${LOOKUP.user}@127.0.0.1:${postgres.port}/mail`, sql);
    assert.deepEqual(await found(rig, 'Anna@example.com'), [
      'anna@example.com',
      'a-1',
      'one.stores',
      'active',
      '{SSHA}x',
    ]);
    assert.deepEqual(await found(rig, 'bob@example.com'), [
      'bob@example.com',
      'bob@example.com',
      'two.stores',
      'active',
      '{SSHA}y',
    ]);
    assert.equal(await found(rig, 'carl@example.com'), 'nobody');
    const certified = await rig.directory.byMail?.(loginOf(''), ['Anna@mail.org']);
    assert.equal(certified?.kind === 'account' && certified.account.replay, 'a-1');
    rig.directory.close();
  });

  test('the tables of PostfixAdmin in MariaDB', async () => {
    const { tables, sql } = example('mysql');
    await mariadb.sql(`${tables}
      INSERT INTO domain VALUES ('example.com', 1), ('closed.com', 0);
      INSERT INTO alias_domain VALUES ('alias.com', 'example.com', 1), ('off.com', 'example.com', 0);
      INSERT INTO mailbox VALUES ('anna@example.com', '{SSHA}x', 1), ('bob@example.com', '{SSHA}y', 0),
        ('anna@closed.com', '{SSHA}z', 1);`);
    const rig = open(`mysql://${LOOKUP.user}@127.0.0.1:${mariadb.port}/mail`, sql);
    const anna = ['anna@example.com', 'anna@example.com', '', 'active', '{SSHA}x'];
    for (const id of ['anna@example.com', 'ANNA@Example.com', 'anna@alias.com'])
      assert.deepEqual(await found(rig, id), anna, id);
    assert.deepEqual((await found(rig, 'bob@example.com')).at(3), 'inactive');
    assert.deepEqual((await found(rig, 'anna@closed.com')).at(3), 'inactive');
    for (const id of ['anna@off.com', 'anna@nowhere.com', 'anna'])
      assert.equal(await found(rig, id), 'nobody', id);
    rig.directory.close();
  });

  test('who is found in MariaDB by a name that is not its own is whose row it is, or nobody', async () => {
    await mariadb.sql(`CREATE TABLE named (login VARCHAR(64)) COLLATE utf8mb4_general_ci;
      INSERT INTO named VALUES ('bóss');`);
    for (const [column, expected] of [
      ['user', 'bóss,bóss,,active,'],
      ['x', 'refused'],
    ]) {
      const userQuery = `SELECT login AS ${column} FROM named WHERE login = :login`;
      const rig = open(`mysql://${LOOKUP.user}@127.0.0.1:${mariadb.port}/mail`, {
        userQuery,
        replayFormat: '%U',
      });
      for (const id of ['boss', 'BOSS', 'bóss ']) assert.equal(String(await found(rig, id)), expected);
      rig.directory.close();
    }
  });

  test('one table in SQLite', async () => {
    const { tables, sql } = example('sqlite');
    const file = join(folder, 'guide.db');
    const database = new DatabaseSync(file);
    database.exec(`${tables} INSERT INTO users VALUES ('anna', 'example.com', '{SSHA}x', 'one.internal', 1)`);
    database.close();
    const rig = open(`sqlite:${file}`, sql);
    assert.deepEqual(await found(rig, 'Anna@EXAMPLE.com'), [
      'anna@example.com',
      'anna@example.com',
      'one.internal',
      'active',
      '{SSHA}x',
    ]);
    assert.equal(await found(rig, 'anna'), 'nobody');
    rig.directory.close();
  });
});
