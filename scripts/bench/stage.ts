// The two processes that every measurement needs besides the server: the sink and the load generator, both pinned to
// the second core. Stage owns them. A request that takes longer than its limit fails, and the load generator is
// replaced, so that one stuck peer does not spoil the rest. Crowd (crowd.ts) has more of both.

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import type { LoadAnswer, LoadRequest } from './load.ts';
import { pinTo } from './programs.ts';

const REQUEST_LIMIT_MS = 60_000;

type Message = Readonly<Record<string, unknown>>;

export function startHelper(file: string): ChildProcess {
  const [program, ...args] = [...pinTo(1), process.execPath, join(import.meta.dirname, file)];
  return spawn(program ?? process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
}

export async function firstMessage(child: ChildProcess): Promise<Message> {
  return new Promise((resolve, reject) => {
    child.once('message', (message) => resolve(message as Message));
    child.once('exit', () => reject(new Error('a process of the bench ended early')));
    child.once('error', reject);
  });
}

let requests = 0;

/** Rejects where the load generator fails, ends, or takes too long; then it is killed. */
export async function askLoad(load: ChildProcess, request: LoadRequest): Promise<LoadAnswer> {
  const id = (requests += 1);
  let cleanUp = (): void => {};
  try {
    return await new Promise<LoadAnswer>((resolve, reject) => {
      const limit = setTimeout(() => {
        load.kill('SIGKILL');
        reject(new Error(`${request.kind} took longer than ${REQUEST_LIMIT_MS / 1000} s`));
      }, REQUEST_LIMIT_MS);
      const answered = (message: unknown): void => {
        const { id: of, answer, error } = message as { id: number; answer?: LoadAnswer; error?: string };
        if (of !== id) return;
        if (answer === undefined) reject(new Error(`${request.kind}: ${error ?? 'no answer'}`));
        else resolve(answer);
      };
      const ended = (): void => reject(new Error(`the load generator ended during ${request.kind}`));
      cleanUp = () => {
        clearTimeout(limit);
        load.off('message', answered);
        load.off('exit', ended);
      };
      load.on('message', answered);
      load.once('exit', ended);
      load.send({ id, request });
    });
  } finally {
    cleanUp();
  }
}

export class Stage {
  readonly backendPort: number;
  readonly authPort: number;
  readonly #sink: ChildProcess;
  #load: ChildProcess;

  private constructor(sink: ChildProcess, load: ChildProcess, ports: { backend: number; auth: number }) {
    this.#sink = sink;
    this.#load = load;
    this.backendPort = ports.backend;
    this.authPort = ports.auth;
  }

  static async set(): Promise<Stage> {
    const sink = startHelper('sink.ts');
    const load = startHelper('load.ts');
    const [ports] = await Promise.all([firstMessage(sink), firstMessage(load)]);
    return new Stage(sink, load, { backend: Number(ports['port']), auth: Number(ports['authPort']) });
  }

  async ask(request: LoadRequest): Promise<LoadAnswer> {
    const load = this.#load;
    try {
      return await askLoad(load, request);
    } finally {
      if (load.killed || load.exitCode !== null) await this.#replaceLoad();
    }
  }

  strike(): void {
    this.#load.kill('SIGKILL');
    this.#sink.kill('SIGKILL');
  }

  async #replaceLoad(): Promise<void> {
    this.#load = startHelper('load.ts');
    await firstMessage(this.#load);
  }
}
