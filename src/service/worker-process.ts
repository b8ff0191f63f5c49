// One worker as the supervisor sees it: a forked child that is started, told things, asked things, and started again
// when it dies. Owns the child. Each new child is introduced anew (settings, material, handles), so that a restart
// needs nothing but the handles, which stay open in the supervisor meanwhile.
// The first death is answered at once; a child that keeps dying within 10 s of its start is waited for, 100 ms
// doubling to 30 s. A child that is not ready after 30 s is killed. After drain() or kill() nothing is restarted.

import type { ChildProcess } from 'node:child_process';

import { explain } from '../log.ts';
import type { Log } from '../log.ts';
import type { Timer, World } from '../world.ts';
import type { CheckReport } from './backends/checks.ts';
import type { ListeningHandle } from './handles.ts';
import { asFromWorker } from './messages.ts';
import type { FromWorker, ToWorker } from './messages.ts';

const SHORT_LIFE_MS = 10_000;
const DELAY_FIRST_MS = 100;
const DELAY_MAX_MS = 30_000;
const READY_LIMIT_MS = 30_000;
/** What a worker gets on top of its grace, to send its last words and exit. */
const EXIT_SLACK_MS = 5000;
/** For those that have just come to a worker whose place is taken: to log in, or to send their message. */
const NEWCOMERS_MS = 5000;

/** How long to wait before the next start. `lastMs` is null after a life that was long enough, and at the beginning. */
export function restartDelay(lastMs: number | null): number {
  if (lastMs === null) return 0;
  return lastMs === 0 ? DELAY_FIRST_MS : Math.min(lastMs * 2, DELAY_MAX_MS);
}

export type WorkerState = 'starting' | 'ready' | 'waiting' | 'draining' | 'ended';

export type Send = (message: ToWorker, handle?: ListeningHandle) => void;

export interface WorkerProcessOptions {
  readonly index: number;
  readonly fork: () => ChildProcess;
  /** Tells a new child all it must know; the last message is `begin`. */
  readonly introduce: (send: Send) => void;
  readonly onReady: (worker: WorkerProcess) => void;
  readonly onListenFailed: (key: string, code: string) => void;
  /** What it says of counts and penalties, unchecked. */
  readonly onShared?: (worker: WorkerProcess, note: unknown) => void;
  /** Its process is gone, whether or not another follows. */
  readonly onGone?: (worker: WorkerProcess) => void;
  readonly onChecked: (worker: WorkerProcess, report: CheckReport) => void;
  readonly onTokenFailed?: () => void;
  readonly log: Log;
  readonly world: World;
}

export interface Drained {
  /** Connections that the grace limit cut; null if the worker died or had to be killed. */
  readonly cut: number | null;
}

interface Question {
  answer(answer: unknown): void;
}

export class WorkerProcess {
  readonly index: number;
  restarts = 0;
  state: WorkerState = 'starting';
  readonly #options: WorkerProcessOptions;
  readonly #questions = new Map<number, Question>();
  readonly #ended = Promise.withResolvers<Drained>();
  readonly #settled = Promise.withResolvers<boolean>();
  #child: ChildProcess | null = null;
  #startedAt = 0;
  #lastDelayMs: number | null = null;
  #timer: Timer | null = null;
  #nextId = 1;
  #cut: number | null = null;

  constructor(options: WorkerProcessOptions) {
    this.#options = options;
    this.index = options.index;
  }

  /** How the first life began: true when it was ready, false when it ended before. */
  get settled(): Promise<boolean> {
    return this.#settled.promise;
  }

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  start(): void {
    const { introduce, world, log } = this.#options;
    this.state = 'starting';
    this.#startedAt = world.monotonic();
    const child = this.#fork();
    if (child === null) return;
    this.#child = child;
    this.#timer = world.after(READY_LIMIT_MS, () => {
      log.error('worker-not-ready', { worker: this.index, pid: child.pid, afterMs: READY_LIMIT_MS });
      child.kill('SIGKILL');
    });
    child.on('message', (value) => this.#hear(value));
    // 'error' without a pid is a child that never was; with one it is a message that could not be delivered.
    child.on('error', (error) => child.pid ?? this.#gone(child, null, error.message));
    // Not 'exit', which may come before the last message has been read.
    child.once('close', (code, signal) => this.#gone(child, code, signal));
    introduce((message, handle) => this.send(message, handle));
  }

  /** Never throws; what cannot be delivered belongs to a child that is dying, and its successor is introduced anew. */
  send(message: ToWorker, handle?: ListeningHandle): void {
    if (this.#child?.connected !== true) return;
    // The types know servers and sockets only; the runtime passes a bare listening handle as well.
    this.#child.send(message, handle as Parameters<ChildProcess['send']>[1], { keepOpen: true }, () => {});
  }

  /** Sends a question and waits for its reply; null if the worker dies or does not answer in time. */
  ask(question: (id: number) => ToWorker, limitMs: number): Promise<unknown> {
    if (this.#child?.connected !== true) return Promise.resolve(null);
    const id = this.#nextId++;
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const limit = this.#options.world.after(limitMs, () => resolve(null));
    this.#questions.set(id, { answer: resolve });
    this.send(question(id));
    return promise.finally(() => {
      limit.cancel();
      this.#questions.delete(id);
    });
  }

  /**
   * Lets the worker finish what it holds, for `graceMs` at most; resolves when the process is gone. With others that go
   * on in its place nobody needs to be turned away: newcomers have their time too.
   */
  drain(graceMs: number, place: 'given up' | 'taken' = 'given up'): Promise<Drained> {
    if (this.#child === null) {
      this.#timer?.cancel();
      this.#end();
    } else if (this.state !== 'draining') {
      this.#timer?.cancel();
      this.state = 'draining';
      const newcomersMs = place === 'taken' ? Math.min(NEWCOMERS_MS, graceMs / 2) : 0;
      this.send({ kind: 'drain', graceMs, newcomersMs });
      this.#timer = this.#options.world.after(graceMs + EXIT_SLACK_MS, () => {
        this.#options.log.error('worker-drain-stuck', { worker: this.index, pid: this.pid });
        this.#child?.kill('SIGKILL');
      });
    }
    return this.#ended.promise;
  }

  /** Ends the worker at once, with all its connections. */
  kill(): Promise<Drained> {
    this.#timer?.cancel();
    this.state = 'draining';
    if (this.#child === null) this.#end();
    else this.#child.kill('SIGKILL');
    return this.#ended.promise;
  }

  #fork(): ChildProcess | null {
    try {
      return this.#options.fork();
    } catch (error) {
      this.#restart({ worker: this.index, cause: explain(error) });
      return null;
    }
  }

  #hear(value: unknown): void {
    const message: FromWorker | null = asFromWorker(value);
    switch (message?.kind) {
      case 'ready':
        if (this.state !== 'starting') return;
        this.#timer?.cancel();
        this.state = 'ready';
        this.#settled.resolve(true);
        this.#options.onReady(this);
        return;
      case 'listen-failed':
        this.#options.onListenFailed(message.key, message.code);
        return;
      case 'reply':
        this.#questions.get(message.id)?.answer(message.answer);
        return;
      case 'shared':
        this.#options.onShared?.(this, message.note);
        return;
      case 'checked':
        this.#options.onChecked(this, message.report);
        return;
      case 'token-failed':
        this.#options.onTokenFailed?.();
        return;
      case 'drained':
        this.#cut = message.cut;
        return;
      default:
    }
  }

  #gone(child: ChildProcess, code: number | null, cause: string | null): void {
    if (this.#child !== child) return;
    this.#child = null;
    this.#timer?.cancel();
    for (const question of this.#questions.values()) question.answer(null);
    this.#options.onGone?.(this);
    if (this.state === 'draining') this.#end();
    else this.#restart({ worker: this.index, pid: child.pid, code, cause });
  }

  #restart(facts: Readonly<Record<string, unknown>>): void {
    const { world, log } = this.#options;
    this.#settled.resolve(false);
    const livedMs = Math.round(world.monotonic() - this.#startedAt);
    this.#lastDelayMs = livedMs >= SHORT_LIFE_MS ? 0 : restartDelay(this.#lastDelayMs);
    // A worker that was told to end by somebody else has drained; that is no failure.
    log.at(this.#cut === null ? 'error' : 'warn', 'worker-died', {
      ...facts,
      livedMs,
      restartInMs: this.#lastDelayMs,
    });
    this.#cut = null;
    this.restarts++;
    this.state = 'waiting';
    if (this.#lastDelayMs === 0) this.start();
    else this.#timer = world.after(this.#lastDelayMs, () => this.start());
  }

  #end(): void {
    this.state = 'ended';
    this.#settled.resolve(false);
    this.#ended.resolve({ cut: this.#cut });
  }
}
