// Moves of users between supervisors that share a store: held everywhere, waited for everywhere, kept over restarts; the
// same in the file (a restart has two processes at it) as in Redis (two machines).

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { BackendSettings } from '../../../src/config/settings.ts';
import { createLog } from '../../../src/log.ts';
import { moveUser } from '../../../src/service/placements/move.ts';
import {
  DONE_TABLE,
  NODE_TABLE,
  PLACEMENT_TABLE,
  PlacementBook,
  serverOf,
} from '../../../src/service/placements/book.ts';
import { openEmbedded } from '../../../src/state/embedded.ts';
import { openRedis } from '../../../src/state/redis.ts';
import type { Store } from '../../../src/state/store.ts';
import { realWorld } from '../../../src/world.ts';
import { until } from '../../support/program.ts';
import { startRedis } from '../../support/redis.ts';

const quiet = createLog({ level: 'error', format: 'json', write: () => undefined });
const folder = mkdtempSync(join(tmpdir(), 'sallyport-placements-'));
const redis = await startRedis();
const nodes: Node[] = [];
let files = 0;
after(async () => {
  for (const node of nodes) await node.store.close();
  await redis.stop();
  rmSync(folder, { recursive: true, force: true });
});

const HOMES = {
  embedded: (file: string) => Promise.resolve(openEmbedded({ file, world: realWorld, log: quiet })),
  redis: () => openRedis({ url: redis.url, world: realWorld, log: quiet }),
} as const;

function settingsWith(...hosts: string[]): Parameters<PlacementBook['update']>[0] {
  const servers = hosts.map((host) => ({ kind: 'tcp', host, port: 143 }) as const);
  const stores = { name: 'stores', balance: 'hash', servers } as unknown as BackendSettings;
  return { backends: { stores }, directory: { type: 'none' } };
}

interface Node {
  readonly book: PlacementBook;
  readonly store: Store;
  readonly lines: Record<string, unknown>[];
  /** What the workers say is left, and what they were told to end. */
  left: number | null;
  readonly evicted: { key: string; except: string | null }[];
  move(user: string, to: string | null, waitMs?: number): Promise<string | null>;
}

/** A supervisor as far as moves go. */
async function open(home: keyof typeof HOMES, file: string): Promise<Node> {
  const store = await HOMES[home](file);
  const lines: Record<string, unknown>[] = [];
  const log = createLog({
    level: 'info',
    format: 'json',
    write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>),
  });
  const evicted: Node['evicted'] = [];
  const book = new PlacementBook({
    world: realWorld,
    log,
    pool: {
      tellAll: () => undefined,
      askAll: async (question) => {
        const message = question(1);
        if (message.kind === 'evict') evicted.push(message.eviction);
        return [node.left];
      },
    },
  });
  const node: Node = {
    book,
    store,
    lines,
    left: 0,
    evicted,
    move: (user, to, waitMs = 5000) =>
      moveUser(
        { book, store, world: realWorld, log },
        { user, targets: [{ backend: 'stores', to }], waitMs },
      ),
  };
  nodes.push(node);
  book.use(store);
  book.update(settingsWith('store1', 'store2'));
  store.watch(PLACEMENT_TABLE, (key, entry) => book.hearOther(key, entry));
  store.onState((state) => void (state === 'up' && book.load(store)));
  await book.load(store);
  await book.signOn();
  return node;
}

const placesOf = ({ book }: Node): unknown[] => book.all.map(([key, { server }]) => [key, server]);

for (const home of Object.keys(HOMES) as (keyof typeof HOMES)[]) {
  test(`${home}: a move waits for the other supervisor, holds in both, and outlives them`, async () => {
    const file = join(folder, `${++files}.db`);
    const [one, two] = [await open(home, file), await open(home, file)];
    two.left = 1;
    const moved = one.move('Anna', 'store2');
    await until(
      () => two.evicted.length > 1,
      5000,
      () => 'the other one did not hear of the hold',
    );
    assert.equal(one.book.find('stores anna')?.server, null, 'not before all are done');
    assert.deepEqual(two.evicted[0], { key: 'stores anna', except: null });
    two.left = 0;
    assert.equal(await moved, null);
    assert.deepEqual(placesOf(one), [['stores anna', 'store2']]);
    await until(
      () => placesOf(two).length === 1 && two.book.find('stores anna')?.hold === null,
      5000,
      () => 'the other one did not hear of the end',
    );
    const third = await open(home, file);
    assert.deepEqual(placesOf(third), [['stores anna', 'store2']]);
    assert.equal(await third.move('anna', null), null);
    await until(
      () => placesOf(one).length === 0,
      5000,
      () => 'the way back was not heard of',
    );
    for (const node of [one, two, third]) await node.book.signOff();
  });

  test(`${home}: sessions that do not end at the other supervisor leave the user where it was, everywhere`, async () => {
    const file = join(folder, `${++files}.db`);
    const [one, two] = [await open(home, file), await open(home, file)];
    assert.equal(await one.move('bert', 'store1'), null);
    two.left = null;
    assert.equal(
      await one.move('bert', 'store2', 800),
      '1 of 2 supervisors did not say that theirs have ended',
    );
    for (const node of [one, two]) {
      await until(
        () => node.book.find('stores bert')?.hold === null,
        5000,
        () => 'it is still held',
      );
      assert.deepEqual(placesOf(node), [['stores bert', 'store1']]);
    }
    two.left = 0;
    assert.equal(await one.move('bert', null), null);
    for (const node of [one, two]) await node.book.signOff();
  });

  test(`${home}: of two moves of one user at once one is refused, and the user is where the other says`, async () => {
    const file = join(folder, `${++files}.db`);
    const [one, two] = [await open(home, file), await open(home, file)];
    const ends = await Promise.all([one.move('cleo', 'store1'), two.move('cleo', 'store2')]);
    assert.deepEqual(ends.toSorted(), [null, 'the user is being moved already']);
    const place = [['stores cleo', ends[0] === null ? 'store1' : 'store2']];
    for (const node of [one, two]) {
      await until(
        () => JSON.stringify(placesOf(node)) === JSON.stringify(place),
        5000,
        () => `expected ${JSON.stringify(place)}, found ${JSON.stringify(placesOf(node))}`,
      );
    }
    assert.equal(await one.move('cleo', null), null);
    for (const node of [one, two]) await node.book.signOff();
  });
}

test('a supervisor that has died is waited for until its lease ends, one that has signed off is not', async () => {
  const [one, gone] = [await open('redis', ''), await open('redis', '')];
  gone.store.watch(PLACEMENT_TABLE, () => undefined);
  assert.equal(
    await one.move('dora', 'store2', 500),
    '1 of 2 supervisors did not say that theirs have ended',
  );
  await gone.book.signOff();
  assert.equal(await one.move('dora', 'store2'), null);
  assert.equal(await one.move('dora', null), null);
  await one.book.signOff();
});

test('one that has missed a move ends what leads to another server than the new one', async () => {
  const [one, two] = [await open('redis', ''), await open('redis', '')];
  two.store.watch(PLACEMENT_TABLE, () => undefined);
  await two.book.signOff();
  assert.equal(await one.move('emil', 'store2'), null);
  assert.deepEqual(two.evicted, []);
  await two.book.load(two.store);
  assert.deepEqual(two.evicted, [{ key: 'stores emil', except: 'store2:143' }]);
  assert.equal(await one.move('emil', null), null);
  for (const node of [one, two]) await node.book.signOff();
});

test('a store that is not reached refuses a move, and what is known goes on', async () => {
  const one = await open('redis', '');
  assert.equal(await one.move('fred', 'store2'), null);
  const away = { ...one.store, state: 'down' } as unknown as Store;
  const mover = { book: one.book, store: away, world: realWorld, log: quiet };
  const order = { user: 'fred', targets: [{ backend: 'stores', to: 'store1' }], waitMs: 500 };
  assert.equal(await moveUser(mover, order), 'the store of shared state is not reached');
  assert.deepEqual(placesOf(one), [['stores fred', 'store2']]);
  assert.equal(await one.move('fred', null), null);
  await one.book.signOff();
});

test('a server that the settings lose is named once with its users, and has no address; back, it has', async () => {
  const one = await open('embedded', join(folder, `${++files}.db`));
  assert.equal(await one.move('gerd', 'store2'), null);
  assert.equal(await one.move('hans', 'store2'), null);
  const residents = (): unknown => one.book.residents.map(({ address, users }) => [address, users]);
  assert.deepEqual(residents(), [['store2:143', 2]]);
  for (let round = 0; round < 2; round++) one.book.update(settingsWith('store1', 'store3'));
  assert.deepEqual(residents(), [[null, 2]]);
  const said = one.lines.filter(({ event }) => event === 'moved-users-stranded');
  assert.deepEqual(
    said.map(({ backend, server, users }) => [backend, server, users]),
    [['stores', 'store2', 2]],
  );
  one.book.update(settingsWith('store2'));
  assert.deepEqual(residents(), [['store2:143', 2]]);
});

test('only a backend that hashes has a place for a user', () => {
  const { stores } = settingsWith('store1').backends;
  assert.ok(stores !== undefined);
  assert.equal(serverOf(stores, 'store1'), 'store1:143');
  assert.equal(serverOf(stores, 'store9'), null);
  assert.equal(serverOf({ ...stores, balance: 'roundRobin' }, 'store1'), null);
  assert.equal(serverOf(undefined, 'store1'), null);
});

test('what was said of moves and supervisors ends by itself, a place does not', async () => {
  const one = await open('embedded', join(folder, `${++files}.db`));
  assert.equal(await one.move('ida', 'store2'), null);
  const soon = Date.now() + 60_000;
  for (const table of [NODE_TABLE, DONE_TABLE]) {
    for (const { expiresAt } of await one.store.load(table)) assert.ok(expiresAt < soon, table);
  }
  const [place] = await one.store.load(PLACEMENT_TABLE);
  assert.ok((place?.expiresAt ?? 0) > soon);
});
