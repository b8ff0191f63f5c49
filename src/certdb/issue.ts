// Makes certificates: self-signed, and from a request by a CA. Signed through a Signer, so that a key in a token does
// the same as one of the database. Nothing is written to disk here.
// Promises: version 3, a random positive serial number, never MD5 or SHA-1; OpenSSL has read the result back.
// On failure: SettingsError that says what cannot be in a certificate, or why this CA will not do.

import { randomBytes, X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import net from 'node:net';
import { AsnConvert } from '@peculiar/asn1-schema';
import {
  BasicConstraints,
  Extensions,
  KeyUsage,
  KeyUsageFlags,
  SubjectKeyIdentifier,
  Validity,
  Version,
} from '@peculiar/asn1-x509';
import { SettingsError } from '../errors.ts';
import { newTbs, tbsOf, writeCertificate } from './certificate-shapes.ts';
import type { NamedTbs } from './certificate-shapes.ts';
import { certificateNames, nameOf, writeName } from './distinguished-name.ts';
import type { Name } from './distinguished-name.ts';
import {
  authorityExtension,
  checkedNames,
  extensionValue,
  keyIdentifier,
  namesExtension,
  OID,
  useExtensions,
  withHostOf,
} from './extensions.ts';
import type { AlternativeNames, CertificateUse } from './extensions.ts';
import { generateKey, softwareSigner } from './keys.ts';
import type { KeyWish, Signer } from './keys.ts';
import { keyIdOf } from './pem.ts';
import { publicKeyInfo, readRequest, signatureAlgorithm } from './request.ts';

export { makeRequest } from './request.ts';

/** Milliseconds since 1970; without days and notAfter a certificate is valid for three months. */
export interface Term {
  readonly now: number;
  readonly days?: number | undefined;
  readonly notAfter?: number | undefined;
}

export interface CertificateWish extends AlternativeNames, Term {
  readonly subject: Name;
  readonly use: CertificateUse;
}

export interface Issuer {
  readonly certificate: X509Certificate;
  readonly signer: Signer;
}

export interface SignWish extends Term {
  /** DER or PEM. */
  readonly request: Buffer;
  /** What messages call the request. */
  readonly source?: string;
  readonly issuer: Issuer;
  readonly use: CertificateUse;
}

export interface SelfSignedOptions {
  /** DNS names and IP addresses; the first is the common name. */
  readonly names: readonly string[];
  readonly days: number;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Default: ECDSA P-256. */
  readonly key?: KeyWish;
}

const DAY_MS = 86_400_000;
const CLOCK_SKEW_MS = 3_600_000;
const USUAL_MONTHS = 3;
const MAX_DAYS = 36_525;
/** RFC 5280 A.1, ub-common-name. */
const MAX_COMMON_NAME = 64;

/** PEM. */
export function selfSign(signer: Signer, wish: CertificateWish): Promise<string> {
  const subject = writeName(wish.subject);
  const names = checkedNames(wish.use === 'server' ? withHostOf(wish.subject, wish) : wish);
  return signed(signer, {
    issuer: subject,
    subject,
    validity: termOf(wish),
    subjectPublicKeyInfo: publicKeyInfo(signer.publicKey),
    extensions: new Extensions([
      ...useExtensions(wish.use, signer.publicKey),
      ...namesExtension(names, wish.subject),
    ]),
  });
}

/** PEM. What it certifies is the request's subject and its host, address and e-mail names, and the use of ours. */
export async function signRequest(wish: SignWish): Promise<string> {
  const { issuer, use } = wish;
  const source = wish.source ?? 'the certificate request';
  const authority = authorityOf(issuer, wish);
  const asked = readRequest(wish.request, source);
  const names = checkedNames(use === 'server' ? withHostOf(asked.subjectName, asked.names) : asked.names);
  const alternative = namesExtension(names, asked.subjectName);
  if (asked.subjectName.parts.length === 0 && (alternative.length === 0 || use === 'ca')) {
    throw new SettingsError([`${source}: names nobody: its subject is empty`]);
  }
  return signed(issuer.signer, {
    issuer: authority.subject,
    subject: asked.subject,
    validity: termOf(wish, Date.parse(issuer.certificate.validTo)),
    subjectPublicKeyInfo: publicKeyInfo(asked.publicKey),
    extensions: new Extensions([
      ...useExtensions(use, asked.publicKey),
      authorityExtension(authority.keyIdentifier),
      ...alternative,
    ]),
  });
}

/** PEM: the same names, use and key under a new serial number and term, signed by a hash of today. */
export function renewSelfSigned(signer: Signer, certificate: X509Certificate, term: Term): Promise<string> {
  const { subject, subjectPublicKeyInfo, extensions } = tbsOf(certificate);
  if (!isSame(certificate.publicKey, signer.publicKey))
    throw new SettingsError(['the certificate does not match its private key']);
  return signed(signer, {
    issuer: subject,
    subject,
    validity: termOf(term),
    subjectPublicKeyInfo,
    ...(extensions === undefined ? {} : { extensions }),
  });
}

/** A new certificate (PEM), as of a first start, and its key, for servers. Nobody trusts it by itself. */
export async function makeSelfSigned(options: SelfSignedOptions): Promise<{ cert: string; key: KeyObject }> {
  const first = options.names[0] ?? 'localhost';
  const subject = nameOf({ name: first.length <= MAX_COMMON_NAME ? first : 'Sallyport' });
  if ('problem' in subject) throw new SettingsError([subject.problem]);
  const key = generateKey(options.key ?? { type: 'ec' });
  const cert = await selfSign(softwareSigner(key), {
    subject,
    dns: options.names.filter((name) => net.isIP(name) === 0),
    ip: options.names.filter((name) => net.isIP(name) !== 0),
    email: [],
    // Clients whose clock is a little behind take it at once.
    now: options.now - CLOCK_SKEW_MS,
    notAfter: options.now + options.days * DAY_MS,
    use: 'server',
  });
  return { cert, key };
}

/** The same day and time some calendar months on, UTC; the last day of a month that is too short. */
export function monthsLater(now: number, months: number): number {
  const date = new Date(now);
  const day = date.getUTCDate();
  date.setUTCMonth(date.getUTCMonth() + months);
  if (date.getUTCDate() !== day) date.setUTCDate(0);
  return date.getTime();
}

async function signed(
  signer: Signer,
  parts: Pick<NamedTbs, 'issuer' | 'subject' | 'validity' | 'subjectPublicKeyInfo'> &
    Partial<Pick<NamedTbs, 'extensions'>>,
): Promise<string> {
  const algorithm = signatureAlgorithm(signer.publicKey);
  const tbs = newTbs({ ...parts, version: Version.v3, serialNumber: serialNumber(), signature: algorithm });
  const signature = await signer.sign(Buffer.from(AsnConvert.serialize(tbs)));
  const certificate = new X509Certificate(writeCertificate(tbs, signature));
  if (!certificate.verify(signer.publicKey)) {
    throw new SettingsError(['the signature under the new certificate is wrong: the key does not fit']);
  }
  return certificate.toString();
}

function termOf({ now, days, notAfter }: Term, latest = Infinity): Validity {
  if (days !== undefined && !(Number.isInteger(days) && days >= 1 && days <= MAX_DAYS)) {
    throw new SettingsError([`a certificate is valid for 1 to ${MAX_DAYS} whole days, not ${days}`]);
  }
  const end = notAfter ?? (days === undefined ? monthsLater(now, USUAL_MONTHS) : now + days * DAY_MS);
  if (end <= now) throw new SettingsError(['the certificate would end before it begins']);
  // What outlives its CA is worth nothing from then on.
  return new Validity({ notBefore: new Date(now), notAfter: new Date(Math.min(end, latest)) });
}

function authorityOf(
  { certificate, signer }: Issuer,
  { now, use }: SignWish,
): { subject: ArrayBuffer; keyIdentifier: ArrayBuffer } {
  const refuse = (problem: string): never => {
    const { subject } = certificateNames(certificate);
    throw new SettingsError([`the CA certificate "${subject}" ${problem}`]);
  };
  if (!isSame(certificate.publicKey, signer.publicKey)) refuse('does not match its private key');
  // RFC 5280 4.2.1.9 and 4.2.1.3.
  if (!certificate.ca) refuse('is none of a CA: its CA flag is missing, so nothing it signs is believed');
  const { subject, extensions } = tbsOf(certificate);
  const usage = extensionValue(extensions, OID.keyUsage);
  if (usage !== null && (AsnConvert.parse(usage, KeyUsage).toNumber() & KeyUsageFlags.keyCertSign) === 0) {
    refuse('may not sign certificates: its key usage lacks keyCertSign');
  }
  const constraints = extensionValue(extensions, OID.basicConstraints);
  const depth =
    constraints === null ? undefined : AsnConvert.parse(constraints, BasicConstraints).pathLenConstraint;
  if (use === 'ca' && depth === 0) refuse('may not certify another CA: its path length is 0');
  if (Date.parse(certificate.validTo) <= now) refuse(`has expired (${certificate.validTo})`);
  if (Date.parse(certificate.validFrom) > now) refuse(`is not yet valid (from ${certificate.validFrom})`);
  const own = extensionValue(extensions, OID.subjectKey);
  return {
    subject,
    keyIdentifier:
      own === null
        ? keyIdentifier(certificate.publicKey)
        : AsnConvert.parse(own, SubjectKeyIdentifier).buffer,
  };
}

function isSame(one: KeyObject, other: KeyObject): boolean {
  return keyIdOf(one) === keyIdOf(other);
}

// RFC 5280 4.1.2.2: positive, at most 20 octets. The first octet is 0x40..0x7f: never negative, never padded.
function serialNumber(): ArrayBuffer {
  const bytes = Uint8Array.from(randomBytes(16));
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.buffer;
}
