import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fillFilter, fillReplay, type LoginFacts } from '../../src/identity/substitution.ts';
import { type Filter, filterText, parseFilter } from '../../src/wire/ldap-filter.ts';
import { parseReplayTemplate, parseSearchTemplate } from '../../src/wire/login-template.ts';

const FACTS: LoginFacts = {
  original: 'joe+siroe.com',
  userId: 'joe',
  domain: 'siroe.com',
  delimiter: '@',
  clientAddress: '203.0.113.9',
  serverAddress: '192.0.2.10',
  certificateSubject: 'UID=joe,O=Siroe\\, Inc.',
};

function filter(template: string, changes: Partial<LoginFacts> = {}): string | null {
  const parsed = parseSearchTemplate(template, 'searchFormat');
  assert.ok('filter' in parsed);
  const filled = fillFilter(parsed.filter, { ...FACTS, ...changes });
  return filled === null ? null : filterText(filled);
}

function replay(
  template: string,
  changes: Partial<LoginFacts> = {},
  attributes: Record<string, string[]> = {},
): string {
  const parsed = parseReplayTemplate(template);
  assert.ok('pieces' in parsed);
  const filled = fillReplay(parsed.pieces, { ...FACTS, ...changes }, new Map(Object.entries(attributes)));
  return 'name' in filled ? filled.name : `problem: ${filled.problem}`;
}

for (const [template, changes, expected] of [
  ['(uid=%s)', {}, '(uid=joe@siroe.com)'],
  ['(uid=%s)', { delimiter: '+' }, '(uid=joe+siroe.com)'],
  ['(uid=%s)', { domain: '' }, '(uid=joe)'],
  ['uid=%s', {}, '(uid=joe@siroe.com)'],
  ['(uid=%U)', {}, '(uid=joe)'],
  ['(o=%V)', {}, '(o=siroe.com)'],
  ['(cn=%o)', {}, '(cn=joe+siroe.com)'],
  ['(ipHostNumber=%C)', {}, '(ipHostNumber=203.0.113.9)'],
  ['(ipHostNumber=%S)', {}, '(ipHostNumber=192.0.2.10)'],
  ['(certSubjectDN=%D)', {}, String.raw`(certSubjectDN=UID=joe,O=Siroe\5c, Inc.)`],
  ['(&(objectclass=inetOrgPerson)(empID=%U))', {}, '(&(objectclass=inetOrgPerson)(empID=joe))'],
  ['uid=%U_%V', {}, '(uid=joe_siroe.com)'],
  ['(mail=%U@*)', {}, '(mail=joe@*)'],
  ['(uid=%U)', { userId: '*' }, String.raw`(uid=\2a)`],
  ['(uid=%U)', { userId: 'joe)(|(uid=*' }, String.raw`(uid=joe\29\28|\28uid=\2a)`],
  ['(uid=%U)', { userId: '%s' }, '(uid=%s)'],
  ['(&(uid=%U)(o=%V))', { domain: '' }, null],
  ['(certSubjectDN=%D)', { certificateSubject: '' }, null],
  ['(ipHostNumber=%C)', { clientAddress: '' }, null],
] as const) {
  test(`${template} ${JSON.stringify(changes)} is ${expected}`, () =>
    assert.equal(filter(template, changes), expected));
}

for (const [template, changes, attributes, expected] of [
  ['%A[uid]@%V', {}, { uid: ['joe'] }, 'joe@siroe.com'],
  ['%[surname]', {}, { surname: ['Smith', 'Jones'] }, 'Smith'],
  ['%U@%V', { userId: 'hugo', domain: 'yoyo.com', original: 'hugo' }, {}, 'hugo@yoyo.com'],
  ['%U@%V', { userId: 'hugo', domain: 'yoyo.com', original: 'hugo+yoyo.com' }, {}, 'hugo@yoyo.com'],
  ['%o', { userId: 'hugo', domain: 'yoyo.com', original: 'hugo+yoyo.com' }, {}, 'hugo+yoyo.com'],
  ['%s', { userId: 'hugo', domain: 'yoyo.com', delimiter: '+' }, {}, 'hugo+yoyo.com'],
  ['%U', {}, {}, 'joe'],
  ['%U%%', {}, {}, 'joe%'],
  ['%U@%V', { domain: '' }, {}, 'problem: nothing for %V'],
  ['%A[uid]', {}, {}, 'problem: no attribute uid'],
  ['%A[uid]', {}, { uid: ['joe\r\nQUIT'] }, 'problem: a control character'],
  ['%A[uid]', {}, { uid: ['j'.repeat(2000)] }, 'problem: more than 1024 characters'],
] as const) {
  test(`${template} ${JSON.stringify(changes)} is replayed as ${expected.slice(0, 60)}`, () => {
    const given = Object.fromEntries(Object.entries(attributes).map(([key, values]) => [key, [...values]]));
    assert.equal(replay(template, changes, given), expected);
  });
}

/** Kinds and attributes, without the values. */
function shape(one: Filter<string>): unknown {
  if ('filters' in one) return [one.kind, ...one.filters.map(shape)];
  return 'filter' in one ? [one.kind, shape(one.filter)] : [one.kind, one.attribute];
}

test('whatever is sent, the filter that the server reads has the shape of its template', () => {
  const unit = fc.constantFrom('*', '(', ')', '\\', '\0', 'a', '&', '|', '!', '=', '%', 'U', '2', 'ü', ';');
  fc.assert(
    fc.property(fc.string({ unit, minLength: 1 }), (userId) => {
      const text = filter('(&(objectClass=person)(|(uid=%U)(!(mail=%U@x))))', { userId });
      const read = parseFilter(text ?? '');
      assert.ok(read.kind === 'filter');
      const expected = [
        'and',
        ['equal', 'objectClass'],
        ['or', ['equal', 'uid'], ['not', ['equal', 'mail']]],
      ];
      assert.deepEqual(shape(read.filter), expected);
    }),
  );
});
