// The supervisor's grants and the workers' view of them: earned in one place and there in all, over restarts, over lost
// stores, over two machines; and the same in the file as in Redis.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { PopBeforeSmtpSettings } from '../../../src/config/settings.ts';
import { createLog } from '../../../src/log.ts';
import type { Grant, GrantChange } from '../../../src/policy/grants.ts';
import { GRANT_TABLE, GrantBook } from '../../../src/service/grants/book.ts';
import { ANSWER_LIMIT_MS, GrantReplica } from '../../../src/service/grants/replica.ts';
import { GrantTable } from '../../../src/service/grants/table.ts';
import { ALONE, asFromGuard, type FromGuard } from '../../../src/service/limits/sharing.ts';
import { openEmbedded } from '../../../src/state/embedded.ts';
import { openRedis } from '../../../src/state/redis.ts';
import type { Store } from '../../../src/state/store.ts';
import { realWorld } from '../../../src/world.ts';
import { manualWorld, type ManualWorld } from '../../support/manual-world.ts';
import { until } from '../../support/program.ts';
import { startRedis } from '../../support/redis.ts';

const RULES: PopBeforeSmtpSettings = {
  channel: 'tcp_intranet',
  ttlMs: 900_000,
  protocols: ['pop3'],
  prefix6: 64,
  tell: [],
  excluded: [],
};
const ALL = { user: null, network: null };
const quiet = createLog({ level: 'error', format: 'json', write: () => undefined });
const folder = mkdtempSync(join(tmpdir(), 'sallyport-grants-'));
const redis = await startRedis();
const stores: Store[] = [];
let files = 0;
after(async () => {
  for (const store of stores) await store.close();
  await redis.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function kept(store: Store | Promise<Store>): Promise<Store> {
  stores.push(await store);
  return store;
}

const HOMES = {
  embedded: (file: string) => kept(openEmbedded({ file, world: realWorld, log: quiet })),
  redis: () => kept(openRedis({ url: redis.url, world: realWorld, log: quiet })),
} as const;

/** In memory, as a file that cannot be had is. */
const memory = (world: ManualWorld): Store => openEmbedded({ file: '/nowhere/state.db', world, log: quiet });

type Clock = Pick<ManualWorld, 'now'> & typeof realWorld;

function open(world: Clock | ManualWorld = realWorld, rules: Partial<PopBeforeSmtpSettings> = {}) {
  const told: GrantChange[] = [];
  const lines: Record<string, unknown>[] = [];
  const log = createLog({
    level: 'info',
    format: 'json',
    write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>),
  });
  const announce = async (changes: readonly GrantChange[]): Promise<void> => void told.push(...changes);
  const book = new GrantBook({ world, log, announce });
  book.update({ ...RULES, ...rules });
  return { book, told, lines };
}

const grant = (user: string, at: number): Grant => ({ user, service: 'pop3', at });
const usersOf = (book: GrantBook): string[] => book.all.map(([, { user }]) => user);

for (const [home, openStore] of Object.entries(HOMES)) {
  test(`${home}: an earned grant is in the store and with all workers before the answer, and outlives a restart`, async () => {
    const store = await openStore(join(folder, `${++files}.db`));
    const now = Date.now();
    const { book, told } = open();
    await book.earn(store, '192.0.2.7', grant('anna', now));
    assert.deepEqual(told, [['192.0.2.7', grant('anna', now)]]);
    const entry = await store.get(GRANT_TABLE, '192.0.2.7');
    assert.equal(entry?.expiresAt, now + RULES.ttlMs);
    const next = open();
    await next.book.load(store);
    assert.deepEqual(next.book.all, [['192.0.2.7', grant('anna', now)]]);
    await book.revoke(store, ALL);
  });

  test(`${home}: what is revoked is gone from the store, for another book too; the neighbour stays`, async () => {
    const store = await openStore(join(folder, `${++files}.db`));
    const { book, told } = open();
    const now = Date.now();
    await book.earn(store, '192.0.2.7', grant('anna', now));
    await book.earn(store, '192.0.2.8', grant('bert', now));
    assert.deepEqual(await book.revoke(store, { user: 'anna', network: null }), {
      revoked: 1,
      isPending: false,
    });
    assert.deepEqual(told.at(-1), ['192.0.2.7', null]);
    const next = open();
    await next.book.load(store);
    assert.deepEqual(usersOf(next.book), ['bert']);
    assert.equal((await book.revoke(store, ALL)).revoked, 1);
    assert.equal((await book.revoke(store, ALL)).revoked, 0);
  });
}

test('two machines: a grant of one is found by the other at once, and a revocation is heard', async () => {
  const [one, two] = [open(), open()];
  const [first, second] = [await HOMES.redis(), await HOMES.redis()];
  second.watch(GRANT_TABLE, (key, entry) => two.book.hearOther(key, entry));
  const now = Date.now();
  await one.book.earn(first, '192.0.2.9', grant('anna', now));
  assert.deepEqual(await two.book.find(second, '192.0.2.9'), grant('anna', now));
  assert.equal(await two.book.find(second, '192.0.2.10'), null);
  await until(
    () => usersOf(two.book).length === 1,
    5000,
    () => 'the second machine did not hear',
  );
  await one.book.revoke(first, ALL);
  await until(
    () => usersOf(two.book).length === 0,
    5000,
    () => 'the second machine did not hear of the revocation',
  );
  assert.deepEqual(two.told.at(-1), ['192.0.2.9', null]);
});

test('a book that has heard nothing for a while takes over what was earned and drops what was revoked', async () => {
  const [one, two] = [open(), open()];
  const store = await HOMES.redis();
  const now = Date.now() - 1000;
  await one.book.earn(store, '192.0.2.1', grant('anna', now));
  await two.book.load(store);
  await one.book.revoke(store, ALL);
  await one.book.earn(store, '192.0.2.2', grant('bert', now));
  await two.book.load(store);
  assert.deepEqual(usersOf(two.book), ['bert']);
  assert.deepEqual(two.told.slice(-2), [
    ['192.0.2.2', grant('bert', now)],
    ['192.0.2.1', null],
  ]);
  await one.book.revoke(store, ALL);
});

test('a store that is down or fails: no grant, one warning, and none of the old ones is lost', async () => {
  const world = manualWorld();
  const store = memory(world);
  const down = { home: 'redis://r:6379/0', state: 'down' } as Store;
  const broken = { home: 'state.db', state: 'up', put: () => Promise.reject(new Error('disk full')) };
  const { book, told, lines } = open(world);
  await book.earn(store, 'a', grant('anna', world.now()));
  await book.earn(down, 'b', grant('bert', world.now()));
  await book.earn(broken as unknown as Store, 'b', grant('bert', world.now()));
  await book.earn(null, 'b', grant('bert', world.now()));
  assert.deepEqual(usersOf(book), ['anna']);
  assert.equal(told.length, 1);
  assert.deepEqual(
    lines.map(({ event, store: where }) => [event, where]),
    [['grant-not-kept', 'redis://r:6379/0']],
  );
  await book.earn(store, 'b', grant('bert', world.now()));
  await book.earn(down, 'c', grant('carl', world.now()));
  assert.equal(lines.length, 2, 'said anew after it was well');
  assert.deepEqual(usersOf(book), ['anna', 'bert']);
});

test('a revocation that the store has not heard of holds here, is not undone by it, and is written later', async () => {
  const world = manualWorld();
  const store = memory(world);
  const { book } = open(world);
  await book.earn(store, 'a', grant('anna', world.now()));
  const down = { home: 'x', state: 'down' } as Store;
  assert.deepEqual(await book.revoke(down, ALL), { revoked: 1, isPending: true });
  assert.equal(await book.find(store, 'a'), null);
  assert.equal(book.isDirty, true);
  assert.equal((await store.load(GRANT_TABLE)).length, 1);
  await book.load(store);
  assert.deepEqual([usersOf(book), book.isDirty], [[], false]);
  assert.deepEqual(await store.load(GRANT_TABLE), []);
});

test('a login refreshes, ttl ends it, and a shorter ttl of new settings ends it sooner', async () => {
  const world = manualWorld();
  const store = memory(world);
  const { book } = open(world);
  await book.earn(store, 'a', grant('anna', world.now()));
  world.advance(600_000);
  await book.earn(store, 'a', grant('anna', world.now()));
  world.advance(600_000);
  assert.deepEqual(usersOf(book), ['anna']);
  book.update({ ...RULES, ttlMs: 600_000 });
  assert.deepEqual(usersOf(book), []);
  book.update(RULES);
  assert.deepEqual(usersOf(book), ['anna']);
  book.update(null);
  assert.deepEqual(usersOf(book), []);
  book.update(RULES);
  world.advance(300_000);
  assert.deepEqual(usersOf(book), []);
  assert.equal(await book.find(store, 'a'), null);
});

test('a worker whose clock is ahead, or who lies, makes no grant longer', async () => {
  const world = manualWorld();
  const { book } = open(world);
  await book.earn(memory(world), 'a', grant('anna', world.now() + 86_400_000));
  world.advance(RULES.ttlMs);
  assert.deepEqual(usersOf(book), []);
});

test('of too many grants the oldest is forgotten', () => {
  const world = manualWorld();
  const table = new GrantTable(world, 2);
  table.rules = RULES;
  for (const key of ['a', 'b', 'a', 'c']) table.set(key, grant(key, world.now()));
  assert.deepEqual(
    table.all.map(([key]) => key),
    ['a', 'c'],
  );
});

function replica(options: { world?: ManualWorld; nodes?: boolean } = {}) {
  const { world = manualWorld(), nodes = false } = options;
  const sent: FromGuard[] = [];
  const made = new GrantReplica({ rules: RULES, world, send: (note) => void sent.push(note) });
  made.join({ ...ALONE, nodes });
  return { made, sent, world };
}

test('a worker tells what is earned, and its client waits for the answer, not for ever', async () => {
  const { made, sent, world } = replica();
  let done = 0;
  const earn = (address: string): Promise<void> =>
    made.earn(address, grant('anna', world.now())).then(() => void done++);
  const first = earn('192.0.2.7');
  const second = earn('2001:db8:0:0:1::9');
  assert.deepEqual(
    sent.map((note) => (note.what === 'earned' ? [note.question, note.key] : note)),
    [
      [1, '192.0.2.7'],
      [2, '2001:db8::/64'],
    ],
  );
  assert.ok(sent.every((note) => asFromGuard(structuredClone(note)) !== null));
  made.answer(1, grant('anna', world.now()));
  await first;
  assert.equal(done, 1);
  assert.equal(made.find('192.0.2.7'), null, 'it is the supervisor that says what is there');
  world.advance(ANSWER_LIMIT_MS);
  await second;
  made.answer(2, null);
  assert.equal(done, 2);
});

test('a worker finds what it was told of at once, without a question, until it is over or revoked', async () => {
  const { made, sent, world } = replica();
  made.hear([
    ['192.0.2.7', grant('anna', world.now())],
    ['2001:db8::/64', grant('bert', world.now())],
  ]);
  assert.deepEqual(made.find('192.0.2.7'), grant('anna', world.now()));
  assert.deepEqual(made.find('2001:db8::77'), grant('bert', world.now()));
  assert.equal(made.find('192.0.2.8'), null);
  await made.earn('192.0.2.7', grant('anna', world.now()));
  assert.deepEqual(sent, [], 'a login that changes nothing is not told');
  made.hear([['192.0.2.7', null]]);
  assert.equal(made.find('192.0.2.7'), null);
  world.advance(RULES.ttlMs);
  assert.equal(made.find('2001:db8::77'), null);
});

test('with other machines a worker asks for what it does not know, and goes on without an answer', async () => {
  const { made, sent, world } = replica({ nodes: true });
  const found = made.find('192.0.2.7');
  const lost = made.find('192.0.2.8');
  assert.deepEqual(sent[0], { what: 'find grant', question: 1, key: '192.0.2.7' });
  made.answer(1, grant('anna', world.now()));
  assert.deepEqual(await found, grant('anna', world.now()));
  world.advance(ANSWER_LIMIT_MS);
  assert.equal(await lost, null);
  made.hear([['192.0.2.7', grant('anna', world.now())]]);
  assert.ok(!(made.find('192.0.2.7') instanceof Promise));
});

test('with prefix6 128 the neighbour in the block has no grant', () => {
  const { made, world } = replica();
  made.update({ ...RULES, prefix6: 128 });
  made.hear([['2001:db8::1', grant('anna', world.now())]]);
  assert.deepEqual(made.find('2001:db8::1'), grant('anna', world.now()));
  assert.equal(made.find('2001:db8::2'), null);
});

test('what a worker says of grants is looked at before it is believed', () => {
  const right = { what: 'earned', question: 1, key: 'a', grant: grant('anna', 1) };
  assert.notEqual(asFromGuard(right), null);
  for (const wrong of [
    { ...right, question: 'x' },
    { ...right, key: 'a'.repeat(301) },
    { ...right, grant: null },
    { ...right, grant: { ...right.grant, user: 'a'.repeat(256) } },
    { ...right, grant: { ...right.grant, service: '' } },
    { ...right, grant: { ...right.grant, at: '1' } },
    { what: 'find grant', question: 1 },
  ]) {
    assert.equal(asFromGuard(wrong), null);
  }
});
