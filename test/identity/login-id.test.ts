// How the name of a login is taken apart.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fillReplay, NameBook, type NameRules, placeKey, splitLoginId } from '../../src/identity/login-id.ts';

const RULES: NameRules = { defaultDomain: null, delimiters: '@', canonicalDelimiter: '@' };

const ROWS: readonly (readonly [given: string, rules: Partial<NameRules>, canonical: string])[] = [
  ['hugo', {}, 'hugo'],
  ['hugo', { defaultDomain: 'yoyo.com' }, 'hugo@yoyo.com'],
  ['hugo@Yoyo.COM', { defaultDomain: 'other.org' }, 'hugo@yoyo.com'],
  ['hugo+yoyo.com', { delimiters: '+' }, 'hugo@yoyo.com'],
  ['hugo+yoyo.com', { delimiters: '+', canonicalDelimiter: '+' }, 'hugo+yoyo.com'],
  ['hugo%yoyo.com', { delimiters: '@%' }, 'hugo@yoyo.com'],
  ['a+b@yoyo.com', { delimiters: '@+' }, 'a+b@yoyo.com'],
  ['a@b@c.org', {}, 'a@b@c.org'],
  ['hugo@', { defaultDomain: 'yoyo.com' }, 'hugo@'],
  ['@yoyo.com', {}, '@yoyo.com'],
  ['', { defaultDomain: 'yoyo.com' }, '@yoyo.com'],
];

for (const [given, rules, canonical] of ROWS) {
  test(`${JSON.stringify(given)} with ${JSON.stringify(rules)} is ${canonical}`, () => {
    assert.equal(splitLoginId(given, { ...RULES, ...rules }).canonical, canonical);
  });
}

test('what the client sent is never lost, and without a domain to add nothing but the case of one changes', () => {
  fc.assert(
    fc.property(fc.string(), (given) => {
      const id = splitLoginId(given, RULES);
      assert.equal(id.given, given);
      assert.equal(id.canonical.toLowerCase(), given.toLowerCase());
    }),
  );
});

test('the documented replay formats come out as documented', () => {
  const hugo = splitLoginId('hugo', { ...RULES, defaultDomain: 'yoyo.com' });
  const plus = splitLoginId('hugo+yoyo.com', { ...RULES, delimiters: '+' });
  assert.equal(fillReplay('%U@%V', hugo), 'hugo@yoyo.com');
  assert.equal(fillReplay('%U@%V', plus), 'hugo@yoyo.com');
  assert.deepEqual(
    ['%s', '%U', '%V', '%o', '%%x'].map((template) => fillReplay(template, plus)),
    ['hugo@yoyo.com', 'hugo', 'yoyo.com', 'hugo+yoyo.com', '%x'],
  );
});

test('an address of a service has a domain of its own, other services and addresses do not', () => {
  const own = new Map([[placeKey('imap', '192.0.2.10'), { defaultDomain: 'example.org' }]]);
  const names = new NameBook({ ...RULES, defaultDomain: 'example.com' }, own);
  const at = (service: string, address: string): string =>
    names.split('anna', { service, address }).canonical;
  assert.deepEqual(
    [at('imap', '192.0.2.10'), at('imap', '192.0.2.11'), at('pop3', '192.0.2.10')],
    ['anna@example.org', 'anna@example.com', 'anna@example.com'],
  );
});
