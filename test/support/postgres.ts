// A real PostgreSQL of the test's own on a free loopback port and a Unix socket, with its whole data under a temporary
// folder. With an authority it has TLS. stop() and start() keep ports and data.

import { copyFileSync, chmodSync, globSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Authority } from './authority.ts';
import { unprivileged } from './database-server.ts';
import { freePort } from './ports.ts';
import { type ServerProcess, until } from './program.ts';

export const POSTGRES_PASSWORD = 'of the superuser';

export interface Postgres {
  readonly port: number;
  /** Where its socket is. */
  readonly folder: string;
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Statements as the superuser; what they print. */
  sql(statements: string): Promise<string>;
  remove(): Promise<void>;
}

export async function startPostgres(options: {
  /** What is in it, in the database `mail`. */
  readonly sql: string;
  readonly authority?: Authority;
  /** Names in its certificate. */
  readonly names?: readonly string[];
}): Promise<Postgres> {
  const [bin] = globSync('/usr/lib/postgresql/*/bin').toSorted().toReversed();
  if (bin === undefined)
    throw new Error('postgresql is not installed; scripts/test installs all that the live tests need');
  const somebody = unprivileged('sallyport-postgres-');
  const { folder } = somebody;
  const port = await freePort();
  const data = join(folder, 'data');
  const passwordFile = join(folder, 'superuser');
  writeFileSync(passwordFile, `${POSTGRES_PASSWORD}\n`, { mode: 0o600 });
  somebody.own(passwordFile);
  const made = await somebody.run(join(bin, 'initdb'), [
    '-D',
    data,
    '--username=postgres',
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C.UTF-8',
    '--no-sync',
  ]);
  if (made.code !== 0) throw new Error(`initdb: ${made.text}`);
  const tls: string[] = [];
  if (options.authority !== undefined) {
    const issued = options.authority.issue({
      names: options.names ?? ['localhost', '127.0.0.1'],
      file: 'postgres',
    });
    const cert = join(folder, 'server.crt');
    const key = join(folder, 'server.key');
    copyFileSync(issued.certFile, cert);
    copyFileSync(issued.keyFile, key);
    chmodSync(key, 0o600);
    somebody.own(cert);
    somebody.own(key);
    tls.push('-c', 'ssl=on', '-c', `ssl_cert_file=${cert}`, '-c', `ssl_key_file=${key}`);
  }
  const set = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: folder,
    fsync: 'off',
    max_connections: '40',
    shared_buffers: '16MB',
  };
  const args = [
    '-D',
    data,
    '-p',
    String(port),
    ...Object.entries(set).flatMap(([k, v]) => ['-c', `${k}=${v}`]),
  ];
  const client = { PGPASSWORD: POSTGRES_PASSWORD, PGHOST: folder, PGPORT: String(port), PGUSER: 'postgres' };
  let server: ServerProcess | null = null;
  const psql = async (database: string, statements: string): Promise<string> => {
    const asked = ['-X', '-q', '-t', '-A', '-v', 'ON_ERROR_STOP=1', '-d', database];
    const done = await somebody.run(join(bin, 'psql'), asked, { input: statements, env: client });
    if (done.code !== 0) throw new Error(`psql: ${done.text}`);
    return done.stdout.toString();
  };
  const postgres: Postgres = {
    port,
    folder,
    async start() {
      const started = somebody.start(join(bin, 'postgres'), [...args, ...tls]);
      server = started;
      await until(
        async () =>
          started.exited() ||
          (await somebody.run(join(bin, 'pg_isready'), ['-q'], { env: client })).code === 0,
        20_000,
        () => started.output(),
      );
      if (started.exited()) throw new Error(`postgres did not start: ${started.output().slice(-2000)}`);
    },
    // At once, whoever is connected.
    async stop() {
      await server?.stop('SIGINT');
    },
    sql: (statements) => psql('mail', statements),
    async remove() {
      await postgres.stop();
      somebody.remove();
    },
  };
  await postgres.start();
  await psql('postgres', 'CREATE DATABASE mail');
  await postgres.sql(options.sql);
  return postgres;
}
