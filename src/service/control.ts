// The supervisor's control socket: a Unix socket in dataDir, mode 0600, one JSON line in, one JSON line out, then
// closed. Who may connect is the file system's business. A request is bounded in bytes, time and number of askers;
// what breaks a bound is told so and closed, and never reaches a command.
// openControl() is also the lock on dataDir: where a supervisor answers already, it refuses. takeOverControl() puts a new
// socket in the place of the one before in one step, so that there is no moment at which nobody answers.
// The server owns the socket file and removes it at close(), unless somebody has put another in its place. Whoever has
// said a command gets the answer before close() resolves.

import { chmodSync, linkSync, renameSync, rmSync } from 'node:fs';
import net from 'node:net';
import { dirname, join } from 'node:path';

import { explain } from '../log.ts';
import type { World } from '../world.ts';
import { identify, isSameFile, removeFile, removeStaleSocket } from './handles.ts';
import { makeFolder } from './machine.ts';

export const REQUEST_BYTES_MAX = 64 * 1024;
export const REQUEST_LIMIT_MS = 5000;
export const ASKERS_MAX = 8;
/** sun_path of Linux, without its final NUL. */
const SOCKET_PATH_BYTES_MAX = 107;
/** A status of many services with many certificates is long; a supervisor that says more is none. */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;

const CONTROL_COMMANDS = [
  'status',
  'reload',
  'restart',
  'drain',
  'backend',
  'sessions',
  'kick',
  'acme',
] as const;

export type ControlCommand = (typeof CONTROL_COMMANDS)[number];

/** What an asker says besides the command; not checked yet. */
export type ControlRequest = Readonly<Record<string, unknown>>;

export type ControlAnswer =
  | { readonly ok: true; readonly [fact: string]: unknown }
  | {
      readonly ok: false;
      readonly error: string;
      /** One a line. */
      readonly mistakes?: readonly string[];
      /** What the mistakes are in: the settings, or the machine (an address that cannot be bound). */
      readonly refused?: 'settings' | 'machine';
    };

export type ControlCommands = Readonly<
  Record<ControlCommand, (request: ControlRequest) => Promise<ControlAnswer>>
>;

export interface Control {
  /** Whether askers still find this one, and not another in its place. */
  isInPlace(): boolean;
  /** Takes no more askers at once; resolves when those who wait have their answers. */
  close(): Promise<void>;
}

export function controlPath(dataDir: string): string {
  return join(dataDir, 'sallyport.sock');
}

/** Opens the socket, and makes dataDir (0700) in a folder that exists; a sentence where that is not possible. */
export async function openControl(
  dataDir: string,
  commands: ControlCommands,
  world: World,
): Promise<Control | string> {
  const path = controlPath(dataDir);
  const refusal = makeRoom(dataDir);
  if (refusal !== null) return refusal;
  const stale = await removeStaleSocket(path, world);
  if (stale === 'another program answers on it') return inUse(dataDir);
  if (stale !== null) return `control socket ${path}: ${stale}`;
  return listen({ path, commands, world, place: (beside) => linkSync(beside, path) }).catch(
    (error: unknown) => (isTaken(error) ? inUse(dataDir) : `control socket ${path}: ${explain(error)}`),
  );
}

/** The same in the place of a supervisor that agrees to it, or is gone. */
export function takeOverControl(
  dataDir: string,
  commands: ControlCommands,
  world: World,
): Promise<Control | string> {
  const path = controlPath(dataDir);
  return listen({ path, commands, world, place: (beside) => renameSync(beside, path) }).catch(
    (error: unknown) => `control socket ${path}: ${explain(error)}`,
  );
}

function inUse(dataDir: string): string {
  return `dataDir ${dataDir} is in use: another supervisor answers on ${controlPath(dataDir)}; stop it, or set another dataDir`;
}

function isTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EEXIST';
}

function makeRoom(dataDir: string): string | null {
  const path = controlPath(dataDir);
  const bytes = Buffer.byteLength(path);
  if (bytes > SOCKET_PATH_BYTES_MAX) {
    return `dataDir ${dataDir} is too long: ${path} has ${bytes} bytes, a Unix socket's path may have ${SOCKET_PATH_BYTES_MAX}`;
  }
  const refusal = makeFolder(dataDir);
  return refusal === null ? null : `dataDir ${dataDir} ${refusal}`;
}

interface Opening {
  readonly path: string;
  readonly commands: ControlCommands;
  readonly world: World;
  /** Gives the socket its name; it was made under another one, no longer than the name itself. */
  readonly place: (beside: string) => void;
}

// Listening before it has its name, so that whoever finds the name is answered. The runtime removes what it bound, which
// is the other name; so close() takes nobody else's socket away.
async function listen({ path, commands, world, place }: Opening): Promise<Control> {
  const waiting = new Set<Promise<void>>();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    void hearAsker(socket, world).then((line) => {
      const answered = answerAsker(socket, { line, commands, world }).finally(() => waiting.delete(answered));
      waiting.add(answered);
    });
  });
  server.maxConnections = ASKERS_MAX;
  const beside = join(dirname(path), `.${process.pid}.sock`);
  rmSync(beside, { force: true });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.on('error', reject);
  server.once('listening', resolve);
  // listen() makes the file before it returns, so the mask is ours alone.
  const mask = process.umask(0o177);
  server.listen(beside);
  process.umask(mask);
  await promise;
  try {
    chmodSync(beside, 0o600);
    place(beside);
  } catch (error) {
    server.close();
    throw error;
  }
  rmSync(beside, { force: true });
  const file = identify(path);
  return {
    isInPlace: () => isSameFile(identify(path), file),
    async close() {
      server.close();
      if (file !== null) removeFile(path, file);
      await Promise.all(waiting);
    },
  };
}

function hearAsker(socket: net.Socket, world: World): Promise<Line> {
  socket.on('error', () => socket.destroy());
  return readLine(socket, { bytesMax: REQUEST_BYTES_MAX, limitMs: REQUEST_LIMIT_MS, world });
}

interface Asked {
  readonly line: Line;
  readonly commands: ControlCommands;
  readonly world: World;
}

/** Resolves when the asker has its answer, or is gone. */
async function answerAsker(socket: net.Socket, { line, commands, world }: Asked): Promise<void> {
  const answer = line.kind === 'line' ? await obey(line.text, commands) : refused(LINE_FAILURES[line.kind]);
  if (socket.destroyed) return;
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  socket.once('close', resolve);
  const limit = world.after(REQUEST_LIMIT_MS, () => socket.destroy());
  socket.end(`${JSON.stringify(answer)}\n`, () => socket.destroy());
  await closed;
  limit.cancel();
}

async function obey(line: string, commands: ControlCommands): Promise<ControlAnswer> {
  const request = parseRequest(line);
  const command = CONTROL_COMMANDS.find((name) => name === request['command']);
  if (command === undefined) {
    return refused(
      `expected one line such as {"command":"status"}; commands: ${CONTROL_COMMANDS.join(', ')}`,
    );
  }
  try {
    return await commands[command](request);
  } catch (error) {
    return refused(explain(error));
  }
}

function parseRequest(line: string): ControlRequest {
  try {
    const request: unknown = JSON.parse(line);
    return typeof request === 'object' && request !== null ? (request as ControlRequest) : {};
  } catch {
    return {};
  }
}

function refused(error: string): ControlAnswer {
  return { ok: false, error };
}

const LINE_FAILURES = {
  'too-long': `the line is longer than ${REQUEST_BYTES_MAX} bytes`,
  'too-slow': `no line within ${REQUEST_LIMIT_MS} ms`,
  closed: 'the connection ended before the line did',
} as const;

type Line = { readonly kind: 'line'; readonly text: string } | { readonly kind: keyof typeof LINE_FAILURES };

interface LineLimits {
  readonly bytesMax: number;
  readonly limitMs: number;
  readonly world: World;
}

// Reads up to the first LF. What follows it is not read.
function readLine(socket: net.Socket, limits: LineLimits): Promise<Line> {
  const { promise, resolve } = Promise.withResolvers<Line>();
  const chunks: Buffer[] = [];
  let bytes = 0;
  const take = (chunk: Buffer): void => {
    const end = chunk.indexOf(0x0a);
    bytes += end === -1 ? chunk.length : end;
    if (bytes > limits.bytesMax) return resolve({ kind: 'too-long' });
    chunks.push(end === -1 ? chunk : chunk.subarray(0, end));
    if (end !== -1) resolve({ kind: 'line', text: Buffer.concat(chunks).toString('utf8') });
  };
  const closed = (): void => resolve({ kind: 'closed' });
  const timer = limits.world.after(limits.limitMs, () => resolve({ kind: 'too-slow' }));
  socket.on('data', take).on('end', closed).on('close', closed);
  return promise.finally(() => {
    timer.cancel();
    socket.off('data', take).off('end', closed).off('close', closed).pause();
  });
}

/** Asks the supervisor of `dataDir`. A failure to reach it is an answer too. */
export async function askControl(
  dataDir: string,
  command: ControlCommand,
  options: { readonly world: World; readonly limitMs: number; readonly request?: ControlRequest },
): Promise<ControlAnswer> {
  const path = controlPath(dataDir);
  const socket = options.world.dial({ kind: 'unix', path });
  let failure = `no supervisor answers on ${path}`;
  socket.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EACCES')
      failure = `${path} may be used by its owner only (run as the supervisor's user)`;
    else if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED')
      failure = `no supervisor runs on ${path} (was dataDir changed since the start?)`;
    socket.destroy();
  });
  socket.write(`${JSON.stringify({ ...options.request, command })}\n`);
  const line = await readLine(socket, {
    bytesMax: ANSWER_BYTES_MAX,
    limitMs: options.limitMs,
    world: options.world,
  });
  socket.destroy();
  if (line.kind === 'too-slow')
    return refused(`the supervisor on ${path} did not answer in ${options.limitMs} ms`);
  if (line.kind !== 'line') return refused(failure);
  return parseAnswer(line.text) ?? refused(`what answers on ${path} is no supervisor`);
}

function parseAnswer(text: string): ControlAnswer | null {
  try {
    const answer: unknown = JSON.parse(text);
    if (typeof answer !== 'object' || answer === null || !('ok' in answer)) return null;
    return answer as ControlAnswer;
  } catch {
    return null;
  }
}
