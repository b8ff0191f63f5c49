import assert from 'node:assert/strict';
import { chmodSync, renameSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { takeFingerprints, watchFiles } from '../../src/service/watch.ts';
import type { Fingerprints } from '../../src/service/watch.ts';
import { manualWorld } from '../support/manual-world.ts';
import { temporaryFolder } from './stub-supervisor.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function watchStub(first: Fingerprints) {
  const clock = manualWorld();
  const changes: (readonly string[])[] = [];
  let now = first;
  const watch = watchFiles({
    everyMs: 1000,
    world: clock,
    known: first,
    onChange: (files) => changes.push(files),
    look: () => Promise.resolve(now),
  });
  const round = async (next: Fingerprints): Promise<void> => {
    now = next;
    clock.advance(1000);
    await turn();
  };
  return { watch, changes, round };
}

test('a changed file is told once, an unchanged one never', async () => {
  const { changes, round } = watchStub(
    new Map([
      ['a', '1'],
      ['b', '1'],
    ]),
  );
  await round(
    new Map([
      ['a', '1'],
      ['b', '1'],
    ]),
  );
  await round(
    new Map([
      ['a', '2'],
      ['b', '1'],
    ]),
  );
  await round(
    new Map([
      ['a', '2'],
      ['b', '1'],
    ]),
  );
  assert.deepEqual(changes, [['a']]);
});

test('a change between the fingerprint and the reading is seen in the next round', async () => {
  const { changes, round } = watchStub(new Map([['a', 'before the reading']]));
  await round(new Map([['a', 'after it']]));
  assert.deepEqual(changes, [['a']]);
});

test('nothing is told after the end', async () => {
  const { watch, changes, round } = watchStub(new Map([['a', '1']]));
  watch.close();
  await round(new Map([['a', '2']]));
  assert.deepEqual(changes, []);
});

test('writing over, renaming into place, switching a link and removing all change the fingerprint', async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, 'cert.pem');
  const link = join(folder.path, 'link.pem');
  const seen = new Set<string | undefined>();
  const look = async (name: string): Promise<number> =>
    seen.add((await takeFingerprints([name])).get(name)).size;
  assert.equal(await look(file), 1);
  writeFileSync(file, 'one');
  assert.equal(await look(file), 2);
  writeFileSync(file, 'three');
  assert.equal(await look(file), 3);
  utimesSync(file, 1, 1);
  assert.equal(await look(file), 4);
  writeFileSync(`${file}.new`, 'three');
  utimesSync(`${file}.new`, 1, 1);
  renameSync(`${file}.new`, file);
  assert.equal(await look(file), 5);
  symlinkSync(file, link);
  await look(link);
  writeFileSync(`${file}.other`, 'three');
  unlinkSync(link);
  symlinkSync(`${file}.other`, link);
  assert.equal(await look(link), 6);
  unlinkSync(file);
  assert.equal((await takeFingerprints([file])).get(file), 'missing');
});

test('files that come and go in a folder are told, where the list is asked for anew', async () => {
  const clock = manualWorld();
  const changes: (readonly string[])[] = [];
  let files = ['a'];
  watchFiles({
    everyMs: 1000,
    world: clock,
    known: new Map([['a', '1']]),
    files: () => files,
    onChange: (changed) => changes.push(changed),
    look: (asked) => Promise.resolve(new Map([...asked].map((file) => [file, '1']))),
  });
  for (const next of [['a', 'b'], ['a', 'b'], ['b']]) {
    files = next;
    clock.advance(1000);
    await turn();
  }
  assert.deepEqual(changes, [['b'], ['a']]);
});

test('the chmod that mends a file which was refused for its mode is a change of it', async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, 'cert.db');
  writeFileSync(file, 'x', { mode: 0o600 });
  chmodSync(file, 0o644);
  const before = await takeFingerprints([file]);
  assert.deepEqual(await takeFingerprints([file]), before);
  chmodSync(file, 0o600);
  assert.notDeepEqual(await takeFingerprints([file]), before);
});
