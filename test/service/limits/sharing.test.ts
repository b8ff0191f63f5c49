// What a worker says of counts and penalties is looked at before it is believed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inlineSecret } from '../../../src/config/secret.ts';
import { asFromGuard } from '../../../src/service/limits/sharing.ts';
import { sameStore } from '../../../src/service/shared-state.ts';

for (const note of [
  { what: 'ask', question: 1, claims: [{ key: 'a:192.0.2.7', limit: 20 }] },
  { what: 'counts', changes: [['a:192.0.2.7', -1]] },
  { what: 'misdeeds', misdeeds: [{ key: '192.0.2.7', forgiven: false, failures: 2 }] },
]) {
  test(`${note.what} is taken as it should be`, () => assert.equal(asFromGuard(note), note));
}

for (const note of [
  null,
  'ask',
  {},
  { what: 'answer', question: 1, full: null, keys: [] },
  { what: 'ask', question: '1', claims: [] },
  { what: 'ask', question: 1, claims: [{ key: 'a', limit: 0 }] },
  { what: 'ask', question: 1, claims: [{ key: 7, limit: 1 }] },
  { what: 'ask', question: 1, claims: Array.from({ length: 9 }, () => ({ key: 'a', limit: 1 })) },
  { what: 'ask', question: 1, claims: [null] },
  { what: 'counts', changes: [['a', 0.5]] },
  { what: 'counts', changes: [['a', Number.NaN]] },
  { what: 'counts', changes: [['x'.repeat(301), 1]] },
  { what: 'counts', changes: 'many' },
  { what: 'misdeeds', misdeeds: [{ key: 'a', forgiven: 'no', failures: 1 }] },
  { what: 'misdeeds', misdeeds: [{ key: 'a', forgiven: false, failures: -1 }] },
]) {
  test(`${JSON.stringify(note).slice(0, 70)} is not`, () => assert.equal(asFromGuard(note), null));
}

test('a reload that names the same store is told from one that names another', () => {
  const url = (text: string) => inlineSecret(`redis://${text}`);
  assert.ok(sameStore(null, null));
  assert.ok(sameStore(url('a'), url('a')));
  assert.ok(!sameStore(url('a'), url('b')));
  assert.ok(!sameStore(null, url('a')));
  assert.ok(!sameStore({ kind: 'file', path: '/x' }, { kind: 'credential', name: '/x' }));
});
