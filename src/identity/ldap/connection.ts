// One connection to a directory server, over ldapts, whose one home this is. Promises: the certificate is looked at before
// anything is asked; no password leaves without TLS but to loopback, unless the settings say so; an empty password is
// never sent (RFC 4513 5.1.2 makes it an anonymous bind, which succeeds); referrals are not followed; each question is
// answered or has failed within its time, and what comes in meanwhile is bounded. The caller closes it.
// On failure: LdapFailure, which says whether the server is to blame, or only the question.

import {
  AndFilter,
  ApproximateFilter,
  Client,
  EqualityFilter,
  ExtensibleFilter,
  type Filter as WireFilter,
  GreaterThanEqualsFilter,
  LessThanEqualsFilter,
  NotFilter,
  OrFilter,
  PresenceFilter,
  ResultCodeError,
  SubstringFilter,
} from 'ldapts';
import type net from 'node:net';

import { GateError } from '../../errors.ts';
import type { BackendTls } from '../../tls/client.ts';
import { formatHostPort, isLoopback } from '../../wire/address.ts';
import type { Filter } from '../../wire/ldap-filter.ts';
import { readStartTlsAnswer, STARTTLS_REQUEST } from '../../wire/ldap-starttls.ts';
import type { World } from '../../world.ts';
import { ServerFailure } from '../server-pool.ts';

export interface LdapServer {
  readonly host: string;
  readonly port: number;
  readonly tls: 'implicit' | 'starttls' | 'none';
}

export interface LdapConnectionOptions {
  readonly server: LdapServer;
  readonly tls: BackendTls;
  /** A password may go there without TLS. */
  readonly allowClear: boolean;
  readonly world: World;
}

export interface LdapEntry {
  readonly dn: string;
  /** By lower-case name, without ;binary. */
  readonly attributes: ReadonlyMap<string, readonly string[]>;
  /** The same, byte for byte, of attributes that are no text. */
  readonly binary: ReadonlyMap<string, readonly Buffer[]>;
}

export interface LdapSearch {
  readonly base: string;
  readonly scope: 'base' | 'sub';
  readonly filter: Filter<string>;
  readonly attributes: readonly string[];
  readonly sizeLimit: number;
}

/** What another server may do better (`server`), what none will (`question`), a base that is not there (`missing`). */
export class LdapFailure extends ServerFailure {
  override readonly name = 'LdapFailure';
}

const ANSWER_BYTES_MAX = 4 * 1024 * 1024;

/** RFC 4511 4.1.9. */
const CODES = {
  noSuchObject: 32,
  invalidCredentials: 49,
} as const;
/** The server as such cannot say: operationsError, timeLimitExceeded, adminLimitExceeded, busy, unavailable, other. */
const SERVER_CODES: ReadonlySet<number> = new Set([1, 3, 11, 51, 52, 80]);
/**
 * A no to a password: inappropriateAuthentication (there is none), invalidCredentials, noSuchObject, and
 * constraintViolation and unwillingToPerform, which Sun's servers say of accounts that are locked.
 */
const WRONG_CODES: ReadonlySet<number> = new Set([19, 48, 49, 32, 53]);

export class LdapConnection {
  readonly #options: LdapConnectionOptions;
  readonly #socket: net.Socket;
  readonly #client: Client;
  readonly openedMs: number;
  #isOpen = true;
  #bytes = 0;

  private constructor(options: LdapConnectionOptions, socket: net.Socket) {
    this.#options = options;
    this.#socket = socket;
    this.openedMs = options.world.monotonic();
    let given = false;
    this.#client = new Client({
      url: 'ldap://directory.invalid',
      createConnection: () => {
        // It would dial again by itself, and ask without having bound.
        if (given) throw new LdapFailure('server', 'the connection is closed');
        given = true;
        return socket;
      },
    });
    socket.on('close', () => (this.#isOpen = false));
    socket.on('end', () => (this.#isOpen = false));
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      this.#bytes += chunk.length;
      if (this.#bytes > ANSWER_BYTES_MAX) socket.destroy();
    });
  }

  static async open(options: LdapConnectionOptions, timeoutMs: number): Promise<LdapConnection> {
    const { server, tls, world } = options;
    const end = world.monotonic() + timeoutMs;
    const raw = world.dial({ kind: 'tcp', host: server.host, port: server.port });
    raw.on('error', () => raw.destroy());
    const timer = world.after(timeoutMs, () => raw.destroy(new Error(`no connection in ${timeoutMs} ms`)));
    try {
      await connected(raw);
      if (server.tls === 'starttls') await startTls(raw);
      if (server.tls === 'none') return new LdapConnection(options, raw);
      const left = Math.max(1, end - world.monotonic());
      return new LdapConnection(options, await tls.connect(raw, server.host, { timeoutMs: left, world }));
    } catch (error) {
      raw.destroy();
      throw failureOf(error);
    } finally {
      timer.cancel();
    }
  }

  get isOpen(): boolean {
    return this.#isOpen && !this.#socket.destroyed;
  }

  /** The entries, of which there may be one more than `sizeLimit` asks for where the server does not care. */
  async search(search: LdapSearch, timeoutMs: number): Promise<readonly LdapEntry[]> {
    const { base, scope, filter, attributes, sizeLimit } = search;
    const found = await this.#ask(timeoutMs, () =>
      this.#client.search(base, {
        scope,
        filter: wireFilter(filter),
        attributes: attributes.length === 0 ? ['1.1'] : [...attributes],
        sizeLimit,
        timeLimit: Math.max(1, Math.ceil(timeoutMs / 1000)),
      }),
    );
    return found.searchEntries.map(readEntry);
  }

  /** Rejects where it cannot be told. */
  async bind(dn: string, password: string, timeoutMs: number): Promise<'right' | 'wrong'> {
    if (dn === '' || password === '') return 'wrong';
    const { server, allowClear } = this.#options;
    const near = isLoopback(this.#socket.remoteAddress ?? '');
    if (server.tls === 'none' && !allowClear && !near)
      throw new LdapFailure('server', 'a password would go there without TLS, and allowClear is not set');
    try {
      await this.#ask(timeoutMs, () => this.#client.bind(dn, password));
      return 'right';
    } catch (error) {
      const code = error instanceof LdapFailure ? codeOf(error.cause) : null;
      if (code !== null && WRONG_CODES.has(code)) return 'wrong';
      throw error;
    }
  }

  close(): void {
    this.#isOpen = false;
    this.#socket.destroy();
  }

  async #ask<T>(timeoutMs: number, question: () => Promise<T>): Promise<T> {
    if (!this.isOpen) throw new LdapFailure('server', 'the connection is closed');
    this.#bytes = 0;
    const late = Promise.withResolvers<never>();
    const timer = this.#options.world.after(timeoutMs, () => {
      late.reject(new LdapFailure('server', `no answer in ${Math.round(timeoutMs)} ms`));
      this.close();
    });
    try {
      return await Promise.race([question(), late.promise]);
    } catch (error) {
      throw failureOf(error);
    } finally {
      timer.cancel();
    }
  }
}

export function serverName({ host, port, tls }: LdapServer): string {
  return `${tls === 'implicit' ? 'ldaps' : 'ldap'}://${formatHostPort(host, port)}`;
}

function connected(raw: net.Socket): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  raw.once('connect', resolve);
  raw.once('error', reject);
  raw.once('close', () => reject(new LdapFailure('server', 'the connection was closed')));
  return promise;
}

function startTls(raw: net.Socket): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let bytes: Buffer = Buffer.alloc(0);
  const stop = (): void => void raw.off('data', onData).off('end', onEnd).off('close', onEnd).pause();
  const fail = (text: string): void => {
    stop();
    reject(new LdapFailure('server', text));
  };
  const onEnd = (): void => fail('the server closed at StartTLS');
  const onData = (chunk: Buffer): void => {
    bytes = Buffer.concat([bytes, chunk]);
    const answer = readStartTlsAnswer(bytes);
    if (answer.kind === 'more') return;
    if (answer.kind === 'malformed') return fail('the answer to StartTLS is malformed');
    if (answer.code !== 0) return fail(`StartTLS is refused (result code ${answer.code})`);
    if (answer.rest > 0) return fail('something was sent in clear text behind the answer to StartTLS');
    stop();
    resolve();
  };
  raw.on('data', onData).on('end', onEnd).on('close', onEnd);
  raw.write(STARTTLS_REQUEST);
  return promise;
}

function failureOf(error: unknown): LdapFailure {
  if (error instanceof LdapFailure) return error;
  if (error instanceof ResultCodeError) {
    const { code } = error;
    const text = `result code ${code}${error.message === '' ? '' : `: ${error.message}`}`;
    if (code === CODES.noSuchObject) return new LdapFailure('missing', text, error);
    return new LdapFailure(SERVER_CODES.has(code) ? 'server' : 'question', text, error);
  }
  if (error instanceof GateError) {
    const detail = error.context['detail'] ?? error.message;
    return new LdapFailure('server', `TLS: ${String(detail)}`, error);
  }
  return new LdapFailure('server', error instanceof Error ? firstLine(error) : String(error), error);
}

function codeOf(error: unknown): number | null {
  return error instanceof ResultCodeError ? error.code : null;
}

function firstLine({ message }: Error): string {
  return message.split('\n').slice(0, 2).join(' ');
}

function readEntry(entry: Readonly<Record<string, unknown>>): LdapEntry {
  const attributes = new Map<string, readonly string[]>();
  const binary = new Map<string, readonly Buffer[]>();
  for (const [name, given] of Object.entries(entry)) {
    if (name === 'dn') continue;
    const key = name.toLowerCase().replace(/;binary$/, '');
    const values: readonly unknown[] = Array.isArray(given) ? given : [given];
    const texts = values.filter((value) => typeof value === 'string');
    const bytes = values.filter((value) => Buffer.isBuffer(value));
    // Of values that are text and such that are not, all come as bytes.
    if (bytes.length > 0) binary.set(key, bytes);
    if (texts.length > 0) attributes.set(key, texts);
  }
  return { dn: String(entry['dn']), attributes, binary };
}

function wireFilter(filter: Filter<string>): WireFilter {
  switch (filter.kind) {
    case 'and':
      return new AndFilter({ filters: filter.filters.map(wireFilter) });
    case 'or':
      return new OrFilter({ filters: filter.filters.map(wireFilter) });
    case 'not':
      return new NotFilter({ filter: wireFilter(filter.filter) });
    case 'present':
      return new PresenceFilter({ attribute: filter.attribute });
    case 'equal':
      return new EqualityFilter(filter);
    case 'greater':
      return new GreaterThanEqualsFilter(filter);
    case 'less':
      return new LessThanEqualsFilter(filter);
    case 'approx':
      return new ApproximateFilter(filter);
    case 'substrings': {
      const { attribute, initial, any, final } = filter;
      return new SubstringFilter({ attribute, initial: initial ?? '', any: [...any], final: final ?? '' });
    }
    case 'extensible': {
      const { attribute, rule, withDn, value } = filter;
      return new ExtensibleFilter({ matchType: attribute, rule, dnAttributes: withDn, value });
    }
  }
}
