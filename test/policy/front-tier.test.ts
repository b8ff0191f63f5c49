import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { test } from 'node:test';
import { passwordCheck } from '../../src/policy/front-tier.ts';

test('the password of a front tier is right to the last character', () => {
  const isRight = passwordCheck('op en\u00e9');
  for (const [shown, right] of [
    ['op en\u00e9', true],
    ['op en', false],
    ['op en\u00e9 ', false],
    ['OP EN\u00e9', false],
    ['', false],
  ] as const) {
    assert.equal(isRight?.(shown), right, shown);
  }
  assert.doesNotMatch(inspect(isRight, { showHidden: true, depth: 5 }), /op en/);
});

test('without a password there is no right one', () => {
  assert.equal(passwordCheck(null), null);
});
