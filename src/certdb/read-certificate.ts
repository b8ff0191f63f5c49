// Certificates from the file of an operator: PEM, one or a chain, in the order of the file.
// Promises: every certificate of the file is read or the file is refused; one that has expired, is not yet valid or
// stands there twice is taken with a warning.
// On failure: SettingsError that says what the file holds instead, and the command that makes of it what is wanted.

import { X509Certificate } from 'node:crypto';
import { SettingsError } from '../errors.ts';
import { certificateNames } from './distinguished-name.ts';
import { CERTIFICATE_LABELS, KEY_LABELS, readBounded } from './pem.ts';

export interface CertificateFile {
  /** PEM, at least one. */
  readonly certificates: readonly string[];
  /** For the operator, each with the source's name. */
  readonly warnings: readonly string[];
}

interface Source {
  /** The file, for messages. */
  readonly source: string;
  /** Milliseconds since 1970. */
  readonly now: number;
}

const MAX_CERTIFICATES = 200;
const BEGIN = /-----BEGIN ([A-Z0-9# ]{1,40})-----/g;

/** Other things that come in files, and what makes certificates of them. */
const OTHERS: readonly (readonly [label: RegExp, what: string])[] = [
  [/CERTIFICATE REQUEST$/, 'a certificate request where a certificate is wanted: the CA makes one of it'],
  [
    /^(?:PKCS7|CMS|PKCS #7 SIGNED DATA)$/,
    'PKCS#7 where a certificate is wanted: openssl pkcs7 -print_certs -in FILE -out FILE.pem',
  ],
  [/^X509 CRL$/, 'a revocation list where a certificate is wanted'],
  [/PUBLIC KEY$/, 'a public key where a certificate is wanted'],
];

export function readCertificates(file: string, now: number): CertificateFile {
  return certificatesIn(readBounded(file, 'certificate'), { source: file, now });
}

/** The same of bytes that are there, as from standard input. */
export function certificatesIn(bytes: Buffer, { source, now }: Source): CertificateFile {
  const refuse = (problem: string): never => {
    throw new SettingsError([`${source}: ${problem}`]);
  };
  if (bytes.length === 0) refuse('is empty, a certificate in PEM is wanted');
  const text = bytes.toString('latin1');
  const labels = [...text.matchAll(BEGIN)].map((match) => match[1] ?? '');
  const wanted = labels.filter((label) => CERTIFICATE_LABELS.includes(label)).length;
  if (wanted === 0) refuse(insteadOf(bytes, labels));
  const blocks = text.match(/-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----[^-]*-----END \1-----/g) ?? [];
  if (blocks.length < wanted) {
    refuse(`certificate ${blocks.length + 1} of ${wanted} in it is cut off or damaged`);
  }
  if (wanted > MAX_CERTIFICATES)
    refuse(`holds ${wanted} certificates, ${MAX_CERTIFICATES} at most are taken`);
  const all = blocks.map((block, place) => {
    try {
      return new X509Certificate(block);
    } catch {
      return refuse(`certificate ${place + 1} of ${wanted} in it is damaged`);
    }
  });
  const seen = new Map(all.map((certificate) => [certificate.fingerprint256, certificate]));
  const twice = seen.size < all.length ? [`${source}: holds a certificate twice, it is taken once`] : [];
  const certificates = [...seen.values()];
  return {
    certificates: certificates.map(String),
    warnings: [
      ...twice,
      ...certificates.flatMap((certificate) => dateWarnings(certificate, { source, now })),
    ],
  };
}

/** What is to be said about its dates; empty while it is valid. */
export function dateWarnings(certificate: X509Certificate, { source, now }: Source): readonly string[] {
  const subject = certificateNames(certificate).subject.slice(0, 200);
  const { validFrom, validTo } = certificate;
  if (Date.parse(validTo) <= now) return [`${source}: the certificate "${subject}" has expired (${validTo})`];
  if (Date.parse(validFrom) <= now) return [];
  return [`${source}: the certificate "${subject}" is not yet valid (from ${validFrom})`];
}

function insteadOf(bytes: Buffer, labels: readonly string[]): string {
  const [label] = labels;
  if (label !== undefined) {
    if (labels.every((one) => KEY_LABELS.includes(one)))
      return 'holds a private key where a certificate is wanted';
    const other = OTHERS.find(([pattern]) => pattern.test(label));
    return `holds ${other?.[1] ?? `"${label}" where a certificate is wanted`}`;
  }
  if (bytes[0] === 0x30) return binary(bytes);
  if (bytes[0] === 0xff || bytes[1] === 0)
    return 'is UTF-16 text: save it as ASCII, a certificate in PEM is wanted';
  return 'holds no PEM ("-----BEGIN ..."), a certificate is wanted';
}

function binary(bytes: Buffer): string {
  try {
    return new X509Certificate(bytes).raw.length > 0
      ? 'is binary (DER), PEM is wanted: openssl x509 -inform DER -in FILE -out FILE.pem'
      : '';
  } catch {
    // RFC 7292 4: it begins with its version, 3, and a sequence.
    const isBundle = bytes.subarray(0, 12).includes(Buffer.of(0x02, 0x01, 0x03, 0x30));
    return isBundle
      ? 'is PKCS#12 where a certificate in PEM is wanted: import-cert takes it'
      : 'is binary and no certificate, or it is cut off; a certificate in PEM is wanted';
  }
}
