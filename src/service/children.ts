// How the supervisor starts its children: workers, an ACME order, and a successor. None inherits a descriptor besides the log's streams
// and the IPC channel; what the service manager put into the environment has been taken out of it (config/environment).

import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';

import type { Owner } from './handles.ts';

export interface WorkerStart {
  /** The program, which is run with the arguments `worker N`. */
  readonly entry: string;
  readonly index: number;
  /** Who it becomes; null: who we are. */
  readonly owner: Owner | null;
}

export function forkWorker({ entry, index, owner }: WorkerStart): ChildProcess {
  return fork(entry, ['worker', String(index)], {
    cwd: '/',
    execArgv: ['--disable-sigusr1'],
    serialization: 'advanced',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    // With a uid or gid the runtime drops all supplementary groups as well.
    ...(owner === null ? {} : { uid: owner.uid, gid: owner.gid }),
  });
}

/** The process of one ACME order, which is told what to do by messages. */
export function forkAcmeOrder({ entry, owner }: Omit<WorkerStart, 'index'>): ChildProcess {
  return fork(entry, ['acme-order'], {
    cwd: '/',
    execArgv: ['--disable-sigusr1'],
    serialization: 'advanced',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    ...(owner === null ? {} : { uid: owner.uid, gid: owner.gid }),
  });
}

/** Starts the program that is on disk now, which may be newer than the one that runs. JSON is what both can read. */
export function forkSuccessor(entry: string, file: string): ChildProcess {
  return fork(entry, ['successor', '--config', file], {
    serialization: 'json',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
}
