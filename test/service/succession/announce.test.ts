import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { notifyManager, removePidFile, writePidFile } from '../../../src/service/succession/announce.ts';
import { temporaryFolder } from '../stub-supervisor.ts';

test('a pid file is whole, replaces the one before, and goes only with the process that it names', () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'pid');
  writeFileSync(path, '1\n');
  removePidFile(path);
  assert.ok(existsSync(path), 'it names another process');
  assert.equal(writePidFile(path), null);
  assert.equal(readFileSync(path, 'utf8'), `${process.pid}\n`);
  assert.deepEqual(readdirSync(folder.path), ['pid'], 'nothing is left beside it');
  removePidFile(path);
  assert.equal(existsSync(path), false);
  removePidFile(path);
});

test('a pid file that cannot be written is a sentence with its name', () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'no', 'pid');
  assert.match(writePidFile(path) ?? '', /^pidFile .*\/no\/pid cannot be written: ENOENT/);
});

test('a service manager that cannot be told is a sentence, and no failure', async () => {
  using folder = temporaryFolder();
  const failure = await notifyManager(join(folder.path, 'nobody'));
  assert.match(failure ?? '', /waits on .*nobody and cannot be told: systemd-notify: /);
});
