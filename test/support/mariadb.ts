// A real MariaDB of the test's own on a free loopback port and a Unix socket, with its whole data under a temporary folder.
// With an authority it has TLS. stop() and start() keep ports and data.

import { chmodSync, copyFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Authority } from './authority.ts';
import { unprivileged } from './database-server.ts';
import { freePort } from './ports.ts';
import { locate, type ServerProcess, until } from './program.ts';

export interface MariaDb {
  readonly port: number;
  readonly socket: string;
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Statements as its root; what they print. */
  sql(statements: string): Promise<string>;
  remove(): Promise<void>;
}

export async function startMariaDb(options: {
  /** What is in it, in the database `mail`. */
  readonly sql: string;
  readonly authority?: Authority;
  readonly names?: readonly string[];
}): Promise<MariaDb> {
  const somebody = unprivileged('sallyport-mariadb-');
  const { folder } = somebody;
  const port = await freePort();
  const data = join(folder, 'data');
  const socket = join(folder, 'mysqld.sock');
  const made = await somebody.run(locate('mariadb-install-db'), [
    '--no-defaults',
    `--datadir=${data}`,
    `--tmpdir=${folder}`,
    '--auth-root-authentication-method=normal',
    '--skip-test-db',
  ]);
  if (made.code !== 0) throw new Error(`mariadb-install-db: ${made.text}`);
  const tls: string[] = [];
  if (options.authority !== undefined) {
    const { authority, names = ['localhost'] } = options;
    const issued = authority.issue({ names, file: 'mariadb' });
    const cert = join(folder, 'server.crt');
    const key = join(folder, 'server.key');
    copyFileSync(issued.certFile, cert);
    copyFileSync(issued.keyFile, key);
    chmodSync(key, 0o600);
    somebody.own(cert);
    somebody.own(key);
    tls.push(`--ssl-cert=${cert}`, `--ssl-key=${key}`);
  }
  const args = [
    '--no-defaults',
    `--datadir=${data}`,
    `--tmpdir=${folder}`,
    `--port=${port}`,
    '--bind-address=127.0.0.1',
    `--socket=${socket}`,
    '--skip-name-resolve',
    '--innodb-flush-log-at-trx-commit=0',
    '--innodb-buffer-pool-size=16M',
    ...tls,
  ];
  let server: ServerProcess | null = null;
  const mariadb: MariaDb = {
    port,
    socket,
    async start() {
      const started = somebody.start(locate('mariadbd'), args);
      server = started;
      await until(
        () => started.exited() || started.output().includes('ready for connections'),
        30_000,
        () => started.output(),
      );
      if (started.exited()) throw new Error(`mariadbd did not start: ${started.output().slice(-2000)}`);
    },
    async stop() {
      await server?.stop('SIGTERM');
    },
    async sql(statements) {
      const asked = [
        '--no-defaults',
        `--socket=${socket}`,
        '--user=root',
        '--skip-column-names',
        '--batch',
        'mail',
      ];
      const done = await somebody.run(locate('mariadb'), asked, { input: statements });
      if (done.code !== 0) throw new Error(`mariadb: ${done.text}`);
      return done.stdout.toString();
    },
    async remove() {
      await mariadb.stop();
      somebody.remove();
    },
  };
  await mariadb.start();
  const first = [
    '--no-defaults',
    `--socket=${socket}`,
    '--user=root',
    '-e',
    'CREATE DATABASE mail CHARACTER SET utf8mb4',
  ];
  const begun = await somebody.run(locate('mariadb'), first);
  if (begun.code !== 0) throw new Error(`mariadb: ${begun.text}`);
  await mariadb.sql(options.sql);
  return mariadb;
}
