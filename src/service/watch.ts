// Watches files by asking for their size, time, inode, mode and owner at an interval. Certificate tools write over, rename
// into place or switch a symbolic link, and a refused file is mended with chmod; polling sees all of these, on every file
// system, and needs no descriptor.
// Take the fingerprints first and read the files then: so a change between the two is seen in the next round.
// Calls `onChange` once per round in which anything changed. A file that is missing is a state like any other.
// Rounds never overlap. close() ends it.

import { stat } from 'node:fs/promises';

import type { World } from '../world.ts';

/** File → what it looked like. */
export type Fingerprints = ReadonlyMap<string, string>;

export interface FileWatch {
  close(): void;
}

export interface FileWatchOptions {
  readonly everyMs: number;
  readonly world: World;
  /** The files to watch, and what they looked like before they were read. */
  readonly known: Fingerprints;
  /** The files to look at in each round, where they come and go; default: the known ones. */
  readonly files?: () => Iterable<string>;
  readonly onChange: (changed: readonly string[]) => void;
  readonly look?: (files: Iterable<string>) => Promise<Fingerprints>;
}

export function watchFiles(options: FileWatchOptions): FileWatch {
  const look = options.look ?? takeFingerprints;
  let known = options.known;
  let closed = false;
  let busy = false;

  const round = async (): Promise<void> => {
    if (busy) return;
    busy = true;
    const now = await look(options.files?.() ?? known.keys());
    busy = false;
    const names = new Set([...known.keys(), ...now.keys()]);
    const changed = [...names].filter((file) => known.get(file) !== now.get(file));
    known = now;
    if (changed.length > 0 && !closed) options.onChange(changed);
  };

  const timer = options.world.every(options.everyMs, () => void round());
  return {
    close() {
      closed = true;
      timer.cancel();
    },
  };
}

/** What the files look like now. Never throws. */
export async function takeFingerprints(files: Iterable<string>): Promise<Fingerprints> {
  const looks = [...new Set(files)].map(async (file) => [file, await fingerprint(file)] as const);
  return new Map(await Promise.all(looks));
}

async function fingerprint(file: string): Promise<string> {
  try {
    const { mtimeMs, size, ino, mode, uid } = await stat(file);
    return `${mtimeMs} ${size} ${ino} ${mode} ${uid}`;
  } catch {
    return 'missing';
  }
}
