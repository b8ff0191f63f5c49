// Which certificate database is meant, and how it is opened: the one of the settings, or the folder of --database; by
// the password in the file of -W, or by the one that is asked for.
// On failure: SettingsError that names the file. A password is in no message.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { databaseFile, openDatabase } from '../../certdb/database.ts';
import type { CertificateDatabase } from '../../certdb/database.ts';
import { findSettingsFile, loadSettings } from '../../config/load.ts';
import {
  databasePassword,
  INTERNAL_MODULE,
  keepPassword,
  readPasswordFile,
} from '../../config/password-file.ts';
import type { Settings } from '../../config/settings.ts';
import { SettingsError } from '../../errors.ts';
import type { Desk, Given } from './verb.ts';

export interface Place {
  readonly folder: string;
  /** sslpassword.conf, from which the server opens it. */
  readonly passwordFile: string;
  /** null: the database is not that of any settings, as far as we know. */
  readonly settings: Settings | null;
}

const PASSWORD_QUESTION = 'Enter the certificate database password:';
const PASSWORD_FILE = 'sslpassword.conf';
const MAX_FILE_BYTES = 65_536;
const INTERNAL_LINE = /^(?:Internal \(Software\) Token|Internal \(FIPS 140-1\) Token|internal):(.*)$/m;

export function findPlace(given: Given): Place {
  const typed = given.text('database');
  const folder = typed === undefined ? null : resolve(typed);
  const settings = settingsOf(given.text('config'), folder);
  if (settings !== null && (folder === null || settings.certificates.database === folder)) {
    const { database, passwordFile } = settings.certificates;
    return { folder: database, passwordFile, settings };
  }
  const there = folder ?? process.cwd();
  return { folder: there, passwordFile: join(there, PASSWORD_FILE), settings: null };
}

/** With a folder the settings only serve to recognise it, so they may be wrong. */
function settingsOf(config: string | undefined, folder: string | null): Settings | null {
  try {
    return loadSettings({ file: findSettingsFile(config) });
  } catch (error) {
    if (folder !== null && config === undefined && error instanceof SettingsError) return null;
    throw error;
  }
}

/** The database, unlocked, for as long as `work` lasts. */
export async function withDatabase<T>(
  desk: Desk,
  work: (database: CertificateDatabase) => Promise<T> | T,
): Promise<T> {
  const database = openDatabase(desk.place.folder, desk.program.world);
  try {
    await unlock(desk, database);
    return await work(database);
  } finally {
    database.close();
  }
}

async function unlock(desk: Desk, database: CertificateDatabase): Promise<void> {
  const { passwordFile, place } = desk;
  const password =
    passwordFile === undefined
      ? await desk.prompt.password(PASSWORD_QUESTION)
      : readPasswordLine(passwordFile, desk);
  try {
    database.unlock(password);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    const from = passwordFile === undefined ? '' : ` (from ${passwordFile})`;
    const hint =
      passwordFile !== place.passwordFile && isKeptIn(place.passwordFile)
        ? `; the server opens it by the one in ${place.passwordFile}: -W ${place.passwordFile}`
        : '';
    throw new SettingsError(error.mistakes.map((mistake) => `${mistake}${from}${hint}`));
  }
}

function isKeptIn(file: string): boolean {
  try {
    return databasePassword(readPasswordFile(file)) !== null;
  } catch {
    return false;
  }
}

/** The first line of a file that holds a password, or the line of the database where it is a sslpassword.conf. */
export function readPasswordLine(file: string, desk: Pick<Desk, 'note'>): string {
  const text = readBounded(file, desk);
  const internal = INTERNAL_LINE.exec(text)?.[1];
  const [first = '', ...others] = text.split('\n');
  const isOneLine = others.every((line) => line.trim() === '');
  if (internal === undefined && !isOneLine) {
    throw new SettingsError([
      `${file}: expected one line with the password, or "${INTERNAL_MODULE}:password"`,
    ]);
  }
  const password = (internal ?? first).replace(/\r$/, '');
  if (password === '') throw new SettingsError([`${file}: expected a password, found an empty line`]);
  return password;
}

/** In sslpassword.conf, for the server. `done` is what has happened already, for the message of a failure. */
export function keepBeside({ place }: Desk, password: string, done: string): void {
  try {
    keepPassword(place.passwordFile, INTERNAL_MODULE, password);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    const remedy = `${done}; the server opens it by a line "${INTERNAL_MODULE}:password", which you can write yourself`;
    throw new SettingsError([...error.mistakes, `${place.passwordFile}: ${remedy}`]);
  }
}

/** A pipe will do, as in `-W <(command)`. */
function readBounded(file: string, { note }: Pick<Desk, 'note'>): string {
  try {
    const descriptor = openSync(file, 'r');
    try {
      const stats = fstatSync(descriptor);
      if (stats.isFile() && (stats.mode & 0o077) !== 0)
        note(`warning: ${file}: others may read this password: chmod 600 ${file}`);
      const room = Buffer.alloc(MAX_FILE_BYTES + 1);
      let size = 0;
      for (let read = -1; read !== 0 && size <= MAX_FILE_BYTES; size += read)
        read = readSync(descriptor, room, size, room.length - size, null);
      if (size > MAX_FILE_BYTES) throw new SettingsError([`${file}: expected a password, found a long file`]);
      return new TextDecoder('utf-8', { fatal: true }).decode(room.subarray(0, size));
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    if (error instanceof SettingsError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    const hint = code === 'ENOENT' ? '; a file with the password is wanted, not the password itself' : '';
    const reason = code.startsWith('ERR_ENCODING') ? 'it is not UTF-8' : code;
    throw new SettingsError([`${file}: the password cannot be read (${reason})${hint}`]);
  }
}

/** For messages. */
export function databaseOf({ place }: Desk): string {
  return databaseFile(place.folder);
}
