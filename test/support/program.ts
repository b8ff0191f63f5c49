// Other people's programs in tests: run one to its end, or keep a server and stop exactly it.
// A program that is not installed is an error that names the Debian package script, never a skipped test. A server
// that a test forgot is ended with the test process. Output is kept as bytes, bounded by maxOutputBytes.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import net from 'node:net';
import { delimiter, join } from 'node:path';
import { Duplex } from 'node:stream';

const maxOutputBytes = 64 * 1024 * 1024;

export interface Run {
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  /** Both streams as text, for assertion messages. */
  readonly text: string;
}

export interface RunOptions {
  readonly input?: Buffer | string;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  readonly cwd?: string;
}

/** Where a program is; /usr/sbin counts even when PATH lacks it. */
export function locate(program: string): string {
  if (program.includes('/')) return program;
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
  for (const folder of folders) {
    const file = join(folder, program);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // the next folder may have it
    }
  }
  throw new Error(`${program} is not installed; scripts/test installs all that the live tests need`);
}

/** Runs a program to its end; it is killed after timeoutMs (60 s), and then the promise rejects. */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Run> {
  const timeoutMs = options.timeoutMs ?? 60_000;
  const child = spawn(locate(program), args, {
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  child.stdin.on('error', () => {}); // it may end without reading
  child.stdin.end(options.input ?? '');
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill('SIGKILL');
  }, timeoutMs);
  const [code] = (await once(child, 'close')) as [number | null];
  clearTimeout(timer);
  const result = { code, stdout: stdout(), stderr: stderr() };
  const text = `${result.stdout.toString('latin1')}${result.stderr.toString('latin1')}`;
  if (late) throw new Error(`${program} did not end within ${timeoutMs} ms; it said: ${text.slice(-2000)}`);
  return { ...result, text };
}

function collect(stream: NodeJS.ReadableStream): () => Buffer {
  const chunks: Buffer[] = [];
  let size = 0;
  stream.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= maxOutputBytes) chunks.push(chunk);
  });
  return () => Buffer.concat(chunks);
}

/** Runs a program whose standard input and output are one stream; destroying that ends the program. */
export function converse(program: string, args: readonly string[]): Duplex {
  const child = spawn(locate(program), args, { stdio: ['pipe', 'pipe', 'ignore'] });
  running.add(child);
  child.once('exit', () => running.delete(child));
  const stream = new Duplex({
    allowHalfOpen: false,
    read() {},
    write: (chunk: Buffer, _encoding, done) => void child.stdin.write(chunk, () => done()),
    final(done) {
      child.stdin.end(); // it may have gone already, and then nobody would call back
      done();
    },
    destroy(error, done) {
      child.kill('SIGTERM');
      done(error);
    },
  });
  child.stdin.on('error', () => {});
  child.stdout.on('data', (chunk: Buffer) => stream.push(chunk));
  child.stdout.on('end', () => stream.push(null));
  return stream;
}

/** A server process that belongs to the test. */
export interface ServerProcess {
  readonly child: ChildProcess;
  readonly pid: number;
  /** Everything it wrote on both streams. */
  output(): string;
  /** Calls `take` with each chunk of standard error from now on. */
  onStderr(take: (chunk: Buffer) => void): void;
  exited(): boolean;
  /** Sends a signal and waits for the end; SIGKILL after graceMs. What is left of its own group goes too. */
  stop(signal?: NodeJS.Signals, graceMs?: number): Promise<number | null>;
}

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGTERM');
});

export function startProcess(
  program: string,
  args: readonly string[],
  options: Omit<RunOptions, 'input'> & { readonly ownGroup?: true } = {},
): ServerProcess {
  const child = spawn(locate(program), args, {
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: options.ownGroup === true,
  });
  running.add(child);
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  const ended = new Promise<number | null>((resolve) => {
    child.once('error', () => resolve(null));
    child.once('exit', (code) => {
      running.delete(child);
      resolve(code);
    });
  });
  let exited = false;
  void ended.then(() => (exited = true));
  return {
    child,
    pid: child.pid ?? -1,
    output: () => `${stdout().toString('latin1')}${stderr().toString('latin1')}`,
    onStderr: (take) => void child.stderr.on('data', take),
    exited: () => exited,
    async stop(signal = 'SIGTERM', graceMs = 10_000) {
      if (exited) return ended;
      child.kill(signal);
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
      const code = await ended;
      clearTimeout(timer);
      if (options.ownGroup === true) killGroup(child);
      return code;
    },
  };
}

/** Dovecot's login processes serve their clients on after the master has gone. */
function killGroup(leader: ChildProcess): void {
  try {
    if (leader.pid !== undefined) process.kill(-leader.pid, 'SIGKILL');
  } catch {
    // nothing was left
  }
}

/** Waits until `check` gives a value; throws with what `describe` says after ms. */
export async function until<T>(
  check: () => T | undefined | false | Promise<T | undefined | false>,
  ms: number,
  describe: () => string,
): Promise<T> {
  const end = performance.now() + ms;
  for (;;) {
    const value = await check();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > end) throw new Error(`nothing came within ${ms} ms: ${describe()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** The first bytes that a server says to a new connection; undefined where it refuses, closes or stays silent. */
export function greetingOf(port: number, timeoutMs = 2000): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1' });
    socket.setTimeout(timeoutMs, () => socket.destroy());
    socket.on('error', () => {});
    socket.once('data', (chunk: Buffer) => {
      resolve(chunk.toString('latin1'));
      socket.destroy();
    });
    socket.once('close', () => resolve(undefined));
  });
}
