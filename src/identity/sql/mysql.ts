// One connection to MySQL or MariaDB, over mysql2, whose one home this is; it is loaded with the first connection.
// Promises: TLS is agreed and the certificate looked at before anything is said; queries are prepared at the server and
// values bound there; transactions are read-only; the server gives up a question after its time by itself and sends
// ROWS_MAX rows at most. On failure: ServerFailure.

import type { Connection, ConnectionOptions, FieldPacket, QueryError } from 'mysql2';
import type { Duplex } from 'node:stream';

import type { SqlPlace } from '../../wire/sql-url.ts';
import { ServerFailure } from '../server-pool.ts';
import {
  ANSWER_BYTES_MAX,
  dialSql,
  refuseClear,
  ROWS_MAX,
  type SqlAccess,
  type SqlAnswer,
  type SqlConnection,
  type SqlQuestion,
  tooLarge,
  within,
} from './source.ts';

export class MysqlConnection implements SqlConnection {
  readonly openedMs: number;
  readonly #access: SqlAccess;
  readonly #connection: Connection;
  readonly #destroy: () => void;
  #isOpen = true;
  #bytes = 0;

  private constructor(access: SqlAccess, connection: Connection, destroy: () => void) {
    this.#access = access;
    this.#connection = connection;
    this.#destroy = destroy;
    this.openedMs = access.world.monotonic();
  }

  static async open(place: SqlPlace, access: SqlAccess, timeoutMs: number): Promise<MysqlConnection> {
    const { world } = access;
    const { default: driver } = await import('mysql2');
    const socket = dialSql(place, world);
    let connection: Connection | null = null;
    let made: MysqlConnection | null = null;
    try {
      await within({ world, ms: timeoutMs, late: () => socket.destroy() }, async () => {
        // Its greeting is answered at once, so where we are is looked at before.
        await connected(socket);
        refuseClear(place, socket, access);
        connection = driver.createConnection({ ...optionsOf(place, access), stream: socket });
        const own = new MysqlConnection(access, connection, () => socket.destroy());
        made = own;
        const gone = (): void => void (own.#isOpen = false);
        connection.on('error', gone).on('end', gone);
        socket.on('close', gone);
        await new Promise<void>((resolve, reject) => {
          own.#connection.connect((error) => (error === null ? resolve() : reject(error)));
        });
        own.#countBytes();
        await own.#begin();
      });
      if (made === null) throw new ServerFailure('server', 'no connection');
      return made;
    } catch (error) {
      socket.destroy();
      throw failureOf(error);
    }
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  async ask({ text, values }: SqlQuestion, timeoutMs: number): Promise<SqlAnswer> {
    if (!this.#isOpen) throw new ServerFailure('server', 'the connection is closed');
    const { world } = this.#access;
    this.#bytes = 0;
    try {
      return await within({ world, ms: timeoutMs, late: () => this.close() }, () =>
        this.#run((done) =>
          this.#connection.execute({ sql: text, values: [...values], rowsAsArray: true }, done),
        ),
      );
    } catch (error) {
      throw this.#bytes > ANSWER_BYTES_MAX ? tooLarge() : failureOf(error);
    }
  }

  close(): void {
    this.#isOpen = false;
    this.#destroy();
  }

  /** What holds for all questions. */
  async #begin(): Promise<void> {
    const plain = (sql: string): Promise<SqlAnswer> =>
      this.#run((done) => this.#connection.query({ sql, rowsAsArray: true }, done));
    const { rows } = await plain('SELECT VERSION()');
    const isMariaDb = /mariadb/i.test(String(rows[0]?.[0]));
    const limit = isMariaDb
      ? `max_statement_time = ${this.#access.timeoutMs / 1000}`
      : `max_execution_time = ${Math.ceil(this.#access.timeoutMs)}`;
    await plain(`SET SESSION sql_select_limit = ${ROWS_MAX}, SESSION ${limit}`);
    await plain('SET SESSION TRANSACTION READ ONLY');
  }

  #run(
    ask: (done: (error: QueryError | null, rows: unknown, fields: FieldPacket[] | undefined) => void) => void,
  ): Promise<SqlAnswer> {
    return new Promise((resolve, reject) => {
      ask((error, rows, fields) => {
        if (error !== null) return reject(error);
        const found = Array.isArray(rows) ? rows.filter((row) => Array.isArray(row)) : [];
        resolve({ columns: (fields ?? []).map(({ name }) => name), rows: found.slice(0, ROWS_MAX) });
      });
    });
  }

  #countBytes(): void {
    const { stream } = this.#connection as unknown as { readonly stream: Duplex };
    stream.on('data', (chunk: Buffer) => {
      this.#bytes += chunk.length;
      if (this.#bytes > ANSWER_BYTES_MAX) this.close();
    });
  }
}

function optionsOf(place: SqlPlace, access: SqlAccess): ConnectionOptions {
  const { ownTls, tlsName, user, database, password } = access;
  const host = place.kind === 'unix' ? 'localhost' : place.host;
  return {
    host: tlsName ?? host,
    // The socket is there already; by this the driver knows that nobody listens in.
    ...(place.kind === 'unix' ? { socketPath: place.path } : {}),
    user,
    database,
    password: password ?? '',
    charset: 'utf8mb4',
    connectTimeout: 0,
    ...(ownTls === null || place.kind === 'unix' ? {} : { ssl: ownTls }),
    // Everything as the server writes it, and no code made of what it sends.
    dateStrings: true,
    supportBigNumbers: true,
    bigNumberStrings: true,
    jsonStrings: true,
    disableEval: true,
    multipleStatements: false,
    flags: ['-LOCAL_FILES'],
  };
}

function connected(socket: ReturnType<typeof dialSql>): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once('connect', resolve);
  socket.once('error', reject);
  socket.once('close', () => reject(new ServerFailure('server', 'the connection was closed')));
  return promise;
}

/** Collations that do not go together, characters that a column's set lacks, patterns that are none. */
const MISFITS: ReadonlySet<number> = new Set([1139, 1267, 1270, 1271, 1366, 3685, 3692, 3854, 3988]);
/**
 * Access denied, too many connections, no such database, shutdown, host blocked or not allowed, resources used up, locks,
 * interrupted, out of time.
 */
const OF_SERVER: ReadonlySet<number> = new Set([
  1040, 1041, 1044, 1045, 1049, 1053, 1129, 1130, 1203, 1205, 1213, 1226, 1317, 1698, 1927, 1969, 3024, 3118,
]);

function failureOf(error: unknown): ServerFailure {
  if (error instanceof ServerFailure) return error;
  const text = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
  const number = error instanceof Error && 'errno' in error ? Number(error.errno) : Number.NaN;
  // Below are the errors of the system and above those of the driver.
  if (!(number >= 1000 && number < 6000) || (number >= 2000 && number < 3000))
    return new ServerFailure('server', text, error);
  const told = `error ${number}: ${text}`;
  if (MISFITS.has(number)) return new ServerFailure('missing', told, error);
  return new ServerFailure(OF_SERVER.has(number) ? 'server' : 'question', told, error);
}
