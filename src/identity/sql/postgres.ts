// One connection to PostgreSQL, over pg, whose one home this is; it is loaded with the first connection. Promises: TLS is
// agreed and the certificate looked at before anything is said; values travel apart from the text (extended protocol);
// transactions are read-only; the server gives up a question after its time by itself, and an answer of too many rows
// or bytes ends the connection. No statement is kept prepared, so tables may change under it.
// On failure: ServerFailure.

import type { Client, CustomTypesConfig, Query, QueryArrayConfig } from 'pg';

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

type Driver = (typeof import('pg'))['default'];

/** PostgreSQL's numbers of types: bool, and arrays of text, char, varchar, name, inet. */
const BOOLEAN = 16;
const TEXT_ARRAY = 1009;
const TEXT_ARRAYS: ReadonlySet<number> = new Set([TEXT_ARRAY, 1014, 1015, 1003, 1041]);

export class PostgresConnection implements SqlConnection {
  readonly openedMs: number;
  readonly #access: SqlAccess;
  readonly #driver: Driver;
  readonly #client: Client;
  readonly #destroy: () => void;
  #isOpen = true;
  #bytes = 0;

  private constructor(given: {
    readonly access: SqlAccess;
    readonly driver: Driver;
    readonly client: Client;
    readonly destroy: () => void;
  }) {
    this.#access = given.access;
    this.#driver = given.driver;
    this.#client = given.client;
    this.#destroy = given.destroy;
    this.openedMs = given.access.world.monotonic();
  }

  static async open(place: SqlPlace, access: SqlAccess, timeoutMs: number): Promise<PostgresConnection> {
    const { world } = access;
    const driver = (await import('pg')).default;
    const socket = dialSql(place, world);
    // It is on its way already.
    socket.connect = () => socket;
    const host = place.kind === 'unix' ? 'localhost' : place.host;
    const client = new driver.Client({
      stream: () => socket,
      host: access.tlsName ?? host,
      port: 5432,
      user: access.user,
      database: access.database,
      password: () => {
        refuseClear(place, socket, access);
        return access.password ?? '';
      },
      ssl: access.tls === null || place.kind === 'unix' ? false : access.tls.forHost(host),
      application_name: 'sallyport',
      client_encoding: 'UTF8',
      types: typesOf(driver),
    });
    const made = new PostgresConnection({ access, driver, client, destroy: () => socket.destroy() });
    const gone = (): void => void (made.#isOpen = false);
    client.on('error', gone).on('end', gone);
    socket.on('close', gone);
    try {
      await within({ world, ms: timeoutMs, late: () => made.close() }, async () => {
        await client.connect();
        refuseClear(place, socket, access);
        made.#countBytes();
        await client.query(
          `SET statement_timeout = ${Math.ceil(access.timeoutMs)}; SET default_transaction_read_only = on`,
        );
      });
      return made;
    } catch (error) {
      made.close();
      throw failureOf(error);
    }
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  async ask(question: SqlQuestion, timeoutMs: number): Promise<SqlAnswer> {
    if (!this.#isOpen) throw new ServerFailure('server', 'the connection is closed');
    const { world } = this.#access;
    this.#bytes = 0;
    try {
      return await within({ world, ms: timeoutMs, late: () => this.close() }, () => this.#query(question));
    } catch (error) {
      throw this.#bytes > ANSWER_BYTES_MAX ? tooLarge() : failureOf(error);
    }
  }

  close(): void {
    this.#isOpen = false;
    this.#destroy();
  }

  #query({ text, values }: SqlQuestion): Promise<SqlAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<SqlAnswer>();
    const rows: (readonly unknown[])[] = [];
    const config: QueryArrayConfig = { text, values: [...values], rowMode: 'array' };
    const query: Query<unknown[]> = new this.#driver.Query(config);
    query.on('row', (row, result) => {
      rows.push(row);
      // What follows is not waited for.
      if (rows.length <= ROWS_MAX || result === undefined) return;
      resolve({ columns: result.fields.map(({ name }) => name), rows: rows.slice(0, ROWS_MAX) });
      this.close();
    });
    query.on('end', ({ fields }) => resolve({ columns: fields.map(({ name }) => name), rows }));
    query.on('error', reject);
    this.#client.query(query);
    return promise;
  }

  #countBytes(): void {
    const { stream } = this.#client.connection;
    stream.on('data', (chunk: Buffer) => {
      this.#bytes += chunk.length;
      if (this.#bytes > ANSWER_BYTES_MAX) this.close();
    });
  }
}

/** Everything is the text that the server writes, but for yes and no and lists. */
function typesOf({ types }: Driver): CustomTypesConfig {
  const given = types.getTypeParser as (oid: number) => (value: string) => unknown;
  const listOf = given(TEXT_ARRAY);
  const asIs = (value: string): string => value;
  return {
    getTypeParser: ((oid: number) => {
      if (oid === BOOLEAN) return (value: string) => value === 't';
      return TEXT_ARRAYS.has(oid) ? listOf : asIs;
    }) as CustomTypesConfig['getTypeParser'],
  };
}

/** Texts that are no number, address, date or pattern, or have characters that the database's encoding lacks. */
const MISFITS: ReadonlySet<string> = new Set([
  '22P02',
  '22P05',
  '22003',
  '22007',
  '22008',
  '22019',
  '2201B',
  '22021',
  '22025',
]);

function failureOf(error: unknown): ServerFailure {
  if (error instanceof ServerFailure) return error;
  const text = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (!/^[0-9A-Z]{5}$/.test(code) || !(error instanceof Error && 'severity' in error))
    return new ServerFailure('server', code === '' ? text : `${text} (${code})`, error);
  const told = `SQLSTATE ${code}: ${text}`;
  if (MISFITS.has(code)) return new ServerFailure('missing', told, error);
  // Connections, authorization, no such database, rollbacks of its own, resources, its administrator, its disks, defects.
  const isServer = /^(08|28|3D|40|53|57|58|XX)/.test(code);
  return new ServerFailure(isServer ? 'server' : 'question', told, error);
}
