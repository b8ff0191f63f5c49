// What the ACME keeper must not forget over a restart: which orders failed, so that a server that starts again and again
// does not run into the limits of the CA. One small JSON file in dataDir, 0600, written anew and renamed into place.
// A file that is damaged counts as none. Nothing here throws; a write that fails is told.

import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import { explain } from '../../log.ts';

export interface AcmeFailure {
  /** In a row. */
  readonly count: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly nextAt: number;
  readonly cause: string;
  /** Of which settings; with others they do not count. */
  readonly settings: string;
}

const FILE = 'acme.json';
const BYTES_MAX = 1_048_576;

export class AcmeMemory {
  readonly #folder: string;
  readonly #failures: Map<string, AcmeFailure>;

  constructor(dataDir: string) {
    this.#folder = dataDir;
    const entries = Object.entries(read(join(dataDir, FILE)));
    this.#failures = new Map(entries.filter((entry): entry is [string, AcmeFailure] => isFailure(entry[1])));
  }

  failure(nickname: string, settings: string): AcmeFailure | null {
    const failure = this.#failures.get(nickname);
    return failure?.settings === settings ? failure : null;
  }

  /** null: the order succeeded. What is said back is why it cannot be kept. */
  keepFailure(nickname: string, failure: AcmeFailure | null): string | null {
    if (failure === null) this.#failures.delete(nickname);
    else this.#failures.set(nickname, failure);
    try {
      this.#write();
      return null;
    } catch (error) {
      return explain(error);
    }
  }

  #write(): void {
    const failures = Object.fromEntries(this.#failures);
    const draft = join(this.#folder, `.${FILE}.${process.pid}`);
    rmSync(draft, { force: true });
    const descriptor = openSync(draft, 'wx', 0o600);
    try {
      writeSync(descriptor, `${JSON.stringify({ failures }, null, 2)}\n`);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(draft, join(this.#folder, FILE));
  }
}

function read(file: string): object {
  try {
    const text = readFileSync(file, 'utf8');
    const value: unknown = text.length > BYTES_MAX ? null : JSON.parse(text);
    const failures: unknown =
      typeof value === 'object' && value !== null && 'failures' in value ? value.failures : null;
    return typeof failures === 'object' && failures !== null ? failures : {};
  } catch {
    return {};
  }
}

function isFailure(value: unknown): value is AcmeFailure {
  if (typeof value !== 'object' || value === null) return false;
  const { count, at, nextAt, cause, settings } = value as Record<string, unknown>;
  const isTime = (time: unknown): boolean => typeof time === 'number' && Number.isFinite(time);
  return (
    Number.isInteger(count) &&
    isTime(at) &&
    isTime(nextAt) &&
    typeof cause === 'string' &&
    typeof settings === 'string'
  );
}
