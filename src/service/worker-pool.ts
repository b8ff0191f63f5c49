// All workers together: how many there are, telling them all, asking them all, and their common end.
// Owns the WorkerProcesses. A worker that is one too many after a reload drains on its own; until it is gone, the
// drain and the kill of the pool reach it too.
// Replacement goes round: a new worker is started and ready before the old one of its place drains, and the next place
// has its turn when the old one is gone, so there is never more than one process too many. A new worker that does not
// get ready ends the round; the old ones stay.

import type { ChildProcess } from 'node:child_process';

import type { Log } from '../log.ts';
import type { World } from '../world.ts';
import type { CheckReport } from './backends/checks.ts';
import type { ListeningHandle } from './handles.ts';
import type { ToWorker } from './messages.ts';
import { WorkerProcess } from './worker-process.ts';
import type { Drained, Send } from './worker-process.ts';

export interface Replacement {
  readonly replaced: number;
  /** Why the round ended before its end; null: it did not. */
  readonly failure: string | null;
}

export interface WorkerPoolOptions {
  readonly fork: (index: number) => ChildProcess;
  readonly introduce: (send: Send) => void;
  readonly onListenFailed: (key: string, code: string) => void;
  readonly onShared?: (worker: WorkerProcess, note: unknown) => void;
  readonly onGone?: (worker: WorkerProcess) => void;
  readonly onChecked: (worker: WorkerProcess, report: CheckReport) => void;
  readonly onTokenFailed?: () => void;
  readonly log: Log;
  readonly world: World;
}

export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #ready = Promise.withResolvers<void>();
  #workers: WorkerProcess[] = [];
  readonly #leaving = new Set<WorkerProcess>();
  /** Started and not yet in a place. */
  #joining: WorkerProcess | null = null;
  #stopReason: string | null = null;
  #isReplacing = false;

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

  /** Also one that is about to come, and those that drain while the others go on. */
  get all(): readonly WorkerProcess[] {
    return [...this.#serving, ...this.#leaving].filter(({ state }) => state !== 'ended');
  }

  /** Rejects when a worker dies, or is too slow, before it is ready for the first time; never resolves otherwise. */
  get failed(): Promise<never> {
    const firsts = this.#workers.map(async (worker) => {
      if (!(await worker.settled)) throw new Error(`worker ${worker.index} did not get ready`);
      return Promise.withResolvers<never>().promise;
    });
    return Promise.race(firsts);
  }

  /** Starts or drains workers until there are `count`. */
  resize(count: number, graceMs: number): void {
    for (const worker of this.#workers.splice(count)) void this.#leave(worker, graceMs);
    while (this.#workers.length < count) {
      const worker = this.#create(this.#workers.length + 1);
      this.#workers.push(worker);
      worker.start();
    }
  }

  /** Replaces each worker by a new one. A second call while one goes on is refused. */
  async replaceAll(graceMs: number): Promise<Replacement> {
    if (this.#isReplacing) return { replaced: 0, failure: 'workers are being replaced already' };
    this.#isReplacing = true;
    this.#stopReason = null;
    const round = [...this.#workers];
    let replaced = 0;
    try {
      for (const old of round) {
        const end = await this.#replace(old, graceMs);
        if (end === 'replaced') replaced++;
        else if (end !== 'not needed') return { replaced, failure: end.failure };
      }
      return { replaced, failure: null };
    } finally {
      this.#isReplacing = false;
    }
  }

  get isReplacing(): boolean {
    return this.#isReplacing;
  }

  /** Lets a round of replacement end with the worker that it is at. */
  stopReplacing(reason: string): void {
    this.#stopReason = reason;
  }

  tell(message: ToWorker, handle?: ListeningHandle): void {
    for (const worker of this.#serving) worker.send(message, handle);
  }

  tellAll(message: ToWorker): void {
    for (const worker of this.all) worker.send(message);
  }

  tellOne(to: object, message: ToWorker): void {
    this.all.find((worker) => worker === to)?.send(message);
  }

  /** One answer a worker, in their order; null from one that is dead or slow. Those that leave are not asked. */
  ask(question: (id: number) => ToWorker, limitMs: number): Promise<unknown[]> {
    return Promise.all(this.#serving.map((worker) => worker.ask(question, limitMs)));
  }

  /** The same of all of them. */
  askAll(question: (id: number) => ToWorker, limitMs: number): Promise<unknown[]> {
    return Promise.all(this.all.map((worker) => worker.ask(question, limitMs)));
  }

  drain(graceMs: number, place: 'given up' | 'taken' = 'given up'): Promise<Drained[]> {
    return Promise.all(this.all.map((worker) => worker.drain(graceMs, place)));
  }

  kill(): Promise<Drained[]> {
    return Promise.all(this.all.map((worker) => worker.kill()));
  }

  get #serving(): WorkerProcess[] {
    return this.#joining === null ? this.#workers : [...this.#workers, this.#joining];
  }

  async #replace(
    old: WorkerProcess,
    graceMs: number,
  ): Promise<'replaced' | 'not needed' | { readonly failure: string }> {
    if (this.#stopReason !== null) return { failure: this.#stopReason };
    // A reload meanwhile may have made this place one too many.
    if (!this.#workers.includes(old)) return 'not needed';
    const next = this.#create(old.index);
    this.#joining = next;
    next.start();
    const isReady = await next.settled;
    this.#joining = null;
    if (!isReady) {
      await next.kill();
      const failure = `the new worker ${old.index} did not get ready, the old one stays`;
      return { failure: this.#stopReason ?? failure };
    }
    const place = this.#workers.indexOf(old);
    if (place === -1) {
      await this.#leave(next, graceMs);
      return 'not needed';
    }
    this.#workers[place] = next;
    await this.#leave(old, graceMs);
    return 'replaced';
  }

  async #leave(worker: WorkerProcess, graceMs: number): Promise<void> {
    this.#leaving.add(worker);
    await worker.drain(graceMs, 'taken');
    this.#leaving.delete(worker);
  }

  #create(index: number): WorkerProcess {
    const { fork, introduce, onListenFailed, onShared, onGone, onChecked, onTokenFailed, log, world } =
      this.#options;
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
      ...(onTokenFailed === undefined ? {} : { onTokenFailed }),
      log,
      world,
    });
  }
}
