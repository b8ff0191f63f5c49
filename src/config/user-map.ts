// The file of users for `directory.type: file`: YAML, a map of who → what. Who is a user, `@domain` or a pattern; what is
// the name of a backend, or a map of the keys below. Promises: the whole map, or one SettingsError with every mistake,
// each with file, line and entry; stored passwords are in no message, and a file that holds some must be its owner's only.

import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';

import { SettingsError } from '../errors.ts';
import { parseAccessRules } from '../wire/access-rules.ts';
import { formatPath } from './check.ts';
import { isHostName } from './items.ts';
import { parseSettings, type Path } from './lines.ts';
import { found, isText } from './misfit.ts';
import type { Protocol } from './settings.ts';
import { suggest } from './suggest.ts';

const FILE_BYTES_MAX = 2 * 1024 * 1024;
const ENTRIES_MAX = 25_000;
const MISTAKES_MAX = 20;
const NAME_MAX = 320;
const LIST_MAX = 16;
const KEYS = ['backend', 'channel', 'server', 'login', 'password', 'mail', 'status', 'access'] as const;
const PROTOCOLS = ['imap', 'pop3', 'smtp'] as const;

/** One entry of the file of users. */
export interface UserEntry {
  /** A user, `@domain`, or a pattern with `*` and `?`. */
  readonly who: string;
  /** Name in `backends`, one for all protocols or one for each; null: that of the service. */
  readonly backend: string | Readonly<Partial<Record<Protocol, string>>> | null;
  /** Name in `channels`, for logins by smtp; null: as saslswitchchannel says. */
  readonly channel: string | null;
  readonly servers: readonly string[];
  /** Template of the login at the store; null: the user. */
  readonly login: string | null;
  readonly passwords: readonly string[];
  readonly mail: readonly string[];
  readonly status: 'active' | 'hold' | 'inactive';
  readonly access: string | null;
}

export type UserMap = readonly UserEntry[];

/** What the file leads to that has to be there. */
export interface UserMapContext {
  readonly backends: readonly string[];
  readonly channels: readonly string[];
  /** Whether a stored password is of a form that can be compared. */
  readonly isKnownScheme: (stored: string) => boolean;
}

export function readUserMap(file: string, context: UserMapContext): UserMap {
  const { text, isShared } = readText(file);
  const reader = new UserMapReader(text, context);
  const map = reader.read();
  const mistakes = reader.mistakes.map((mistake) => `${file}${mistake}`);
  if (isShared && map.some(({ passwords }) => passwords.length > 0))
    mistakes.unshift(`${file}: holds passwords, so it must be its owner's only: chmod 600 ${file}`);
  if (mistakes.length > MISTAKES_MAX)
    mistakes.splice(MISTAKES_MAX, mistakes.length, `${file}: and ${mistakes.length - MISTAKES_MAX} more`);
  if (mistakes.length > 0) throw new SettingsError(mistakes);
  return map;
}

function readText(file: string): { text: string; isShared: boolean } {
  const refuse = (words: string): never => {
    throw new SettingsError([`${file}: ${words}`]);
  };
  let descriptor: number | null = null;
  try {
    descriptor = openSync(file, 'r');
    const stats = fstatSync(descriptor);
    if (!stats.isFile()) refuse('expected a file of users, found something else');
    if (stats.size > FILE_BYTES_MAX)
      refuse(`expected a file of users of at most ${FILE_BYTES_MAX} bytes, found ${stats.size}`);
    const text = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(descriptor));
    return { text, isShared: (stats.mode & 0o077) !== 0 };
  } catch (error) {
    if (error instanceof SettingsError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    const words: Record<string, string> = {
      ENOENT: 'there is no such file of users',
      EACCES: 'this user may not read the file of users',
      ERR_ENCODING_INVALID_ENCODED_DATA: 'expected UTF-8, found other bytes',
    };
    return refuse(words[code] ?? `the file of users cannot be read (${code})`);
  } finally {
    if (descriptor !== null) closeSync(descriptor);
  }
}

class UserMapReader {
  readonly mistakes: string[] = [];
  readonly #tree: ReturnType<typeof parseSettings>;
  readonly #context: UserMapContext;

  constructor(text: string, context: UserMapContext) {
    this.#tree = parseSettings(text);
    this.#context = context;
    for (const { line, path, text: words } of this.#tree.faults) this.#put(line, path, words);
  }

  read(): UserMap {
    const { root } = this.#tree;
    if (this.#tree.brokenAt !== null || root === null || root === undefined) return [];
    if (!(root instanceof Map)) {
      this.#add([], `expected a map of users, found ${found(root)}`);
      return [];
    }
    if (root.size > ENTRIES_MAX) {
      this.#add([], `expected at most ${ENTRIES_MAX} entries, found ${root.size}`);
      return [];
    }
    const seen = new Map<string, string>();
    return [...root].flatMap(([key, value]) => {
      const who = String(key);
      const lower = who.toLowerCase();
      if (!isText(who, NAME_MAX) || lower === '@') this.#add([who], 'expected a user, @domain or a pattern');
      else if (seen.has(lower) && seen.get(lower) !== who)
        this.#add([who], 'given twice, upper and lower case are the same');
      seen.set(lower, who);
      return this.#entry(who, value);
    });
  }

  #entry(who: string, value: unknown): UserEntry[] {
    const plain: UserEntry = {
      who,
      backend: null,
      channel: null,
      servers: [],
      login: null,
      passwords: [],
      mail: [],
      status: 'active',
      access: null,
    };
    if (value === null) return [plain];
    if (typeof value === 'string') return [{ ...plain, backend: this.#backend([who], value) }];
    if (!(value instanceof Map)) {
      this.#add(
        [who],
        `expected the name of a backend, or a map of ${KEYS.join(', ')}, found ${found(value)}`,
      );
      return [];
    }
    for (const key of value.keys()) {
      if (!KEYS.some((known) => known === key))
        this.#add([who, String(key)], `unknown key${suggest(String(key), KEYS)}`);
    }
    return [{ ...plain, ...this.#keys(who, value) }];
  }

  #keys(who: string, map: ReadonlyMap<unknown, unknown>): Omit<UserEntry, 'who'> {
    const texts = (key: string, fits: (text: string) => boolean, expected: string): string[] =>
      this.#list([who, key], map.get(key), { fits, expected });
    const status = map.get('status') ?? 'active';
    const login = map.get('login') ?? null;
    const access = map.get('access') ?? null;
    if (login !== null && (!isText(login, NAME_MAX) || /%(?![sUVo%])/.test(login)))
      this.#add([who, 'login'], 'expected a login for the store, in which %U is the user and %V the domain');
    if (status !== 'active' && status !== 'hold' && status !== 'inactive')
      this.#add([who, 'status'], `expected active, hold or inactive, found ${found(status)}`);
    const rules = typeof access === 'string' ? parseAccessRules(access) : null;
    if (access !== null && rules?.kind !== 'rules')
      this.#add([who, 'access'], `expected access rules${rules === null ? '' : `; ${rules.reason}`}`);
    return {
      backend: this.#backends(who, map.get('backend') ?? null),
      channel: this.#channel([who, 'channel'], map.get('channel') ?? null),
      servers: texts('server', isHostOrHostPort, 'host, host:port or [v6 address]:port'),
      login: typeof login === 'string' ? login : null,
      passwords: texts('password', this.#context.isKnownScheme, 'a stored password of a known scheme'),
      mail: texts('mail', (text) => /^[^@\s]+@[^@\s]+$/.test(text), 'a mail address'),
      status: status === 'hold' || status === 'inactive' ? status : 'active',
      access: typeof access === 'string' ? access : null,
    };
  }

  #list(
    path: Path,
    value: unknown,
    { fits, expected }: { readonly fits: (text: string) => boolean; readonly expected: string },
  ): string[] {
    if (value === undefined || value === null) return [];
    const items: unknown[] = Array.isArray(value) ? value : [value];
    if (items.length > LIST_MAX) this.#add(path, `expected at most ${LIST_MAX}, found ${items.length}`);
    return items.flatMap((item) => {
      if (isText(item) && fits(item)) return [item];
      // What is stored for a password is shown to nobody.
      this.#add(path, `expected ${expected}${path[1] === 'password' ? '' : `, found ${found(item)}`}`);
      return [];
    });
  }

  #backends(who: string, value: unknown): UserEntry['backend'] {
    const path = [who, 'backend'];
    if (value === null) return null;
    if (!(value instanceof Map)) return this.#backend(path, value);
    const named: Partial<Record<Protocol, string>> = {};
    for (const [key, name] of value) {
      const protocol = PROTOCOLS.find((known) => known === key);
      if (protocol === undefined) this.#add([...path, String(key)], `expected ${PROTOCOLS.join(', ')}`);
      else named[protocol] = this.#backend([...path, protocol], name) ?? '';
    }
    return named;
  }

  #backend(path: Path, value: unknown): string | null {
    const { backends } = this.#context;
    if (typeof value === 'string' && backends.includes(value)) return value;
    const near = typeof value === 'string' ? suggest(value, backends) : '';
    this.#add(path, `there is no backend ${found(value)}${near}`);
    return null;
  }

  #channel(path: Path, value: unknown): string | null {
    const { channels } = this.#context;
    if (value === null || (typeof value === 'string' && channels.includes(value))) return value;
    const near = typeof value === 'string' ? suggest(value, channels) : '';
    this.#add(path, `there is no channel ${found(value)}${near}`);
    return null;
  }

  #add(path: Path, text: string): void {
    this.#put(this.#tree.lineOf(path), path, text);
  }

  #put(line: number | null, path: Path, text: string): void {
    if (this.mistakes.length > 10 * MISTAKES_MAX) return;
    const place = line === null ? '' : `:${line}`;
    this.mistakes.push(`${place}:${path.length === 0 ? '' : ` ${formatPath(path)}:`} ${text}`);
  }
}

function isHostOrHostPort(text: string): boolean {
  const host = /^(?:\[([^\]]+)\]|([^:]+))(?::\d{1,5})?$/.exec(text);
  const name = host?.[1] ?? host?.[2] ?? text;
  return host === null
    ? /^[0-9a-f:]+$/i.test(text) && text.split(':').length > 2
    : host[1] !== undefined || isHostName(name);
}
