// A certificate in words: the page of show-cert, in the layout that administrators know from NSS, and the same as data.
// Promises: never throws for a certificate that OpenSSL has read, whatever is in it; what cannot be read is said to be
// so; no control character of a name reaches the terminal. Times are UTC.

import { createHash, X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { tbsOf } from './certificate-shapes.ts';
import type { NamedTbs } from './certificate-shapes.ts';
import { readExtensions } from './describe-extensions.ts';
import type { ExtensionFacts } from './describe-extensions.ts';
import { certificateNames } from './distinguished-name.ts';
import { trustWords } from './trust.ts';

export interface CertificateFacts {
  readonly version: number | null;
  /** Hexadecimal with colons. */
  readonly serialNumber: string;
  readonly signatureAlgorithm: string;
  readonly subject: string;
  readonly issuer: string;
  /** ISO 8601, UTC. */
  readonly notBefore: string;
  readonly notAfter: string;
  readonly publicKey: PublicKeyFacts;
  readonly extensions: readonly ExtensionFacts[];
  readonly fingerprints: { readonly md5: string; readonly sha1: string; readonly sha256: string };
  readonly trust: {
    readonly ssl: readonly string[];
    readonly email: readonly string[];
    readonly signing: readonly string[];
  };
}

export interface PublicKeyFacts {
  readonly algorithm: string;
  readonly bits: number | null;
  readonly curve: string | null;
  /** RSA, hexadecimal. */
  readonly modulus: string | null;
  readonly exponent: number | null;
}

export interface Standing {
  /** As the database has it, such as `CT,,`. */
  readonly trust: string;
  /** Its private key is here. */
  readonly hasKey?: boolean | undefined;
}

const RSA = '1.2.840.113549.1.1';
const ECDSA = '1.2.840.10045.4';
const SIGNATURES: Readonly<Record<string, string>> = {
  [`${RSA}.2`]: 'PKCS #1 MD2 With RSA Encryption',
  [`${RSA}.4`]: 'PKCS #1 MD5 With RSA Encryption',
  [`${RSA}.5`]: 'PKCS #1 SHA-1 With RSA Encryption',
  [`${RSA}.10`]: 'PKCS #1 RSA-PSS Signature',
  [`${RSA}.11`]: 'PKCS #1 SHA-256 With RSA Encryption',
  [`${RSA}.12`]: 'PKCS #1 SHA-384 With RSA Encryption',
  [`${RSA}.13`]: 'PKCS #1 SHA-512 With RSA Encryption',
  [`${RSA}.14`]: 'PKCS #1 SHA-224 With RSA Encryption',
  [`${ECDSA}.1`]: 'ANSI X9.62 ECDSA with SHA-1',
  [`${ECDSA}.3.1`]: 'ANSI X9.62 ECDSA with SHA-224',
  [`${ECDSA}.3.2`]: 'ANSI X9.62 ECDSA with SHA-256',
  [`${ECDSA}.3.3`]: 'ANSI X9.62 ECDSA with SHA-384',
  [`${ECDSA}.3.4`]: 'ANSI X9.62 ECDSA with SHA-512',
  '1.3.101.112': 'Ed25519',
  '1.3.101.113': 'Ed448',
};
const KEY_WORDS: Readonly<Record<string, string>> = {
  rsa: 'PKCS #1 RSA Encryption',
  'rsa-pss': 'PKCS #1 RSA-PSS',
  ec: 'ANSI X9.62 Elliptic Curve Public Key',
  ed25519: 'Ed25519',
  ed448: 'Ed448',
};
/** Curves as OpenSSL and as everybody else calls them. */
const CURVES: Readonly<Record<string, readonly [name: string, bits: number]>> = {
  prime256v1: ['P-256', 256],
  secp384r1: ['P-384', 384],
  secp521r1: ['P-521', 521],
};
const BYTES_A_LINE = 16;

export function certificateFacts(cert: X509Certificate | string, standing: Standing): CertificateFacts {
  const certificate = typeof cert === 'string' ? new X509Certificate(cert) : cert;
  const tbs = structureOf(certificate);
  const algorithm = tbs?.signature.algorithm;
  const [ssl = '', email = '', signing = ''] = standing.trust.split(',');
  return {
    version: tbs === null ? null : tbs.version + 1,
    serialNumber: colons(certificate.serialNumber),
    signatureAlgorithm: algorithm === undefined ? 'unknown' : (SIGNATURES[algorithm] ?? algorithm),
    ...certificateNames(certificate),
    notBefore: isoTime(certificate.validFrom),
    notAfter: isoTime(certificate.validTo),
    publicKey: publicKeyFacts(certificate),
    extensions: readExtensions(tbs?.extensions ?? []),
    fingerprints: {
      md5: colons(createHash('md5').update(certificate.raw).digest('hex')),
      sha1: certificate.fingerprint,
      sha256: certificate.fingerprint256,
    },
    trust: {
      ssl: trustWords(standing.hasKey === true ? `${ssl}u` : ssl),
      email: trustWords(email),
      signing: trustWords(signing),
    },
  };
}

export function certificateText(cert: X509Certificate | string, standing: Standing): string {
  const facts = certificateFacts(cert, standing);
  const { version } = facts;
  const lines = [
    'Certificate:',
    '    Data:',
    `        Version: ${version === null ? 'unknown' : `${version} (0x${version - 1})`}`,
    '        Serial Number:',
    `            ${facts.serialNumber.toLowerCase()}`,
    `        Signature Algorithm: ${facts.signatureAlgorithm}`,
    `        Issuer: "${facts.issuer}"`,
    '        Validity:',
    `            Not Before: ${longTime(facts.notBefore)}`,
    `            Not After : ${longTime(facts.notAfter)}`,
    `        Subject: "${facts.subject}"`,
    ...publicKeyLines(facts.publicKey),
    ...extensionLines(facts.extensions),
    `    Signature Algorithm: ${facts.signatureAlgorithm}`,
    '    Fingerprint (MD5):',
    `        ${facts.fingerprints.md5}`,
    '    Fingerprint (SHA1):',
    `        ${facts.fingerprints.sha1}`,
    '    Fingerprint (SHA-256):',
    `        ${facts.fingerprints.sha256}`,
    '    Certificate Trust Flags:',
    ...trustLines('SSL Flags', facts.trust.ssl),
    ...trustLines('Email Flags', facts.trust.email),
    ...trustLines('Object Signing Flags', facts.trust.signing),
  ];
  return `${lines.join('\n')}\n`;
}

function structureOf(certificate: X509Certificate): NamedTbs | null {
  try {
    return tbsOf(certificate);
  } catch {
    return null;
  }
}

function publicKeyFacts(certificate: X509Certificate): PublicKeyFacts {
  const nothing = { bits: null, curve: null, modulus: null, exponent: null };
  let key: KeyObject;
  try {
    key = certificate.publicKey;
  } catch {
    return { ...nothing, algorithm: 'unknown' };
  }
  const type = key.asymmetricKeyType ?? 'unknown';
  const algorithm = KEY_WORDS[type] ?? type;
  const details = key.asymmetricKeyDetails ?? {};
  if (type === 'rsa') {
    const { n } = key.export({ format: 'jwk' });
    return {
      ...nothing,
      algorithm,
      bits: details.modulusLength ?? null,
      modulus: Buffer.from(n ?? '', 'base64url').toString('hex'),
      exponent: Number(details.publicExponent),
    };
  }
  if (details.namedCurve === undefined) return { ...nothing, algorithm, bits: details.modulusLength ?? null };
  const [curve, bits] = CURVES[details.namedCurve] ?? [details.namedCurve, null];
  return { ...nothing, algorithm, curve, bits };
}

function publicKeyLines({ algorithm, bits, curve, modulus, exponent }: PublicKeyFacts): readonly string[] {
  const lines = ['        Subject Public Key Info:', `            Public Key Algorithm: ${algorithm}`];
  if (modulus !== null && exponent !== null) {
    lines.push(`            RSA Public Key: (${bits ?? '?'} bit)`, '                Modulus:');
    for (let start = 0; start < modulus.length; start += 2 * BYTES_A_LINE) {
      lines.push(
        `                    ${colons(modulus.slice(start, start + 2 * BYTES_A_LINE)).toLowerCase()}`,
      );
    }
    lines.push(`                Exponent: ${exponent} (0x${exponent.toString(16)})`);
  }
  if (curve !== null) lines.push(`            Curve: ${curve}`);
  return lines;
}

function extensionLines(extensions: readonly ExtensionFacts[]): readonly string[] {
  if (extensions.length === 0) return [];
  const lines = extensions.flatMap(({ name, critical, values }) => [
    `            Name: ${name}`,
    ...(critical ? ['            Critical: True'] : []),
    ...values.map((value) => `                ${value}`),
  ]);
  return ['        Signed Extensions:', ...lines];
}

function trustLines(title: string, words: readonly string[]): readonly string[] {
  return [`        ${title}:`, ...words.map((word) => `            ${word}`)];
}

function colons(hex: string): string {
  const even = hex.length % 2 === 0 ? hex : `0${hex}`;
  return (even.match(/../g) ?? []).join(':').toUpperCase();
}

function isoTime(text: string): string {
  const time = Date.parse(text);
  return Number.isNaN(time) ? text : new Date(time).toISOString().replace('.000Z', 'Z');
}

/** `Fri Jul 28 19:58:31 2006`. */
function longTime(iso: string): string {
  const match = /^(...), (\d\d) (...) (\d+) ([\d:]+) GMT$/.exec(new Date(iso).toUTCString());
  if (match === null) return iso;
  const [, weekday, day, month, year, time] = match;
  return `${weekday} ${month} ${day} ${time} ${year}`;
}
