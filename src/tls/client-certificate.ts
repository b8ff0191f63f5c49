// What a client showed of itself in the handshake, and whether it is to be believed. A certificate that does not verify
// never ends the handshake here: the client may still have a password, and Node would drop it without an alert.
// OpenSSL verifies (chain up to a CA that is trusted for clients, dates, purpose); then the CRLs are asked. `verified` is
// true only where all of that holds. A certificate is looked at again on a resumed session, where OpenSSL tells what it
// found at first; services that have something to ask about revocation resume none (context.ts). Neither do those at
// OpenSSL's security level 0, where it would take signatures by MD5 and keys of 512 bits: there we look at the whole way.
// Reads only, never throws; a connection without a certificate costs one question to the runtime.

import { createHash, X509Certificate } from 'node:crypto';
import type tls from 'node:tls';

import { nameFromLines } from '../certdb/name-lines.ts';
import { isStrongPath } from '../certdb/signature.ts';
import { Anchors, presentedBy, Revocation } from './revocation.ts';

/** Which certificates of clients are asked for and believed. Plain data, for workers. */
export interface ClientTrust {
  /** Whoever has none that verifies is turned away. */
  readonly required: boolean;
  /** PEM of the CAs, one each. */
  readonly authorities: readonly string[];
  /** DER. */
  readonly crls: readonly Uint8Array[];
  readonly ocsp: 'off' | 'try' | 'require';
}

/** Why a certificate does not count. `ocsp-unavailable`: nobody could say, and somebody has to. */
export type ClientCertificateFault =
  | 'unknown-issuer'
  | 'self-signed'
  | 'expired'
  | 'not-yet-valid'
  | 'wrong-purpose'
  | 'revoked'
  | 'no-path'
  | 'ocsp-unavailable'
  | 'invalid';

export interface ClientCertificate {
  /** As nameFromLines() writes it. */
  readonly subject: string;
  readonly issuer: string;
  /** Hexadecimal. */
  readonly serial: string;
  /** SHA-256 of it, lower-case hexadecimal. */
  readonly fingerprint256: string;
  readonly der: Buffer;
  readonly verified: boolean;
  readonly fault: ClientCertificateFault | null;
  /** OpenSSL's word for the fault, where it found it. */
  readonly detail: string | null;
}

/** With the way to the CA, for who has more to ask. */
export interface JudgedCertificate {
  readonly facts: ClientCertificate;
  readonly leaf: X509Certificate;
  /** From the certificate to its CA; null where it was not looked for or not found. */
  readonly path: readonly X509Certificate[] | null;
}

const FAULTS: Readonly<Record<string, ClientCertificateFault>> = {
  UNABLE_TO_GET_ISSUER_CERT: 'unknown-issuer',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'unknown-issuer',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'unknown-issuer',
  CERT_UNTRUSTED: 'unknown-issuer',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'unknown-issuer',
  CERT_HAS_EXPIRED: 'expired',
  CERT_NOT_YET_VALID: 'not-yet-valid',
  INVALID_PURPOSE: 'wrong-purpose',
  CERT_REVOKED: 'revoked',
};

const FOR_CLIENTS: ReadonlySet<string> = new Set(['1.3.6.1.5.5.7.3.2', '2.5.29.37.0']);

/** Who sees to it that signatures and keys are of today. */
export type StrengthJudge = 'OpenSSL' | 'us';

/** The client CAs of one service, and its CRLs. */
export class ClientCertificates {
  readonly #anchors: Anchors;
  readonly #revocation: Revocation;
  readonly #needsPath: boolean;
  readonly #strength: StrengthJudge;

  constructor({ authorities, crls, ocsp }: ClientTrust, strength: StrengthJudge = 'OpenSSL') {
    this.#anchors = new Anchors(authorities);
    this.#revocation = new Revocation(crls);
    this.#strength = strength;
    this.#needsPath = !this.#revocation.isEmpty || ocsp !== 'off' || strength === 'us';
  }

  /** null: the client showed none. */
  judge(socket: tls.TLSSocket, now: number): JudgedCertificate | null {
    // Asked first: of a resumed session without a certificate OpenSSL would say that there is nothing wrong with it.
    const leaf = socket.getPeerX509Certificate();
    if (leaf === undefined) return null;
    const problem = verifyError(socket);
    if (problem !== null)
      return { leaf, path: null, facts: factsOf(leaf, FAULTS[problem] ?? 'invalid', problem) };
    const fault = dateFault(leaf, now);
    if (fault !== null || !this.#needsPath) return { leaf, path: null, facts: factsOf(leaf, fault) };
    const path = this.#anchors.path(leaf, presentedBy(leaf), now);
    // OpenSSL has found one; who hides it from us has a reason.
    if (path === null) return { leaf, path, facts: factsOf(leaf, 'no-path') };
    if (this.#strength === 'us' && !isStrongPath(path))
      return { leaf, path: null, facts: factsOf(leaf, 'invalid', 'TOO_WEAK') };
    const verdict = this.#revocation.judge(this.#anchors.upward(path));
    return { leaf, path, facts: factsOf(leaf, verdict === 'good' ? null : verdict) };
  }

  /** The same of one from a file, as far as that goes without a handshake; null: it would be believed. */
  judgeAlone(
    leaf: X509Certificate,
    others: readonly X509Certificate[],
    now: number,
  ): ClientCertificateFault | null {
    const path = this.#anchors.path(leaf, others, now);
    if (path === null) return 'unknown-issuer';
    const fault = dateFault(leaf, now) ?? (isForClients(leaf) ? null : 'wrong-purpose');
    if (fault !== null) return fault;
    if (!isStrongPath(path)) return 'invalid';
    const verdict = this.#revocation.judge(this.#anchors.upward(path));
    return verdict === 'good' ? null : verdict;
  }
}

/** What this certificate may be used for, by RFC 5280 4.2.1.12: without the extension for everything. */
function isForClients({ keyUsage }: X509Certificate): boolean {
  // Not what the runtime's types say: without the extension there is none.
  const purposes: readonly string[] | undefined = keyUsage;
  return purposes === undefined || purposes.some((oid) => FOR_CLIENTS.has(oid));
}

/** The same certificate, believed no longer. */
export function withFault(facts: ClientCertificate, fault: ClientCertificateFault): ClientCertificate {
  return { ...facts, verified: false, fault };
}

/** Names what a ticket stands for: no session goes from one set of CAs to another (DESIGN 2). null: none are asked. */
export function clientTrustDigest(trust: ClientTrust | null): string | null {
  if (trust === null) return null;
  const { required, authorities, crls, ocsp } = trust;
  const known = authorities.map((pem) => new X509Certificate(pem).fingerprint256).toSorted();
  const lists = crls.map((der) => createHash('sha256').update(der).digest('hex')).toSorted();
  return createHash('sha256')
    .update(JSON.stringify([required, known, lists, ocsp]))
    .digest('base64url');
}

/** Whether certificates are looked at afresh at each connection, which a resumed session would not show whole. */
export function forbidsResumption({ crls, ocsp }: ClientTrust): boolean {
  return crls.length > 0 || ocsp !== 'off';
}

/** A TLSSocket that no tls.Server made has no `authorized`; what OpenSSL found is asked of its handle. */
function verifyError(socket: tls.TLSSocket): string | null {
  const handle: unknown = Reflect.get(socket, 'ssl');
  const ask: unknown =
    typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'verifyError') : null;
  // Gone already: nobody can say that it was verified.
  if (typeof ask !== 'function') return 'CLOSED';
  const error: unknown = Reflect.apply(ask, handle, []);
  if (error === undefined || error === null) return null;
  return error instanceof Error && 'code' in error ? String(error.code) : 'UNSPECIFIED';
}

/** A session outlives its handshake by hours. */
function dateFault({ validFrom, validTo }: X509Certificate, now: number): ClientCertificateFault | null {
  if (now >= Date.parse(validTo)) return 'expired';
  return now < Date.parse(validFrom) ? 'not-yet-valid' : null;
}

export function factsOf(
  leaf: X509Certificate,
  fault: ClientCertificateFault | null,
  detail: string | null = null,
): ClientCertificate {
  return {
    subject: nameFromLines(leaf.subject),
    issuer: nameFromLines(leaf.issuer),
    serial: leaf.serialNumber,
    fingerprint256: leaf.fingerprint256.replaceAll(':', '').toLowerCase(),
    der: leaf.raw,
    verified: fault === null,
    fault,
    detail,
  };
}
