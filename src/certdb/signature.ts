// The signature algorithms in which authorities' statements (OCSP answers, CRLs) are believed. SHA-1 and MD5 sign nothing.

import { verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

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
