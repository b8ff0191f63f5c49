// Puts PKCS#11 modules into the settings file and takes them out: the duties of modutil. Everything else in the file
// stays as it was written, comments too. The new text is written beside the file and renamed into its place, with its
// mode and owner, so that a reader sees the old settings or the new.
// On failure: SettingsError that names the file; then nothing was changed.

import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { isMap, parseDocument } from 'yaml';
import type { Document } from 'yaml';

import { SettingsError } from '../errors.ts';
import { isModuleName } from './items.ts';

/** As it is written: names of files as typed. */
export interface ModuleEntry {
  readonly library?: string;
  readonly nss?: string;
  readonly token?: string;
  readonly slot?: number;
}

const PATH = ['certificates', 'modules'];

/** What is wrong with the name, or null. */
export function moduleNameProblem(name: string): string | null {
  if (isModuleName(name)) return null;
  return 'a module is called by letters, digits, ".", "_", "-" and "@", 64 at most';
}

export function addModule(file: string, name: string, entry: ModuleEntry): void {
  edit(file, (document) => {
    if (document.hasIn([...PATH, name])) throw wrong(file, `there is a module "${name}" already`);
    const { library, ...more } = entry;
    const isPlain = library !== undefined && Object.keys(more).length === 0;
    // Keys with nothing behind them are in the way of what comes below them.
    for (const path of [PATH.slice(0, 1), PATH]) {
      if (document.hasIn(path) && !isMap(document.getIn(path))) document.deleteIn(path);
    }
    document.setIn([...PATH, name], document.createNode(isPlain ? library : entry));
  });
}

export function removeModule(file: string, name: string): void {
  edit(file, (document) => {
    if (!document.hasIn([...PATH, name]))
      throw wrong(file, `there is no module "${name}" in certificates.modules`);
    document.deleteIn([...PATH, name]);
    const rest = document.getIn(PATH);
    if (isMap(rest) && rest.items.length === 0) document.deleteIn(PATH);
    const certificates = document.getIn(PATH.slice(0, 1));
    if (isMap(certificates) && certificates.items.length === 0) document.deleteIn(PATH.slice(0, 1));
  });
}

function edit(file: string, change: (document: Document) => void): void {
  const place = placeOf(file);
  const document = parseDocument(readFileSync(place, 'utf8'), { keepSourceTokens: true });
  // The parser's own words may quote a secret.
  if (document.errors.length > 0)
    throw wrong(file, 'cannot be read as YAML, `sallyport check` says where it breaks');
  change(document);
  replace(place, document.toString({ lineWidth: 0 }));
}

/** A link stays a link to a file that changes. */
function placeOf(file: string): string {
  try {
    return realpathSync(file);
  } catch (error) {
    throw wrong(file, `cannot be read (${codeOf(error)})`);
  }
}

function replace(file: string, text: string): void {
  const draft = join(dirname(file), `.${basename(file)}.${randomBytes(6).toString('hex')}`);
  try {
    const { mode, uid, gid } = statSync(file);
    const descriptor = openSync(draft, 'wx', 0o600);
    try {
      writeFileSync(descriptor, text);
      fchownSync(descriptor, uid, gid);
      fchmodSync(descriptor, mode & 0o7777);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(draft, file);
  } catch (error) {
    rmSync(draft, { force: true });
    throw wrong(file, `cannot be written (${codeOf(error)})`);
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

function wrong(file: string, problem: string): SettingsError {
  return new SettingsError([`${file}: ${problem}`]);
}
