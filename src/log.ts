// One line per event, JSON or text, on standard error; as text, a list of mistakes is one line each. The writer never
// throws; a broken pipe ends the logging, not the serving. Warnings and errors are written at once, the rest a moment
// later, many lines in one write. What strangers sent cannot move a terminal's cursor, break a line or turn its reading
// direction: such characters are escaped. Nobody passes secrets here: settings that are secret have no string form
// (config/secret.ts).

import { writeSync } from 'node:fs';
import { inspect } from 'node:util';
import { realWorld, type Timer } from './world.ts';

export type Level = 'debug' | 'info' | 'warn' | 'error';
export type Fields = Readonly<Record<string, unknown>>;

export interface Log {
  debug(event: string, fields?: Fields): void;
  info(event: string, fields?: Fields): void;
  warn(event: string, fields?: Fields): void;
  error(event: string, fields?: Fields): void;
  /** Writes at a level chosen at run time. */
  at(level: Level, event: string, fields?: Fields): void;
}

const RANK: Readonly<Record<Level, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

export interface LogOptions {
  readonly level: Level;
  readonly format: 'json' | 'text';
  /** Where lines go; default: standard error. */
  readonly write?: (line: string, level: Level) => void;
  /** Fields of every line. */
  readonly base?: Fields;
}

export function createLog(options: LogOptions): Log {
  const write = options.write ?? writeToStandardError;
  const at = (level: Level, event: string, fields: Fields = {}): void => {
    if (RANK[level] < RANK[options.level]) return;
    const head = { time: new Date().toISOString(), level, event, ...options.base };
    if (options.format === 'json') return write(`${harmless(jsonLine(head, fields))}\n`, level);
    const lines = textLines({ ...head, ...fields });
    write(lines.map((line) => `${harmless(line)}\n`).join(''), level);
  };
  return {
    at,
    debug: (event, fields) => at('debug', event, fields),
    info: (event, fields) => at('info', event, fields),
    warn: (event, fields) => at('warn', event, fields),
    error: (event, fields) => at('error', event, fields),
  };
}

/** Control characters, the line and paragraph separators, and what changes the direction of reading. */
// oxlint-disable-next-line no-control-regex
const HARMFUL = /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** A text that moves no cursor, breaks no line and turns no direction of reading. */
export function harmless(line: string): string {
  return line.replace(HARMFUL, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** One object out of two, without making it: there is a line for every connection. */
function jsonLine(head: Fields, fields: Fields): string {
  const [first, second] = [JSON.stringify(head), JSON.stringify(fields)];
  return second === '{}' ? first : `${first.slice(0, -1)},${second.slice(1)}`;
}

type Entry = { time: string; level: string; event: string } & Fields;

function textLines({ time, level, event, mistakes, ...fields }: Entry): string[] {
  const words = flatten(fields, '', 0).map(([key, value]) => `${key}=${textValue(value)}`);
  const start = [time, level.toUpperCase(), event, ...words].join(' ');
  if (!Array.isArray(mistakes) || mistakes.length === 0) return [start];
  return mistakes.map((mistake: unknown) => `${start} mistake=${textValue(mistake)}`);
}

const DEPTH_MAX = 4;

/** `{ tls: { version } }` as `tls.version`; a list of words as one word with commas. */
function flatten(fields: object, above: string, depth: number): [string, unknown][] {
  return Object.entries(fields).flatMap(([name, given]: [string, unknown]): [string, unknown][] => {
    // JSON first: it is how a secret is masked.
    const value: unknown =
      typeof given === 'object' && given !== null && depth === 0
        ? JSON.parse(JSON.stringify(given) ?? 'null')
        : given;
    if (value === undefined || value === null) return [];
    const key = `${above}${name}`;
    if (Array.isArray(value) && value.every((item) => typeof item === 'string'))
      return [[key, value.join(',')]];
    const isMap = typeof value === 'object' && !Array.isArray(value);
    return isMap && depth < DEPTH_MAX ? flatten(value, `${key}.`, depth + 1) : [[key, value]];
  });
}

function textValue(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
  return /^[\x21-\x7e]+$/.test(text) && !/["=]/.test(text) ? text : JSON.stringify(text);
}

/** Lines of little urgency wait this long for others, so that a busy worker writes once for many. */
const GATHER_MS = 20;
const GATHER_BYTES = 32_768;

class StandardError {
  #waiting = '';
  #timer: Timer | null = null;

  constructor() {
    process.on('exit', () => this.flush());
  }

  write(line: string, level: Level): void {
    this.#waiting += line;
    if (RANK[level] > RANK.info || this.#waiting.length > GATHER_BYTES) this.flush();
    else this.#timer ??= realWorld.after(GATHER_MS, () => this.flush());
  }

  flush(): void {
    const text = this.#waiting;
    this.#waiting = '';
    this.#timer?.cancel();
    this.#timer = null;
    if (text === '') return;
    try {
      writeSync(2, text);
    } catch {
      // EAGAIN on a full pipe or EPIPE on a closed one: lines are lost, the service is not.
    }
  }
}

let standardError: StandardError | null = null;

function writeToStandardError(line: string, level: Level): void {
  standardError ??= new StandardError();
  standardError.write(line, level);
}

/** The chain of causes as one string, for log fields: messages only, no stack. */
export function explain(error: unknown): string {
  const seen: string[] = [];
  for (
    let e: unknown = error;
    e !== undefined && seen.length < 5;
    e = e instanceof Error ? e.cause : undefined
  ) {
    const text = e instanceof Error ? e.message || e.name : typeof e === 'string' ? e : inspect(e);
    if (!seen.includes(text)) seen.push(text);
  }
  return seen.join(': ');
}
