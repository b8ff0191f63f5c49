import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dnOfDomain, dnText, isBelow, parseDn, sameName } from '../../src/wire/ldap-dn.ts';

function partsOf(text: string) {
  const parsed = parseDn(text);
  return parsed.kind === 'name' ? parsed.parts : parsed.reason;
}

const same = (one: string, other: string): boolean => {
  const [a, b] = [parseDn(one), parseDn(other)];
  assert.ok(a.kind === 'name' && b.kind === 'name');
  return sameName(a.parts, b.parts);
};

test('a name is its parts, the most specific first', () => {
  assert.deepEqual(partsOf('uid=joe, OU=People+l=Here,o=X'), [
    [{ attribute: 'uid', value: 'joe' }],
    [
      { attribute: 'ou', value: 'People' },
      { attribute: 'l', value: 'Here' },
    ],
    [{ attribute: 'o', value: 'X' }],
  ]);
});

test('escapes and quotes are the characters themselves', () => {
  const value = 'A "B", C+D;\\ü';
  assert.deepEqual(partsOf(String.raw`o=A \"B\"\, C\+D\;\\\c3\bc`), [[{ attribute: 'o', value }]]);
  assert.deepEqual(partsOf(String.raw`o="A \"B\", C+D;\\ü"`), [[{ attribute: 'o', value }]]);
});

for (const text of [
  'o',
  '=x',
  'o=x,',
  'o=a"b',
  'o=#0402',
  'o=a\\',
  String.raw`o=\zz`,
  String.raw`o=\ff`,
  'x'.repeat(9000),
]) {
  test(`${JSON.stringify(text.slice(0, 20))} is no name`, () => assert.equal(typeof partsOf(text), 'string'));
}

test('a hundred parts are too many', () => {
  assert.equal(typeof partsOf(Array.from({ length: 100 }, () => 'ou=x').join(',')), 'string');
});

test('letter case and blanks are nothing, order is', () => {
  assert.ok(
    same('ou=United States Postal Service, o=usps, c=US', 'OU=united states  postal service,O=USPS,C=us'),
  );
  assert.ok(!same('o=a,c=US', 'c=US,o=a'));
  assert.ok(!same(String.raw`o=a\,c\=US`, 'o=a,c=US'));
});

test('a domain is its labels as dc', () => {
  assert.equal(dnOfDomain('siroe.com', 'o=internet'), 'dc=siroe,dc=com,o=internet');
  assert.equal(dnOfDomain('a,o=x.com', ''), String.raw`dc=a\,o\=x,dc=com`);
});

test('any value comes back from a name as it went in', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (value) => {
      const parts = [[{ attribute: 'cn', value: value.toWellFormed() }], [{ attribute: 'o', value: 'x' }]];
      assert.deepEqual(partsOf(dnText(parts)), parts);
    }),
  );
});

test('below a name is what ends in all of its parts, and itself', () => {
  assert.deepEqual(
    ['uid=joe, ou=People,O=Siroe', 'o=siroe', 'o=x,o=siroe.com', 'o=a\\,o\\=siroe', 'ou=o=siroe', ''].map(
      (name) => isBelow(name, 'o=siroe'),
    ),
    [true, true, false, false, false, false],
  );
});
