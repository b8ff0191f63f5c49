// All workers together: how many there are, telling them all, asking them all, and their common end.
// Owns the WorkerProcesses. A worker that is one too many after a reload drains on its own; until it is gone, the
// drain and the kill of the pool reach it too.

import type { ChildProcess } from 'node:child_process';

import type { Log } from '../log.ts';
import type { World } from '../world.ts';
import type { CheckReport } from './checks.ts';
import type { ListeningHandle } from './handles.ts';
import type { ToWorker } from './messages.ts';
import { WorkerProcess } from './worker-process.ts';
import type { Drained, Send } from './worker-process.ts';

export interface WorkerPoolOptions {
  readonly fork: (index: number) => ChildProcess;
  readonly introduce: (send: Send) => void;
  readonly onListenFailed: (key: string, code: string) => void;
  readonly onShared?: (worker: WorkerProcess, note: unknown) => void;
  readonly onGone?: (worker: WorkerProcess) => void;
  readonly onChecked: (worker: WorkerProcess, report: CheckReport) => void;
  readonly log: Log;
  readonly world: World;
}

export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #ready = Promise.withResolvers<void>();
  #workers: WorkerProcess[] = [];
  readonly #leaving = new Set<WorkerProcess>();

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
  }

  /** Resolves when, for the first time, all are ready. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  get workers(): readonly WorkerProcess[] {
    return this.#workers;
  }

  /** Starts or drains workers until there are `count`. */
  resize(count: number, graceMs: number): void {
    for (const worker of this.#workers.splice(count)) {
      this.#leaving.add(worker);
      void worker.drain(graceMs).then(() => this.#leaving.delete(worker));
    }
    while (this.#workers.length < count) {
      const worker = this.#create(this.#workers.length + 1);
      this.#workers.push(worker);
      worker.start();
    }
  }

  /** Those that are leaving as well: they still hold connections. */
  get all(): readonly WorkerProcess[] {
    return [...this.#workers, ...this.#leaving];
  }

  tell(message: ToWorker, handle?: ListeningHandle): void {
    for (const worker of this.#workers) worker.send(message, handle);
  }

  tellAll(message: ToWorker): void {
    for (const worker of this.all) worker.send(message);
  }

  tellOne(to: object, message: ToWorker): void {
    this.all.find((worker) => worker === to)?.send(message);
  }

  /** One answer a worker, in their order; null from one that is dead or slow. */
  ask(question: (id: number) => ToWorker, limitMs: number): Promise<unknown[]> {
    return Promise.all(this.#workers.map((worker) => worker.ask(question, limitMs)));
  }

  /** The same of all of them. */
  askAll(question: (id: number) => ToWorker, limitMs: number): Promise<unknown[]> {
    return Promise.all(this.all.map((worker) => worker.ask(question, limitMs)));
  }

  drain(graceMs: number): Promise<Drained[]> {
    return Promise.all(this.all.map((worker) => worker.drain(graceMs)));
  }

  kill(): Promise<Drained[]> {
    return Promise.all(this.all.map((worker) => worker.kill()));
  }

  #create(index: number): WorkerProcess {
    const { fork, introduce, onListenFailed, onShared, onGone, onChecked, log, world } = this.#options;
    return new WorkerProcess({
      index,
      fork: () => fork(index),
      introduce,
      onReady: (worker) => {
        log.debug('worker-ready', { worker: worker.index, pid: worker.pid });
        if (this.#workers.every(({ state }) => state === 'ready')) this.#ready.resolve();
      },
      onListenFailed,
      ...(onShared === undefined ? {} : { onShared }),
      ...(onGone === undefined ? {} : { onGone }),
      onChecked,
      log,
      world,
    });
  }
}
