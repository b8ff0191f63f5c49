// OCSP stapling (RFC 6066 8): hands the certificate status to OpenSSL for clients that ask for it, in the handshake.
// Node asks for it through the 'OCSPRequest' event of a tls.Server. This one never listens and holds no key: it is there
// for the event, and to tell which certificate a client without SNI is shown. It is given to a handshake only while
// something is to be stapled, so that others pay nothing.
// Node tells which context a handshake uses, not which of its certificates. Where a service's own certificates are a
// pair (RSA and ECDSA), neither is therefore stapled: a status of the wrong certificate is worse than none. Of a pair for
// a name, context.ts makes a context each, so these are.

import { createHash, X509Certificate } from 'node:crypto';
import tls from 'node:tls';
import type { ServerTlsMaterial } from './context.ts';

/** The statuses that are good and current at this moment, by `stapleKey`. */
export interface Staples {
  /** Whether there is one for any certificate. */
  readonly hasAny: boolean;
  response(key: string): Buffer | null;
}

export interface Stapling {
  /** What the next handshake is to be given; null: nothing. */
  server(): tls.Server | null;
}

type Answer = (error: Error | null, response?: Buffer | null) => void;

export function stapleKey(der: Buffer): string {
  return createHash('sha256').update(der).digest('base64url');
}

/** The chains (PEM) whose first certificate can be stapled. */
export function stapledChains({ certificates, sni }: ServerTlsMaterial): readonly string[] {
  const own = certificates.map(({ cert }) => cert);
  const named = sni.flatMap((entry) => entry.certificates.map(({ cert }) => cert));
  if (own.length === 1) return [...new Set([...own, ...named])];
  return [...new Set(named)].filter((cert) => !own.includes(cert));
}

/** For one service; `chains` are those of its certificates that may get a staple. */
export function createStapling(
  material: ServerTlsMaterial,
  chains: readonly string[],
  staples: Staples,
): Stapling {
  const keys = new Set(chains.map((chain) => stapleKey(new X509Certificate(chain).raw)));
  const [initial, ...others] = material.certificates;
  const server = tls.createServer(initial !== undefined && others.length === 0 ? { cert: initial.cert } : {});
  server.on('OCSPRequest', (certificate: Buffer | null, _issuer: Buffer | null, answer: Answer) => {
    const key = certificate === null ? '' : stapleKey(certificate);
    answer(null, keys.has(key) ? staples.response(key) : null);
  });
  return { server: () => (staples.hasAny ? server : null) };
}
