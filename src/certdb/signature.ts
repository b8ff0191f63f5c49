// The signature algorithms in which authorities' statements (OCSP answers, CRLs, and certificates where OpenSSL does not
// look at it) are believed, and the keys. SHA-1 and MD5 sign nothing.

import { verify } from 'node:crypto';
import type { KeyObject, X509Certificate } from 'node:crypto';

const SIGNATURES: Readonly<Record<string, readonly [keyType: string, hash: string | null]>> = {
  '1.2.840.113549.1.1.11': ['rsa', 'sha256'],
  '1.2.840.113549.1.1.12': ['rsa', 'sha384'],
  '1.2.840.113549.1.1.13': ['rsa', 'sha512'],
  '1.2.840.10045.4.3.2': ['ec', 'sha256'],
  '1.2.840.10045.4.3.3': ['ec', 'sha384'],
  '1.2.840.10045.4.3.4': ['ec', 'sha512'],
  '1.3.101.112': ['ed25519', null],
  '1.3.101.113': ['ed448', null],
};

/** The type of key that makes such signatures; null: we believe none of these. */
export function signatureKeyType(algorithm: string): string | null {
  return SIGNATURES[algorithm]?.[0] ?? null;
}

export interface Signed {
  /** Object identifier. */
  readonly algorithm: string;
  readonly bytes: Buffer;
  readonly signature: Buffer;
}

export function isSignedBy({ algorithm, bytes, signature }: Signed, key: KeyObject): boolean {
  const [keyType, hash] = SIGNATURES[algorithm] ?? [];
  if (hash === undefined || key.asymmetricKeyType !== keyType) return false;
  try {
    return verify(hash, bytes, key, signature);
  } catch {
    return false;
  }
}

const RSA_BITS_MIN = 2048;
const CURVE_BITS_MIN = 224;

/** Whether every signature and key on the way to a trusted certificate is of today; of the last only the key counts. */
export function isStrongPath(path: readonly X509Certificate[]): boolean {
  return path.every((certificate, place) => {
    const isTrusted = place === path.length - 1;
    return (
      isStrongKey(certificate) && (isTrusted || signatureKeyType(certificate.signatureAlgorithmOid) !== null)
    );
  });
}

/** As OpenSSL's security level 2. */
function isStrongKey(certificate: X509Certificate): boolean {
  try {
    const { asymmetricKeyType: type, asymmetricKeyDetails: details = {} } = certificate.publicKey;
    if (type === 'rsa' || type === 'rsa-pss') return (details.modulusLength ?? 0) >= RSA_BITS_MIN;
    if (type === 'ec') return Number(/\d{3}/.exec(details.namedCurve ?? '')?.[0] ?? 0) >= CURVE_BITS_MIN;
    return type === 'ed25519' || type === 'ed448';
  } catch {
    return false;
  }
}
