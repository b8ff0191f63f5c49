// Where a database with users is: `sqlite:/path`, `postgres://user@host,host:port/name`, `mysql://user@host/name`, and
// the same over a Unix socket. Pure. Promises: never throws; a password in it is a mistake, and no message repeats what
// was written, since there may be one.

import { formatHostPort, parseHostPort } from './address.ts';
import type { SqlDialect } from './sql-template.ts';

export type SqlPlace =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

export type SqlUrl =
  | { readonly dialect: 'sqlite'; readonly file: string }
  | {
      readonly dialect: 'postgres' | 'mysql';
      readonly user: string;
      readonly database: string;
      /** In the order in which they are asked; at least one. */
      readonly places: readonly SqlPlace[];
    };

const SCHEMES: Readonly<Record<string, SqlDialect>> = {
  postgres: 'postgres',
  postgresql: 'postgres',
  mysql: 'mysql',
  mariadb: 'mysql',
};
const PORTS = { postgres: 5432, mysql: 3306 } as const;
const PLACES_MAX = 16;
const TEXT_MAX = 1000;
const NAME_MAX = 128;
const PATH_BYTES_MAX = 107;

export function parseSqlUrl(text: string): SqlUrl | { readonly problem: string } {
  // oxlint-disable-next-line no-control-regex
  if (text.length > TEXT_MAX || /[\u0000-\u0020\u007f]/.test(text))
    return { problem: 'it is too long, or has blanks' };
  const [, file = ''] = /^sqlite:(?:\/\/(?=\/))?([^?#]+)$/i.exec(text) ?? [];
  if (file !== '') {
    return file.startsWith('//') || file.startsWith(':')
      ? { problem: 'expected the name of a file behind sqlite:' }
      : { dialect: 'sqlite', file };
  }
  const parts = /^([a-z]+):\/\/(?:([^/?#]*)@)?([^/?#@]*)\/([^/?#]*)(?:\?([^#]*))?$/i.exec(text);
  const dialect = SCHEMES[(parts?.[1] ?? '').toLowerCase()];
  if (parts === null || dialect === undefined || dialect === 'sqlite') {
    return { problem: 'expected sqlite:/file, postgres://user@host/name or mysql://user@host/name' };
  }
  const [, , account = '', hosts = '', name = '', options = ''] = parts;
  if (account.includes(':')) return { problem: 'there is a password in it, which has a setting of its own' };
  const user = decoded(account);
  const database = decoded(name);
  if (user === null) return { problem: 'expected a user in front of @' };
  if (database === null) return { problem: 'expected the name of a database behind the host' };
  const places = options === '' ? readHosts(hosts, dialect) : readSocket({ hosts, options, dialect });
  return 'problem' in places ? places : { dialect, user, database, ...places };
}

/** Without a user: for logs. */
export function sqlPlaceName(dialect: 'postgres' | 'mysql', place: SqlPlace): string {
  return `${dialect}://${place.kind === 'unix' ? place.path : formatHostPort(place.host, place.port)}`;
}

type Places = { readonly places: readonly SqlPlace[] } | { readonly problem: string };

function readHosts(text: string, dialect: 'postgres' | 'mysql'): Places {
  const places: SqlPlace[] = [];
  for (const item of text.split(',')) {
    const hasPort = /:\d+$/.test(item.replace(/^\[[^\]]*\]/, ''));
    const where = parseHostPort(hasPort ? item : `${item}:${PORTS[dialect]}`);
    if (where === null)
      return { problem: 'expected host, host:port or [v6 address]:port, or several with commas' };
    places.push({ kind: 'tcp', ...where });
  }
  return places.length > PLACES_MAX ? { problem: `it has more than ${PLACES_MAX} hosts` } : { places };
}

/** PostgreSQL names the folder of its socket, as libpq does; MySQL the socket. */
function readSocket(given: {
  readonly hosts: string;
  readonly options: string;
  readonly dialect: 'postgres' | 'mysql';
}): Places {
  const { hosts, options, dialect } = given;
  const [, key = '', value = '', port = '5432'] =
    /^(host|socket)=(\/[^&]*)(?:&port=(\d{1,5}))?$/.exec(options) ?? [];
  const wanted = dialect === 'postgres' ? 'host' : 'socket';
  if (key !== wanted || hosts !== '') {
    return {
      problem: `behind ? it knows ${wanted}=/path alone, and then no host; TLS and time have settings`,
    };
  }
  const plain = decoded(value);
  const path = plain === null || dialect === 'mysql' ? plain : `${plain.replace(/\/$/, '')}/.s.PGSQL.${port}`;
  if (path === null || Buffer.byteLength(path) > PATH_BYTES_MAX)
    return { problem: 'the path of the socket is too long' };
  return { places: [{ kind: 'unix', path }] };
}

/** null: there is nothing, or no text. */
function decoded(text: string): string | null {
  try {
    const plain = decodeURIComponent(text);
    // oxlint-disable-next-line no-control-regex
    return plain === '' || plain.length > NAME_MAX || /[\u0000-\u001f\u007f]/.test(plain) ? null : plain;
  } catch {
    return null;
  }
}
