// The way to a database: a pool of connections to its servers, or the file of SQLite. What is asked for decides which
// driver is loaded, and no other is. Promises: TLS wherever the settings ask for it or say nothing and the server is not
// on loopback. On failure: as the connection; driverProblem() says what is missing, before anything is asked.

import { createRequire } from 'node:module';
import { isIP } from 'node:net';

import type { SqlSettings } from '../../config/settings.ts';
import type { Log } from '../../log.ts';
import { BackendTls, trustedAuthorities } from '../../tls/client.ts';
import { isLoopback } from '../../wire/address.ts';
import { type SqlPlace, type SqlUrl, sqlPlaceName } from '../../wire/sql-url.ts';
import type { World } from '../../world.ts';
import { ServerPool } from '../server-pool.ts';
import { MysqlConnection } from './mysql.ts';
import { PostgresConnection } from './postgres.ts';
import type { SqlConnection, SqlOwnTls, SqlSource } from './source.ts';
import { SqliteSource } from './sqlite.ts';

/** Settings with what their files held. */
export interface SqlSourceOptions {
  readonly settings: SqlSettings;
  readonly password: string | null;
  /** PEM; null: the system's. */
  readonly ca: string | null;
  readonly world: World;
  readonly log: Log;
}

const WAITING_MAX = 512;
const PACKAGES = { postgres: 'pg', mysql: 'mysql2' } as const;

/** What is in the way of asking such a database at all; null: nothing. */
export function driverProblem({ dialect }: SqlUrl): string | null {
  if (dialect === 'sqlite') return null;
  const name = PACKAGES[dialect];
  try {
    createRequire(import.meta.url).resolve(name);
    return null;
  } catch {
    return `the package ${name} is not installed: npm install ${name}, or npm install without --omit=optional`;
  }
}

export function openSource(options: SqlSourceOptions): SqlSource {
  const { settings, world, log } = options;
  const { url, connections, timeoutMs, refreshMs, retryMs } = settings;
  if (url === null) throw new TypeError('directory.sql.url is missing and no mistake was reported');
  if (url.dialect === 'sqlite') return new SqliteSource({ file: url.file, timeoutMs, world, log });
  const connect = connector(options, url);
  const pool = new ServerPool<SqlPlace, SqlConnection>({
    servers: url.places,
    nameOf: (place) => sqlPlaceName(url.dialect, place),
    connect,
    connectionsMax: connections,
    waitingMax: WAITING_MAX,
    timeoutMs,
    refreshMs,
    retryMs,
    world,
    log,
  });
  return {
    ask: (question) => pool.ask((connection, ms) => connection.ask(question, ms)),
    close: () => pool.close(),
  };
}

function connector(
  { settings, password, ca, world }: SqlSourceOptions,
  { dialect, user, database, places }: Exclude<SqlUrl, { dialect: 'sqlite' }>,
): (place: SqlPlace, timeoutMs: number) => Promise<SqlConnection> {
  const { verifyCertificate: verify, tlsName, allowClear, timeoutMs } = settings;
  const isAnySecured = places.some((place) => isSecured(place, settings));
  // One for all connections, so that their contexts are made once.
  const byUs =
    isAnySecured && dialect === 'postgres'
      ? new BackendTls({
          mode: 'musttls',
          verify,
          ca,
          name: tlsName,
          minVersion: 'TLSv1.2',
          ciphers: 'default',
        })
      : null;
  const byDriver: SqlOwnTls | null =
    isAnySecured && dialect === 'mysql'
      ? {
          ca: [...trustedAuthorities(ca)],
          minVersion: 'TLSv1.2',
          rejectUnauthorized: verify,
          verifyIdentity: verify,
        }
      : null;
  const open = dialect === 'mysql' ? MysqlConnection : PostgresConnection;
  const common = { user, database, password, tlsName, allowClear, timeoutMs, world };
  return (place, ms) => {
    const tls = isSecured(place, settings) ? { tls: byUs, ownTls: byDriver } : { tls: null, ownTls: null };
    return open.open(place, { ...common, ...tls }, ms);
  };
}

function isSecured(place: SqlPlace, { tls }: SqlSettings): boolean {
  if (place.kind === 'unix' || tls === 'off') return false;
  const { host } = place;
  return tls === 'required' || !(host === 'localhost' || (isIP(host) !== 0 && isLoopback(host)));
}
