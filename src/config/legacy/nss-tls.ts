// What Sun's servers say of their TLS, in whichever file: nicknames of certificates, cipher names, the NSS database.
// Pure. Each takes the line it is about, and says in the notes what does not come over.

import { meansNothing, oldCipherNotes, parseCiphers } from '../../wire/cipher-names.ts';
import { isModuleName, isNickname } from '../items.ts';
import type { Line, OptionTable } from './option-table.ts';
import { Commented } from './yaml-text.ts';

/** The database itself, as a module. */
export const INTERNAL = /^internal( \((software|fips 140-1)\) token)?:/i;

export interface NicknameRules {
  /** What stands between two names. */
  readonly between: ',' | ' ';
  /** Where names without a module are looked for; null: in the database. */
  readonly module: string | null;
}

/** A list of nicknames of different key types, each perhaps `module:nickname`; null: none was given. */
export function nicknamesIn(
  table: OptionTable,
  line: Line,
  { between, module }: NicknameRules,
): string | string[] | null {
  const names = line.value
    .split(between === ',' ? ',' : /\s+(?!\((?:software|fips 140-1)\)|token:)/i)
    .map((item) => item.trim())
    .filter((item) => item !== '');
  const full = names
    .map((item) => item.replace(INTERNAL, ''))
    .map((item) => (module === null || item.includes(':') ? item : `${module}:${item}`));
  const right = [...new Set(full.filter((item) => isNickname(item) && hasRightModule(item)))];
  if (right.length < names.length || right.length === 0) {
    const words = between === ',' ? 'commas' : 'blanks';
    table.note(
      line,
      `expected different nicknames of certificates, separated by ${words}; the others are left out`,
    );
  }
  for (const foreign of new Set(
    right.filter((item) => item.includes(':')).map((item) => item.split(':', 1)[0]),
  )) {
    table.note(
      line,
      `carried over; the module ${JSON.stringify(foreign)} needs its library in certificates.modules, in place of the name there`,
    );
  }
  return right.length === 1 ? (right[0] ?? null) : right.length === 0 ? null : right;
}

function hasRightModule(item: string): boolean {
  return !item.includes(':') || isModuleName(item.slice(0, item.indexOf(':')));
}

/** null: the default ones. */
export function ciphersIn(table: OptionTable, line: Line): string | null {
  if (/^(default|\+?all)$/i.test(line.value)) return null;
  const words = parseCiphers(line.value);
  const told = [...oldCipherNotes(words), ...words.unknown.map((name) => `${name} is not known`)];
  for (const text of told) table.note(line, text);
  if (words.unknown.length === 0 && !meansNothing(words) && words.preset !== null) return line.value;
  table.note(line, 'none of its ciphers can be served: the default ones are (tls.ciphers)');
  return null;
}

export interface NssDatabase {
  readonly folder: string;
  /** What the names of its files begin with, and the option that says so; null: nothing. */
  readonly prefix: Line | null;
  /** Modules that certificates are named of. */
  readonly modules: readonly string[];
}

/** Words for its keys, which only its owner can bring over, and the libraries of modules to be filled in. */
export function databaseComment({ folder, prefix, modules }: NssDatabase): string[] {
  const lines = [
    'The certificates named below are looked for in a database of our own: export each from the old one',
    '(pk12util -o FILE -n NICKNAME -d FOLDER) and bring it in with `sallyport cert import-cert FILE`.',
    'Or use the NSS database as it is, as a module; certificates are then named nss:NICKNAME. It needs cert9.db and',
    'key4.db: old ones (cert8.db, key3.db) become new with certutil -N -d sql:FOLDER --upgrade-merge.',
    `  modules: { nss: { nss: ${JSON.stringify(folder)} } }`,
  ];
  if (prefix !== null) {
    lines.push(
      `The files of that database begin with ${JSON.stringify(prefix.value)} (${prefix.name}): copy them without it.`,
    );
  }
  if (modules.length > 0)
    lines.push('The libraries of the modules are not known: name them in place of the ones below.');
  return lines;
}

export function certificatesOf(database: NssDatabase, more: Commented['value'] = {}): Commented {
  const stubs = Object.fromEntries(database.modules.map((name) => [name, `./library-of-${name}.so`]));
  const known = database.modules.length > 0 ? { modules: stubs } : {};
  return new Commented(databaseComment(database), { database: './certs', ...more, ...known });
}

/** What stands before the colons of certificates, anywhere in a map of settings. */
export function foreignModules(value: unknown): readonly string[] {
  if (typeof value !== 'object' || value === null) return [];
  const named = Object.entries(value).flatMap(([key, inner]: [string, unknown]) =>
    key === 'certificate' ? moduleNames(inner) : foreignModules(inner).map((name) => `${name}:`),
  );
  return [...new Set(named.map((item) => item.slice(0, item.indexOf(':'))))];
}

function moduleNames(certificate: unknown): string[] {
  const given =
    typeof certificate === 'object' && certificate !== null && 'value' in certificate
      ? certificate.value
      : certificate;
  return [given].flat().filter((item): item is string => typeof item === 'string' && item.includes(':'));
}
