// README.md tells the truth: its settings load, its commands, events, codes and files exist.

import assert from 'node:assert/strict';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { loadSettings } from '../../src/config/load.ts';
import { ERRORS } from '../../src/errors.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const README = readFileSync(resolve(ROOT, 'README.md'), 'utf8');
const SOURCES = globSync('src/**/*.ts', { cwd: ROOT })
  .map((file) => readFileSync(resolve(ROOT, file), 'utf8'))
  .join('\n');

test('every settings block of the README loads without a mistake', () => {
  const blocks = [...README.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map((match) => match[1] ?? '');
  assert.ok(blocks.length > 0);
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-readme-'));
  try {
    for (const block of blocks) {
      const file = join(folder, 'sallyport.yaml');
      writeFileSync(file, block);
      // A block that is an excerpt has no host name.
      const given = /^hostname: (\S+)$/m.exec(block)?.[1];
      const { hostname } = loadSettings({ file });
      assert.equal(hostname, given ?? hostname);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('every file the README links to is there', () => {
  for (const [, target = ''] of README.matchAll(/\]\(([^)#]+)\)/g)) {
    assert.ok(existsSync(resolve(ROOT, target)), target);
  }
});

test('every error code and log event the README names exists', () => {
  const codes = [...README.matchAll(/`([A-Z]+_[A-Z_]+)`/g)].map((match) => match[1] ?? '');
  const events = [...README.matchAll(/`([a-z]+-(?:failed|refused|died))`/g)].map((match) => match[1] ?? '');
  assert.ok(codes.length > 0 && events.length >= 4);
  for (const code of codes) assert.ok(Object.hasOwn(ERRORS, code), code);
  for (const event of events) assert.ok(SOURCES.includes(`'${event}'`), event);
});
