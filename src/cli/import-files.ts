// The files that `sallyport import` reads and writes. Promises: no more is read than MAX_BYTES, of devices and pipes
// neither; a file that is there and cannot be read is never taken for one that is not there, since another would stand in
// for it; of several files all are written or none, and none over another. On failure: Unreadable, or the sentence.

import { closeSync, existsSync, openSync, readSync, rmSync, statSync, writeSync } from 'node:fs';
import { basename, dirname, isAbsolute, join } from 'node:path';
import type { Files, FoundFile } from '../config/legacy/mmp-files.ts';
import type { Companion } from '../config/legacy/option-table.ts';

const MAX_BYTES = 16 * 1_048_576;
const CHUNK_BYTES = 65_536;
/** No file can have such a name. */
const NO_NAME = new Set(['ENAMETOOLONG', 'ERR_INVALID_ARG_VALUE']);

export class Unreadable extends Error {
  constructor(file: string, why: string) {
    super(`${file === '-' ? 'standard input' : file}: cannot be read (${why})`);
  }
}

/** `beside` looks into the folder, `read` also where a whole name says. */
export function filesIn(folder: string): Files {
  const beside = (name: string): FoundFile | null =>
    readFound(join(folder, basename(name.replaceAll('\\', '/'))));
  return {
    beside,
    read: (name) => beside(name) ?? readFound(isAbsolute(name) ? name : join(folder, name)),
  };
}

/** null: there is no such file. */
export function readFound(path: string): FoundFile | null {
  return isFile(path) ? { path, ...readText(path) } : null;
}

export function isFolder(path: string): boolean {
  return existsSync(path) && statSync(path).isDirectory();
}

/** Of a file, or of standard input (`-`). What is not UTF-8 is Latin-1, as it was when such files were written. */
export function readText(file: string): Pick<FoundFile, 'text' | 'isLatin1'> {
  const bytes = bytesOf(file);
  try {
    return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    return { text: bytes.toString('latin1'), isLatin1: true };
  }
}

function isFile(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
  } catch (error) {
    if (NO_NAME.has(codeOf(error))) return false;
    throw new Unreadable(path, codeOf(error));
  }
}

function bytesOf(file: string): Buffer {
  let handle: number | null = null;
  try {
    handle = file === '-' ? 0 : openSync(file, 'r');
    return bounded(handle);
  } catch (error) {
    throw new Unreadable(file, codeOf(error));
  } finally {
    if (handle !== null && handle > 0) closeSync(handle);
  }
}

function bounded(handle: number): Buffer {
  const chunks: Buffer[] = [];
  let total = 0;
  for (;;) {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    const count = readSync(handle, chunk);
    if (count === 0) return Buffer.concat(chunks);
    total += count;
    if (total > MAX_BYTES) throw new Error(`more than ${MAX_BYTES} bytes`);
    chunks.push(chunk.subarray(0, count));
  }
}

/** The settings, and the passwords beside them. All of it or nothing; null: done. */
export function writeAll(output: string, yaml: string, companions: readonly Companion[]): string | null {
  const files = [
    ...companions.map(({ name, text }) => ({ path: join(dirname(output), name), text, mode: 0o600 })),
    { path: output, text: yaml, mode: 0o644 },
  ];
  const there = files.find(({ path }) => existsSync(path));
  if (there !== undefined)
    return `${there.path}: is there already, and is left alone; nothing was written, name another file or folder`;
  const made: string[] = [];
  for (const { path, text, mode } of files) {
    let handle: number | null = null;
    try {
      handle = openSync(path, 'wx', mode);
      made.push(path);
      writeWhole(handle, Buffer.from(text));
    } catch (error) {
      for (const done of made) rmSync(done, { force: true });
      return `${path}: cannot be written (${codeOf(error)})`;
    } finally {
      if (handle !== null) closeSync(handle);
    }
  }
  return null;
}

function writeWhole(handle: number, bytes: Buffer): void {
  for (let done = 0; done < bytes.length;) done += writeSync(handle, bytes, done);
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error';
  return 'code' in error ? String(error.code) : error.message;
}
