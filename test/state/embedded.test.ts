// The file of the embedded store: its mode, its age, its damage, its bound.

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import { createLog } from '../../src/log.ts';
import { openEmbedded } from '../../src/state/embedded.ts';
import type { Store } from '../../src/state/store.ts';
import { manualWorld, type ManualWorld } from '../support/manual-world.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-embedded-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;

interface Opened {
  readonly store: Store;
  readonly lines: Readonly<Record<string, unknown>>[];
}

interface Made {
  readonly steps?: readonly string[];
  readonly rowsMax?: number;
  readonly world?: ManualWorld;
}

function open(file: string, more: Made = {}): Opened {
  const lines: Readonly<Record<string, unknown>>[] = [];
  const write = (line: string): void =>
    void lines.push(JSON.parse(line) as Readonly<Record<string, unknown>>);
  const log = createLog({ level: 'debug', format: 'json', write });
  return { store: openEmbedded({ file, world: manualWorld(), log, ...more }), lines };
}

const fresh = (): string => join(folder, `${++count}.db`);
const NEVER = Date.UTC(2040, 0, 1);
const entry = (key: string): { key: string; value: string; expiresAt: number } => ({
  key,
  value: `of ${key}`,
  expiresAt: NEVER,
});

test('the file is its owner’s only, and its companions too', async () => {
  const file = fresh();
  const { store } = open(file);
  await store.put('t', [entry('a')]);
  for (const name of [file, `${file}-wal`, `${file}-shm`])
    assert.equal(statSync(name).mode & 0o777, 0o600, name);
  await store.close();
});

test('what was written is there after a restart, and nothing is said of it', async () => {
  const file = fresh();
  const first = open(file);
  await first.store.put('t', [entry('a')]);
  await first.store.close();
  const again = open(file);
  assert.deepEqual(await again.store.load('t'), [entry('a')]);
  assert.deepEqual(again.lines, []);
  await again.store.close();
});

test('a file that is no database is set aside with a line, and a new one begun', async () => {
  const file = fresh();
  writeFileSync(file, 'this is not a database, it is a text that somebody has put here'.repeat(40));
  const { store, lines } = open(file);
  await store.put('t', [entry('a')]);
  assert.deepEqual(await store.load('t'), [entry('a')]);
  assert.equal(store.home, file);
  assert.deepEqual(
    lines.map((line) => [line['event'], line['level'], line['file']]),
    [['state-broken', 'error', file]],
  );
  assert.ok(existsSync(String(lines[0]?.['setAside'])));
  await store.close();
});

test('a database with a damaged page is set aside too', async () => {
  const file = fresh();
  const first = open(file);
  await first.store.put(
    't',
    Array.from({ length: 2000 }, (_, i) => entry(`k${i}`)),
  );
  await first.store.close();
  const { size } = statSync(file);
  const bytes = Buffer.alloc(size, 0xff);
  new DatabaseSync(':memory:').close();
  const { readFileSync } = await import('node:fs');
  readFileSync(file).copy(bytes, 0, 0, 4096);
  writeFileSync(file, bytes);
  const { store, lines } = open(file);
  assert.deepEqual(await store.load('t'), []);
  assert.equal(lines[0]?.['event'], 'state-broken');
  await store.close();
});

test('where no file can be had, state is kept in memory, and a line says so', async () => {
  const { store, lines } = open(join(folder, 'no', 'such', 'folder', 'state.db'));
  await store.put('t', [entry('a')]);
  assert.deepEqual(await store.load('t'), [entry('a')]);
  assert.equal(store.home, 'memory');
  assert.equal(lines[0]?.['consequence'], 'state is kept in memory only');
  await store.close();
});

test('an older file is brought up to date in place, and a newer one is set aside, not misread', async () => {
  const file = fresh();
  const first = open(file);
  await first.store.put('t', [entry('a')]);
  await first.store.close();
  const steps = [
    `CREATE TABLE never (x)`,
    `ALTER TABLE entries ADD COLUMN note TEXT; UPDATE entries SET value = value || ', upgraded';`,
  ];
  const newer = open(file, { steps });
  assert.equal((await newer.store.get('t', 'a'))?.value, 'of a, upgraded');
  assert.deepEqual(newer.lines, []);
  await newer.store.close();
  const older = open(file);
  assert.match(String(older.lines[0]?.['cause']), /schema 1 or older, found 2/);
  assert.deepEqual(await older.store.load('t'), []);
  await older.store.close();
  assert.ok(readdirSync(folder).some((name) => name.includes('.broken-')));
});

test('a table keeps its latest entries, and another table its own', async () => {
  const { store } = open(fresh(), { rowsMax: 10 });
  await store.put('other', [entry('kept')]);
  await store.put(
    't',
    Array.from({ length: 25 }, (_, i) => entry(`k${i}`)),
  );
  await store.put('t', [entry('k20')]);
  await store.change('t', { key: 'last', from: null, to: { value: 'x', expiresAt: NEVER } });
  const keys = (await store.load('t')).map(({ key }) => key);
  assert.deepEqual(keys, ['k16', 'k17', 'k18', 'k19', 'k21', 'k22', 'k23', 'k24', 'k20', 'last']);
  assert.equal((await store.load('other')).length, 1);
  await store.close();
});

test('what another process writes is told once, its own writing is not', async () => {
  const file = fresh();
  const world = manualWorld();
  const { store } = open(file, { world });
  const other = open(file);
  const states: string[] = [];
  store.onState((state) => states.push(state));
  await store.put('t', [entry('a')]);
  world.advance(1000);
  assert.deepEqual(states, []);
  await other.store.put('t', [entry('b')]);
  world.advance(1000);
  world.advance(1000);
  assert.deepEqual(states, ['up']);
  assert.equal((await store.load('t')).length, 2);
  await other.store.close();
  await store.close();
});
