// Key pairs, and the seam through which everything is signed: a key of the database and a key in a token look the same
// from here on. Signatures come as X.509 has them: RSA PKCS#1 v1.5 with SHA-256, ECDSA as DER with the hash that fits
// the curve, Ed25519. Never MD5 or SHA-1.
// On failure: SettingsError for a size or a type of key that is not to be had.

import { createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { SettingsError } from '../errors.ts';
import { keyTypeOf } from './pem.ts';
import type { KeyType } from './pem.ts';

export interface Signer {
  readonly keyType: KeyType;
  readonly publicKey: KeyObject;
  /** The signature over these bytes as it stands in a certificate; see signatureHash for the hash that it takes. */
  sign(bytes: Buffer): Promise<Buffer>;
}

export interface KeyWish {
  readonly type: 'rsa' | 'ec' | 'ed25519';
  /** RSA 2048 to 8192, EC 256 or 384; Ed25519 has one size. */
  readonly bits?: number | undefined;
}

const RSA_BITS = { least: 2048, usual: 3072, most: 8192 } as const;
const CURVES: Readonly<Record<number, string>> = { 256: 'P-256', 384: 'P-384' };

/** What is wrong with the wish, or null; for tokens as well. */
export function keyWishProblem({ type, bits }: KeyWish): string | null {
  if (bits === undefined) return null;
  if (type === 'ed25519') return 'an Ed25519 key has one size: leave the key size out';
  if (type === 'ec') return CURVES[bits] === undefined ? `an EC key has 256 or 384 bits, not ${bits}` : null;
  const { least, most } = RSA_BITS;
  if (Number.isInteger(bits) && bits >= least && bits <= most && bits % 8 === 0) return null;
  return `an RSA key has ${least} to ${most} bits, a multiple of 8, not ${bits}`;
}

export function generateKey(wish: KeyWish): KeyObject {
  const problem = keyWishProblem(wish);
  if (problem !== null) throw new SettingsError([problem]);
  if (wish.type === 'rsa')
    return generateKeyPairSync('rsa', { modulusLength: wish.bits ?? RSA_BITS.usual }).privateKey;
  if (wish.type === 'ec')
    return generateKeyPairSync('ec', { namedCurve: CURVES[wish.bits ?? 256] ?? 'P-256' }).privateKey;
  return generateKeyPairSync('ed25519').privateKey;
}

/** The hash that a signature by this key takes; null for Ed25519, which takes none. */
export function signatureHash(key: KeyObject): 'sha256' | 'sha384' | 'sha512' | null {
  const type = keyTypeOf(key);
  if (type === 'ed25519') return null;
  // RFC 5758 3.2 with FIPS 186: a hash as strong as the curve.
  const curve = type === 'ec' ? key.asymmetricKeyDetails?.namedCurve : undefined;
  if (curve === 'secp384r1') return 'sha384';
  return curve === 'secp521r1' ? 'sha512' : 'sha256';
}

export function softwareSigner(key: KeyObject): Signer {
  const keyType = keyTypeOf(key);
  if (keyType === 'other') {
    const type = key.asymmetricKeyType ?? 'unknown';
    throw new SettingsError([`a key of type ${type} signs no certificate here: RSA, EC and Ed25519 do`]);
  }
  return {
    keyType,
    publicKey: createPublicKey(key),
    sign: async (bytes) => sign(signatureHash(key), bytes, { key, dsaEncoding: 'der' }),
  };
}
