// Every `.case` file: settings, a line `----`, then what they resolve to (as YAML, only the keys that matter) or the
// exact mistakes, one a line. DIR stands for the folder of the file.

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { loadSettings } from '../../src/config/load.ts';
import { SettingsError } from '../../src/errors.ts';
import { settingsFile } from './settings-file.ts';

for (const name of globSync('cases/*.case', { cwd: import.meta.dirname }).toSorted()) {
  test(`the settings of ${basename(name)} come out as the case says`, (t) => {
    const [settings, expected = ''] = readFileSync(join(import.meta.dirname, name), 'utf8').split('----\n');
    const { file, folder } = settingsFile(t, settings ?? '');
    if (expected.startsWith('sallyport.yaml:')) {
      assert.equal(mistakesOf(file).replaceAll(`${folder}/`, ''), expected.trimEnd());
      return;
    }
    const wanted: unknown = parse(expected.replaceAll('DIR', folder));
    assert.deepEqual(pick(loadSettings({ file }), wanted), wanted);
  });
}

function mistakesOf(file: string): string {
  try {
    loadSettings({ file });
  } catch (error) {
    if (error instanceof SettingsError) return error.message;
    throw error;
  }
  return 'no mistake';
}

/** The part of `actual` that `wanted` speaks of. */
function pick(actual: unknown, wanted: unknown): unknown {
  if (!isMap(actual) || !isMap(wanted) || Object.keys(wanted).length === 0) return actual;
  return Object.fromEntries(Object.keys(wanted).map((key) => [key, pick(actual[key], wanted[key])]));
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
