// Starts and stops the programs of the bench. Each runs in a process group of its own in the foreground, with its
// output in a file; stop() asks, waits, and then kills the group, so that no daemon survives the bench.
// Programs that were started and not stopped are killed by stopAll(), which main.ts calls however it ends.

import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { accessSync, closeSync, constants, openSync, readFileSync } from 'node:fs';
import net from 'node:net';
import { availableParallelism } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const START_LIMIT_MS = 15_000;
const STOP_LIMIT_MS = 5_000;
const running = new Set<Program>();

/** Full path of a program, also where administrators' programs are; null: not installed. */
export function findProgram(name: string): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];
  for (const folder of folders) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      continue;
    }
  }
  return null;
}

/** What a program says about its version, both channels; '' where it says nothing. */
export function askVersion(path: string, args: readonly string[]): string {
  try {
    return execFileSync('/bin/sh', ['-c', 'exec "$0" "$@" 2>&1', path, ...args], {
      encoding: 'utf8',
      timeout: 5_000,
    });
  } catch (error) {
    return error instanceof Error && 'stdout' in error ? String(error.stdout) : '';
  }
}

/** `taskset -c CPU` as the start of a command, or nothing where there is one core or no taskset. */
export function pinTo(cpu: number): readonly string[] {
  const taskset = findProgram('taskset');
  return taskset === null || availableParallelism() < 2 ? [] : [taskset, '-c', String(cpu)];
}

export async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export interface ProgramOptions {
  /** The command line, the program first. */
  readonly command: readonly string[];
  /** Where standard output and standard error go. */
  readonly logFile: string;
  readonly env?: Readonly<Record<string, string>>;
}

export class Program {
  readonly #child: ChildProcess;
  readonly #logFile: string;
  readonly #gone: Promise<void>;
  #isGone = false;

  constructor(options: ProgramOptions) {
    const output = openSync(options.logFile, 'a', 0o600);
    const [file = '', ...args] = options.command;
    this.#logFile = options.logFile;
    this.#child = spawn(file, args, {
      stdio: ['ignore', output, output],
      detached: true,
      env: { ...process.env, ...options.env },
    });
    closeSync(output);
    running.add(this);
    this.#gone = new Promise((resolve) => {
      const end = (): void => {
        this.#isGone = true;
        resolve();
      };
      this.#child.once('exit', end);
      this.#child.once('error', end);
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The end of what the program wrote. */
  get lastWords(): string {
    return readFileSync(this.#logFile, 'utf8').trim().split('\n').slice(-3).join(' | ').slice(-400);
  }

  /** Resolves when `isReady` holds; rejects with the last words when the program ends or takes too long. */
  async ready(isReady: () => boolean | Promise<boolean>): Promise<void> {
    const limit = Date.now() + START_LIMIT_MS;
    while (!this.#isGone && Date.now() < limit) {
      if (await isReady()) return;
      await sleep(50);
    }
    const what = this.#isGone ? 'ended at once' : `was not ready in ${START_LIMIT_MS / 1000} s`;
    await this.stop();
    throw new Error(`${what}: ${this.lastWords}`);
  }

  async stop(): Promise<void> {
    if (!this.#isGone) this.#signal('SIGTERM');
    const limit = new AbortController();
    await Promise.race([
      this.#gone,
      sleep(STOP_LIMIT_MS, undefined, { signal: limit.signal }).catch(() => {}),
    ]);
    limit.abort();
    this.kill();
    await this.#gone;
  }

  /** The whole group, at once. */
  kill(): void {
    running.delete(this);
    if (this.pid === 0) return;
    try {
      process.kill(-this.pid, 'SIGKILL');
    } catch {
      // Nobody is left in the group.
    }
  }

  #signal(signal: NodeJS.Signals): void {
    try {
      process.kill(this.pid, signal);
    } catch {
      // It has just ended.
    }
  }
}

export function stopAll(): void {
  for (const program of running) program.kill();
}

/** Whether somebody accepts connections on a port of 127.0.0.1. */
export async function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
