// What a certificate authority sent in answer to a request, judged before it is kept: it is for our key and our names,
// it can be used now, and each certificate of the chain is issued by the next. Pure.

import { X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

import { isIssuedBy, isSelfSigned } from './chain.ts';
import { namesOf } from './pem.ts';

export interface Wanted {
  /** The private key that the request was made with. */
  readonly key: KeyObject;
  /** Host names, lower case. */
  readonly names: readonly string[];
  /** Milliseconds since 1970. */
  readonly now: number;
}

export interface IssuedChain {
  /** PEM. */
  readonly cert: string;
  /** PEM of those above it, issuer first. */
  readonly extra: readonly string[];
  readonly certificate: X509Certificate;
}

const CHAIN_MAX = 10;
/** Clocks differ, and some CAs date a certificate from the moment of issue. */
const SKEW_MS = 3_600_000;

/** Or what is wrong with it. */
export function readIssued(chain: string, { key, names, now }: Wanted): IssuedChain | string {
  const blocks = chain.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) return 'the CA sent no certificate';
  if (blocks.length > CHAIN_MAX) return `the CA sent a chain of ${blocks.length} certificates`;
  let certificates: X509Certificate[];
  try {
    certificates = blocks.map((block) => new X509Certificate(block));
  } catch {
    return 'the CA sent a certificate that is damaged';
  }
  const [certificate, ...above] = certificates;
  if (certificate?.checkPrivateKey(key) !== true) return 'the certificate of the CA is not for our key';
  const covered = namesOf(certificate).map((name) => name.toLowerCase());
  const missing = names.filter((name) => !covered.includes(name));
  if (missing.length > 0) return `the certificate of the CA is not for ${missing.join(', ')}`;
  if (Date.parse(certificate.validFrom) > now + SKEW_MS) return 'the certificate of the CA is not valid yet';
  if (Date.parse(certificate.validTo) <= now) return 'the certificate of the CA has expired';
  if (isSelfSigned(certificate)) return 'the certificate of the CA is signed by itself';
  const broken = certificates.findIndex((one, place) => {
    const issuer = certificates[place + 1];
    return issuer !== undefined && !isIssuedBy(one, issuer);
  });
  if (broken >= 0) return `certificate ${broken + 2} of the chain is not the issuer of the one before it`;
  const [cert = '', ...extra] = [certificate, ...above].map((one) => one.toString());
  return { cert, extra, certificate };
}
