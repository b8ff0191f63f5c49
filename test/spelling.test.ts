import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearNames } from '../src/spelling.ts';

test('a name is near only if it is', () => {
  const names = ['serve', 'check', 'reload', 'drain', 'status'];
  assert.deepEqual(nearNames('statsu', names), ['status']);
  assert.deepEqual(nearNames('SRVE', names), ['serve']);
  assert.deepEqual(nearNames('x', names), []);
  assert.deepEqual(nearNames('z'.repeat(100_000), names), []);
});

test('several near names come nearest first', () => {
  assert.deepEqual(nearNames('Server-Cret', ['Server-Cert-2', 'Org', 'Server-Cert'], 3), [
    'Server-Cert',
    'Server-Cert-2',
  ]);
});
