// How many each address may have, and how much a worker may take unasked.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { addressTable, ownAllowance } from '../../src/policy/limits.ts';
import { parseNetwork } from '../../src/wire/network.ts';

const rows = (table: Readonly<Record<string, number>>) =>
  Object.entries(table).map(([text, limit]) => [parseNetwork(text) ?? assert.fail(), limit] as const);

test('the most specific network of an address decides, and what none covers has 20', () => {
  const limitOf = addressTable(rows({ '192.0.2.0/24': 5, '192.0.2.7': 0, '2001:db8::/32': 9 }));
  assert.deepEqual(
    ['192.0.2.7', '192.0.2.8', '2001:db8::1', '198.51.100.1', '::ffff:192.0.2.8'].map(limitOf),
    [0, 5, 9, 20, 5],
  );
});

test('what all workers may take unasked stays within the limit, whatever it is', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 100_000 }), fc.integer({ min: 1, max: 128 }), (limit, workers) => {
      assert.ok(ownAllowance(limit, workers) * workers <= limit);
    }),
  );
  assert.deepEqual([ownAllowance(20, 2), ownAllowance(20, 8), ownAllowance(4, 8)], [2, 1, 0]);
});
