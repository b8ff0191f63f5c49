// Results in a file: written beside its place, synced, then renamed into it, so that a file that was there is replaced
// whole or stays. A draft comes before the change that it belongs to, so that nothing is changed for a result that
// cannot be written. What is no regular file (/dev/null, a pipe) is written to as it is.
// On failure: SettingsError that names the file; no draft is left behind.

import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  fchmodSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';

import { SettingsError } from '../../errors.ts';

export interface Draft {
  keep(): void;
  drop(): void;
}

/** `secret`: its owner's only, whatever mode a file there had. */
export function draftFile(file: string, bytes: Uint8Array, kind: 'secret' | 'public'): Draft {
  const stats = statSync(file, { throwIfNoEntry: false });
  if (stats?.isDirectory() === true) throw wrong(file, 'is a folder, a file is wanted');
  if (stats !== undefined && !stats.isFile()) return specialFile(file, bytes);
  const place = stats === undefined ? file : realpathSync(file);
  const draft = join(dirname(place), `.${basename(place).slice(0, 100)}.${randomBytes(6).toString('hex')}`);
  const mode = kind === 'secret' ? 0o600 : 0o644;
  const drop = (): void => rmSync(draft, { force: true });
  const attempt = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      drop();
      throw wrong(file, `cannot be written (${codeOf(error)})`);
    }
  };
  attempt(() => {
    const descriptor = openSync(draft, 'wx', mode);
    try {
      if (kind === 'secret') fchmodSync(descriptor, mode);
      writeFileSync(descriptor, bytes);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  });
  return { keep: () => attempt(() => renameSync(draft, place)), drop };
}

function specialFile(file: string, bytes: Uint8Array): Draft {
  const keep = (): void => {
    try {
      const descriptor = openSync(file, constants.O_WRONLY);
      try {
        writeFileSync(descriptor, bytes);
      } finally {
        closeSync(descriptor);
      }
    } catch (error) {
      throw wrong(file, `cannot be written (${codeOf(error)})`);
    }
  };
  return { keep, drop: () => {} };
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

function wrong(file: string, problem: string): SettingsError {
  return new SettingsError([`${file}: ${problem}`]);
}
