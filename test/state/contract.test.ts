// What every store promises, held against the file and against a real Redis.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createLog } from '../../src/log.ts';
import { openEmbedded } from '../../src/state/embedded.ts';
import { openRedis } from '../../src/state/redis.ts';
import type { Store } from '../../src/state/store.ts';
import { realWorld } from '../../src/world.ts';
import { startRedis } from '../support/redis.ts';
import { until } from '../support/program.ts';

const log = createLog({ level: 'error', format: 'json' });
const folder = mkdtempSync(join(tmpdir(), 'sallyport-state-'));
const redis = await startRedis({ password: 'knock' });
let files = 0;
const open: Store[] = [];
after(async () => {
  for (const store of open) await store.close();
  await redis.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function kept(store: Store | Promise<Store>): Promise<Store> {
  open.push(await store);
  return store;
}

/** The clock of a store, ahead of ours by `aheadMs`. */
const clock = (aheadMs: () => number): typeof realWorld => ({
  ...realWorld,
  now: () => Date.now() + aheadMs(),
});

const HOMES = {
  embedded: (aheadMs: () => number) =>
    kept(openEmbedded({ file: join(folder, `${++files}.db`), world: clock(aheadMs), log })),
  redis: (aheadMs: () => number) => kept(openRedis({ url: redis.url, world: clock(aheadMs), log })),
} as const;

const soon = (): number => Date.now() + 60_000;
const noTime = (): number => 0;

for (const [home, openStore] of Object.entries(HOMES)) {
  test(`${home}: what is put is there, by key and in the table, until it is removed`, async () => {
    const store = await openStore(noTime);
    const expiresAt = soon();
    const entries = [
      { key: 'a b', value: 'one two', expiresAt },
      { key: 'ü', value: '{"x":"ß"}', expiresAt },
    ];
    await store.put('put', entries);
    assert.deepEqual(await store.get('put', 'a b'), entries[0]);
    assert.deepEqual(
      (await store.load('put')).toSorted((a, b) => a.key.localeCompare(b.key)),
      entries,
    );
    assert.equal(await store.get('other', 'a b'), null);
    await store.remove('put', ['a b', 'not there']);
    assert.equal(await store.get('put', 'a b'), null);
    assert.equal((await store.load('put')).length, 1);
  });

  test(`${home}: an entry that has expired is not there, and its neighbour is`, async () => {
    let ahead = 0;
    const store = await openStore(() => ahead);
    await store.put('ends', [
      { key: 'short', value: '1', expiresAt: Date.now() + 5000 },
      { key: 'long', value: '2', expiresAt: Date.now() + 90_000 },
    ]);
    ahead = 10_000;
    assert.equal(await store.get('ends', 'short'), null);
    assert.deepEqual(
      (await store.load('ends')).map(({ key }) => key),
      ['long'],
    );
    assert.equal(await store.change('ends', { key: 'short', from: '1', to: null }), false);
    assert.equal(
      await store.change('ends', {
        key: 'short',
        from: null,
        to: { value: '3', expiresAt: Date.now() + 99_000 },
      }),
      true,
    );
    assert.equal((await store.get('ends', 'short'))?.value, '3');
  });

  test(`${home}: a change happens only where it finds what it expects`, async () => {
    const store = await openStore(noTime);
    const to = (value: string) => ({ value, expiresAt: soon() });
    const key = 'k';
    assert.equal(await store.change('cas', { key, from: 'x', to: to('y') }), false);
    assert.equal(await store.change('cas', { key, from: null, to: to('x') }), true);
    assert.equal(await store.change('cas', { key, from: null, to: to('z') }), false);
    assert.equal(await store.change('cas', { key, from: 'x', to: to('y') }), true);
    assert.equal((await store.get('cas', key))?.value, 'y');
    assert.equal(await store.change('cas', { key, from: 'x', to: null }), false);
    assert.equal(await store.change('cas', { key, from: 'y', to: null }), true);
    assert.equal(await store.get('cas', key), null);
  });

  test(`${home}: of many who change the same entry at once, each sees all before him`, async () => {
    const store = await openStore(noTime);
    const count = async (): Promise<void> => {
      for (;;) {
        const old = await store.get('race', 'n');
        const value = String(Number(old?.value ?? 0) + 1);
        const from = old?.value ?? null;
        if (await store.change('race', { key: 'n', from, to: { value, expiresAt: soon() } })) return;
      }
    };
    await Promise.all(Array.from({ length: 20 }, count));
    assert.equal((await store.get('race', 'n'))?.value, '20');
  });

  test(`${home}: a thousand entries in one go`, async () => {
    const store = await openStore(noTime);
    const entries = Array.from({ length: 1234 }, (_, i) => ({
      key: `k${i}`,
      value: `v${i}`,
      expiresAt: soon(),
    }));
    await store.put('many', entries);
    assert.equal((await store.load('many')).length, 1234);
    await store.remove(
      'many',
      entries.map(({ key }) => key),
    );
    assert.deepEqual(await store.load('many'), []);
  });

  test(`${home}: nothing of the password is in its name`, async () => {
    const store = await openStore(noTime);
    assert.doesNotMatch(store.home, /knock/);
    assert.equal(store.state, 'up');
  });
}

test('redis: a node hears what others change, not what it changes itself', async () => {
  const [one, two] = [await HOMES.redis(noTime), await HOMES.redis(noTime)];
  const heard: string[] = [];
  for (const [name, store] of [
    ['one', one],
    ['two', two],
  ] as const)
    store.watch('news', (key, entry) => heard.push(`${name} ${key} ${entry?.value ?? 'gone'}`));
  // The ear is connected by itself: it is there when it hears.
  await until(
    () => {
      void one.put('news', [{ key: 'probe', value: '1', expiresAt: soon() }]);
      return heard.includes('two probe 1');
    },
    5000,
    () => heard.join(),
  );
  await one.put('news', [{ key: 'k', value: 'v', expiresAt: soon() }]);
  await one.change('news', { key: 'k', from: 'v', to: { value: 'w', expiresAt: soon() } });
  await one.remove('news', ['k', 'nothing']);
  await until(
    () => heard.includes('two k gone'),
    5000,
    () => heard.join(),
  );
  const ofOthers = heard.filter((line) => !line.includes('probe'));
  assert.deepEqual(ofOthers, ['two k v', 'two k w', 'two k gone']);
});

test('redis: a count is over all nodes, all keys of a claim or none, and it goes down again', async () => {
  const [one, two] = [(await HOMES.redis(noTime)).counts!, (await HOMES.redis(noTime)).counts!];
  await Promise.all([one.sync(() => []), two.sync(() => [['c:k', 1]])]);
  const claims = [
    { key: 'c:k', limit: 3 },
    { key: 'c:all', limit: 100 },
  ];
  assert.equal(await one.take(claims), null);
  assert.equal(await two.take(claims), null);
  assert.equal(await one.take(claims), 'c:k');
  assert.equal(await one.take([{ key: 'c:all', limit: 2 }]), 'c:all', 'two were taken');
  await two.add([
    ['c:k', -1],
    ['c:all', -1],
  ]);
  assert.equal(await one.take(claims), null);
  assert.equal(await two.renew(), true);
});

test('redis: what a node says anew replaces what it said before, and a node that is gone counts no more', async () => {
  const store = await HOMES.redis(noTime);
  const [one, two] = [store.counts!, (await HOMES.redis(noTime)).counts!];
  await two.sync(() => []);
  await one.sync(() => [['s:k', 5]]);
  assert.equal(await two.take([{ key: 's:k', limit: 5 }]), 's:k');
  await one.sync(() => [['s:k', 2]]);
  assert.equal(await two.take([{ key: 's:k', limit: 3 }]), null);
  assert.equal(await two.take([{ key: 's:k', limit: 3 }]), 's:k');
});
