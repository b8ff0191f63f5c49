// The lock of the certificate database. A random secret encrypts the keys; the secret is sealed under the password, so
// that a new password seals one secret anew and no key. Pure but for randomness.

import { createCipheriv, createDecipheriv, randomBytes, scryptSync } from 'node:crypto';

export interface Sealed {
  readonly salt: Uint8Array;
  /** Nonce, tag, ciphertext. */
  readonly sealed: Uint8Array;
}

/** RFC 7914: 32 MiB and about a tenth of a second for each guess. */
const SCRYPT = { N: 32_768, r: 8, p: 1, maxmem: 64 * 1024 * 1024 } as const;
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export function newSecret(): string {
  return randomBytes(KEY_BYTES).toString('base64');
}

export function sealSecret(secret: string, password: string): Sealed {
  const salt = randomBytes(16);
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', keyOf(password, salt), nonce);
  const body = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
  return { salt, sealed: Buffer.concat([nonce, cipher.getAuthTag(), body]) };
}

/** null: the password is another one. */
export function openSecret({ salt, sealed }: Sealed, password: string): string | null {
  const bytes = Buffer.from(sealed);
  const body = NONCE_BYTES + TAG_BYTES;
  const decipher = createDecipheriv('aes-256-gcm', keyOf(password, salt), bytes.subarray(0, NONCE_BYTES));
  decipher.setAuthTag(bytes.subarray(NONCE_BYTES, body));
  try {
    return Buffer.concat([decipher.update(bytes.subarray(body)), decipher.final()]).toString('utf8');
  } catch {
    return null;
  }
}

function keyOf(password: string, salt: Uint8Array): Buffer {
  return scryptSync(Buffer.from(password.normalize('NFC'), 'utf8'), salt, KEY_BYTES, SCRYPT);
}
