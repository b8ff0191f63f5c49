import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Account } from '../../../src/identity/directory.ts';
import { accountOf, domainOf, NO_DOMAIN, type SqlDomain } from '../../../src/identity/sql/account.ts';
import { parseReplayTemplate } from '../../../src/wire/login-template.ts';

const facts = {
  original: 'Anna@example.com',
  userId: 'anna',
  domain: 'example.com',
  delimiter: '@',
  clientAddress: '192.0.2.1',
  serverAddress: '192.0.2.2',
  certificateSubject: '',
};

function template(text: string) {
  const parsed = parseReplayTemplate(text);
  return 'pieces' in parsed ? parsed.pieces : assert.fail(parsed.problem);
}

function read(
  row: Readonly<Record<string, unknown>>,
  more: { readonly domain?: SqlDomain; readonly replayFormat?: string; readonly mustName?: boolean } = {},
) {
  return accountOf({
    answer: { columns: Object.keys(row), rows: [Object.values(row)] },
    domain: more.domain ?? NO_DOMAIN,
    facts,
    canonical: 'anna@example.com',
    replayFormat: more.replayFormat === undefined ? null : template(more.replayFormat),
    mustName: more.mustName ?? false,
  });
}

function account(...given: Parameters<typeof read>): Account {
  const found = read(...given);
  return 'problem' in found ? assert.fail(found.problem) : found;
}

function domain(row: Readonly<Record<string, unknown>>): SqlDomain {
  const found = domainOf({ columns: Object.keys(row), rows: [Object.values(row)] });
  return 'problem' in found ? assert.fail(found.problem) : found;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('a row becomes an account', () => {
  const rows: readonly (readonly [
    claim: string,
    row: Readonly<Record<string, unknown>>,
    expected: Partial<Account>,
  ])[] = [
    [
      'nothing says everything as it was typed',
      { id: 1 },
      { user: 'anna@example.com', replay: 'anna@example.com' },
    ],
    ['the channel of its mail', { channel: 'tcp_auth' }, { channel: 'tcp_auth' }],
    ['the user of the row is the one, and is replayed', { user: 'anna' }, { user: 'anna', replay: 'anna' }],
    [
      'columns are known whatever their case',
      { USER: 'anna', Replay: 'a-1' },
      { user: 'anna', replay: 'a-1' },
    ],
    ['NULL and what is empty say nothing', { user: null, replay: '' }, { user: 'anna@example.com' }],
    ['hosts with commas and blanks', { hosts: 'one, two:143' }, { hosts: ['one', 'two:143'] }],
    ['hosts as a list', { hosts: ['one', '2001:db8::1'] }, { hosts: ['one', '2001:db8::1'] }],
    ['a backend', { backend: 'old' }, { backend: 'old' }],
    ['rules', { access: '+imaps:ALL' }, { access: ['+imaps:ALL'] }],
    ['addresses', { mail: 'a@x.com,b@x.com' }, { mail: ['a@x.com', 'b@x.com'] }],
    ['one password', { password: '{SSHA}x, y' }, { secrets: ['{SSHA}x, y'] }],
    ['several in one list', { password: ['a', 'b'] }, { secrets: ['a', 'b'] }],
    ['several in columns', { password: 'a', password2: null, password3: 'c' }, { secrets: ['a', 'c'] }],
    ['what only begins like a password is none', { password_hint: 'dog', passwords: 'x' }, { secrets: [] }],
    ['bytes that are text', { password: bytes('{SSHA}ä') }, { secrets: ['{SSHA}ä'] }],
    ['numbers', { user: 4711, replay: 12n }, { user: '4711', replay: '12' }],
    [
      'other columns are attributes',
      { Store_Login: 'x', n: 3 },
      { attributes: { store_login: ['x'], n: ['3'] } },
    ],
    ['passwords are no attributes', { password: 'a', password2: 'b' }, { attributes: {} }],
    ['over-long attributes are left out', { note: 'x'.repeat(5000) }, { attributes: {} }],
  ];
  for (const [claim, row, expected] of rows) {
    test(claim, () => {
      const found = account(row);
      for (const [key, value] of Object.entries(expected))
        assert.deepEqual(found[key as keyof Account], value, key);
    });
  }

  const statuses: readonly (readonly [unknown, Account['status']])[] = [
    [null, 'active'],
    ['', 'active'],
    ['active', 'active'],
    [true, 'active'],
    [1, 'active'],
    [1n, 'active'],
    ['t', 'active'],
    [bytes('\u0001'), 'active'],
    ['overquota', 'active'],
    ['HOLD', 'hold'],
    [false, 'inactive'],
    [0, 'inactive'],
    ['n', 'inactive'],
    [bytes('\u0000'), 'inactive'],
    ['deleted', 'inactive'],
    ['whatever', 'inactive'],
    [2, 'inactive'],
  ];
  for (const [status, expected] of statuses) {
    test(`status ${String(status)} is ${expected}`, () => assert.equal(account({ status }).status, expected));
  }

  test('preauth is asked for unless it is no', () => {
    const rows2: readonly (readonly [unknown, boolean | null])[] = [
      [null, null],
      [true, true],
      ['yes', true],
      ['perhaps', true],
      [0, false],
      ['off', false],
      [false, false],
    ];
    for (const [preauth, expected] of rows2) assert.equal(account({ preauth }).preAuth, expected);
  });
});

describe('what a column cannot hold is told with its name', () => {
  const rows: readonly (readonly [Readonly<Record<string, unknown>>, RegExp])[] = [
    [{ hosts: true }, /column hosts holds yes or no, expected a text/],
    [{ hosts: 'no host!' }, /column hosts says "host!", which is no host/],
    [{ user: ['a', 'b'] }, /column user has several values/],
    [{ user: 'a\u0000b' }, /column user holds a control character/],
    [{ replay: 'a\r\nb' }, /column replay holds a control character/],
    [{ password: new Uint8Array([0xff]) }, /column password holds bytes that are no text/],
    [{ password: 'x'.repeat(5000) }, /column password has more than 4096 characters/],
    [{ mail: Array.from({ length: 65 }, () => 'a@b') }, /column mail has more than 64 values/],
    [{ access: { a: 1 } }, /column access holds something else/],
    [{ status: 'active', STATUS: 'hold' }, /column status is there twice/],
    [{ password: 'a', Password: 'b' }, /column password is there twice/],
  ];
  for (const [row, problem] of rows) {
    test(String(problem), () => {
      const found = read(row);
      assert.ok('problem' in found);
      assert.match(found.problem, problem);
    });
  }

  test('a row that does not say whose it is, where the name that was typed does not say it either', () => {
    for (const row of [{ password: 'x' }, { user: null }, { user: '' }]) {
      const found = read(row, { mustName: true });
      assert.ok('problem' in found);
      assert.match(found.problem, /column user is missing or NULL/);
    }
    assert.equal(account({ user: 'anna' }, { mustName: true }).user, 'anna');
  });

  test('whatever a row holds, there is an account or a problem without the password in it', () => {
    const value = fc.oneof(
      fc.constant(null),
      fc.string(),
      fc.boolean(),
      fc.bigInt(),
      fc.uint8Array(),
      fc.array(fc.string()),
      fc.object(),
    );
    const columns = fc.constantFrom('user', 'replay', 'hosts', 'status', 'access', 'mail', 'preauth', 'x');
    fc.assert(
      fc.property(fc.dictionary(columns, value), (row) => {
        const found = read({ ...row, password: 'sesame\u0000' });
        assert.ok('problem' in found);
        assert.doesNotMatch(found.problem, /sesame/);
        const other = read({ ...row, password: 'sesame' });
        if (!('problem' in other)) assert.deepEqual(other.secrets, ['sesame']);
      }),
    );
  });
});

describe('the name at the store', () => {
  test('is made of the user of the row, whatever spelling of it was typed', () => {
    for (const [user, format, expected] of [
      ['bóss@b.com', '%U', 'bóss'],
      ['bóss@b.com', '%U+%V', 'bóss+b.com'],
      ['bóss@b.com', '%s', 'bóss@b.com'],
      ['bóss', '%U+%V', 'bóss+example.com'],
      ['a@b@c.com', '%U+%V', 'a@b+c.com'],
      ['@b', '%U', '@b'],
      ['bóss', '%o', 'Anna@example.com'],
    ] as const)
      assert.equal(account({ user }, { replayFormat: format }).replay, expected);
  });

  test('a template is filled with the login and with columns', () => {
    const format = '%A[store_id]+%V';
    assert.equal(account({ user: 'a', store_id: 7 }, { replayFormat: format }).replay, '7+example.com');
    assert.equal(account({ user: 'a' }, { replayFormat: '%A[user].%U' }).replay, 'a.a');
  });

  test('the row itself comes before the template of the domain, and that before the one of the settings', () => {
    const ofDomain = { ...NO_DOMAIN, replay: template('%U') };
    assert.equal(account({ id: 1 }, { domain: ofDomain, replayFormat: '%s' }).replay, 'anna');
    assert.equal(account({ replay: 'own' }, { domain: ofDomain, replayFormat: '%s' }).replay, 'own');
  });

  test('a column that is missing is a problem, unless the row says the name', () => {
    const missing = read({ user: 'a' }, { replayFormat: '%A[store_id]' });
    assert.ok('problem' in missing && missing.problem.includes('no attribute store_id'));
    assert.equal(account({ replay: 'own' }, { replayFormat: '%A[store_id]' }).replay, 'own');
  });

  test('no password can be put into it', () => {
    const found = read({ password: 'sesame' }, { replayFormat: '%A[password]' });
    assert.ok('problem' in found && !found.problem.includes('sesame'));
  });
});

describe('a domain gives defaults', () => {
  const moving = domain({ hosts: 'old', backend: 'b', status: 'hold', access: '+imap:ALL', preauth: 0 });

  test('for users who have nothing of their own', () => {
    const found = account({ user: 'a' }, { domain: moving });
    assert.deepEqual(
      [found.hosts, found.backend, found.status, found.access, found.preAuth],
      [['old'], 'b', 'hold', ['+imap:ALL'], false],
    );
  });

  test('what a user has comes first, but rules add up and a domain on hold stays so', () => {
    assert.deepEqual(account({ backend: 'c' }, { domain: moving }).hosts, []);
    const row = { hosts: 'new', backend: 'c', status: 'active', access: '-pop:ALL', preauth: 1 };
    const found = account(row, { domain: moving });
    assert.deepEqual(
      [found.hosts, found.backend, found.status, found.access, found.preAuth],
      [['new'], 'c', 'hold', ['+imap:ALL', '-pop:ALL'], true],
    );
  });

  test('a template in it that cannot be understood is a problem', () => {
    const found = domainOf({ columns: ['replay'], rows: [['%X']] });
    assert.ok('problem' in found && /column replay cannot be understood/.test(found.problem));
    assert.equal(domain({ domain: 'Example.COM' }).name, 'example.com');
  });
});
