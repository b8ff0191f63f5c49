// What this machine allows us: open files, core files, folders, and the user that workers become. Decisions are pure functions
// of what was read, so that they can be tested without being root or short of files.

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

import { explain } from '../log.ts';
import type { Owner } from './handles.ts';

export interface ProcessLimits {
  /** Soft limit of open files; Infinity for unlimited. The runtime has raised it to the hard one at its start. */
  readonly openFiles: number;
  /** Soft limit of a core file's bytes. */
  readonly coreBytes: number;
}

/** Files that a worker has open besides its connections: log, IPC, listeners, probes, the runtime's own. */
const FILES_RESERVED = 100;
const FILES_ENOUGH = 4096;
const CONNECTIONS_UNLIMITED = 500_000;

/** The limits of this process, which workers inherit; null where the system does not tell. */
export function readProcessLimits(): ProcessLimits | null {
  try {
    return parseProcessLimits(readFileSync('/proc/self/limits', 'latin1'));
  } catch {
    return null;
  }
}

export function parseProcessLimits(text: string): ProcessLimits | null {
  const soft = (name: string): number | null => {
    const value = new RegExp(`^Max ${name} +(\\S+)`, 'm').exec(text)?.[1];
    if (value === undefined) return null;
    return value === 'unlimited' ? Infinity : Number(value);
  };
  const openFiles = soft('open files');
  const coreBytes = soft('core file size');
  return openFiles === null || coreBytes === null ? null : { openFiles, coreBytes };
}

/** How many connections a worker may hold: as the settings say (0: as many as fit), never more than fit. */
export function connectionsAllowed(wanted: number, limits: ProcessLimits | null): number {
  const files = limits?.openFiles ?? Infinity;
  // A connection is two descriptors: the client's and the backend's.
  const fit = Number.isFinite(files)
    ? Math.max(1, Math.floor((files - FILES_RESERVED) / 2))
    : CONNECTIONS_UNLIMITED;
  return wanted === 0 ? fit : Math.min(wanted, fit);
}

/** Sentences for the administrator; empty where all is well. */
export function limitWarnings(wanted: number, limits: ProcessLimits | null): string[] {
  if (limits === null) return [];
  const warnings: string[] = [];
  const needed = wanted === 0 ? FILES_ENOUGH : wanted * 2 + FILES_RESERVED;
  if (limits.openFiles < needed) {
    const why =
      wanted === 0
        ? `at least ${FILES_ENOUGH} are sensible`
        : `limits.connections: ${wanted} needs ${needed} (two a connection and ${FILES_RESERVED})`;
    warnings.push(
      `the open-file limit is ${limits.openFiles}, ${why}; a worker holds ` +
        `${connectionsAllowed(wanted, limits)} connections at most; ` +
        `set LimitNOFILE=${needed} in the systemd unit, or ulimit -n ${needed} before the start`,
    );
  }
  if (limits.coreBytes > 0) {
    warnings.push(
      'core files are switched on, and a core file of this program holds private keys and passwords; ' +
        'set LimitCORE=0 in the systemd unit, or ulimit -c 0 before the start',
    );
  }
  return warnings;
}

/**
 * Makes a folder (0700) in one that exists; null, or the end of a sentence that says why not. One level only: the
 * runtime's own recursion does not end where a file system takes no folders, as /proc.
 */
export function makeFolder(folder: string): string | null {
  try {
    const there = statSync(folder, { throwIfNoEntry: false });
    if (there !== undefined) return there.isDirectory() ? null : 'is not a folder';
    if (statSync(dirname(folder), { throwIfNoEntry: false }) === undefined)
      return `cannot be made: there is no folder ${dirname(folder)}`;
    mkdirSync(folder, { mode: 0o700 });
    return null;
  } catch (error) {
    return `cannot be made: ${explain(error)}`;
  }
}

export interface Privileges {
  /** Who workers become; null: who we are. */
  readonly owner: Owner | null;
  readonly mistakes: readonly string[];
  readonly warnings: readonly string[];
}

/** Decides who workers run as. `uid` is ours. */
export function decidePrivileges(
  user: string | null,
  uid: number,
  find: typeof findUser = findUser,
): Privileges {
  if (user === null) {
    const warnings =
      uid === 0
        ? ['running as root and `user` is not set: workers, which talk to strangers, are root too']
        : [];
    return { owner: null, mistakes: [], warnings };
  }
  const owner = find(user);
  if (owner === null)
    return { owner, mistakes: [`user: there is no user ${user} on this machine`], warnings: [] };
  if (uid === 0) return { owner, mistakes: [], warnings: owner.uid === 0 ? ['user: workers stay root'] : [] };
  const mistakes =
    owner.uid === uid
      ? []
      : [`user: only root can start workers as ${user}; leave \`user\` out or start as root`];
  return { owner: null, mistakes, warnings: [] };
}

/** A user of /etc/passwd, or of another source that `id` knows; null if there is none. */
export function findUser(name: string): Owner | null {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]*\$?$/.test(name)) return null;
  try {
    const line = readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .find((entry) => entry.startsWith(`${name}:`));
    const [, , uid, gid] = line?.split(':') ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
    const ask = (what: string): number =>
      Number(execFileSync('id', [what, name], { stdio: 'pipe', timeout: 5000 }));
    return { uid: ask('-u'), gid: ask('-g') };
  } catch {
    return null;
  }
}
