import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { AcmeMemory } from '../../../src/service/acme/memory.ts';
import { temporaryFolder } from '../stub-supervisor.ts';

const failure = { count: 2, at: 1000, nextAt: 2000, cause: 'no', settings: 'abc' };

test('a failure outlives a restart, for the same settings; a success ends it', () => {
  using folder = temporaryFolder();
  assert.equal(new AcmeMemory(folder.path).failure('Mail', 'abc'), null);
  assert.equal(new AcmeMemory(folder.path).keepFailure('Mail', failure), null);
  const again = new AcmeMemory(folder.path);
  assert.deepEqual(again.failure('Mail', 'abc'), failure);
  assert.equal(again.failure('Mail', 'other'), null);
  assert.equal(again.failure('Other', 'abc'), null);
  assert.equal(statSync(join(folder.path, 'acme.json')).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(folder.path), ['acme.json'], 'no draft is left');
  again.keepFailure('Mail', null);
  assert.equal(new AcmeMemory(folder.path).failure('Mail', 'abc'), null);
});

for (const text of ['', '{', '[]', 'null', '{"failures":7}', '{"failures":{"Mail":{"count":"2"}}}']) {
  test(`a file that holds ${text || 'nothing'} counts as none`, () => {
    using folder = temporaryFolder();
    writeFileSync(join(folder.path, 'acme.json'), text);
    assert.equal(new AcmeMemory(folder.path).failure('Mail', 'abc'), null);
  });
}

test('a folder that cannot be written to is told, and what is known is known on', () => {
  using folder = temporaryFolder();
  mkdirSync(join(folder.path, 'acme.json'));
  const memory = new AcmeMemory(folder.path);
  assert.match(memory.keepFailure('Mail', failure) ?? '', /EISDIR|ENOTEMPTY|EEXIST/);
  assert.deepEqual(memory.failure('Mail', 'abc'), failure);
  assert.throws(() => readFileSync(join(folder.path, 'acme.json')), /EISDIR/);
});
