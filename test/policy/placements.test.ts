// Placements as text and as keys, and when a hold is one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  endOf,
  formatPlacement,
  FOREVER,
  isEmpty,
  isHeld,
  parsePlacement,
  type Placement,
  placementKey,
  readPlacementKey,
} from '../../src/policy/placements.ts';

const NOW = Date.UTC(2026, 0, 1);
const hold = { id: 'abc', until: NOW + 1000 };

test('a key is the backend and the user in lower case, and is read back, blanks in the name and all', () => {
  const key = placementKey('stores', 'Anna Smith@Example.com');
  assert.equal(key, 'stores anna smith@example.com');
  assert.deepEqual(readPlacementKey(key), { backend: 'stores', user: 'anna smith@example.com' });
});

test('what is written is read back; what is none is null', () => {
  const all: Placement[] = [
    { server: 'store1', at: NOW, hold: null },
    { server: 'store1', at: NOW, hold },
    { server: null, at: NOW, hold },
  ];
  for (const one of all) assert.deepEqual(parsePlacement(formatPlacement(one)), one);
  for (const text of ['', '{}', '[1,2]', '["a"]', '[null,"x"]'])
    assert.equal(parsePlacement(text), null, text);
});

test('a hold ends by the clock; what says nothing then is empty, and only a place lasts', () => {
  const moving: Placement = { server: null, at: NOW, hold };
  assert.equal(isHeld(moving, NOW), true);
  assert.equal(isHeld(moving, hold.until), false);
  assert.deepEqual([isEmpty(moving, NOW), isEmpty(moving, hold.until)], [false, true]);
  assert.equal(endOf(moving), hold.until);
  assert.equal(endOf({ server: 'store1', at: NOW, hold }), FOREVER);
});
