import assert from 'node:assert/strict';
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { draftFile } from '../../../src/cli/cert/output-file.ts';
import { SettingsError } from '../../../src/errors.ts';
import { temporaryFolder } from '../../service/stub-supervisor.ts';

const bytes = Buffer.from('new');

test('a draft that is dropped leaves what was there, one that is kept replaces it whole', () => {
  using folder = temporaryFolder();
  const file = join(folder.path, 'a.p12');
  writeFileSync(file, 'old');
  chmodSync(file, 0o644);
  draftFile(file, bytes, 'secret').drop();
  assert.deepEqual([readFileSync(file, 'utf8'), readdirSync(folder.path)], ['old', ['a.p12']]);
  draftFile(file, bytes, 'secret').keep();
  assert.deepEqual([readFileSync(file, 'utf8'), readdirSync(folder.path)], ['new', ['a.p12']]);
  assert.equal(statSync(file).mode & 0o777, 0o600);
});

test('a device stays a device', () => {
  draftFile('/dev/null', bytes, 'secret').keep();
  assert.ok(statSync('/dev/null').isCharacterDevice());
});

test('what cannot be written is an error before anything is kept', () => {
  using folder = temporaryFolder();
  const refused = (file: string, said: RegExp): void =>
    assert.throws(
      () => draftFile(file, bytes, 'public'),
      (error: unknown) => error instanceof SettingsError && said.test(error.mistakes.join()),
    );
  refused(folder.path, /is a folder, a file is wanted/);
  refused(join(folder.path, 'no', 'a.p12'), /cannot be written \(ENOENT\)/);
  assert.deepEqual(readdirSync(folder.path), []);
});
