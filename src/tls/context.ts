// The server's TLS contexts, made once per service and worker, and the choice among them by SNI.
// Promises: one context per distinct set of certificates; the same ticket keys and session context name in all of
// them and in every worker, so that a session made by one is resumed by any other; renegotiation and compression
// off; the server's cipher order. An exact name wins over a wildcard, `*.example.org` stands for one label,
// letter case and a trailing dot do not matter (RFC 6066 3), an unknown name gets the service's own certificates.
// On failure: SettingsError. Nothing here reads files.

import { constants } from 'node:crypto';
import tls from 'node:tls';
import type { TlsVersion } from '../config/settings.ts';
import { SettingsError } from '../errors.ts';
import { cipherList, groupList } from './ciphers.ts';

/** PEM texts. */
export interface ServerCertificate {
  readonly cert: string;
  readonly key: string;
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
}

export interface ServerContexts {
  readonly initial: tls.SecureContext;
  /** null where there is no SNI map: then no callback is paid for. */
  readonly select: ((name: string) => tls.SecureContext) | null;
}

export interface TicketOptions {
  /** 48 bytes, the same in every worker. */
  readonly ticketKeys: Buffer;
  readonly sessionIdContext: string;
}

/** Mail programs come back every few minutes; a session outlives some of those visits. */
const SESSION_SECONDS = 7200;

const OPTIONS =
  constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION | constants.SSL_OP_PRIORITIZE_CHACHA;

export function buildServerContexts(material: ServerTlsMaterial, tickets: TicketOptions): ServerContexts {
  const made = new Map<string, tls.SecureContext>();
  const contextOf = (certificates: readonly ServerCertificate[]): tls.SecureContext => {
    const id = JSON.stringify(certificates.map(({ cert, key }) => [cert, key]));
    const context = made.get(id) ?? makeContext(material, tickets, certificates);
    made.set(id, context);
    return context;
  };
  const initial = contextOf(material.certificates);
  if (material.sni.length === 0) return { initial, select: null };
  const exact = new Map<string, tls.SecureContext>();
  const wildcard = new Map<string, tls.SecureContext>();
  for (const { pattern, certificates } of material.sni) {
    const name = plainName(pattern);
    if (name.startsWith('*.')) wildcard.set(name.slice(2), contextOf(certificates));
    else exact.set(name, contextOf(certificates));
  }
  const select = (asked: string): tls.SecureContext => {
    const name = plainName(asked);
    return exact.get(name) ?? wildcard.get(name.slice(name.indexOf('.') + 1)) ?? initial;
  };
  return { initial, select };
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
  try {
    return tls.createSecureContext({
      cert: certificates.map(({ cert }) => cert),
      key: certificates.map(({ key }) => key),
      minVersion: material.minVersion,
      maxVersion: material.maxVersion,
      ciphers: cipherList(material.ciphers, material.minVersion),
      ecdhCurve: groupList(material.groups),
      honorCipherOrder: true,
      secureOptions: OPTIONS,
      sessionTimeout: SESSION_SECONDS,
      ticketKeys: tickets.ticketKeys,
      sessionIdContext: tickets.sessionIdContext,
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const { minVersion, maxVersion, ciphers, groups } = material;
    const wanted = `minVersion ${minVersion}, maxVersion ${maxVersion}, ciphers ${ciphers}, groups ${groups}`;
    throw new SettingsError([`TLS cannot be set up with ${wanted}: ${reason}`]);
  }
}
