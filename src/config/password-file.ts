// sslpassword.conf: the passwords of the certificate database and of tokens, one `moduleName:password` a line, as in the
// Sun Messaging Server (Administration Guide 6.3, 23.5.1). A module's name has no colon, its password may.
// Read whole or refused: a file that others may read, or a line without a colon, is a SettingsError that names file and
// line, never the password. Lines that are empty or begin with # count for nothing.

import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { SettingsError } from '../errors.ts';
import { resolveSecret } from './secret.ts';

/** The module whose password opens the certificate database. */
export const INTERNAL_MODULE = 'Internal (Software) Token';
/** The names of the module that is the certificate database itself. */
export const INTERNAL_NAMES: readonly string[] = [INTERNAL_MODULE, 'Internal (FIPS 140-1) Token', 'internal'];
/** What the documented default file holds. Everybody knows it. */
export const DOCUMENTED_PASSWORD = 'netscape!';

/** Module → password; empty where there is no file. */
export function readPasswordFile(file: string): ReadonlyMap<string, string> {
  if (!existsSync(file)) return new Map();
  const passwords = new Map<string, string>();
  for (const [index, line] of resolveSecret({ kind: 'file', path: file }).split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const colon = line.indexOf(':');
    if (colon < 1 || colon === line.length - 1) {
      throw new SettingsError([`${file}:${index + 1}: expected moduleName:password`]);
    }
    passwords.set(line.slice(0, colon).trim(), line.slice(colon + 1));
  }
  return passwords;
}

/** The password of the certificate database, by any of its module's names; null: the file has none. */
export function databasePassword(passwords: ReadonlyMap<string, string>): string | null {
  for (const name of INTERNAL_NAMES) {
    const password = passwords.get(name);
    if (password !== undefined) return password;
  }
  return null;
}

/** Writes the file anew with this module's password, all at once, mode 0600; other lines and comments stay. */
export function keepPassword(file: string, module: string, password: string): void {
  readPasswordFile(file);
  const lines = existsSync(file) ? resolveSecret({ kind: 'file', path: file }).split(/\r?\n/) : [];
  const isReplaced = (line: string): boolean => {
    const name = line.slice(0, Math.max(line.indexOf(':'), 0)).trim();
    return name === module || (module === INTERNAL_MODULE && INTERNAL_NAMES.includes(name));
  };
  const place = lines.findIndex(isReplaced);
  const text = [
    ...lines.slice(0, Math.max(place, 0)),
    `${module}:${password}`,
    ...lines.slice(Math.max(place, 0)).filter((line) => !isReplaced(line)),
  ]
    .map((line) => `${line}\n`)
    .join('');
  const draft = join(dirname(file), `.${basename(file)}.${randomBytes(6).toString('hex')}`);
  try {
    const descriptor = openSync(draft, 'wx', 0o600);
    try {
      writeSync(descriptor, text);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(draft, file);
  } catch (error) {
    rmSync(draft, { force: true });
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    throw new SettingsError([`${file}: the password cannot be kept there (${code})`]);
  }
}

/** For a database that nobody chose a password for. */
export function randomPassword(): string {
  return randomBytes(24).toString('base64url');
}
