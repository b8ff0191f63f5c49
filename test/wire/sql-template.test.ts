import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parseSqlQuery, PLACEHOLDERS, type SqlDialect, type SqlUse } from '../../src/wire/sql-template.ts';

const DIALECTS: readonly SqlDialect[] = ['postgres', 'mysql', 'sqlite'];

function parse(text: string, dialect: SqlDialect = 'postgres', use: SqlUse = 'userQuery') {
  return parseSqlQuery(text, { dialect, use });
}

function textOf(written: string, dialect: SqlDialect): string {
  const query = parse(written, dialect);
  assert.ok('text' in query, JSON.stringify(query));
  return query.text;
}

function problemOf(written: string, dialect: SqlDialect, use?: SqlUse): string {
  const query = parse(written, dialect, use);
  assert.ok('problem' in query, JSON.stringify(query));
  return query.problem;
}

describe('names become the marks of the server', () => {
  const written = 'SELECT * FROM users WHERE name = :user AND domain = :domain OR alias = :user';

  test('PostgreSQL: one parameter for a name, however often it stands there', () => {
    assert.deepEqual(parse(written), {
      text: 'SELECT * FROM users WHERE name = $1 AND domain = $2 OR alias = $1',
      values: ['user', 'domain'],
      uses: new Set(['user', 'domain']),
    });
  });

  test('SQLite: the same with its own marks', () => {
    assert.equal(
      textOf(written, 'sqlite'),
      'SELECT * FROM users WHERE name = ?1 AND domain = ?2 OR alias = ?1',
    );
  });

  test('MySQL: a mark for each', () => {
    const query = parse(written, 'mysql');
    assert.deepEqual('values' in query && query.values, ['user', 'domain', 'user']);
    assert.equal(textOf(written, 'mysql'), 'SELECT * FROM users WHERE name = ? AND domain = ? OR alias = ?');
  });
});

describe('what looks like a placeholder and is none stays as it is', () => {
  const everywhere = [`':user'`, `'it''s :user'`, `":user"`, `-- :user\n`, `/* :user; */`];
  const rows: readonly [SqlDialect, readonly string[]][] = [
    [
      'postgres',
      [
        `E'it\\'s :user'`,
        `'\\' || ''`,
        `$$ :user ; $$`,
        `$a$ $$ :user $a$`,
        `/* /* */ :user */`,
        `x::text`,
        `a[1:2]`,
        `a ? 'k'`,
        `a$1`,
        `f(a := 1)`,
      ],
    ],
    ['mysql', [`'\\':user'`, `"\\":user"`, '`:user`', `# :user\n`, `@x := 1`, `1--1`]],
    ['sqlite', ['`:user`', `[:user]`, `'\\'`]],
  ];
  for (const [dialect, own] of rows) {
    for (const text of [...everywhere, ...own]) {
      test(`${dialect}: ${text.trim()}`, () => {
        const mark = dialect === 'mysql' ? '?' : dialect === 'postgres' ? '$1' : '?1';
        assert.equal(textOf(`SELECT ${text}, :login`, dialect), `SELECT ${text}, ${mark}`);
      });
    }
  }

  test('a cast of a placeholder is a placeholder and a cast', () => {
    assert.equal(textOf('SELECT :login::text', 'postgres'), 'SELECT $1::text');
    assert.equal(textOf('SELECT f(a:=:login)', 'postgres'), 'SELECT f(a:=$1)');
  });
});

describe('mistakes', () => {
  const rows: readonly [dialect: SqlDialect, text: string, problem: RegExp][] = [
    ['postgres', 'SELECT :username', /":username" is not known here, expected one of :user :domain/],
    ['postgres', 'SELECT :mail', /":mail" is not known here/],
    ['postgres', 'SELECT 1', /nothing of the login is in it, expected one of :user, :login, :id, :subject/],
    ['postgres', 'SELECT 1 WHERE :domain = 2', /nothing of the login/],
    ['postgres', 'SELECT :user; DELETE FROM users', /several statements/],
    ['postgres', `SELECT :user; ';'`, /several statements/],
    ['postgres', 'SELECT :user, $1', /"\$" is no placeholder here/],
    ['mysql', 'SELECT :user, ?', /"\?" is no placeholder here/],
    ['sqlite', 'SELECT :user, ?', /"\?" is no placeholder here/],
    ['sqlite', 'SELECT :user, @name', /"@" is no placeholder here/],
    ['sqlite', 'SELECT :user, $name', /"\$" is no placeholder here/],
    ['postgres', `SELECT :user, 'open`, /a quote \('\) is not closed/],
    ['mysql', 'SELECT :user, `open', /a quote \(`\) is not closed/],
    ['mysql', `SELECT :user, 'open\\'`, /a quote \('\) is not closed/],
    ['sqlite', 'SELECT :user, [open', /a quote \(\[\) is not closed/],
    ['postgres', 'SELECT :user /* /* */', /a comment is not closed/],
    ['mysql', 'SELECT :user /* ', /a comment is not closed/],
    ['mysql', 'SELECT :user /*!50000 , 1 */', /a comment that the server would run/],
    ['postgres', 'SELECT :user\u0000', /control character/],
    ['postgres', '  ', /nothing|empty/],
    ['postgres', `SELECT :user ${' '.repeat(10_000)}`, /more than 10000 characters/],
  ];
  for (const [dialect, text, problem] of rows) {
    test(`${dialect}: ${text.trim().slice(0, 40)}`, () => {
      assert.match(problemOf(text, dialect), problem);
    });
  }

  test('a semicolon at the end, with comments behind it, is none', () => {
    for (const dialect of DIALECTS) {
      const query = parse('SELECT :login;\n-- all of them\n', dialect);
      assert.ok('text' in query);
      assert.doesNotMatch(query.text, /;/);
    }
  });

  test('each query has names of its own', () => {
    assert.ok('text' in parse('SELECT :domain', 'postgres', 'domainQuery'));
    assert.match(problemOf('SELECT :user, :domain', 'postgres', 'domainQuery'), /":user" is not known/);
    assert.ok('text' in parse('SELECT :mail', 'postgres', 'mailQuery'));
    assert.match(problemOf('SELECT :service', 'postgres', 'mailQuery'), /expected one of :mail/);
  });
});

test('whatever is written, an answer comes, and what is bound fits the marks', () => {
  const words = fc.constantFrom(
    ...PLACEHOLDERS.map((name) => `:${name}`),
    `'`,
    `"`,
    '`',
    '[',
    ']',
    '$$',
    '$a$',
    '/*',
    '*/',
    '--',
    '#',
    '\n',
    '\\',
    '::',
    ':=',
    ';',
    '?',
    'E',
    'x',
    ' ',
  );
  fc.assert(
    fc.property(fc.array(words, { maxLength: 30 }), fc.constantFrom(...DIALECTS), (parts, dialect) => {
      const written = parts.join('');
      const query = parse(written, dialect);
      if ('problem' in query) return;
      assert.ok(query.values.length > 0);
      assert.equal(new Set(query.values).size, query.uses.size);
      // Nothing is lost but the names and the end of the statement.
      const bare = (text: string): string => text.replaceAll(/:[a-z]+|\$\d|\?\d?|[;\s]/g, '');
      assert.equal(bare(query.text), bare(written));
    }),
    { numRuns: 3000 },
  );
});

test('a text in quotes never binds anything, whatever is in it', () => {
  fc.assert(
    fc.property(fc.string(), fc.constantFrom(...DIALECTS), (text, dialect) => {
      // oxlint-disable-next-line no-control-regex
      if (/[\u0000-\u001f\u007f]/.test(text)) return;
      const quoted = `'${text.replaceAll('\\', '').replaceAll("'", "''")}'`;
      const mark = dialect === 'mysql' ? '?' : dialect === 'postgres' ? '$1' : '?1';
      assert.equal(textOf(`SELECT ${quoted} = :id`, dialect), `SELECT ${quoted} = ${mark}`);
    }),
  );
});
