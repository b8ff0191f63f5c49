// Nodes that rotate and exchange ticket keys, on one clock and over an exchange in memory that delivers when told to.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';

import { createLog } from '../../../src/log.ts';
import { TicketRotation, type TicketExchange } from '../../../src/service/certificates/ticket-rotation.ts';
import { makeTicketKeys, sealTicketKeys, type TicketKeys } from '../../../src/tls/tickets.ts';
import { manualWorld, type ManualWorld } from '../../support/manual-world.ts';

const HOUR_MS = 3_600_000;
const secret = 'a secret of all nodes';

/** What all nodes see. Messages wait until deliver(). */
class Hub implements TicketExchange {
  kept: string | null = null;
  broken = false;
  readonly published: string[] = [];
  readonly #listeners = new Set<(sealed: string) => void>();
  readonly #waiting: string[] = [];

  publish(sealed: string): Promise<void> {
    if (this.broken) return Promise.reject(new Error('the exchange is gone'));
    this.kept = sealed;
    this.published.push(sealed);
    this.#waiting.push(sealed);
    return Promise.resolve();
  }

  subscribe(hear: (sealed: string) => void): { close(): void } {
    this.#listeners.add(hear);
    return { close: () => this.#listeners.delete(hear) };
  }

  current(): Promise<string | null> {
    return this.broken ? Promise.reject(new Error('the exchange is gone')) : Promise.resolve(this.kept);
  }

  /** Until nobody has anything to say. */
  async deliver(): Promise<void> {
    for (let sealed = this.#waiting.shift(); sealed !== undefined; sealed = this.#waiting.shift()) {
      for (const hear of this.#listeners) hear(sealed);
      await setImmediate();
    }
  }

  /** Says something as nobody's node. */
  say(sealed: string): void {
    for (const hear of this.#listeners) hear(sealed);
  }
}

function node(world: ManualWorld, exchange: TicketExchange | null = null, first = fresh(world)) {
  const changes: TicketKeys[] = [];
  const events: string[] = [];
  const rotation = new TicketRotation({
    first,
    exchange,
    onChange: (keys) => changes.push(keys),
    world,
    log: createLog({
      level: 'debug',
      format: 'json',
      write: (line) => events.push((JSON.parse(line) as { event: string }).event),
    }),
  });
  return { rotation, changes, events };
}

function fresh(world: ManualWorld): TicketKeys {
  return { bytes: makeTicketKeys(world), madeAt: world.now() };
}

const agree = (...nodes: ReturnType<typeof node>[]): boolean =>
  nodes.every(({ rotation }) => rotation.keys.bytes.equals(nodes[0]!.rotation.keys.bytes));

test('keys serve as long as the setting says, then others do; 0 keeps them', () => {
  const world = manualWorld();
  const [one, still] = [node(world), node(world)];
  one.rotation.follow({ rotateMs: HOUR_MS, secret: null });
  still.rotation.follow({ rotateMs: 0, secret: null });
  const first = one.rotation.keys;
  world.advance(HOUR_MS - 1);
  assert.equal(one.changes.length, 0);
  world.advance(1);
  assert.equal(one.changes.length, 1);
  assert.equal(one.rotation.keys.bytes.equals(first.bytes), false);
  world.advance(HOUR_MS);
  assert.equal(one.changes.length, 2);
  assert.equal(still.changes.length, 0);
});

test('keys that were inherited keep their age', () => {
  const world = manualWorld();
  const inherited = fresh(world);
  world.advance(HOUR_MS / 2);
  const heir = node(world, null, inherited);
  heir.rotation.follow({ rotateMs: HOUR_MS, secret: null });
  world.advance(HOUR_MS / 2);
  assert.equal(heir.changes.length, 1);
});

test('other rules hold at once, and after close() no timer is left', () => {
  const world = manualWorld();
  const one = node(world, new Hub());
  one.rotation.follow({ rotateMs: HOUR_MS, secret });
  one.rotation.follow({ rotateMs: 60_000, secret: null });
  world.advance(60_000);
  assert.equal(one.changes.length, 1);
  one.rotation.close();
  assert.equal(world.pending, 0);
});

test('a node that starts takes the keys that are in use, and the first of all publishes its own', async () => {
  const world = manualWorld();
  const hub = new Hub();
  const first = node(world, hub);
  first.rotation.follow({ rotateMs: HOUR_MS, secret });
  await first.rotation.join('theirs');
  world.advance(1000);
  const second = node(world, hub);
  second.rotation.follow({ rotateMs: HOUR_MS, secret });
  await second.rotation.join('theirs');
  await hub.deliver();
  assert.ok(agree(first, second));
  assert.deepEqual([first.changes.length, second.changes.length, hub.published.length], [0, 1, 1]);
});

test('keys that are overdue are not taken at the start: somebody may have kept them', async () => {
  const world = manualWorld();
  const hub = new Hub();
  hub.kept = sealTicketKeys(fresh(world), secret);
  world.advance(HOUR_MS + 1);
  const one = node(world, hub);
  one.rotation.follow({ rotateMs: HOUR_MS, secret });
  await one.rotation.join('theirs');
  assert.equal(one.changes.length, 0);
  assert.equal(hub.published.length, 1);
});

test('the node that rotates first publishes, the others adopt and wait anew', async () => {
  const world = manualWorld();
  const hub = new Hub();
  const shared = fresh(world);
  const nodes = [node(world, hub, shared), node(world, hub, shared), node(world, hub, shared)];
  for (const [place, { rotation }] of nodes.entries()) {
    rotation.follow({ rotateMs: HOUR_MS * (place + 1), secret });
    await rotation.join('theirs');
  }
  await hub.deliver();
  for (let minute = 0; minute <= 61; minute++) {
    world.advance(60_000);
    await hub.deliver();
    await setImmediate();
  }
  assert.ok(agree(...nodes));
  assert.deepEqual(
    nodes.map(({ changes }) => changes.length),
    [1, 1, 1],
  );
  assert.equal(hub.published.length, 2, 'the first keys, and the ones after them');
});

test('nodes that rotate at the same moment come to one key, in whatever order they hear, and then fall silent', async () => {
  for (let round = 0; round < 20; round++) {
    const world = manualWorld();
    const hub = new Hub();
    const nodes = [1, 2, 3, 4].map(() => node(world, hub, fresh(world)));
    for (const { rotation } of nodes) {
      rotation.follow({ rotateMs: HOUR_MS, secret });
      await rotation.join('newest');
    }
    await hub.deliver();
    assert.ok(agree(...nodes), `round ${round}`);
    const last = nodes[0]!.rotation.keys;
    assert.equal(hub.kept, sealTicketKeys(last, secret), 'what a later node finds is what all use');
    assert.ok(hub.published.length <= 64, `${hub.published.length} messages`);
  }
});

test('a node that was cut off adopts what the others have when it looks again', async () => {
  const world = manualWorld();
  const hub = new Hub();
  const shared = fresh(world);
  const [one, other] = [node(world, hub, shared), node(world, hub, shared)];
  one.rotation.follow({ rotateMs: HOUR_MS, secret });
  other.rotation.follow({ rotateMs: HOUR_MS, secret });
  hub.broken = true;
  world.advance(HOUR_MS + 60_000);
  await setImmediate();
  assert.equal(agree(one, other), false);
  hub.broken = false;
  for (let look = 0; look < 3; look++) {
    world.advance(60_000);
    await setImmediate();
    await hub.deliver();
  }
  assert.ok(agree(one, other));
  assert.equal(one.events.filter((event) => event === 'ticket-exchange-failed').length, 1, 'one warning');
});

test('what is sealed with another secret changes nothing, and what is old is answered with what is new', async () => {
  const world = manualWorld();
  const hub = new Hub();
  const old = fresh(world);
  world.advance(1000);
  const one = node(world, hub);
  one.rotation.follow({ rotateMs: HOUR_MS, secret });
  hub.say(sealTicketKeys({ ...old, madeAt: world.now() + HOUR_MS }, 'some other secret'));
  hub.say('nonsense');
  assert.deepEqual(one.events, ['ticket-keys-refused', 'ticket-keys-refused']);
  hub.say(sealTicketKeys(old, secret));
  assert.equal(one.changes.length, 0);
  assert.deepEqual(hub.published, [sealTicketKeys(one.rotation.keys, secret)]);
});

test('keys from a clock that is ahead are used no longer than others, and what replaces them is younger', async () => {
  const world = manualWorld();
  const hub = new Hub();
  const [one, other] = [node(world, hub), node(world, hub)];
  one.rotation.follow({ rotateMs: HOUR_MS, secret });
  other.rotation.follow({ rotateMs: 2 * HOUR_MS, secret });
  const ahead = { bytes: makeTicketKeys(world), madeAt: world.now() + 1000 * HOUR_MS };
  hub.say(sealTicketKeys(ahead, secret));
  assert.ok(agree(one, other));
  world.advance(HOUR_MS + 60_000);
  await hub.deliver();
  assert.equal(one.rotation.keys.madeAt, ahead.madeAt + 1);
  assert.ok(agree(one, other));
});

test('without a secret the exchange is left alone', async () => {
  const world = manualWorld();
  const hub = new Hub();
  const one = node(world, hub);
  one.rotation.follow({ rotateMs: HOUR_MS, secret: null });
  await one.rotation.join('theirs');
  world.advance(HOUR_MS);
  assert.equal(one.changes.length, 1);
  assert.deepEqual(hub.published, []);
});
