import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Reception } from '../../../src/identity/reception.ts';
import { ServerFailure } from '../../../src/identity/server-pool.ts';
import type { SqlAnswer, SqlQuestion, SqlSource } from '../../../src/identity/sql/source.ts';
import { createLog } from '../../../src/log.ts';
import { loginOf } from '../../support/ldap-site.ts';
import { manualWorld } from '../../support/manual-world.ts';
import { openSqlDirectory, sqlSettings } from '../../support/sql-site.ts';

const URL = 'postgres://lookup@localhost/mail';

/** Answers by the text of the query. */
function rig(
  answers: (question: SqlQuestion) => readonly Readonly<Record<string, unknown>>[] | Error,
  changes: Parameters<typeof sqlSettings>[1] = {},
) {
  const asked: SqlQuestion[] = [];
  const source: SqlSource = {
    ask: (question) => {
      asked.push(question);
      const rows = answers(question);
      if (rows instanceof Error) return Promise.reject(rows);
      const columns = Object.keys(rows[0] ?? {});
      return Promise.resolve<SqlAnswer>({ columns, rows: rows.map((row) => Object.values(row)) });
    },
    close: () => undefined,
  };
  const world = manualWorld();
  return { ...openSqlDirectory({ settings: sqlSettings(URL, changes), source, world }), asked, world };
}

test('what a client sent is bound and never text', async () => {
  const { directory, asked } = rig(() => []);
  const id = `x' OR '1'='1'; DROP TABLE users; --@example.com`;
  assert.deepEqual(await directory.find(loginOf(id), null), { kind: 'nobody' });
  assert.deepEqual(asked, [{ text: 'SELECT * FROM users WHERE login = $1', values: [id] }]);
});

test('what a login does not have is NULL', async () => {
  const userQuery = 'SELECT :user, :domain, :login, :id, :client, :server, :subject, :service, :protocol';
  const { directory, asked } = rig(() => [], { userQuery });
  await directory.find(loginOf('anna'), null);
  await directory.find(loginOf('Anna@EXAMPLE.com', { certificateSubject: 'CN=Anna' }), null);
  assert.deepEqual(
    asked.map(({ values }) => values),
    [
      ['anna', null, 'anna', 'anna', '203.0.113.9', '192.0.2.10', null, 'imap', 'imap'],
      [
        'Anna',
        'example.com',
        'Anna@example.com',
        'Anna@EXAMPLE.com',
        '203.0.113.9',
        '192.0.2.10',
        'CN=Anna',
        'imap',
        'imap',
      ],
    ],
  );
});

test('names that the query is given alike are one spelling, and no others', () => {
  const spelling = (id: string, userQuery?: string): string =>
    rig(() => [], userQuery === undefined ? {} : { userQuery }).directory.spelling(loginOf(id));
  assert.equal(spelling('anna@EXAMPLE.com'), spelling('anna@example.com'));
  assert.notEqual(spelling('anna@other.com'), spelling('anna@example.com'));
  const byUser = 'SELECT * FROM users WHERE name = :user AND address = :client';
  assert.equal(spelling('anna@other.com', byUser), spelling('anna@example.com', byUser));
  assert.notEqual(spelling('bob', byUser), spelling('anna', byUser));
});

test('names that can be nobody are not asked for', async () => {
  const { directory, asked, events } = rig(() => [{ user: 'somebody' }]);
  for (const id of ['', 'a\u0000b', 'a\nb', 'x'.repeat(513), '\ud800'])
    assert.deepEqual(await directory.find(loginOf(id), null), { kind: 'nobody' });
  assert.equal(asked.length, 0);
  assert.equal(events.filter((line) => line.includes('login name refused')).length, 5);
});

test('two rows for one name are an error, one is somebody', async () => {
  const { directory } = rig(({ values }) =>
    values[0] === 'twin' ? [{ user: 'twin' }, { user: 'twin' }] : [{ user: 'anna' }],
  );
  await assert.rejects(directory.find(loginOf('twin'), null), { code: 'DIRECTORY_AMBIGUOUS' });
  const answer = await directory.find(loginOf('anna'), null);
  assert.equal(answer.kind === 'account' && answer.account.user, 'anna');
});

const DOMAINS = {
  domainQuery: 'SELECT * FROM domains WHERE name = :domain',
  userQuery: 'SELECT * FROM users WHERE login = :login AND domain = :domain',
};

test('the domain is asked first, once for many, and gives defaults and its own name', async () => {
  const { directory, asked, world } = rig(
    ({ text }) => (text.includes('domains') ? [{ domain: 'example.com', hosts: 'one' }] : [{ user: 'u' }]),
    DOMAINS,
  );
  const [first] = await Promise.all(
    ['anna', 'bob', 'carl'].map((name) => directory.find(loginOf(`${name}@alias.com`), null)),
  );
  assert.deepEqual(first?.kind === 'account' && first.account.hosts, ['one']);
  assert.equal(asked.filter(({ text }) => text.includes('domains')).length, 1);
  assert.deepEqual(asked.at(-1)?.values, ['carl@example.com', 'example.com']);
  world.advance(900_001);
  await directory.find(loginOf('anna@alias.com'), null);
  assert.equal(asked.filter(({ text }) => text.includes('domains')).length, 2);
});

test('nobody is of a domain that is not there, or of none; that is remembered', async () => {
  const { directory, asked } = rig(({ text }) => (text.includes('domains') ? [] : [{ user: 'u' }]), DOMAINS);
  for (const id of ['anna@nowhere.com', 'bob@nowhere.com', 'anna'])
    assert.deepEqual(await directory.find(loginOf(id), null), { kind: 'nobody' });
  assert.equal(asked.length, 1);
});

test('a row that cannot be understood refuses for the moment, and the log says why', async () => {
  const { directory, events } = rig(({ text }) =>
    text.includes('domains') ? [{ replay: '%' }] : [{ hosts: '???' }],
  );
  const answer = await directory.find(loginOf('anna'), null);
  assert.ok(answer.kind === 'refused' && answer.temporary);
  assert.match(events.join(''), /entry refused.*column hosts says/);
  const domains = rig(({ text }) => (text.includes('domains') ? [{ replay: '%X' }] : []), DOMAINS);
  for (const _ of [1, 2]) {
    const refused = await domains.directory.find(loginOf('anna@example.com'), null);
    assert.ok(refused.kind === 'refused' && refused.temporary);
  }
  assert.equal(domains.asked.length, 2);
});

test('a query that fails is a directory that is down; a value that fits no column is nobody', async () => {
  const failing = rig(() => new ServerFailure('question', 'relation does not exist'));
  await assert.rejects(failing.directory.find(loginOf('anna'), null), { code: 'DIRECTORY_DOWN' });
  const misfit = rig(() => new ServerFailure('missing', 'no number'));
  assert.deepEqual(await misfit.directory.find(loginOf('anna'), null), { kind: 'nobody' });
  assert.match(misfit.events.join(''), /login name refused.*no number/);
});

test('what is remembered goes by what the queries ask', () => {
  const plain = rig(() => []).directory;
  const here = loginOf('anna', { client: { address: '192.0.2.1', port: 1 } });
  const there = loginOf('anna', { client: { address: '192.0.2.2', port: 1 } });
  assert.equal(plain.keyOf(here), plain.keyOf(there));
  const userQuery = 'SELECT * FROM users WHERE login = :login AND net >>= :client';
  const byClient = rig(() => [], { userQuery }).directory;
  assert.notEqual(byClient.keyOf(here), byClient.keyOf(there));
});

const BY_MAIL = { ...DOMAINS, mailQuery: 'SELECT * FROM users WHERE mail = :mail' };

test('a certificate stands for the one user of its addresses, with the defaults of the domain', async () => {
  const { directory, asked } = rig(({ text, values }) => {
    if (text.includes('domains')) return values[0] === 'example.com' ? [{ hosts: 'one' }] : [];
    if (values[0] === 'anna@mail.org' || values[0] === 'a@mail.org') return [{ user: 'anna@example.com' }];
    if (values[0] === 'bob@mail.org') return [{ user: 'bob@example.com' }];
    if (values[0] === 'twin@mail.org') return [{ user: 'twin@example.com' }, { user: 'zwin@example.com' }];
    return values[0] === 'lost@mail.org' ? [{ user: 'lost@nowhere.org' }] : [];
  }, BY_MAIL);
  const by = (...addresses: readonly string[]) => directory.byMail?.(loginOf(''), addresses);
  const anna = await by('anna@mail.org', 'a@mail.org');
  assert.ok(anna?.kind === 'account');
  assert.deepEqual([anna.account.user, anna.account.hosts], ['anna@example.com', ['one']]);
  assert.deepEqual(anna.steps, [
    'mailQuery with anna@mail.org: anna@example.com',
    'mailQuery with a@mail.org: anna@example.com',
  ]);
  assert.deepEqual(asked[0], { text: 'SELECT * FROM users WHERE mail = $1', values: ['anna@mail.org'] });
  for (const addresses of [
    ['anna@mail.org', 'bob@mail.org'],
    ['twin@mail.org'],
    ['lost@mail.org'],
    ['nemo@mail.org'],
    [],
  ])
    assert.equal((await by(...addresses))?.kind, 'nobody', addresses.join(' '));
  const before = asked.length;
  assert.equal((await by('a\u0000b@mail.org'))?.kind, 'nobody');
  assert.equal(asked.length, before);
});

test('without a query for addresses nobody says whose they are', () => {
  assert.equal(rig(() => []).directory.byMail, undefined);
});

test('who was found goes on while the database is down, and nobody else is told a wrong password', async () => {
  let isDown = false;
  const { directory, world } = rig(({ values }) =>
    isDown
      ? new ServerFailure('server', 'gone')
      : values[0] === 'anna'
        ? [{ user: 'anna', password: '{PLAIN}x' }]
        : [],
  );
  const log = createLog({ level: 'error', format: 'text', write: () => undefined });
  const cache = { size: 10, ttlMs: 60_000, missTtlMs: 1000, passwordTtlMs: 1000 };
  const reception = new Reception({ directory, cache, world, log });
  const ask = (id: string, password: string) =>
    reception.ask({ login: loginOf(id), password, checker: 'directory' });
  const proofOf = async (id: string, password: string): Promise<unknown> => {
    const ruling = await ask(id, password);
    return ruling.kind === 'account' ? ruling.proof : ruling.kind;
  };
  assert.equal(await proofOf('anna', 'x'), 'right');
  isDown = true;
  assert.equal(await proofOf('anna', 'x'), 'right');
  assert.equal(await proofOf('anna', 'y'), 'wrong');
  await assert.rejects(ask('bob', 'x'), { code: 'DIRECTORY_DOWN' });
  isDown = false;
  assert.equal(await proofOf('bob', 'x'), 'nobody');
});
