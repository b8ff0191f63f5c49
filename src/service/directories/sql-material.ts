// What the settings of a directory in a database name outside the file: the password and the CAs. Read in the supervisor,
// in plain data for the workers. Mistakes go to `fail`; nothing here throws. The directory itself is made of it here too,
// in the workers and for `check --probe`.

import { resolveSecret } from '../../config/secret.ts';
import type { Settings, SqlSettings } from '../../config/settings.ts';
import { asGateError, SettingsError } from '../../errors.ts';
import { ServerFailure } from '../../identity/server-pool.ts';
import { DOMAIN_COLUMNS, isPasswordColumn, USER_COLUMNS } from '../../identity/sql/account.ts';
import { queryOf, SqlDirectory, type SqlDirectoryOptions } from '../../identity/sql/directory.ts';
import { driverProblem, openSource } from '../../identity/sql/servers.ts';
import { createLog, explain, type Log } from '../../log.ts';
import { BackendTls } from '../../tls/client.ts';
import { sqlPlaceName, type SqlUrl } from '../../wire/sql-url.ts';
import type { SqlUse } from '../../wire/sql-template.ts';
import type { World } from '../../world.ts';
import { readAuthorities } from '../backends/material.ts';

export interface SqlMaterial {
  /** Never logged. */
  readonly password: string | null;
  /** PEM; null: the system's. */
  readonly ca: string | null;
}

type Fail = (error: unknown, where: string) => void;

export const NO_SQL: SqlMaterial = { password: null, ca: null };

/** The same settings without the password. */
export function bareSql(sql: SqlSettings): SqlSettings {
  return { ...sql, password: null };
}

export function readSqlMaterial({ directory }: Settings, fail: Fail): SqlMaterial {
  const { type, sql } = directory;
  if (type !== 'sql' || sql.url === null) return NO_SQL;
  const { url, password, ca, tlsName } = sql;
  const attempt = <T>(key: string, read: () => T): T | null => {
    try {
      return read();
    } catch (error) {
      fail(error, ` (for directory.sql.${key})`);
      return null;
    }
  };
  attempt('url', () => refuseMissing(url));
  const authorities = ca === null ? null : attempt('ca', () => readAuthorities(ca).join(''));
  attempt('tlsName', () => {
    const rest = { minVersion: 'TLSv1.2', ciphers: 'default' } as const;
    return new BackendTls({ mode: 'musttls', verify: true, ca: authorities, name: tlsName, ...rest });
  });
  return {
    password: password === null ? null : attempt('password', () => resolveSecret(password)),
    ca: authorities,
  };
}

function refuseMissing(url: SqlUrl): void {
  const problem = driverProblem(url);
  if (problem !== null) throw new SettingsError([problem]);
}

/** Files whose change changes the material. */
export function sqlFiles({ directory: { type, sql } }: Settings): string[] {
  if (type !== 'sql') return [];
  return [
    ...(sql.ca === null ? [] : [sql.ca]),
    ...(sql.password?.kind === 'file' ? [sql.password.path] : []),
  ];
}

export interface SqlMaking {
  readonly settings: Settings;
  readonly material: SqlMaterial;
  readonly split: SqlDirectoryOptions['split'];
  readonly world: World;
  readonly log: Log;
}

export function makeSql({ settings, material, split, world, log }: SqlMaking): SqlDirectory {
  const { cache, sql } = settings.directory;
  return new SqlDirectory({
    settings: sql,
    source: openSource({ settings: sql, ...material, world, log }),
    split,
    domainCache: {
      ttlMs: cache.ttlMs,
      missTtlMs: Math.min(cache.missTtlMs, cache.ttlMs),
      max: Math.max(1, cache.size),
    },
    world,
    log,
  });
}

export interface SqlProbe {
  readonly server: string;
  readonly query: string;
  /** Those that mean something. */
  readonly columns: readonly string[];
  /** The others. */
  readonly attributes: readonly string[];
  /** null: the server was reached and took the query. */
  readonly error: string | null;
  readonly warnings: readonly string[];
}

/** Puts each query to each server, for nobody. Never rejects. */
export async function probeSql(
  settings: Settings,
  material: SqlMaterial,
  world: World,
): Promise<readonly SqlProbe[]> {
  const { type, sql } = settings.directory;
  if (type !== 'sql' || sql.url === null) return [];
  const { url } = sql;
  const servers =
    url.dialect === 'sqlite'
      ? [{ server: `sqlite:${url.file}`, url }]
      : url.places.map((place) => ({
          server: sqlPlaceName(url.dialect, place),
          url: { ...url, places: [place] },
        }));
  const probes = servers.map(async ({ server, url: one }) => {
    const found: SqlProbe[] = [];
    for (const use of ['userQuery', 'domainQuery', 'mailQuery'] as const) {
      if (sql[use] === null) continue;
      found.push(await probe(use, { server, sql: { ...sql, url: one }, settings, material, world }));
    }
    return found;
  });
  return (await Promise.all(probes)).flat();
}

async function probe(
  use: SqlUse,
  given: {
    readonly server: string;
    readonly sql: SqlSettings;
    readonly settings: Settings;
    readonly material: SqlMaterial;
    readonly world: World;
  },
): Promise<SqlProbe> {
  const { server, sql, settings, material, world } = given;
  const log = createLog({ level: 'error', format: 'json', write: () => undefined });
  const source = openSource({ settings: sql, ...material, world, log });
  const known = use === 'domainQuery' ? DOMAIN_COLUMNS : USER_COLUMNS;
  const isKnown = (name: string): boolean =>
    known.includes(name) || (use !== 'domainQuery' && isPasswordColumn(name));
  try {
    const query = queryOf(sql, use);
    const values = (query?.values ?? []).map(() => null);
    const answer = await source.ask({ text: query?.text ?? '', values });
    const names = answer.columns.map((name) => name.toLowerCase());
    const columns = names.filter(isKnown);
    const attributes = names.filter((name) => !isKnown(name));
    const warnings = use === 'domainQuery' ? [] : missing(columns, settings);
    return { server, query: use, columns, attributes, error: null, warnings };
  } catch (cause) {
    const error = cause instanceof ServerFailure ? cause.message : explain(asGateError(cause));
    return { server, query: use, columns: [], attributes: [], error, warnings: [] };
  } finally {
    source.close();
  }
}

/** Columns without which something that the settings ask for cannot be. */
function missing(columns: readonly string[], { services, directory: { sql } }: Settings): string[] {
  const checkers = Object.values(services).filter(({ verify }) => verify.kind === 'directory');
  return [
    ...(columns.includes('user')
      ? []
      : [
          sql.url?.dialect === 'mysql'
            ? 'no column user: nobody could log in'
            : 'no column user: a name that is spelled in several ways would count as several users',
        ]),
    ...(columns.some(isPasswordColumn)
      ? []
      : checkers.map(({ name }) => `no column password: services.${name} has verify: directory`)),
  ];
}
