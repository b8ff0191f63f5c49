// Several workers and the supervisor count together, over channels that keep their own order and nothing else: the
// limit is never exceeded, and never reached too early once everybody has heard everything.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Census } from '../../../src/service/limits/census.ts';
import type { FromGuard, ToGuard } from '../../../src/service/limits/sharing.ts';
import { Tally } from '../../../src/service/limits/tally.ts';
import type { Claim } from '../../../src/policy/limits.ts';
import type { CountClaim, SharedCounts } from '../../../src/state/store.ts';
import { manualWorld } from '../../support/manual-world.ts';

/** Always the same, and different for each seed. */
function dice(seed: number): (sides: number) => number {
  let state = seed * 2_654_435_761;
  return (sides) => {
    state = (state * 1_103_515_245 + 12_345) & 0x7fffffff;
    return (state >> 8) % sides;
  };
}

class Rig {
  readonly world = manualWorld();
  readonly tallies: Tally[];
  readonly census: Census;
  /** How many messages went each way. */
  asked = 0;
  escorts = 0;
  readonly #wires: (() => void)[][] = [];

  constructor(workers: number, { nodes = false, start = workers } = {}) {
    this.census = new Census({
      escort: (keys) => {
        this.escorts++;
        return Promise.all(this.tallies.map((_, place) => this.#escort(place, keys)));
      },
      relax: (keys) => {
        for (const place of this.tallies.keys()) this.#down(place, { what: 'relax', keys });
      },
    });
    this.census.workers = nodes ? 1 : start;
    this.tallies = Array.from({ length: workers }, (_, place) => {
      this.#wires[2 * place] = [];
      this.#wires[2 * place + 1] = [];
      const tally = new Tally({ world: this.world, send: (note) => this.#up(place, note) });
      tally.join({ workers: start, nodes });
      return tally;
    });
  }

  total(key: string): number {
    return this.tallies.reduce((sum, tally) => sum + tally.countOf(key), 0);
  }

  /** Delivers the oldest message of one wire; false where there was none. */
  async deliver(choose: (sides: number) => number): Promise<boolean> {
    const full = this.#wires.filter((wire) => wire.length > 0);
    full[choose(Math.max(full.length, 1))]?.shift()?.();
    await new Promise<void>((resolve) => setImmediate(resolve));
    return full.length > 0;
  }

  async settle(): Promise<void> {
    for (let round = 0; round < 3; round++) {
      while (await this.deliver(() => 0));
      this.world.advance(60);
    }
    while (await this.deliver(() => 0));
  }

  #up(place: number, note: FromGuard): void {
    if (note.what === 'ask') this.asked++;
    this.#wires[2 * place]?.push(() => {
      const tally = this.tallies[place] ?? assert.fail();
      if (note.what === 'counts') this.census.report(tally, note.changes);
      if (note.what !== 'ask') return;
      const { question, claims } = note;
      void this.census.ask(tally, claims).then((full) => {
        this.#down(place, { what: 'answer', question, full, keys: claims.map(({ key }) => key) });
      });
    });
  }

  #down(place: number, note: Extract<ToGuard, { what: 'answer' | 'relax' }>): void {
    this.#wires[2 * place + 1]?.push(() => this.tallies[place]?.hear(note));
  }

  #escort(place: number, keys: readonly string[]): Promise<void> {
    return new Promise((resolve) => {
      this.#wires[2 * place + 1]?.push(() => {
        this.tallies[place]?.escort(keys);
        this.#wires[2 * place]?.push(resolve);
      });
    });
  }
}

for (const [workers, limit] of [
  [2, 20],
  [2, 1],
  [2, 2],
  [2, 3],
  [4, 20],
  [4, 5],
  [8, 20],
  [8, 50],
] as const) {
  test(`${workers} workers never hold more than ${limit}, and reach ${limit}`, async () => {
    for (let seed = 1; seed <= 12; seed++) {
      const roll = dice(seed);
      const rig = new Rig(workers);
      const claim: Claim = { key: 'a:192.0.2.7', limit };
      let waiting = 0;
      for (let turn = 0; turn < 150; turn++) {
        const tally = rig.tallies[roll(workers)] ?? assert.fail();
        const act = roll(6);
        if (act < 3) {
          const answer = tally.take([claim]);
          if (answer instanceof Promise) {
            waiting++;
            void answer.then(() => waiting--);
          }
        } else if (act === 3 && tally.countOf(claim.key) > 0) tally.give(claim.key);
        else if (act === 4) await rig.deliver(roll);
        else if (turn % 5 === 0) rig.world.advance(20);
        assert.ok(rig.total(claim.key) <= limit, `seed ${seed}, turn ${turn}: ${rig.total(claim.key)}`);
      }
      await rig.settle();
      assert.equal(waiting, 0);
      assert.ok(rig.total(claim.key) <= limit);
      assert.equal(rig.census.snapshot().get(claim.key) ?? 0, rig.total(claim.key), `seed ${seed}`);
      while (rig.total(claim.key) < limit) {
        const before = rig.total(claim.key);
        const answer = rig.tallies[roll(workers)]?.take([claim]);
        await rig.settle();
        assert.equal(await answer, null, `seed ${seed}: refused at ${before} of ${limit}`);
      }
      const one = rig.tallies[0]?.take([claim]);
      await rig.settle();
      assert.equal(await one, claim);
    }
  });
}

test('far below its limit an address costs no question and no escort', async () => {
  const rig = new Rig(2);
  const claim = { key: 'a', limit: 1000 };
  for (let i = 0; i < 200; i++) assert.equal(rig.tallies[i % 2]?.take([claim]), null);
  await rig.settle();
  assert.deepEqual([rig.asked, rig.escorts, rig.census.snapshot().get('a')], [0, 0, 200]);
});

test('alone nothing is said at all', async () => {
  const rig = new Rig(1);
  const claim = { key: 'a', limit: 2 };
  assert.deepEqual(
    [1, 2, 3].map(() => rig.tallies[0]?.take([claim])),
    [null, null, claim],
  );
  rig.tallies[0]?.give('a');
  assert.equal(rig.tallies[0]?.take([claim]), null);
  await rig.settle();
  assert.equal(rig.census.snapshot().size, 0);
});

test('a key that calms down is escorted no longer, and what it held is known', async () => {
  const rig = new Rig(2);
  const claim = { key: 'a', limit: 4 };
  const tally = rig.tallies[0] ?? assert.fail();
  for (let i = 0; i < 4; i++) {
    const answer = tally.take([claim]);
    await rig.settle();
    assert.equal(await answer, null);
  }
  assert.deepEqual(rig.census.escorted, ['a']);
  for (let i = 0; i < 3; i++) tally.give('a');
  await rig.settle();
  assert.deepEqual(rig.census.escorted, []);
  assert.equal(rig.census.snapshot().get('a'), 1);
});

test('what a worker held vanishes with it', async () => {
  const rig = new Rig(2);
  const claim = { key: 'a', limit: 100 };
  for (const tally of rig.tallies) void tally.take([claim]);
  await rig.settle();
  rig.census.drop(rig.tallies[0] ?? assert.fail());
  assert.equal(rig.census.snapshot().get('a'), 1);
  rig.census.drop(rig.tallies[0] ?? assert.fail());
  assert.equal(rig.census.snapshot().get('a'), 1);
});

test('of two claims both are taken or none', async () => {
  const rig = new Rig(2);
  const tally = rig.tallies[0] ?? assert.fail();
  const [full, free] = [
    { key: 'a', limit: 1 },
    { key: 't', limit: 100 },
  ];
  const first = tally.take([full, free]);
  await rig.settle();
  assert.equal(await first, null);
  const second = tally.take([free, full]);
  await rig.settle();
  assert.equal(await second, full);
  assert.deepEqual([rig.total('a'), rig.total('t')], [1, 1]);
});

test('an answer that never comes is not waited for, and one that comes late is given back', async () => {
  const rig = new Rig(2);
  const tally = rig.tallies[0] ?? assert.fail();
  const claim = { key: 'a', limit: 1 };
  const answer = tally.take([claim]);
  rig.world.advance(1000);
  assert.equal(await answer, null);
  assert.equal(rig.total('a'), 1);
  await rig.settle();
  assert.equal(rig.census.snapshot().get('a'), 1);
});

/** Counts of the other machines, and whether they can be had. */
class Elsewhere implements SharedCounts {
  lost = false;
  readonly held = new Map<string, number>();

  async take(claims: readonly CountClaim[]): Promise<string | null> {
    if (this.lost) throw new Error('lost');
    const full = claims.find(({ key, limit }) => (this.held.get(key) ?? 0) >= limit);
    if (full !== undefined) return full.key;
    for (const { key } of claims) this.held.set(key, (this.held.get(key) ?? 0) + 1);
    return null;
  }
  async add(): Promise<void> {}
  async sync(): Promise<void> {}
  async renew(): Promise<boolean> {
    return true;
  }
}

test('with other machines every place is asked for, and theirs count', async () => {
  const rig = new Rig(2, { nodes: true });
  const elsewhere = new Elsewhere();
  rig.census.shared = elsewhere;
  elsewhere.held.set('u:anna', 4);
  const claim = { key: 'u:anna', limit: 5 };
  const take = async (): Promise<Claim | null> => {
    const answer = rig.tallies[0]?.take([claim]);
    await rig.settle();
    return (await answer) ?? null;
  };
  assert.equal(await take(), null);
  assert.equal(await take(), claim);
  rig.tallies[0]?.give('u:anna');
  await rig.settle();
  assert.deepEqual(rig.census.takeUntold(), [['u:anna', -1]]);
  elsewhere.lost = true;
  for (let i = 0; i < 5; i++) assert.equal(await take(), null, 'our own counts decide');
  assert.equal(await take(), claim);
});
