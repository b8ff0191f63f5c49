// The store of a single machine: an SQLite file of its own, mode 0600, in WAL mode. Owns the file and its companions.
// The schema is numbered (user_version) and brought up to date in place. A file that is damaged, or made by a newer
// version, is set aside under another name and a new one begun; where no file can be had, the store lives in memory.
// In each case it says so once, and serves. Bounded: a table keeps its latest entries, ROWS_MAX at most.
// It answers at once, inside the call; promises are there for the contract. During a restart two processes have the file
// open: what the other one writes is told as `up` a moment later, since nobody says which entry it was.

import { chmodSync, existsSync, renameSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { explain, type Log } from '../log.ts';
import type { Timer, World } from '../world.ts';
import type { Entry, EntryChange, Store } from './store.ts';

/** Each step brings a file from the version of its place to the next. Never changed, only added to. */
const STEPS: readonly string[] = [
  `CREATE TABLE entries (
     tbl TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, expires INTEGER NOT NULL, written INTEGER NOT NULL,
     PRIMARY KEY (tbl, key)) WITHOUT ROWID;
   CREATE INDEX entries_by_age ON entries (tbl, written);
   CREATE INDEX entries_by_end ON entries (expires);`,
];

const ROWS_MAX = 100_000;
const PURGE_EVERY_MS = 60_000;
const LOOK_EVERY_MS = 250;

export interface EmbeddedOptions {
  readonly file: string;
  readonly world: World;
  readonly log: Log;
  /** Default: ROWS_MAX. */
  readonly rowsMax?: number;
  /** For tests of older and newer files. */
  readonly steps?: readonly string[];
}

export function openEmbedded(options: EmbeddedOptions): Store {
  return new Embedded(options);
}

interface Row {
  readonly key: string;
  readonly value: string;
  readonly expires: number;
}

class Embedded implements Store {
  readonly home: string;
  readonly state = 'up';
  readonly counts = null;
  readonly #world: World;
  readonly #rowsMax: number;
  readonly #database: DatabaseSync;
  readonly #timers: readonly Timer[];
  readonly #hearers: ((state: 'up' | 'down') => void)[] = [];
  /** Changes when another process has written. */
  readonly #version: StatementSync;
  #seen: unknown;
  readonly #get: StatementSync;
  readonly #put: StatementSync;
  readonly #remove: StatementSync;
  #written = 0;

  constructor(options: EmbeddedOptions) {
    this.#world = options.world;
    this.#rowsMax = options.rowsMax ?? ROWS_MAX;
    const { database, home } = openDatabase(options);
    this.#database = database;
    this.home = home;
    this.#get = database.prepare(
      'SELECT key, value, expires FROM entries WHERE tbl = ? AND key = ? AND expires > ?',
    );
    this.#put = database.prepare(
      'INSERT OR REPLACE INTO entries (tbl, key, value, expires, written) VALUES (?, ?, ?, ?, ?)',
    );
    this.#remove = database.prepare('DELETE FROM entries WHERE tbl = ? AND key = ?');
    const last = database.prepare('SELECT max(written) AS last FROM entries').get() as {
      last: number | null;
    };
    this.#written = last.last ?? 0;
    this.#version = database.prepare('PRAGMA data_version');
    this.#purge();
    this.#seen = this.#versionNow();
    this.#timers = [
      options.world.every(PURGE_EVERY_MS, () => this.#purge()),
      options.world.every(LOOK_EVERY_MS, () => this.#look()),
    ];
  }

  async load(table: string): Promise<readonly Entry[]> {
    const rows = this.#database
      .prepare('SELECT key, value, expires FROM entries WHERE tbl = ? AND expires > ? ORDER BY written')
      .all(table, this.#world.now()) as unknown as Row[];
    return rows.map(entryOf);
  }

  async get(table: string, key: string): Promise<Entry | null> {
    return this.#find(table, key);
  }

  async put(table: string, entries: readonly Entry[]): Promise<void> {
    this.#atOnce(() => {
      for (const { key, value, expiresAt } of entries) {
        this.#put.run(table, key, value, Math.ceil(expiresAt), ++this.#written);
      }
    });
    this.#trim(table);
  }

  async remove(table: string, keys: readonly string[]): Promise<void> {
    this.#atOnce(() => {
      for (const key of keys) this.#remove.run(table, key);
    });
  }

  async change(table: string, { key, from, to }: EntryChange): Promise<boolean> {
    if ((this.#find(table, key)?.value ?? null) !== from) return false;
    if (to === null) this.#remove.run(table, key);
    else {
      this.#put.run(table, key, to.value, Math.ceil(to.expiresAt), ++this.#written);
      this.#trim(table);
    }
    return true;
  }

  watch(): void {}

  onState(hear: (state: 'up' | 'down') => void): void {
    this.#hearers.push(hear);
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) timer.cancel();
    if (this.#database.isOpen) this.#database.close();
  }

  #versionNow(): unknown {
    try {
      return (this.#version.get() as { data_version: unknown } | undefined)?.data_version;
    } catch {
      // A disk that fails is told of where something is written.
      return this.#seen;
    }
  }

  #look(): void {
    const version = this.#versionNow();
    if (version === this.#seen) return;
    this.#seen = version;
    for (const hear of this.#hearers) hear('up');
  }

  #find(table: string, key: string): Entry | null {
    const row = this.#get.get(table, key, this.#world.now()) as unknown as Row | undefined;
    return row === undefined ? null : entryOf(row);
  }

  #atOnce(work: () => void): void {
    this.#database.exec('BEGIN');
    try {
      work();
      this.#database.exec('COMMIT');
    } catch (error) {
      this.#database.exec('ROLLBACK');
      throw error;
    }
  }

  #purge(): void {
    try {
      this.#database.prepare('DELETE FROM entries WHERE expires <= ?').run(this.#world.now());
    } catch {
      // A full disk: what has expired is not given out either way.
    }
  }

  #trim(table: string): void {
    this.#database
      .prepare(
        `DELETE FROM entries WHERE tbl = ?1 AND written <=
           (SELECT written FROM entries WHERE tbl = ?1 ORDER BY written DESC LIMIT 1 OFFSET ?2)`,
      )
      .run(table, this.#rowsMax);
  }
}

function entryOf({ key, value, expires }: Row): Entry {
  return { key, value, expiresAt: expires };
}

function openDatabase(options: EmbeddedOptions): { database: DatabaseSync; home: string } {
  const { file, log, steps = STEPS } = options;
  for (const attempt of ['as it is', 'anew'] as const) {
    try {
      return { database: openFile(file, steps), home: file };
    } catch (error) {
      const aside = attempt === 'as it is' && existsSync(file) ? setAside(file, options.world) : null;
      log.error('state-broken', {
        file,
        cause: explain(error),
        ...(aside === null ? { consequence: 'state is kept in memory only' } : { setAside: aside }),
      });
      if (aside === null) break;
    }
  }
  const database = new DatabaseSync(':memory:');
  bringUpToDate(database, steps);
  return { database, home: 'memory' };
}

function openFile(file: string, steps: readonly string[]): DatabaseSync {
  // SQLite makes the file, and gives its companions the mode of the file.
  const mask = process.umask(0o177);
  let database: DatabaseSync;
  try {
    database = new DatabaseSync(file, { timeout: 1000 });
  } finally {
    process.umask(mask);
  }
  try {
    chmodSync(file, 0o600);
    database.exec(
      'PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 4194304',
    );
    const check = database.prepare('PRAGMA quick_check(1)').get() as { quick_check: string };
    if (check.quick_check !== 'ok') throw new Error(check.quick_check);
    bringUpToDate(database, steps);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function bringUpToDate(database: DatabaseSync, steps: readonly string[]): void {
  const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number };
  if (version > steps.length)
    throw new Error(`expected schema ${steps.length} or older, found ${version}, of a newer version`);
  for (const [place, step] of [...steps.entries()].slice(version)) {
    database.exec(`BEGIN; ${step} PRAGMA user_version = ${place + 1}; COMMIT`);
  }
}

/** The new name, or null where the file cannot be moved. */
function setAside(file: string, world: World): string | null {
  const stamp = new Date(world.now()).toISOString().replace(/[-:]|\.\d+/g, '');
  const aside = `${file}.broken-${stamp}`;
  try {
    for (const part of ['', '-wal', '-shm']) {
      if (existsSync(file + part)) renameSync(file + part, aside + part);
    }
    return aside;
  } catch {
    return null;
  }
}
