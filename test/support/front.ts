// Sallyport itself as a test sees it: `serve` as a process of its own, with the given settings, on free ports.
// Every `ADDRESS:0` in the settings becomes a free port before the start, so that ports are known and stay over a
// reload. Ready means that the log said so. stop() ends it and waits; a clash of ports starts it again on others.
// After a restart the process in charge is another one, whose number the log tells; it is ended with the test as well.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { parse, stringify } from 'yaml';

import { freePort } from './ports.ts';
import { startProcess, until, type ServerProcess } from './program.ts';

export interface FrontOptions {
  readonly folder: string;
  /** YAML text, or what becomes it. dataDir is put under the folder where it is missing. */
  readonly settings: string | Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
}

/** One line of the log: time, level, event and the event's own fields. */
export type LogLine = Readonly<Record<string, unknown>>;

export interface Front {
  /** Of the supervisor in charge. */
  readonly pid: number;
  readonly settingsFile: string;
  /** The first port that a service listens on. */
  port(service: string): number;
  /** All lines so far. */
  log(): LogLine[];
  /** The first line, past or to come, that the predicate takes. */
  waitForLog(predicate: (line: LogLine) => boolean, ms?: number): Promise<LogLine>;
  /** Writes other settings over the file; ports given as 0 stay the ones they were. Nothing is reloaded. */
  writeSettings(settings: FrontOptions['settings']): void;
  /** Sends SIGHUP and waits for the log line that tells how it went. */
  reload(): Promise<LogLine>;
  /** Sends SIGUSR2 and waits for the log line that tells how it went. */
  restart(): Promise<LogLine>;
  signal(name: NodeJS.Signals): void;
  /** Ends all of it (SIGTERM unless told otherwise) and gives the exit code of the process that the test started. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

const root = join(import.meta.dirname, '..', '..');
const reloadEvents = new Set(['reloaded', 'reload-refused']);
const restartEvents = new Set(['handed-over', 'restart-refused']);
const GONE_LIMIT_MS = 40_000;

export async function startFront(options: FrontOptions): Promise<Front> {
  for (let attempt = 1; ; attempt++) {
    const ports = new PortBook();
    const text = await ports.fill(settingsText(options.settings));
    const settingsFile = join(options.folder, 'sallyport.yaml');
    mkdirSync(options.folder, { recursive: true });
    writeFileSync(settingsFile, text);
    const server = startProcess(
      process.execPath,
      [join(root, 'src', 'main.ts'), 'serve', '--config', settingsFile],
      options.env === undefined ? {} : { env: options.env },
    );
    const front = new RunningFront(server, { settingsFile, text, ports });
    const failure = await front.ready();
    if (failure === null) return front;
    await server.stop();
    if (attempt === 3 || !failure.includes('EADDRINUSE'))
      throw new Error(`the front did not start: ${failure}`);
  }
}

function settingsText(settings: FrontOptions['settings']): string {
  return typeof settings === 'string'
    ? settings
    : stringify({ dataDir: './data', ...settings }, { aliasDuplicateObjects: false });
}

/** Gives each `ADDRESS:0`, in the order of the text, a port, and the same one again in a later text. */
class PortBook {
  readonly #ports: number[] = [];

  async fill(text: string): Promise<string> {
    const wanted = text.match(zeroPort)?.length ?? 0;
    while (this.#ports.length < wanted) {
      const port = await freePort();
      if (!this.#ports.includes(port)) this.#ports.push(port);
    }
    return this.refill(text);
  }

  refill(text: string): string {
    let index = 0;
    return text.replaceAll(zeroPort, (_, address: string) => {
      const port = this.#ports[index++];
      if (port === undefined)
        throw new Error('new settings may not hold more free ports than the first ones');
      return `${address}:${port}`;
    });
  }
}

const zeroPort = /(127\.\d+\.\d+\.\d+|0\.0\.0\.0|\[::1?\]):0\b/g;

interface Written {
  readonly settingsFile: string;
  readonly text: string;
  readonly ports: PortBook;
}

/** Supervisors that a restart brought, which are no children of the test. */
const successors = new Set<number>();
process.on('exit', () => {
  for (const pid of successors) if (isSupervisor(pid)) process.kill(pid, 'SIGKILL');
});

/** Of any restart; the process may be gone, and its number another program's. */
export function isSupervisor(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith('sallyport: supervisor');
  } catch {
    return false;
  }
}

class RunningFront implements Front {
  readonly settingsFile: string;
  readonly #server: ServerProcess;
  readonly #ports: PortBook;
  readonly #lines: LogLine[] = [];
  #settings: string;
  #rest = '';

  constructor(server: ServerProcess, written: Written) {
    this.settingsFile = written.settingsFile;
    this.#server = server;
    this.#ports = written.ports;
    this.#settings = written.text;
    server.onStderr((chunk) => this.#take(chunk));
  }

  /** null when it serves; what went wrong otherwise. */
  async ready(): Promise<string | null> {
    try {
      await until(
        () => this.#server.exited() || this.#has('ready'),
        30_000,
        () => this.#server.output(),
      );
    } catch (error) {
      return String(error);
    }
    return this.#has('ready') ? null : this.#server.output();
  }

  get pid(): number {
    const last = this.#lines.findLast((line) => line['event'] === 'ready')?.['pid'];
    return typeof last === 'number' ? last : this.#server.pid;
  }

  port(service: string): number {
    const { services } = parse(this.#settings) as {
      services?: Record<string, { listen?: string | string[] }>;
    };
    const listen = services?.[service]?.listen;
    const port = /:(\d+)$/.exec(String(Array.isArray(listen) ? listen[0] : listen))?.[1];
    if (port === undefined) throw new Error(`the settings have no service ${service} with a port`);
    return Number(port);
  }

  log(): LogLine[] {
    return [...this.#lines];
  }

  waitForLog(predicate: (line: LogLine) => boolean, ms = 10_000): Promise<LogLine> {
    return until(
      () => this.#lines.find(predicate),
      ms,
      () => `no such log line; the last ones: ${JSON.stringify(this.#lines.slice(-8), null, 1)}`,
    );
  }

  writeSettings(settings: FrontOptions['settings']): void {
    this.#settings = this.#ports.refill(settingsText(settings));
    writeFileSync(this.settingsFile, this.#settings);
  }

  async reload(): Promise<LogLine> {
    const before = this.#lines.length;
    this.signal('SIGHUP');
    return this.waitForLog(
      (line) => this.#lines.indexOf(line) >= before && reloadEvents.has(String(line['event'])),
    );
  }

  async restart(): Promise<LogLine> {
    const before = this.#lines.length;
    this.signal('SIGUSR2');
    return this.waitForLog(
      (line) => this.#lines.indexOf(line) >= before && restartEvents.has(String(line['event'])),
      60_000,
    );
  }

  signal(name: NodeJS.Signals): void {
    if (existsSync(`/proc/${this.pid}`)) process.kill(this.pid, name);
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const { pid } = this;
    const isSuccessor = pid !== this.#server.pid;
    if (isSuccessor && isSupervisor(pid)) process.kill(pid, signal);
    const code = await this.#server.stop(signal, GONE_LIMIT_MS);
    if (isSuccessor)
      await until(
        () => !existsSync(`/proc/${pid}`),
        GONE_LIMIT_MS,
        () => `process ${pid} does not end`,
      );
    return code;
  }

  #has(event: string): boolean {
    return this.#lines.some((line) => line['event'] === event);
  }

  #take(chunk: Buffer): void {
    const lines = `${this.#rest}${chunk.toString('utf8')}`.split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (!line.startsWith('{')) continue; // the runtime's own warnings
      try {
        const entry = JSON.parse(line) as LogLine;
        this.#lines.push(entry);
        if (entry['event'] === 'handed-over') successors.add(Number(entry['successor']));
      } catch {
        // two writers met in one line; output() still has it
      }
    }
  }
}
