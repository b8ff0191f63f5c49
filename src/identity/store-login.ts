// A login at an IMAP store, to learn whether a password is right and for nothing else: who checks passwords before a
// login by proxy, and the prober's own account. The one home of imapflow, which is loaded when first needed.
// Promises: the backend's TLS rules hold as for clients (pins too); a password leaves only where it may; 'refused' is a
// store's NO to the credentials and never anything else; the connection is closed when it is answered or `timeoutMs`
// is over. On failure: GateError of the BACKEND_ family, without what imapflow knows of the password.

import net from 'node:net';
import tls from 'node:tls';

import type { TlsMode } from '../config/settings.ts';
import { type ErrorCode, GateError } from '../errors.ts';
import type { BackendTls } from '../tls/client.ts';
import { formatHostPort, isLoopback } from '../wire/address.ts';
import { isTemporary } from '../wire/imap.ts';
import type { World } from '../world.ts';

export interface StoreTarget {
  readonly host: string;
  readonly port: number;
  readonly mode: TlsMode;
  readonly tls: BackendTls;
  /** A password may go there without TLS, loopback apart. */
  readonly allowClear: boolean;
  readonly timeoutMs: number;
  readonly world: World;
  /** The password is about to leave; what fails from here on may be meant for the user. */
  readonly asking?: () => void;
}

export interface Account {
  readonly user: string;
  readonly password: string;
}

/** What no login has in it, and a line must not. */
// oxlint-disable-next-line no-control-regex
const UNSENDABLE = /[\x00\r\n]/;

export async function logInToStore(target: StoreTarget, account: Account): Promise<'accepted' | 'refused'> {
  if (UNSENDABLE.test(account.user) || UNSENDABLE.test(account.password)) return 'refused';
  const Client = await loadClient();
  const client = new Client(target, account);
  const late = Promise.withResolvers<never>();
  const timer = target.world.after(target.timeoutMs, () =>
    late.reject(failure('BACKEND_TIMEOUT', target, `no answer in ${Math.round(target.timeoutMs)} ms`)),
  );
  try {
    await Promise.race([client.connect(), late.promise]);
  } catch (error) {
    // The answer to the login is what counts, whatever came after it.
    if (client.proven) return 'accepted';
    return verdictOf(client.refusal ?? error, target);
  } finally {
    timer.cancel();
    client.close();
  }
  if (client.proven) return 'accepted';
  throw failure('BACKEND_PROTOCOL', target, 'no login took place');
}

function verdictOf(error: unknown, target: StoreTarget): 'refused' {
  if (error instanceof GateError) throw error;
  const facts = factsOf(error);
  if (facts.authenticationFailed === true && facts.responseStatus === 'NO') {
    const { serverResponseCode: code } = facts;
    if (typeof code !== 'string' || !isTemporary(code.toUpperCase())) return 'refused';
    throw failure('BACKEND_REFUSED', target, code);
  }
  const words = typeof facts.message === 'string' ? facts.message : 'unknown';
  const cause = Object.assign(new Error(words), { code: facts.code });
  throw new GateError(codeOf(facts), { backend: formatHostPort(target.host, target.port) }, cause);
}

interface Facts {
  readonly authenticationFailed?: unknown;
  readonly responseStatus?: unknown;
  readonly serverResponseCode?: unknown;
  readonly tlsFailed?: unknown;
  readonly code?: unknown;
  readonly message?: unknown;
}

function factsOf(error: unknown): Facts {
  return typeof error === 'object' && error !== null ? error : {};
}

function codeOf({ tlsFailed, code }: Facts): ErrorCode {
  const name = String(code);
  if (tlsFailed === true || /CERT|TLS|SSL/.test(name)) return 'BACKEND_TLS_FAILED';
  if (/TIMEOUT/i.test(name)) return 'BACKEND_TIMEOUT';
  return /^E[A-Z]+$/.test(name) ? 'BACKEND_UNREACHABLE' : 'BACKEND_CLOSED';
}

function failure(code: ErrorCode, { host, port }: StoreTarget, found: string): GateError {
  return new GateError(code, { backend: formatHostPort(host, port), found });
}

interface LoginClient {
  /** The store has let the account in. */
  readonly proven: boolean;
  /** Why nothing was said to the store. */
  readonly refusal: GateError | null;
  connect(): Promise<void>;
  close(): void;
}

type LoginClientClass = new (target: StoreTarget, account: Account) => LoginClient;

let loading: Promise<LoginClientClass> | null = null;

function loadClient(): Promise<LoginClientClass> {
  loading ??= defineClient();
  return loading;
}

const STEP = 'authenticate';

/** imapflow with a door before its login: what must hold is looked at when TLS is as good as it will be. */
async function defineClient(): Promise<LoginClientClass> {
  const { ImapFlow } = await import('imapflow');
  const step: unknown = Reflect.get(ImapFlow.prototype, STEP);
  if (typeof step !== 'function') throw new GateError('INTERNAL', { what: 'imapflow has no login step' });

  class GuardedClient extends ImapFlow implements LoginClient {
    readonly #target: StoreTarget;
    proven = false;
    refusal: GateError | null = null;

    constructor(target: StoreTarget, account: Account) {
      const { host, port, mode, timeoutMs } = target;
      super({
        host,
        port,
        secure: mode === 'implicit',
        ...(mode === 'musttls' ? { doSTARTTLS: true } : mode === 'notls' ? { doSTARTTLS: false } : {}),
        tls: target.tls.forHost(host),
        auth: { user: account.user, pass: account.password },
        logger: false,
        clientInfo: { name: 'Sallyport', vendor: 'Sallyport' },
        verifyOnly: true,
        disableAutoIdle: true,
        connectionTimeout: timeoutMs,
        greetingTimeout: timeoutMs,
        socketTimeout: timeoutMs,
      });
      this.#target = target;
      this.on('error', () => undefined);
    }

    async [STEP](): Promise<unknown> {
      this.refusal = refusalOf(this, this.#target);
      if (this.refusal !== null) throw this.refusal;
      this.#target.asking?.();
      const result: unknown = await Reflect.apply(step as () => unknown, this, []);
      this.proven = result === true;
      return result;
    }
  }
  return GuardedClient;
}

function refusalOf(client: object, target: StoreTarget): GateError | null {
  // A store that greets with PREAUTH would let everybody in.
  if (Reflect.get(client, 'authenticated') === true) return failure('BACKEND_PREAUTH', target, 'PREAUTH');
  const socket: unknown = Reflect.get(client, 'socket');
  if (socket instanceof tls.TLSSocket) {
    return target.tls.accepts(socket)
      ? null
      : failure('BACKEND_TLS_FAILED', target, 'a certificate that is not pinned, or that is revoked');
  }
  if (target.mode === 'musttls' || target.mode === 'implicit')
    return failure('BACKEND_TLS_MISSING', target, 'no TLS');
  const near = socket instanceof net.Socket && isLoopback(socket.remoteAddress ?? '');
  return target.allowClear || near ? null : failure('BACKEND_CLEAR_PASSWORD', target, 'no TLS');
}
