// The server's side of a TLS handshake, the same for implicit TLS, STARTTLS and after a PROXY header.
// `acceptTls` takes over the raw socket (what was read too early is unshifted before) and resolves with the TLS
// socket when the handshake is done; the caller owns that one then. Half-open is allowed on it.
// On failure it rejects with TLS_HANDSHAKE_FAILED, TOKEN_FAILED, TLS_HANDSHAKE_TIMEOUT, PLAIN_ON_TLS_PORT or CLIENT_CLOSED, and
// the raw socket is destroyed. No timer and no listener stays, but for one on 'error' and one on '_tlsError' of the TLS
// socket, which destroy it: a broken record after the handshake would leave the connection open. (On a TLSSocket that
// no tls.Server made, Node tells such a record by '_tlsError' alone; the one underscore name of this folder.) It then
// ends like any broken connection, with 'error' and 'close'.
// ALPN (RFC 7301 3.2): a client that offers nothing is welcome, one that offers only others gets a fatal alert.

import type net from 'node:net';
import tls from 'node:tls';
import { GateError } from '../errors.ts';
import type { World } from '../world.ts';
import type { SelectContext, ServerContexts } from './context.ts';
import { isTokenError } from './engine.ts';
import type { Stapling } from './stapling.ts';

export interface AcceptTlsOptions {
  /** Keep the array: its wire form is made once per array. Empty: no ALPN. */
  readonly alpn: readonly string[];
  readonly timeoutMs: number;
  readonly world: World;
  readonly stapling?: Stapling | null;
}

type SniCallback = (
  this: tls.TLSSocket,
  name: string,
  answer: (error: Error | null, context?: tls.SecureContext) => void,
) => void;

/** What OpenSSL says when the first bytes are no TLS record; the HTTP ones for GET, POST, HEAD, PUT and CONNECT. */
const PLAIN_TEXT_CODES: ReadonlySet<string> = new Set([
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_HTTP_REQUEST',
  'ERR_SSL_HTTPS_PROXY_REQUEST',
]);

const alpnBytes = new WeakMap<readonly string[], Buffer>();
const sniCallbacks = new WeakMap<ServerContexts, SniCallback>();

export function acceptTls(
  raw: net.Socket,
  contexts: ServerContexts,
  options: AcceptTlsOptions,
): Promise<tls.TLSSocket> {
  if (raw.destroyed) return Promise.reject(new GateError('CLIENT_CLOSED', { during: 'TLS handshake' }));
  return new Promise((resolve, reject) => {
    const socket = new tls.TLSSocket(raw, socketOptions(contexts, options));
    socket.allowHalfOpen = true;
    socket.on('error', destroyThis);
    const stop = (): void => {
      timer.cancel();
      socket.off('secure', onSecure).off('error', onError).off('end', onEnd).off('close', onEnd);
    };
    const fail = (error: GateError): void => {
      stop();
      socket.destroy();
      raw.destroy();
      reject(error);
    };
    const onSecure = (): void => {
      stop();
      socket.on('_tlsError', destroyThisFor);
      resolve(socket);
    };
    const onError = (error: NodeJS.ErrnoException): void => fail(handshakeError(error));
    const onEnd = (): void => fail(new GateError('CLIENT_CLOSED', { during: 'TLS handshake' }));
    const timer = options.world.after(options.timeoutMs, () =>
      fail(new GateError('TLS_HANDSHAKE_TIMEOUT', { timeoutMs: options.timeoutMs })),
    );
    socket.on('secure', onSecure).on('error', onError).on('end', onEnd).on('close', onEnd);
  });
}

function destroyThis(this: tls.TLSSocket): void {
  this.destroy();
}

function destroyThisFor(this: tls.TLSSocket, error: Error): void {
  this.destroy(error);
}

function socketOptions(contexts: ServerContexts, { alpn, stapling }: AcceptTlsOptions): tls.TLSSocketOptions {
  const options: tls.TLSSocketOptions = { isServer: true, secureContext: contexts.initial };
  if (alpn.length > 0) options.ALPNProtocols = alpnList(alpn);
  if (contexts.select !== null) options.SNICallback = sniCallback(contexts, contexts.select);
  const server = stapling?.server() ?? null;
  if (server !== null) options.server = server;
  if (contexts.asksClients) {
    // What is shown is judged afterwards (client-certificate.ts); a refusal here would be without an alert.
    options.requestCert = true;
    options.rejectUnauthorized = false;
  }
  return options;
}

// RFC 7301 3.1: each name with its length in front.
function alpnList(names: readonly string[]): Buffer {
  const known = alpnBytes.get(names);
  if (known !== undefined) return known;
  const parts = names.map((name) => Buffer.from(`${String.fromCharCode(name.length)}${name}`, 'latin1'));
  const list = Buffer.concat(parts);
  alpnBytes.set(names, list);
  return list;
}

// A context that is answered hands over one certificate only; without one, the handshake keeps all it began with.
function sniCallback(contexts: ServerContexts, select: SelectContext): SniCallback {
  const known = sniCallbacks.get(contexts);
  if (known !== undefined) return known;
  const callback: SniCallback = function (name, answer) {
    const chosen = select(name, () => this.getSharedSigalgs());
    if (chosen === contexts.initial) answer(null);
    else answer(null, chosen);
  };
  sniCallbacks.set(contexts, callback);
  return callback;
}

function handshakeError(error: NodeJS.ErrnoException): GateError {
  const reason = error.code ?? error.message;
  if (PLAIN_TEXT_CODES.has(reason)) return new GateError('PLAIN_ON_TLS_PORT', { reason }, error);
  if (reason === 'ECONNRESET' || reason === 'EPIPE') {
    return new GateError('CLIENT_CLOSED', { during: 'TLS handshake', reason }, error);
  }
  if (isTokenError(error)) return new GateError('TOKEN_FAILED', { reason }, error);
  return new GateError('TLS_HANDSHAKE_FAILED', { reason }, error);
}
