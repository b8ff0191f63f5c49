// Users in a file of SQLite. The runtime's driver answers inside of the call, so it is asked in a thread of its own, and
// no connection waits for a query of another. Promises: so many questions waiting and no more; each is answered or has
// failed within `timeoutMs`; a query that goes on beyond that cannot be stopped, so until it ends every question fails at
// once. On failure: ServerFailure, or GateError DIRECTORY_DOWN. Owns the thread, which keeps the process alive only while
// somebody waits.

import { Worker } from 'node:worker_threads';

import { GateError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { World } from '../../world.ts';
import { ServerFailure } from '../server-pool.ts';
import type { SqlAnswer, SqlQuestion, SqlSource } from './source.ts';
import type { SqliteAnswer, SqliteFile, SqliteQuestion } from './sqlite-thread.ts';

export interface SqliteOptions {
  readonly file: string;
  readonly timeoutMs: number;
  readonly world: World;
  readonly log: Log;
}

const WAITING_MAX = 512;
/** Of the time of a question, what a lock may take. */
const BUSY_SHARE = 0.5;

interface Waiting {
  readonly resolve: (answer: SqlAnswer) => void;
  readonly reject: (error: Error) => void;
}

export class SqliteSource implements SqlSource {
  readonly #options: SqliteOptions;
  readonly #waiting = new Map<number, Waiting>();
  #thread: Worker | null = null;
  #last = 0;
  /** The question that has run out of its time and that the thread is still at, or has before it. */
  #late: number | null = null;
  #isClosed = false;

  constructor(options: SqliteOptions) {
    this.#options = options;
  }

  async ask({ text, values }: SqlQuestion): Promise<SqlAnswer> {
    const { world, timeoutMs } = this.#options;
    if (this.#late !== null) throw this.#down('a query is still running that is beyond its time');
    if (this.#waiting.size >= WAITING_MAX) throw this.#down('too many questions wait');
    const id = ++this.#last;
    const { promise, resolve, reject } = Promise.withResolvers<SqlAnswer>();
    this.#waiting.set(id, { resolve, reject });
    const timer = world.after(timeoutMs, () => {
      this.#late = id;
      this.#waiting.delete(id);
      this.#rest();
      this.#options.log.warn('directory query slow', { file: this.#options.file, ms: timeoutMs });
      reject(this.#down(`no answer in ${timeoutMs} ms`));
    });
    const thread = (this.#thread ??= this.#start());
    thread.ref();
    thread.postMessage({ id, text, values } satisfies SqliteQuestion);
    try {
      return await promise;
    } finally {
      timer.cancel();
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#rest();
  }

  #start(): Worker {
    const { file, timeoutMs } = this.#options;
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const busyMs = Math.ceil(timeoutMs * BUSY_SHARE);
    const made = new Worker(new URL(`./sqlite-thread.${extension}`, import.meta.url), {
      workerData: { file, busyMs } satisfies SqliteFile,
    });
    made.on('message', (said: SqliteAnswer) => {
      const waiting = this.#waiting.get(said.id);
      this.#waiting.delete(said.id);
      // They are answered in the order in which they were asked.
      if (this.#late !== null && said.id >= this.#late) this.#late = null;
      if ('answer' in said) waiting?.resolve(said.answer);
      else
        waiting?.reject(
          new ServerFailure(said.isQuestion ? 'question' : 'server', `${file}: ${said.failure}`),
        );
      this.#rest();
    });
    const gone = (): void => {
      if (this.#thread !== made) return;
      this.#thread = null;
      this.#late = null;
      for (const { reject } of this.#waiting.values()) reject(this.#down('its thread has ended'));
      this.#waiting.clear();
    };
    made.on('error', gone).on('exit', gone);
    return made;
  }

  /** Nobody waits. */
  #rest(): void {
    if (this.#waiting.size > 0) return;
    this.#thread?.unref();
    if (!this.#isClosed) return;
    void this.#thread?.terminate();
    this.#thread = null;
    this.#late = null;
  }

  #down(found: string): GateError {
    return new GateError('DIRECTORY_DOWN', { file: this.#options.file, found });
  }
}
