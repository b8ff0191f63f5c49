import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  escapeFilterValue,
  filterText,
  isAttributeName,
  mapValues,
  parseFilter,
  unescapeFilterValue,
} from '../../src/wire/ldap-filter.ts';

function textOf(given: string): string {
  const parsed = parseFilter(given);
  if (parsed.kind === 'malformed') return `malformed: ${parsed.reason}`;
  return filterText(mapValues(parsed.filter, (value) => unescapeFilterValue(value) ?? assert.fail(value)));
}

for (const [given, expected] of [
  ['(uid=joe)', '(uid=joe)'],
  ['uid=joe', '(uid=joe)'],
  ['(& (uid=joe) (mail=joe@x.com))', '(&(uid=joe)(mail=joe@x.com))'],
  ['(|(a=1)(!(b=2)))', '(|(a=1)(!(b=2)))'],
  ['(cn=*)', '(cn=*)'],
  ['(cn=a*b*c)', '(cn=a*b*c)'],
  ['(cn=*b*)', '(cn=*b*)'],
  ['(size>=3)', '(size>=3)'],
  ['(size<=3)', '(size<=3)'],
  ['(cn~=joe)', '(cn~=joe)'],
  ['(cn:caseExactMatch:=Joe)', '(cn:caseExactMatch:=Joe)'],
  ['(ou:dn:=People)', '(ou:dn:=People)'],
  ['(:2.5.13.5:=Joe)', '(:2.5.13.5:=Joe)'],
  // RFC 4515 4.
  [
    String.raw`(o=Parens R Us \28for all your parenthetical needs\29)`,
    String.raw`(o=Parens R Us \28for all your parenthetical needs\29)`,
  ],
  [String.raw`(cn=*\2A*)`, String.raw`(cn=*\2a*)`],
  [String.raw`(filename=C:\5cMyFile)`, String.raw`(filename=C:\5cMyFile)`],
  [String.raw`(sn=Lu\c4\8di\c4\87)`, '(sn=Lučić)'],
  ['(userCertificate;binary=x)', '(userCertificate;binary=x)'],
] as const) {
  test(`${given} is ${expected}`, () => assert.equal(textOf(given), expected));
}

for (const given of [
  '(uid=joe',
  '(uid=joe))',
  '(uid=joe)(a=b)',
  '(&)',
  '(uid)',
  '(u_d=x)',
  '(=x)',
  String.raw`(uid=a\)`,
  String.raw`(uid=a\zz)`,
  '(size>=a*)',
  '(uid=a(b)',
  `${'(!'.repeat(40)}(a=b)${')'.repeat(40)}`,
  `(uid=${'x'.repeat(5000)})`,
  '(uid=\0)',
  '',
]) {
  test(`${JSON.stringify(given.slice(0, 40))} is malformed`, () =>
    assert.equal(parseFilter(given).kind, 'malformed'));
}

test('no value becomes another filter', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('*', '(', ')', '\\', '\0', 'a', '&', '|', '!', '=', 'ü') }),
      (value) => {
        const parsed = parseFilter(filterText({ kind: 'equal', attribute: 'uid', value }));
        assert.ok(parsed.kind === 'filter' && parsed.filter.kind === 'equal');
        assert.equal(unescapeFilterValue(parsed.filter.value), value);
      },
    ),
  );
});

test('parsing never throws', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void parseFilter(text)));
});

test('what RFC 4515 wants escaped is escaped', () => {
  assert.equal(escapeFilterValue('a*(b)\\\0'), String.raw`a\2a\28b\29\5c\00`);
  assert.equal(unescapeFilterValue(String.raw`\ff`), null);
});

test('names of attributes may have options and be numbers', () => {
  assert.deepEqual(
    ['uid', 'userCertificate;binary', '2.5.4.3', 'cn;lang-de', 'u_d', '', '9', 'a b', 'a*'].map(
      isAttributeName,
    ),
    [true, true, true, true, false, false, false, false, false],
  );
});
