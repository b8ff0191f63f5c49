import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSqlUrl, sqlPlaceName } from '../../src/wire/sql-url.ts';

const tcp = (host: string, port: number) => ({ kind: 'tcp', host, port });

test('a file, servers with their usual ports, several of them, and sockets', () => {
  const server = { user: 'lookup', database: 'mail' };
  const rows: readonly [string, unknown][] = [
    ['sqlite:/var/lib/users.db', { dialect: 'sqlite', file: '/var/lib/users.db' }],
    ['sqlite:///var/lib/users.db', { dialect: 'sqlite', file: '/var/lib/users.db' }],
    ['sqlite:users.db', { dialect: 'sqlite', file: 'users.db' }],
    ['postgres://lookup@db/mail', { dialect: 'postgres', ...server, places: [tcp('db', 5432)] }],
    ['postgresql://lookup@[::1]:1/mail', { dialect: 'postgres', ...server, places: [tcp('::1', 1)] }],
    [
      'postgres://lookup@db1,db2:5433/mail',
      { dialect: 'postgres', ...server, places: [tcp('db1', 5432), tcp('db2', 5433)] },
    ],
    ['mariadb://lookup@db/mail', { dialect: 'mysql', ...server, places: [tcp('db', 3306)] }],
    [
      'mysql://mail%40site@db/mail%2Fusers',
      { dialect: 'mysql', user: 'mail@site', database: 'mail/users', places: [tcp('db', 3306)] },
    ],
    [
      'postgres://lookup@/mail?host=/run/postgresql',
      { dialect: 'postgres', ...server, places: [{ kind: 'unix', path: '/run/postgresql/.s.PGSQL.5432' }] },
    ],
    [
      'mysql://lookup@/mail?socket=/run/mysqld/mysqld.sock',
      { dialect: 'mysql', ...server, places: [{ kind: 'unix', path: '/run/mysqld/mysqld.sock' }] },
    ],
  ];
  for (const [text, expected] of rows) assert.deepEqual(parseSqlUrl(text), expected, text);
});

test('what is no such place is refused, and a password in it is not repeated', () => {
  const rows: readonly [string, RegExp][] = [
    ['', /expected sqlite/],
    ['sqlite:', /expected sqlite/],
    ['sqlite::memory:', /expected the name of a file/],
    ['sqlite://host/file', /expected the name of a file/],
    ['oracle://lookup@db/mail', /expected sqlite/],
    ['postgres://lookup:sesame@db/mail', /there is a password in it, which has a setting of its own/],
    ['postgres://db/mail', /expected a user/],
    ['postgres://lookup@db/', /expected the name of a database/],
    ['postgres://lookup@db', /expected sqlite/],
    ['postgres://lookup@/mail', /expected host/],
    ['postgres://lookup@db:0/mail', /expected host/],
    ['postgres://lookup@db/mail?sslmode=disable', /behind \? it knows host=\/path alone/],
    ['postgres://lookup@db/mail?host=/run', /and then no host/],
    ['mysql://lookup@/mail?host=/run', /knows socket=\/path alone/],
    ['postgres://%ff@db/mail', /expected a user/],
    [`postgres://lookup@${Array.from({ length: 17 }, () => 'db').join(',')}/mail`, /more than 16 hosts/],
    [`postgres://lookup@/mail?host=/${'x'.repeat(107)}`, /too long/],
    ['postgres://lookup@db/mail\n', /blanks/],
  ];
  for (const [text, problem] of rows) {
    const url = parseSqlUrl(text);
    assert.ok('problem' in url, text);
    assert.match(url.problem, problem, text);
    assert.doesNotMatch(url.problem, /sesame/);
  }
});

test('logs name a place without the user', () => {
  assert.equal(sqlPlaceName('postgres', { kind: 'tcp', host: '::1', port: 5432 }), 'postgres://[::1]:5432');
  assert.equal(sqlPlaceName('mysql', { kind: 'unix', path: '/run/x' }), 'mysql:///run/x');
});
