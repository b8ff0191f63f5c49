// TLS towards a backend: one BackendTls per backend, made once, used for every connection to it.
// `connect` takes over the raw socket, verifies the certificate by `name` or else by the host that was dialled, and
// resolves with the TLS socket, which the caller owns. Sessions are kept per host and port (the latest, 64 at most)
// and offered again; a session comes only from a connection that was verified.
// Where certificates are pinned, a pin that matches takes the place of that verification, and only sessions of connections
// that matched are kept.
// Where there are CRLs, a certificate of which one says that it is revoked is as good as none (revocation.ts).
// On failure it rejects with BACKEND_TLS_FAILED (host, reason, detail) and the raw socket is destroyed. It never
// goes on unverified unless `verify` is false and nothing is pinned. What stays on the socket: 'error' destroys it, 'session' keeps tickets.

import { createHash, X509Certificate } from 'node:crypto';
import net from 'node:net';
import tls from 'node:tls';
import type { TlsMode, TlsVersion } from '../config/settings.ts';
import { GateError, SettingsError } from '../errors.ts';
import type { World } from '../world.ts';
import { cipherList } from './ciphers.ts';
import type { ServerCertificate } from './context.ts';
import { addTokenKeys } from './engine.ts';
import type { TokenKeys } from './engine.ts';
import { Anchors, presentedBy, Revocation } from './revocation.ts';
import type { RevocationVerdict } from './revocation.ts';

export interface BackendTlsOptions {
  readonly mode: TlsMode;
  readonly verify: boolean;
  /** PEM text of the CAs trusted for this backend; null: the system's and the runtime's own, and `authorities`. */
  readonly ca: string | null;
  /** PEM of the CAs that the certificate database trusts for servers; each is trusted by itself, root or not. */
  readonly authorities?: readonly string[];
  readonly revocation?: BackendRevocation | null;
  /** The name that the certificate must show; null: the host. */
  readonly name: string | null;
  /** SHA-256 of certificates or public keys, lower-case hex; where there are any, one must match and nothing else counts. */
  readonly pin?: readonly string[];
  /** PEM; shown to a server that asks, one per key type. */
  readonly certificates?: readonly ServerCertificate[];
  readonly tokenKeys?: TokenKeys | undefined;
  readonly minVersion: TlsVersion;
  readonly ciphers: string;
  readonly sessionsMax?: number;
}

export interface BackendRevocation {
  /** DER. */
  readonly crls: readonly Uint8Array[];
  readonly now: () => number;
}

export interface BackendConnectOptions {
  readonly timeoutMs: number;
  readonly world: World;
}

const SESSIONS_MAX = 64;
const MAX_NAMES_TOLD = 8;
/** What Node adds to OpenSSL's words; it is no help here. */
const NODE_HINT = '; if the root CA is installed locally';

export class BackendTls {
  readonly #context: tls.SecureContext;
  readonly #verify: boolean;
  readonly #name: string | null;
  readonly #pin: readonly string[];
  /** Whether a certificate of ours is shown. */
  readonly #shows: boolean;
  readonly #sessions = new Map<string, Buffer>();
  readonly #sessionsMax: number;
  /** null: nothing is to be asked. */
  readonly #revoked: ((socket: tls.TLSSocket) => RevocationVerdict) | null;

  constructor(options: BackendTlsOptions) {
    this.#context = makeContext(options);
    this.#revoked = revocationOf(options);
    this.#pin = options.pin ?? [];
    this.#verify = options.verify && this.#pin.length === 0;
    this.#name = options.name;
    this.#shows = (options.certificates ?? []).length > 0;
    this.#sessionsMax = options.sessionsMax ?? SESSIONS_MAX;
  }

  connect(raw: net.Socket, host: string, options: BackendConnectOptions): Promise<tls.TLSSocket> {
    const expected = plainHost(this.#name ?? host);
    const place = `${host}:${raw.remotePort ?? ''}`;
    if (raw.destroyed) return Promise.reject(failure(host, 'closed', 'the backend closed the connection'));
    return new Promise((resolve, reject) => {
      const socket = this.#start(raw, expected, this.#sessions.get(place));
      socket.on('error', destroyThis);
      // TLS 1.2 gives the session before anybody has looked at the certificate.
      let early: Buffer | null = null;
      let secured = false;
      const onSession = (session: Buffer): void => {
        if (secured) this.#keep(place, session);
        else early = session;
      };
      const stop = (): void => {
        timer.cancel();
        socket.off('secureConnect', onSecure).off('error', onError).off('end', onEnd).off('close', onEnd);
      };
      const fail = (error: GateError): void => {
        stop();
        this.#sessions.delete(place);
        socket.off('session', onSession);
        socket.destroy();
        raw.destroy();
        reject(error);
      };
      const onSecure = (): void => {
        const refusal = this.#refusal(socket);
        if (refusal !== null) return fail(failure(host, refusal.reason, refusal.detail));
        stop();
        secured = true;
        if (early !== null) this.#keep(place, early);
        resolve(socket);
      };
      const onError = (error: NodeJS.ErrnoException): void => fail(handshakeError(host, expected, error));
      const onEnd = (): void => fail(failure(host, 'closed', 'the backend closed during the handshake'));
      const timer = options.world.after(options.timeoutMs, () =>
        fail(failure(host, 'timeout', `the handshake took longer than ${options.timeoutMs} ms`)),
      );
      socket
        .on('session', onSession)
        .on('secureConnect', onSecure)
        .on('error', onError)
        .on('end', onEnd)
        .on('close', onEnd);
    });
  }

  /** The same rules for a client that dials by itself; `accepts` is its to ask before it says anything. */
  forHost(host: string): tls.ConnectionOptions {
    const expected = plainHost(this.#name ?? host);
    return {
      servername: net.isIP(expected) === 0 ? expected : '',
      secureContext: this.#context,
      rejectUnauthorized: this.#verify,
      checkServerIdentity: (_host, certificate) => tls.checkServerIdentity(expected, certificate),
    };
  }

  /**
   * Whether the server shows one of the pinned certificates, where any is pinned, and one that is not revoked. A resumed
   * session is one of ours, kept from a connection that was accepted here under the same pins and CRLs, and only who held
   * that certificate's key can go on with it.
   */
  accepts(socket: tls.TLSSocket): boolean {
    return this.#refusal(socket) === null;
  }

  #refusal(socket: tls.TLSSocket): { readonly reason: string; readonly detail: string } | null {
    if (socket.isSessionReused()) return null;
    if (this.#pin.length > 0) {
      return isPinned(socket, this.#pin) ? null : { reason: 'pin', detail: unpinned(socket) };
    }
    const verdict = this.#revoked?.(socket) ?? 'good';
    if (verdict === 'good') return null;
    const detail =
      verdict === 'revoked'
        ? 'the certificate is revoked, by a CRL of its authority'
        : 'whether the certificate is revoked cannot be told: what the server showed leads to no CA';
    return { reason: verdict, detail };
  }

  /** Sessions held now. */
  get sessionCount(): number {
    return this.#sessions.size;
  }

  #start(raw: net.Socket, expected: string, session: Buffer | undefined): tls.TLSSocket {
    // RFC 6066 3: no address literals in SNI.
    const servername = net.isIP(expected) === 0 ? expected : '';
    const options: tls.ConnectionOptions = {
      socket: raw,
      host: expected,
      servername,
      secureContext: this.#context,
      rejectUnauthorized: this.#verify,
    };
    if (session !== undefined) options.session = session;
    const socket = tls.connect(options);
    socket.allowHalfOpen = true;
    return socket;
  }

  #keep(place: string, session: Buffer): void {
    // A server that asks for certificates and gives its sessions no context (Dovecot 2.3 does so) ends the handshake of
    // whoever comes back with one (OpenSSL, SSL_CTX_set_session_id_context).
    if (this.#shows) return;
    this.#sessions.delete(place);
    this.#sessions.set(place, session);
    if (this.#sessions.size <= this.#sessionsMax) return;
    const [oldest] = this.#sessions.keys();
    if (oldest !== undefined) this.#sessions.delete(oldest);
  }
}

let trustedByDefault: readonly string[] | null = null;

/** The system's CAs and those that the runtime brings. Read once: it takes tens of milliseconds. */
function defaultAuthorities(): readonly string[] {
  trustedByDefault ??= [
    ...new Set([...tls.getCACertificates('system'), ...tls.getCACertificates('default')]),
  ];
  return trustedByDefault;
}

/** Who is trusted where nothing else is said, for a library that makes its own TLS. */
export function trustedAuthorities(ca: string | null): readonly string[] {
  return ca === null ? defaultAuthorities() : [ca];
}

function authoritiesOf({ ca, authorities = [] }: BackendTlsOptions): readonly string[] {
  return ca === null ? [...defaultAuthorities(), ...authorities] : [ca];
}

function revocationOf(options: BackendTlsOptions): ((socket: tls.TLSSocket) => RevocationVerdict) | null {
  const { verify, pin = [], revocation = null } = options;
  if (revocation === null || revocation.crls.length === 0 || !verify || pin.length > 0) return null;
  const lists = new Revocation(revocation.crls);
  const anchors = new Anchors(authoritiesOf(options));
  return (socket) => {
    const leaf = socket.getPeerX509Certificate();
    return leaf === undefined
      ? 'no-path'
      : lists.judge(anchors.upward(anchors.path(leaf, presentedBy(leaf), revocation.now())));
  };
}

function makeContext(options: BackendTlsOptions): tls.SecureContext {
  const settings: tls.SecureContextOptions = {
    minVersion: options.minVersion,
    ciphers: cipherList(options.ciphers, options.minVersion),
  };
  const { pin = [], certificates = [] } = options;
  const needsAuthorities = options.verify && pin.length === 0 && options.mode !== 'notls';
  if (needsAuthorities) {
    settings.ca = [...authoritiesOf(options)];
    settings.allowPartialTrustChain = (options.authorities ?? []).length > 0;
  }
  let context: tls.SecureContext;
  try {
    if (certificates.length > 0) {
      settings.cert = certificates.map(({ cert }) => cert);
      settings.key = certificates.flatMap((certificate) => ('key' in certificate ? [certificate.key] : []));
    }
    context = tls.createSecureContext(settings);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SettingsError([`TLS to the backend cannot be set up (ciphers ${options.ciphers}): ${reason}`]);
  }
  addTokenKeys(context, certificates, options.tokenKeys);
  return context;
}

function destroyThis(this: tls.TLSSocket): void {
  this.destroy();
}

function isPinned(socket: tls.TLSSocket, pins: readonly string[]): boolean {
  return digestsOf(socket).some((digest) => pins.includes(digest));
}

/** SHA-256 of the certificate that the server showed, and of its public key. */
function digestsOf(socket: tls.TLSSocket): readonly string[] {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return [];
  const spki = certificate.publicKey.export({ type: 'spki', format: 'der' });
  return [certificate.raw, spki].map((der) => createHash('sha256').update(der).digest('hex'));
}

function unpinned(socket: tls.TLSSocket): string {
  const [certificate = 'none', key = 'none'] = digestsOf(socket);
  return `the certificate is not a pinned one; shown was sha256:${certificate}, its public key is sha256:${key}`;
}

function plainHost(host: string): string {
  return host.endsWith('.') ? host.slice(0, -1) : host;
}

function failure(host: string, reason: string, detail: string): GateError {
  return new GateError('BACKEND_TLS_FAILED', { host, reason, detail });
}

function handshakeError(host: string, expected: string, error: NodeJS.ErrnoException): GateError {
  const reason = error.code ?? 'handshake failed';
  const detail =
    reason === 'ERR_TLS_CERT_ALTNAME_INVALID'
      ? `the certificate is not for ${expected} but for ${namesShown(error)}`
      : 'reason' in error && typeof error.reason === 'string'
        ? error.reason
        : (error.message.split(NODE_HINT)[0] ?? '');
  return new GateError('BACKEND_TLS_FAILED', { host, reason, detail }, error);
}

function namesShown(error: object): string {
  const shown = 'cert' in error && typeof error.cert === 'object' ? error.cert : null;
  const raw = shown !== null && 'raw' in shown && Buffer.isBuffer(shown.raw) ? shown.raw : null;
  if (raw === null) return 'other names';
  const certificate = new X509Certificate(raw);
  const names = certificate.subjectAltName?.split(', ') ?? [certificate.subject.replaceAll('\n', ', ')];
  const more = names.length > MAX_NAMES_TOLD ? ` and ${names.length - MAX_NAMES_TOLD} more` : '';
  return names.slice(0, MAX_NAMES_TOLD).join(', ') + more;
}
