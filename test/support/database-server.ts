// What database servers of tests have in common: they refuse to run as root, so they run as somebody who owns nothing but
// the folder that they are given.

import { chownSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { run, type Run, type RunOptions, type ServerProcess, startProcess } from './program.ts';

export interface Unprivileged {
  /** Its own, empty. */
  readonly folder: string;
  run(program: string, args: readonly string[], options?: RunOptions): Promise<Run>;
  start(program: string, args: readonly string[]): ServerProcess;
  /** Gives it a file or folder. */
  own(path: string): void;
  remove(): void;
}

export function unprivileged(prefix: string): Unprivileged {
  const folder = mkdtempSync(join(tmpdir(), prefix));
  const isRoot = process.getuid?.() === 0;
  const [uid, gid] = idsOfNobody();
  const own = (path: string): void => {
    if (isRoot) chownSync(path, uid, gid);
  };
  own(folder);
  const drop = [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'];
  const command = (program: string, args: readonly string[]): readonly [string, readonly string[]] =>
    isRoot ? ['setpriv', [...drop, program, ...args]] : [program, args];
  return {
    folder,
    own,
    run: (program, args, options) => run(...command(program, args), { cwd: folder, ...options }),
    start: (program, args) => startProcess(...command(program, args), { cwd: folder }),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function idsOfNobody(): readonly [number, number] {
  const [, uid = '65534', gid = '65534'] =
    /^nobody:[^:]*:(\d+):(\d+):/m.exec(readFileSync('/etc/passwd', 'utf8')) ?? [];
  return [Number(uid), Number(gid)];
}
