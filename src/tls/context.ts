// The server's TLS contexts, made once per service and worker, and the choice among them by SNI.
// Promises: one context per distinct set of certificates; the same ticket keys and session context name in all of
// them and in every worker, so that a session made by one is resumed by any other; renegotiation and compression
// off; the server's cipher order. An exact name wins over a wildcard, `*.example.org` stands for one label,
// letter case and a trailing dot do not matter (RFC 6066 3), an unknown name gets the service's own certificates.
// Node takes one certificate out of a context that is chosen by name. So of a pair (RSA and ECDSA) for a name, the one
// is chosen here by what the client can verify; the service's own pair is left to OpenSSL.
// Where certificates of clients are asked for, their CAs are in every context: those given, never the system's. If there
// is something to ask about revocation, no session is resumed, since a ticket holds the client's certificate without its
// chain, and what was found out of it before the CRLs were asked. Likewise where OpenSSL lets weak signatures pass.
// On failure: SettingsError. Nothing here reads files.

import { constants, X509Certificate } from 'node:crypto';
import tls from 'node:tls';
import type { KeyPair } from '../certdb/pem.ts';
import type { TokenKey } from '../certdb/token-values.ts';
import type { TlsVersion } from '../config/settings.ts';
import { SettingsError } from '../errors.ts';
import { allowsWeak, cipherList, groupList } from './ciphers.ts';
import { addTokenKeys } from './engine.ts';
import type { TokenKeys } from './engine.ts';
import { forbidsResumption } from './client-certificate.ts';
import type { ClientTrust, StrengthJudge } from './client-certificate.ts';

/** PEM texts, or a key that is in a token. */
export type ServerCertificate =
  { readonly cert: string; readonly key: string } | { readonly cert: string; readonly token: TokenKey };

/** What a certificate and its key are shown as. */
export function shownCertificate({ cert, key, token }: KeyPair): ServerCertificate {
  return token === undefined ? { cert, key } : { cert, token };
}

/** Plain data, so that it can be sent to a worker. */
export interface ServerTlsMaterial {
  /** One per key type. */
  readonly certificates: readonly ServerCertificate[];
  readonly sni: readonly {
    readonly pattern: string;
    readonly certificates: readonly ServerCertificate[];
  }[];
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
  readonly ciphers: string;
  readonly groups: string;
  /** Of clients; without it they are asked for no certificate. */
  readonly clients?: ClientTrust | null;
}

export interface ServerContexts {
  readonly initial: tls.SecureContext;
  /** null where there is no SNI map: then no callback is paid for. */
  readonly select: SelectContext | null;
  readonly asksClients: boolean;
}

/** `sigalgs`: the signature algorithms that both sides have, best first, as Node names them. */
export type SelectContext = (name: string, sigalgs?: () => readonly string[]) => tls.SecureContext;

export interface TicketOptions {
  /** 48 bytes, the same in every worker. */
  readonly ticketKeys: Buffer;
  readonly sessionIdContext: string;
  /** Makes keys in tokens usable; without it such a certificate has no key, which is enough to look at the rest. */
  readonly tokenKeys?: TokenKeys;
}

/** Mail programs come back every few minutes; a session outlives some of those visits. */
const SESSION_SECONDS = 7200;

const OPTIONS =
  constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION | constants.SSL_OP_PRIORITIZE_CHACHA;

export function buildServerContexts(material: ServerTlsMaterial, tickets: TicketOptions): ServerContexts {
  const made = new Map<string, tls.SecureContext>();
  const contextOf = (certificates: readonly ServerCertificate[]): tls.SecureContext => {
    const id = JSON.stringify(certificates);
    const context = made.get(id) ?? makeContext(material, tickets, certificates);
    made.set(id, context);
    return context;
  };
  const initial = contextOf(material.certificates);
  const asksClients = (material.clients?.authorities.length ?? 0) > 0;
  if (material.sni.length === 0) return { initial, select: null, asksClients };
  const exact = new Map<string, Choice>();
  const wildcard = new Map<string, Choice>();
  for (const { pattern, certificates } of material.sni) {
    const name = plainName(pattern);
    const choice =
      contextOf(certificates) === initial
        ? { context: initial, byKey: [] }
        : choiceOf(certificates, contextOf);
    if (name.startsWith('*.')) wildcard.set(name.slice(2), choice);
    else exact.set(name, choice);
  }
  const select: SelectContext = (asked, sigalgs = () => []) => {
    const name = plainName(asked);
    const choice = exact.get(name) ?? wildcard.get(name.slice(name.indexOf('.') + 1));
    if (choice === undefined) return initial;
    return choice.byKey.length === 0 ? choice.context : choose(choice, sigalgs());
  };
  return { initial, select, asksClients };
}

interface Choice {
  /** For a client with which nothing fits. */
  readonly context: tls.SecureContext;
  /** More than one, or none: there is no choice. */
  readonly byKey: readonly { readonly sigalg: string; readonly context: tls.SecureContext }[];
}

/** How the names of signature algorithms begin, by type of key. */
const SIGALGS: Readonly<Record<string, string>> = {
  rsa: 'RSA',
  ec: 'ECDSA',
  ed25519: 'Ed25519',
  ed448: 'Ed448',
};

function choiceOf(
  certificates: readonly ServerCertificate[],
  contextOf: (certificates: readonly ServerCertificate[]) => tls.SecureContext,
): Choice {
  if (certificates.length === 1) return { context: contextOf(certificates), byKey: [] };
  const byKey = certificates.map((certificate) => {
    const keyType = new X509Certificate(certificate.cert).publicKey.asymmetricKeyType ?? '';
    return { sigalg: SIGALGS[keyType] ?? keyType, context: contextOf([certificate]) };
  });
  return { context: byKey[0]?.context ?? contextOf(certificates), byKey };
}

function choose({ context, byKey }: Choice, sigalgs: readonly string[]): tls.SecureContext {
  for (const offered of sigalgs) {
    const fit = byKey.find(({ sigalg }) => offered.startsWith(sigalg));
    if (fit !== undefined) return fit.context;
  }
  return context;
}

/** Who looks at the signatures and keys of clients' certificates. */
export function strengthJudge({ ciphers, minVersion }: ServerTlsMaterial): StrengthJudge {
  return allowsWeak(ciphers, minVersion) ? 'us' : 'OpenSSL';
}

function resumes(material: ServerTlsMaterial): boolean {
  const clients = material.clients ?? null;
  return clients === null || (!forbidsResumption(clients) && strengthJudge(material) === 'OpenSSL');
}

function plainName(name: string): string {
  const lower = name.toLowerCase();
  return lower.endsWith('.') ? lower.slice(0, -1) : lower;
}

function makeContext(
  material: ServerTlsMaterial,
  tickets: TicketOptions,
  certificates: readonly ServerCertificate[],
): tls.SecureContext {
  let context: tls.SecureContext;
  const clients = material.clients ?? null;
  try {
    context = tls.createSecureContext({
      cert: certificates.map(({ cert }) => cert),
      key: certificates.flatMap((certificate) => ('key' in certificate ? [certificate.key] : [])),
      minVersion: material.minVersion,
      maxVersion: material.maxVersion,
      ciphers: cipherList(material.ciphers, material.minVersion),
      ecdhCurve: groupList(material.groups),
      honorCipherOrder: true,
      secureOptions: resumes(material) ? OPTIONS : OPTIONS | constants.SSL_OP_NO_TICKET,
      sessionTimeout: SESSION_SECONDS,
      ticketKeys: tickets.ticketKeys,
      sessionIdContext: tickets.sessionIdContext,
      ...(clients === null ? {} : { ca: [...clients.authorities], allowPartialTrustChain: true }),
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const { minVersion, maxVersion, ciphers, groups } = material;
    const wanted = `minVersion ${minVersion}, maxVersion ${maxVersion}, ciphers ${ciphers}, groups ${groups}`;
    throw new SettingsError([`TLS cannot be set up with ${wanted}: ${reason}`]);
  }
  addTokenKeys(context, certificates, tickets.tokenKeys);
  return context;
}
