// A folder of an MMP in memory, and what is imported of it, loaded as settings.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Files, FoundFile } from '../../../src/config/legacy/mmp-files.ts';
import { importMmp } from '../../../src/config/legacy/mmp.ts';
import type { Imported } from '../../../src/config/legacy/option-table.ts';
import { loadSettings } from '../../../src/config/load.ts';
import type { Settings } from '../../../src/config/settings.ts';
import { settingsFile } from '../settings-file.ts';

/** Name → lines. */
export type Folder = Readonly<Record<string, readonly string[]>>;

export function filesOf(folder: Folder): Files {
  const beside = (name: string): FoundFile | null => {
    const lines = Object.hasOwn(folder, basename(name)) ? folder[basename(name)] : undefined;
    return lines === undefined ? null : { path: `/mmp/${basename(name)}`, text: lines.join('\n') };
  };
  return { beside, read: beside };
}

export interface ImportOptions {
  readonly imta?: string;
  readonly relay?: string;
}

export function importFolder(folder: Folder, { imta, relay }: ImportOptions = {}): Imported {
  const files = filesOf(folder);
  const file = imta === undefined ? null : files.beside(imta);
  return importMmp({
    shown: '/mmp',
    files,
    imta: file === null ? null : { file, files },
    relay: relay ?? null,
  });
}

export interface Loaded {
  readonly yaml: string;
  readonly settings: Settings;
  /** `File.cfg:3 Option: reason`. */
  readonly notes: readonly string[];
  readonly secrets: Readonly<Record<string, string>>;
}

/** What is imported, as the settings reader takes it. */
export function load(t: TestContext, folder: Folder, options: ImportOptions = {}): Loaded {
  const { yaml, notes, companions, problems } = importFolder(folder, options);
  assert.ok(yaml !== null, problems.join('\n'));
  const settings = loadSettings({ file: settingsFile(t, yaml).file });
  return {
    yaml,
    settings,
    notes: notes.map(
      ({ file, line, option, reason }) =>
        `${file === null ? '' : basename(file)}${line === null ? '' : `:${line}`} ${option}: ${reason}`,
    ),
    secrets: Object.fromEntries(companions.map(({ name, text }) => [name, text])),
  };
}

/** What was said of a place, as `PopProxyAService.cfg:3`. */
export function told({ notes }: Pick<Loaded, 'notes'>, place: string): string {
  return notes.filter((note) => note.startsWith(`${place} `)).join('\n');
}

/** Lines of a section. */
export function section(options: Readonly<Record<string, string>>, name = 'default'): string[] {
  return Object.entries(options).map(([option, value]) => `${name}:${option} ${value}`);
}

const FIXTURES = join(import.meta.dirname, '../../fixtures/mmp');

/** One of test/fixtures/mmp. */
export function fixture(name: string): Folder {
  const folder = join(FIXTURES, name);
  return Object.fromEntries(
    readdirSync(folder).map((file) => [file, readFileSync(join(folder, file), 'utf8').split('\n')]),
  );
}

export function listen(port: number, host = '::'): object {
  return { kind: 'tcp', host, port };
}
