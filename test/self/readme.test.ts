// README.md and the guides tell the truth: their settings load, their events, codes and files exist.

import assert from 'node:assert/strict';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { loadSettings } from '../../src/config/load.ts';
import { ERRORS } from '../../src/errors.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const PAGES = ['README.md', ...globSync('config/guide/*.md', { cwd: ROOT })].map((file) => ({
  file,
  text: readFileSync(resolve(ROOT, file), 'utf8'),
}));
const ALL = PAGES.map(({ text }) => text).join('\n');
const SOURCES = globSync('src/**/*.ts', { cwd: ROOT })
  .map((file) => readFileSync(resolve(ROOT, file), 'utf8'))
  .join('\n');

test('every settings block of the README and the guides loads without a mistake', () => {
  const blocks = [...ALL.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map((match) => match[1] ?? '');
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

test('every file that the README and the guides link to is there, and every guide is linked', () => {
  for (const { file, text } of PAGES) {
    for (const [, target = ''] of text.matchAll(/\]\(([^)#]+)\)/g)) {
      assert.ok(existsSync(resolve(ROOT, dirname(file), target)), `${file}: ${target}`);
    }
  }
  for (const { file } of PAGES.slice(1)) assert.ok(PAGES[0]?.text.includes(`](${file})`), file);
});

test('every error code and log event that they name exists', () => {
  const codes = [...ALL.matchAll(/`([A-Z]+_[A-Z_]+)`/g)].map((match) => match[1] ?? '');
  const events = [...ALL.matchAll(/`([a-z]+-(?:failed|refused|died))`/g)].map((match) => match[1] ?? '');
  assert.ok(codes.length > 0 && events.length >= 4);
  for (const code of codes) assert.ok(Object.hasOwn(ERRORS, code), code);
  for (const event of events) assert.ok(SOURCES.includes(`'${event}'`), event);
});
