// What the drivers of databases have in common: a question with its values apart from its text, an answer of bounded
// size, and the time that one may take. Failures are ServerFailure of server-pool.ts; blame `missing`: a value of the
// login cannot be one of the column that it is compared with, so there is nobody.

import type net from 'node:net';

import type { BackendTls } from '../../tls/client.ts';
import { isLoopback } from '../../wire/address.ts';
import type { SqlPlace } from '../../wire/sql-url.ts';
import type { World } from '../../world.ts';
import { type Pooled, ServerFailure } from '../server-pool.ts';

export interface SqlQuestion {
  readonly text: string;
  readonly values: readonly (string | null)[];
}

export interface SqlAnswer {
  readonly columns: readonly string[];
  /** ROWS_MAX at most. */
  readonly rows: readonly (readonly unknown[])[];
}

/** A database, however many servers it has. */
export interface SqlSource {
  /** Rejects with ServerFailure, or GateError DIRECTORY_DOWN. */
  ask(question: SqlQuestion): Promise<SqlAnswer>;
  close(): void;
}

export interface SqlConnection extends Pooled {
  ask(question: SqlQuestion, timeoutMs: number): Promise<SqlAnswer>;
}

export interface SqlOwnTls {
  /** PEM; who is trusted. */
  ca: string[];
  minVersion: 'TLSv1.2';
  rejectUnauthorized: boolean;
  verifyIdentity: boolean;
}

/** What it takes to connect to a server. */
export interface SqlAccess {
  readonly user: string;
  readonly database: string;
  readonly password: string | null;
  /** null: none is used. */
  readonly tls: BackendTls | null;
  /** The same for a driver that makes its own TLS; one object for all connections, whose context is made once. */
  readonly ownTls: SqlOwnTls | null;
  /** What the certificate must show; null: the host. */
  readonly tlsName: string | null;
  readonly allowClear: boolean;
  /** When the server itself is to give up a question. */
  readonly timeoutMs: number;
  readonly world: World;
}

/** One more than the one that there must be. */
export const ROWS_MAX = 2;
export const ANSWER_BYTES_MAX = 4 * 1024 * 1024;

export function dialSql(place: SqlPlace, world: World): net.Socket {
  const socket = world.dial(
    place.kind === 'unix' ? place : { kind: 'tcp', host: place.host, port: place.port },
  );
  // Half of a connection is no use.
  return socket.on('error', () => socket.destroy()).on('end', () => socket.destroy());
}

/** Another server would answer the same. */
export function tooLarge(): ServerFailure {
  return new ServerFailure('question', `the answer has more than ${ANSWER_BYTES_MAX} bytes`);
}

/** Throws where a password or an answer would go through a network in clear. */
export function refuseClear(
  place: SqlPlace,
  socket: net.Socket,
  { tls, ownTls, allowClear }: SqlAccess,
): void {
  if (
    tls !== null ||
    ownTls !== null ||
    allowClear ||
    place.kind === 'unix' ||
    isLoopback(socket.remoteAddress ?? '')
  )
    return;
  throw new ServerFailure('server', 'it would be asked without TLS, and allowClear is not set');
}

/** The result of `work`, or its failure after `ms`, when `late` has been called. */
export async function within<T>(
  limit: { readonly world: World; readonly ms: number; readonly late: () => void },
  work: () => Promise<T>,
): Promise<T> {
  const { world, ms, late } = limit;
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = world.after(ms, () => {
    reject(new ServerFailure('server', `no answer in ${Math.round(ms)} ms`));
    late();
  });
  try {
    return await Promise.race([work(), promise]);
  } finally {
    timer.cancel();
  }
}
