// Wrong commands are counted, and past the limit the connection ends.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Patience } from '../../src/protocol/patience.ts';

test('as many mistakes as the limit says are forgiven', () => {
  const patience = new Patience(3);
  for (let i = 0; i < 3; i++) assert.doesNotThrow(() => patience.lose());
});

test('one mistake more ends the connection, and so does every one after it', () => {
  const patience = new Patience(1);
  patience.lose();
  assert.throws(() => patience.lose(), { code: 'TOO_MANY_ERRORS' });
  assert.throws(() => patience.lose(), { code: 'TOO_MANY_ERRORS' });
});
