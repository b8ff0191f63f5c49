// What rows of a database mean: an account, a domain. Pure. Promises: columns are known by name, without letter case; NULL
// says nothing; a value that a column cannot have is a problem with its column in it, and never quietly something else;
// passwords are in no attribute and no message.

import { isHostName, parseHostPort } from '../../wire/address.ts';
import { parseReplayTemplate, type Pieces } from '../../wire/login-template.ts';
import type { Account } from '../directory.ts';
import { statusOf } from '../ldap/account.ts';
import type { SqlAnswer } from './source.ts';
import { fillReplay, type LoginFacts } from '../substitution.ts';

export interface Problem {
  readonly problem: string;
}

/** Defaults of the users of a domain. */
export interface SqlDomain {
  /** Its own name, where it was asked for by another; null: as asked. */
  readonly name: string | null;
  readonly replay: Pieces | null;
  readonly backend: string | null;
  readonly hosts: readonly string[];
  readonly status: string | undefined;
  readonly access: readonly string[];
  readonly preAuth: boolean | null;
}

export const NO_DOMAIN: SqlDomain = {
  name: null,
  replay: null,
  backend: null,
  hosts: [],
  status: undefined,
  access: [],
  preAuth: null,
};

/** Columns of a user that mean something; all others are attributes. */
export const USER_COLUMNS: readonly string[] = [
  'user',
  'replay',
  'backend',
  'channel',
  'hosts',
  'status',
  'access',
  'mail',
  'preauth',
  'password',
];
export const DOMAIN_COLUMNS: readonly string[] = [
  'domain',
  'replay',
  'backend',
  'hosts',
  'status',
  'access',
  'preauth',
];
/** Of one user, in columns of their own: password, password2 … password8. */
const PASSWORDS = /^password[2-8]?$/;

const VALUE_MAX = 4096;
const VALUES_MAX = 64;

export function isPasswordColumn(name: string): boolean {
  return PASSWORDS.test(name.toLowerCase());
}

/** Reads the columns of one row; the first thing that is wrong is kept. */
class Row {
  readonly #values: ReadonlyMap<string, unknown>;
  problem: string | null = null;

  constructor({ columns, rows }: SqlAnswer, known: readonly string[]) {
    const [row = []] = rows;
    const values = new Map<string, unknown>();
    for (const [place, column] of columns.entries()) {
      const name = column.toLowerCase();
      if (!values.has(name)) values.set(name, row[place]);
      else if (known.includes(name) || isPasswordColumn(name)) this.wrong(name, 'is there twice');
    }
    this.#values = values;
  }

  get names(): readonly string[] {
    return [...this.#values.keys()];
  }

  wrong(column: string, text: string): void {
    this.problem ??= `the column ${column} ${text}`;
  }

  /** As they come; NULL and what is empty are left out. */
  texts(column: string): readonly string[] {
    const given = this.#values.get(column);
    const values: readonly unknown[] = Array.isArray(given) ? given : [given];
    const texts: string[] = [];
    for (const value of values) {
      if (value === null || value === undefined || value === '') continue;
      const text = textOf(value);
      if (text === null) this.wrong(column, `holds ${kindOf(value)}, expected a text`);
      else if (text.length > VALUE_MAX) this.wrong(column, `has more than ${VALUE_MAX} characters`);
      // oxlint-disable-next-line no-control-regex
      else if (/[\u0000-\u001f\u007f]/.test(text)) this.wrong(column, 'holds a control character');
      else texts.push(text);
    }
    if (texts.length > VALUES_MAX) this.wrong(column, `has more than ${VALUES_MAX} values`);
    return texts;
  }

  /** A list, or several in one text with commas or blanks between them. */
  words(column: string): readonly string[] {
    return this.texts(column).flatMap((text) => text.split(/[\s,]+/).filter((word) => word !== ''));
  }

  one(column: string): string | null {
    const [value, another] = this.texts(column);
    if (another !== undefined) this.wrong(column, 'has several values, expected one');
    return value ?? null;
  }

  /** A word, or yes and no as databases write them. */
  flag(column: string): string | boolean | null {
    const given = this.#values.get(column);
    if (typeof given === 'boolean') return given;
    // BIT of MySQL.
    if (given instanceof Uint8Array && given.length === 1 && (given[0] ?? 2) < 2) return given[0] === 1;
    const word = this.one(column)?.trim().toLowerCase() ?? '';
    if (word === '') return null;
    if (/^(1|t|true|y|yes|on)$/.test(word)) return true;
    return /^(0|f|false|n|no|off)$/.test(word) ? false : word;
  }

  /** `active` and its like, or whether it is. */
  status(): string | undefined {
    const found = this.flag('status');
    if (found === null) return undefined;
    return typeof found === 'string' ? found : found ? 'active' : 'inactive';
  }

  /** What is no yes and no no asks for the check: an error must not open a door. */
  preAuth(): boolean | null {
    const found = this.flag('preauth');
    return found === null ? null : found !== false;
  }

  hosts(): readonly string[] {
    const hosts = this.words('hosts');
    const wrong = hosts.find((host) => !isHost(host));
    if (wrong !== undefined)
      this.wrong('hosts', `says ${JSON.stringify(wrong.slice(0, 100))}, which is no host`);
    return hosts;
  }

  attributes(known: readonly string[]): ReadonlyMap<string, readonly string[]> {
    const found = new Map<string, readonly string[]>();
    for (const [name, given] of this.#values) {
      if (isPasswordColumn(name) || known.includes(name)) continue;
      const values: readonly unknown[] = Array.isArray(given) ? given : [given];
      const texts = values.map(textOf).filter((text) => text !== null && text.length <= VALUE_MAX);
      if (texts.length > 0 && texts.length <= VALUES_MAX) found.set(name, texts as string[]);
    }
    return found;
  }
}

export function domainOf(answer: SqlAnswer): SqlDomain | Problem {
  const row = new Row(answer, DOMAIN_COLUMNS);
  const written = row.one('replay');
  const replay = written === null ? null : parseReplayTemplate(written);
  if (replay !== null && 'problem' in replay) row.wrong('replay', `cannot be understood: ${replay.problem}`);
  const domain: SqlDomain = {
    name: row.one('domain')?.toLowerCase() ?? null,
    replay: replay !== null && 'pieces' in replay ? replay.pieces : null,
    backend: row.one('backend'),
    hosts: row.hosts(),
    status: row.status(),
    access: row.texts('access'),
    preAuth: row.preAuth(),
  };
  return row.problem === null ? domain : { problem: row.problem };
}

export interface FoundRow {
  readonly answer: SqlAnswer;
  readonly domain: SqlDomain;
  readonly facts: LoginFacts;
  /** Whose the account is where no column says it. */
  readonly canonical: string;
  /** null: the user. */
  readonly replayFormat: Pieces | null;
  /** The database finds rows by other names than theirs, of somebody else even: only the row says whose it is. */
  readonly mustName: boolean;
}

export function accountOf(found: FoundRow): Account | Problem {
  const { answer, domain, canonical, replayFormat } = found;
  const row = new Row(answer, USER_COLUMNS);
  const named = row.one('user');
  if (named === null && found.mustName)
    row.wrong('user', 'is missing or NULL, so nobody knows whose row it is');
  const user = named ?? canonical;
  const facts = named === null ? found.facts : factsOf(named, found.facts);
  const attributes = row.attributes(['password']);
  const hosts = row.hosts();
  const format = domain.replay ?? replayFormat;
  const filled = format === null ? { name: user } : fillReplay(format, facts, attributes);
  const own = row.one('replay');
  const backend = row.one('backend');
  const channel = row.one('channel');
  if (own === null && 'problem' in filled)
    row.problem ??= `the name to replay cannot be made: ${filled.problem}`;
  const account: Account = {
    user,
    replay: own ?? ('name' in filled ? filled.name : user),
    backend: backend ?? domain.backend,
    ...(channel === null ? {} : { channel }),
    // The hosts of the domain are those of its backend.
    hosts: hosts.length > 0 || backend !== null ? hosts : domain.hosts,
    preAuth: row.preAuth() ?? domain.preAuth,
    access: [...domain.access, ...row.texts('access')].filter((rule) => rule.trim() !== ''),
    status: statusOf([domain.status, row.status()]),
    mail: row.words('mail'),
    attributes: Object.fromEntries(attributes),
    secrets: row.names.filter((name) => isPasswordColumn(name)).flatMap((name) => row.texts(name)),
  };
  return row.problem === null ? account : { problem: row.problem };
}

/** What was typed may be another spelling, which at the store would be another mailbox. */
function factsOf(user: string, facts: LoginFacts): LoginFacts {
  const at = user.lastIndexOf(facts.delimiter);
  return at <= 0
    ? { ...facts, userId: user }
    : { ...facts, userId: user.slice(0, at), domain: user.slice(at + facts.delimiter.length) };
}

function isHost(text: string): boolean {
  return parseHostPort(text) !== null || isHostName(text) || parseHostPort(`[${text}]:1`) !== null;
}

const UTF8 = new TextDecoder('utf-8', { fatal: true });

/** null: it is no text. */
function textOf(value: unknown): string | null {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (!(value instanceof Uint8Array) || value.length > 4 * VALUE_MAX) return null;
  try {
    return UTF8.decode(value);
  } catch {
    return null;
  }
}

function kindOf(value: unknown): string {
  if (typeof value === 'boolean') return 'yes or no';
  return value instanceof Uint8Array ? 'bytes that are no text' : 'something else';
}
