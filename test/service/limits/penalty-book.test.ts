// The supervisor's table of penalties: what it tells, keeps, forgets, and how it outlives restarts and lost stores.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultSettings } from '../../../src/config/load.ts';
import type { PenaltySettings } from '../../../src/config/settings.ts';
import { PenaltyBook } from '../../../src/service/limits/penalty-book.ts';
import { PenaltyReplica } from '../../../src/service/limits/penalty-replica.ts';
import type { FromGuard, PenaltyChange } from '../../../src/service/limits/sharing.ts';
import { createLog } from '../../../src/log.ts';
import { openEmbedded } from '../../../src/state/embedded.ts';
import type { Store } from '../../../src/state/store.ts';
import { manualWorld, type ManualWorld } from '../../support/manual-world.ts';

const RULES = defaultSettings().penalties;
const log = createLog({ level: 'error', format: 'json', write: () => undefined });

/** In memory, as a file that cannot be had is. */
const memory = (world: ManualWorld): Store => openEmbedded({ file: '/nowhere/state.db', world, log });

function open(world: ManualWorld, rules: Partial<PenaltySettings> = {}) {
  const told: PenaltyChange[] = [];
  const book = new PenaltyBook({ world, announce: (changes) => told.push(...changes) });
  book.update({ ...RULES, ...rules });
  return { book, told };
}

const failed = (key: string, failures = 1) => ({ key, forgiven: false, failures });

test('what one worker reports, all are told', () => {
  const { book, told } = open(manualWorld());
  book.hear([failed('192.0.2.7', 2)]);
  assert.deepEqual(
    told.map(([key, penalty]) => [key, penalty?.delayMs]),
    [['192.0.2.7', 4000]],
  );
  book.hear([{ key: '192.0.2.7', forgiven: true, failures: 1 }]);
  book.hear([{ key: '192.0.2.7', forgiven: true, failures: 0 }]);
  assert.deepEqual(
    told.slice(1).map(([, penalty]) => penalty?.delayMs ?? null),
    [2000, null],
  );
  assert.equal(book.size, 0);
});

test('it outlives a restart', async () => {
  const world = manualWorld();
  const store = memory(world);
  const first = open(world).book;
  first.hear([failed('192.0.2.7', 3), failed('192.0.2.8'), failed('192.0.2.9')]);
  await first.save(store);
  first.hear([{ key: '192.0.2.8', forgiven: true, failures: 0 }]);
  await first.save(store);
  assert.equal(first.isDirty, false);
  const second = open(world).book;
  await second.load(store);
  assert.deepEqual(new Map(second.all).get('192.0.2.7')?.delayMs, 6000);
  assert.equal(second.size, 2);
  world.advance(900_000);
  assert.equal(second.size, 0, 'what is over is forgotten');
  assert.deepEqual(await store.load('penalties'), []);
});

test('a store that fails is caught up with, and meanwhile memory decides', async () => {
  const world = manualWorld();
  const store = memory(world);
  const broken: Store = {
    ...store,
    counts: null,
    put: () => Promise.reject(new Error('disk full')),
  } as Store;
  const { book } = open(world);
  book.hear([failed('192.0.2.7')]);
  await assert.rejects(book.save(broken), /disk full/);
  book.hear([failed('192.0.2.7')]);
  assert.equal(book.isDirty, true);
  await book.save(store);
  assert.equal((await store.load('penalties'))[0]?.value, JSON.stringify([4000, world.now()]));
});

test('only the latest addresses are remembered, here and in the store', async () => {
  const world = manualWorld();
  const store = memory(world);
  const { book } = open(world, { remembered: 100 });
  for (let i = 0; i < 1000; i++) {
    book.hear([failed(`10.0.${i >> 8}.${i & 255}`), failed('192.0.2.7')]);
    if (i % 50 === 0) await book.save(store);
  }
  await book.save(store);
  assert.equal(book.size, 100);
  const kept = await store.load('penalties');
  assert.equal(kept.length, 100);
  assert.ok(
    kept.some(({ key }) => key === '192.0.2.7'),
    'who goes on failing is not forgotten',
  );
});

test('two machines that fail the same address at once add up', async () => {
  const world = manualWorld();
  const store = memory(world);
  const shared = new Proxy(store, { get: (target, name) => (name === 'counts' ? {} : bind(target, name)) });
  const [one, two] = [open(world).book, open(world).book];
  one.hear([failed('192.0.2.7', 2)]);
  two.hear([failed('192.0.2.7', 3)]);
  await Promise.all([one.save(shared), two.save(shared)]);
  assert.equal((await store.load('penalties'))[0]?.value, JSON.stringify([10_000, world.now()]));
  one.hearOther('192.0.2.7', (await store.get('penalties', '192.0.2.7')) ?? null);
  assert.equal(new Map(one.all).get('192.0.2.7')?.delayMs, 10_000);
  one.hearOther('192.0.2.7', null);
  assert.equal(one.size, 0);
  one.hearOther('192.0.2.9', { key: '192.0.2.9', value: 'rubbish', expiresAt: 0 });
  assert.equal(one.size, 0);
});

function bind(store: Store, name: string | symbol): unknown {
  const value: unknown = Reflect.get(store, name);
  return typeof value === 'function' ? (value.bind(store) as unknown) : value;
}

test('a worker knows at once what happened there, says it once a batch, and says nothing of the innocent', () => {
  const world = manualWorld();
  const sent: FromGuard[] = [];
  const replica = new PenaltyReplica({ rules: RULES, world, send: (note) => sent.push(note) });
  replica.forgive('192.0.2.1');
  world.advance(100);
  assert.deepEqual([sent, replica.delayOf('192.0.2.1')], [[], 0]);
  replica.failed('192.0.2.7');
  replica.failed('192.0.2.7');
  replica.failed('192.0.2.8');
  replica.forgive('192.0.2.8');
  assert.deepEqual([replica.delayOf('192.0.2.7'), replica.delayOf('192.0.2.8')], [4000, 0]);
  world.advance(100);
  assert.deepEqual(sent, [
    {
      what: 'misdeeds',
      misdeeds: [failed('192.0.2.7', 2), { key: '192.0.2.8', forgiven: true, failures: 0 }],
    },
  ]);
  replica.hear([['192.0.2.7', { delayMs: 2000, at: world.now() }]]);
  assert.equal(replica.delayOf('192.0.2.7'), 4000, 'an echo of less takes nothing back');
  replica.hear([
    ['192.0.2.7', { delayMs: 8000, at: world.now() }],
    ['192.0.2.9', { delayMs: 2000, at: world.now() }],
  ]);
  assert.deepEqual([replica.delayOf('192.0.2.7'), replica.delayOf('192.0.2.9')], [8000, 2000]);
  replica.hear([['192.0.2.7', null]]);
  assert.equal(replica.delayOf('192.0.2.7'), 0);
  replica.update({ ...RULES, remembered: 0 });
  assert.equal(replica.size, 0);
});
