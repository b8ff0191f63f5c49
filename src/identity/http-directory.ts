// The directory behind a script for nginx's auth_http. Promises: one answer or failure within `timeoutMs`, waits that the
// script asks for included; so many connections and no more, kept open; headers of HEADER_BYTES_MAX at most, and the body
// of an answer is not read. What a client has shown, a password or what there is in its place, goes into the request and
// nowhere else; a token goes there only where the settings want it. On failure: DIRECTORY_DOWN. Owns its connections.

import http from 'node:http';
import https from 'node:https';

import { GateError } from '../errors.ts';
import type { World } from '../world.ts';
import { type Outcome, readAnswer, requestHeaders } from './auth-http.ts';
import { nobody, onlyOne } from './certificate-answer.ts';
import {
  type Account,
  type Answer,
  type CertificateAnswer,
  commonKey,
  type Directory,
  type Login,
  type Shown,
} from './directory.ts';
import { plainAccount } from './everyone.ts';
import type { NameBook } from './login-id.ts';

export interface HttpDirectoryOptions {
  readonly url: string;
  /** PEM; null: the system's. */
  readonly ca: string | null;
  /** `Name: value`, once more. */
  readonly header: string | null;
  readonly timeoutMs: number;
  readonly connections: number;
  /** The script judges tokens. */
  readonly passTokens?: boolean;
  /** It is given certificates whole. */
  readonly passClientCert?: boolean;
  readonly names: NameBook;
  readonly world: World;
}

const HEADER_BYTES_MAX = 16_384;
const QUEUE_MAX = 1024;
/** The request is one GET with all in its headers. */
const ID_BYTES_MAX = 4096;
const TOKEN_BYTES_MAX = 16_384;

export function httpDirectory(options: HttpDirectoryOptions): Directory {
  return new HttpDirectory(options);
}

class HttpDirectory implements Directory {
  readonly needsPassword = true as const;
  readonly judges: ReadonlySet<Shown['kind']>;
  readonly #options: HttpDirectoryOptions;
  readonly #agent: http.Agent;
  readonly #url: URL;
  #pending = 0;
  #closed = false;

  constructor(options: HttpDirectoryOptions) {
    const { url, ca, connections } = options;
    this.#options = options;
    this.judges = new Set(options.passTokens === true ? ['digest', 'token'] : ['digest']);
    this.#url = new URL(url);
    const kept = { keepAlive: true, maxSockets: connections, maxFreeSockets: connections };
    this.#agent =
      this.#url.protocol === 'https:'
        ? new https.Agent({ ...kept, ...(ca === null ? {} : { ca }) })
        : new http.Agent(kept);
  }

  keyOf(login: Login): string {
    const { client, certificateSubject, certificate, byCertificate = false, byToken } = login;
    const shown = [byCertificate, certificateSubject, certificate?.issuer, certificate?.serial, byToken];
    return JSON.stringify([commonKey(login), client.address, ...shown]);
  }

  /**
   * Each address is asked for as somebody who logs in by a certificate; the script says no, or who that is. A no is about
   * the certificate: it costs nothing, and ends nothing.
   */
  async byMail(login: Login, addresses: readonly string[]): Promise<CertificateAnswer> {
    const accounts: Account[] = [];
    const steps: string[] = [];
    let no: string | null = null;
    for (const address of addresses) {
      const answer = await this.find({ ...login, id: address }, null);
      const said =
        answer.kind === 'refused' ? answer.text : answer.kind === 'nobody' ? 'nobody' : answer.account.user;
      steps.push(`the script asked with Auth-User: ${address}: ${said}`);
      if (answer.kind === 'refused' && answer.temporary) return { ...answer, steps };
      if (answer.kind === 'account') accounts.push(answer.account);
      if (answer.kind === 'refused') no ??= answer.text;
    }
    return accounts.length === 0 && no !== null
      ? nobody(`the script says ${JSON.stringify(no)}`, steps)
      : onlyOne(accounts, steps);
  }

  async find(login: Login, password: string | null): Promise<Answer> {
    return login.id === '' ? { kind: 'nobody' } : this.#asked({ login, password });
  }

  /** As nginx: the digest, or the token, stands where the password would. */
  async judge(login: Login, shown: Shown): Promise<Answer> {
    return this.#asked({ login, password: null, shown });
  }

  /**
   * As nginx's EXTERNAL: the script is asked for whom the client asks to be, with what is known of the certificate. One
   * that knows of certificates has a password for the store; whoever has none may only not have looked.
   */
  async judgeCertificate(login: Login): Promise<CertificateAnswer> {
    const answer = await this.#asked({ login: { ...login, byCertificate: true }, password: null });
    const asked = `the script asked with ${login.id === '' ? 'an empty Auth-User' : `Auth-User: ${login.id}`}`;
    if (answer.kind === 'refused' && answer.temporary)
      return { ...answer, steps: [`${asked}: ${answer.text}`] };
    if (answer.kind !== 'account')
      return nobody(`${asked}: ${answer.kind === 'refused' ? answer.text : 'nobody'}`);
    if (answer.account.replayPassword === undefined) return nobody(`${asked}: OK without Auth-Pass`);
    const { account } = answer;
    return { kind: 'account', account, isAsked: true, steps: [`${asked}: ${account.user}`] };
  }

  async #asked(question: Question): Promise<Answer> {
    const { world, timeoutMs } = this.#options;
    if (isTooLong(question)) return { kind: 'nobody' };
    if (this.#pending >= QUEUE_MAX) throw this.#failure('too many logins wait for it');
    const stop = new AbortController();
    const timer = world.after(timeoutMs, () => stop.abort());
    this.#pending++;
    try {
      return this.#answerOf(await this.#ask(question, stop.signal), question);
    } catch (cause) {
      if (cause instanceof GateError) throw cause;
      throw this.#failure(stop.signal.aborted ? `no answer in ${timeoutMs} ms` : null, cause);
    } finally {
      timer.cancel();
      this.#pending--;
      if (this.#closed && this.#pending === 0) this.#agent.destroy();
    }
  }

  close(): void {
    this.#closed = true;
    if (this.#pending === 0) this.#agent.destroy();
  }

  async #ask(question: Question, stop: AbortSignal): Promise<Outcome> {
    const { passClientCert = false } = this.#options;
    const attempt = question.login.attempt ?? 1;
    for (;;) {
      const outcome = await this.#request(requestHeaders({ ...question, attempt, passClientCert }), stop);
      if (outcome.kind !== 'wait') return outcome;
      await this.#pause(Math.max(outcome.ms, 100), stop);
    }
  }

  #pause(ms: number, stop: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = this.#options.world.after(ms, resolve);
      stop.addEventListener('abort', () => {
        timer.cancel();
        reject(new Error('it asks to wait for too long'));
      });
    });
  }

  /** One request; a kept connection that the other side has closed meanwhile is replaced once. */
  async #request(headers: readonly [string, string][], stop: AbortSignal): Promise<Outcome> {
    for (let again = false; ; again = true) {
      try {
        return await this.#send(headers, stop);
      } catch (error) {
        if (again || stop.aborted || !(error instanceof StaleConnection)) throw error;
      }
    }
  }

  #send(headers: readonly [string, string][], stop: AbortSignal): Promise<Outcome> {
    const { header } = this.#options;
    const [, name = '', value = ''] = /^([^:]+):\s*(.*)$/.exec(header ?? '') ?? [];
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
    const send = this.#url.protocol === 'https:' ? https.request : http.request;
    const request = send(this.#url, {
      agent: this.#agent,
      headers: Object.fromEntries(name === '' ? headers : [...headers, [name, value]]),
      maxHeaderSize: HEADER_BYTES_MAX,
      signal: stop,
    });
    request.on('response', (response) => {
      resolve(readAnswer(plainHeaders(response.headers), response.statusCode ?? 0));
      let left = HEADER_BYTES_MAX;
      // A short body is read over, so that the connection can be kept.
      response.on('data', (chunk: Buffer) => {
        left -= chunk.length;
        if (left < 0) response.destroy();
      });
      response.on('error', () => undefined);
    });
    request.on('error', (error: NodeJS.ErrnoException) => {
      const stale = request.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
      reject(stale ? new StaleConnection() : error);
    });
    request.end();
    return promise;
  }

  #answerOf(outcome: Outcome, { login, password, shown }: Question): Answer {
    switch (outcome.kind) {
      case 'refused':
        return outcome;
      case 'wait':
      case 'unusable':
        throw this.#failure(outcome.kind === 'wait' ? 'it asks to wait' : outcome.reason);
      case 'ok': {
        // Whose mailbox that is, nobody has said.
        if (login.id === '' && outcome.user === null) return { kind: 'nobody' };
        // nginx's rule too: whoever knows digests knows passwords, and an OK alone is of a script that does not look.
        if (shown?.kind === 'digest' && login.protocol !== 'smtp' && outcome.password === null)
          throw this.#failure(`it says OK to ${shown.mechanism} and gives no Auth-Pass`);
        const { names } = this.#options;
        const plain = plainAccount(
          names.split(login.id, { service: login.service, address: login.server.address }),
        );
        const user = outcome.user ?? plain.user;
        const account = {
          ...plain,
          user,
          // As nginx: what the client sent, unless the script says otherwise.
          replay: outcome.user ?? plain.replay,
          hosts: outcome.server === null ? [] : [outcome.server],
          ...(outcome.password === null ? {} : { replayPassword: outcome.password }),
        };
        const isJudged = password !== null || shown !== undefined;
        return { kind: 'account', account, proof: isJudged ? 'right' : null };
      }
    }
  }

  #failure(reason: string | null, cause?: unknown): GateError {
    const { origin, pathname } = this.#url;
    return new GateError(
      'DIRECTORY_DOWN',
      { url: `${origin}${pathname}`, reason: reason ?? undefined },
      cause,
    );
  }
}

interface Question {
  readonly login: Login;
  readonly password: string | null;
  readonly shown?: Shown;
}

function isTooLong({ login, password, shown }: Question): boolean {
  if (shown?.kind === 'token' && Buffer.byteLength(shown.token) > TOKEN_BYTES_MAX) return true;
  return Buffer.byteLength(login.id) + Buffer.byteLength(password ?? '') > ID_BYTES_MAX;
}

class StaleConnection extends Error {}

function plainHeaders(headers: http.IncomingHttpHeaders): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value[0] : value]),
  );
}
