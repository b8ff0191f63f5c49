// In which order servers are tried.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Candidate, chooseOrder } from '../../src/policy/balance.ts';
import type { Balance } from '../../src/config/settings.ts';

function servers(...given: Partial<Candidate>[]): Candidate[] {
  return given.map((more, place) => ({
    identity: `store${place + 1}`,
    weight: 1,
    priority: place + 1,
    open: 0,
    state: 'up',
    credit: 0,
    ...more,
  }));
}

/** The server that goes first, over many turns, as places. */
function turns(candidates: Candidate[], balance: Balance, count: number): string {
  let firsts = '';
  for (let turn = 0; turn < count; turn++) {
    const { order, credits } = chooseOrder(candidates, balance, '');
    firsts += order[0];
    candidates = candidates.map((candidate, place) => ({ ...candidate, credit: credits[place] ?? 0 }));
  }
  return firsts;
}

test('roundRobin: each has its turn, and who is passed over is tried next', () => {
  assert.equal(turns(servers({}, {}, {}), 'roundRobin', 7), '0120120');
  const { order } = chooseOrder(servers({}, {}, {}), 'roundRobin', '');
  assert.deepEqual(order, [0, 1, 2]);
});

test('roundRobin: weights are shares, spread over the turns', () => {
  assert.equal(turns(servers({ weight: 3 }, { weight: 1 }), 'roundRobin', 8), '00100010');
  const sevens = turns(servers({ weight: 5 }, { weight: 1 }, { weight: 1 }), 'roundRobin', 70);
  assert.deepEqual(
    ['0', '1', '2'].map((place) => sevens.split(place).length - 1),
    [50, 10, 10],
  );
});

test('roundRobin: one that comes back is not given what it has missed', () => {
  let candidates = servers({}, { state: 'penalty' });
  for (let turn = 0; turn < 100; turn++) {
    const { credits } = chooseOrder(candidates, 'roundRobin', '');
    candidates = candidates.map((candidate, place) => ({ ...candidate, credit: credits[place] ?? 0 }));
  }
  candidates = candidates.map((candidate) => ({ ...candidate, state: 'up' }));
  assert.match(turns(candidates, 'roundRobin', 6), /^(01){3}$|^(10){3}$/);
});

test('priority: the lowest number first, equals in turn', () => {
  assert.equal(turns(servers({}, {}, {}), 'priority', 3), '000');
  const pairs = servers({ priority: 2 }, { priority: 1 }, { priority: 1 });
  assert.equal(turns(pairs, 'priority', 4), '1212');
  assert.deepEqual(chooseOrder(pairs, 'priority', '').order, [1, 2, 0]);
});

test('leastConnections: the fewest for its weight first, equals in turn', () => {
  assert.deepEqual(
    chooseOrder(servers({ open: 5 }, { open: 2 }, { open: 3 }), 'leastConnections', '').order,
    [1, 2, 0],
  );
  assert.deepEqual(
    chooseOrder(servers({ open: 5, weight: 10 }, { open: 2 }), 'leastConnections', '').order,
    [0, 1],
  );
  assert.equal(turns(servers({}, {}), 'leastConnections', 4), '0101');
});

test('whatever the balance, a drained server is never tried and one in its penalty last', () => {
  const states = servers({ state: 'penalty' }, {}, { state: 'drained' }, {});
  for (const balance of ['roundRobin', 'priority', 'leastConnections', 'hash'] as const) {
    const { order } = chooseOrder(states, balance, 'anna');
    assert.deepEqual([order.length, order[2]], [3, 0], balance);
    assert.ok(!order.includes(2), balance);
  }
});

test('where all are in their penalty they are tried all the same, and where all are drained none', () => {
  for (const balance of ['roundRobin', 'priority', 'leastConnections', 'hash'] as const) {
    const down = chooseOrder(servers({ state: 'penalty' }, { state: 'penalty' }), balance, 'anna');
    assert.deepEqual(new Set(down.order), new Set([0, 1]), balance);
    assert.deepEqual(chooseOrder(servers({ state: 'drained' }), balance, 'anna').order, [], balance);
  }
});

const USERS = Array.from({ length: 3000 }, (_, number) => `user${number}@example.com`);

function homes(candidates: Candidate[]): Map<string, string> {
  return new Map(
    USERS.map((user) => {
      const [first = 0] = chooseOrder(candidates, 'hash', user).order;
      return [user, candidates[first]?.identity ?? ''];
    }),
  );
}

test('hash: a user has the same server each time, and servers have users by their weight', () => {
  const candidates = servers({}, {}, { weight: 2 });
  const first = homes(candidates);
  assert.deepEqual(homes(candidates), first);
  const counts = new Map<string, number>();
  for (const home of first.values()) counts.set(home, (counts.get(home) ?? 0) + 1);
  for (const [identity, share] of [
    ['store1', 750],
    ['store2', 750],
    ['store3', 1500],
  ] as const) {
    assert.ok(Math.abs((counts.get(identity) ?? 0) - share) < 120, `${identity}: ${counts.get(identity)}`);
  }
});

test('hash: without one server only its users move, and they move to several', () => {
  const candidates = servers({}, {}, {}, {});
  const before = homes(candidates);
  const after = homes(candidates.filter(({ identity }) => identity !== 'store2'));
  const moved = USERS.filter((user) => before.get(user) !== after.get(user));
  assert.ok(moved.every((user) => before.get(user) === 'store2'));
  assert.equal(moved.length, USERS.filter((user) => before.get(user) === 'store2').length);
  assert.equal(new Set(moved.map((user) => after.get(user))).size, 3);
});

test('hash: the place in the list does not matter, and one that is down is stood in for as if it were gone', () => {
  const candidates = servers({}, {}, {});
  assert.deepEqual(homes(candidates.toReversed()), homes(candidates));
  const down = candidates.map((candidate): Candidate =>
    candidate.identity === 'store1' ? { ...candidate, state: 'penalty' } : candidate,
  );
  assert.deepEqual(homes(down), homes(candidates.slice(1)));
});
