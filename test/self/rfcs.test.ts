// src/rfc.tsv lists every RFC that the code cites, and nothing that it does not.

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';

const SRC = resolve(import.meta.dirname, '../../src');
const rows = readFileSync(resolve(SRC, 'rfc.tsv'), 'utf8')
  .trim()
  .split('\n')
  .slice(1)
  .map((line) => line.split('\t'));
const listed = new Map(rows.map((row) => [row[0] ?? '', row]));
const cited = new Set(
  globSync('**/*.ts', { cwd: SRC }).flatMap((file) =>
    [...readFileSync(resolve(SRC, file), 'utf8').matchAll(/RFC (\d{3,5})/g)].map((match) => match[1] ?? ''),
  ),
);

test('every RFC cited in the code is listed in src/rfc.tsv', () => {
  assert.deepEqual([...cited].filter((number) => !listed.has(number)).toSorted(), []);
});

test('every RFC listed is cited in the code, unless it is refused', () => {
  const idle = rows.filter((row) => row[2] !== 'refused' && !cited.has(row[0] ?? '')).map((row) => row[0]);
  assert.deepEqual(idle, []);
});

test('each row has a number, a title, a status and a remark', () => {
  for (const row of rows) {
    assert.equal(row.length, 4, row.join('|'));
    assert.match(row[0] ?? '', /^\d+$/);
    assert.match(row[2] ?? '', /^(yes|partial|refused)$/);
  }
});
