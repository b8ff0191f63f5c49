// What session tickets need: the keys that seal them, the name that ties them to a service, and the sealed form in which
// the keys travel to other nodes.
// The keys live in memory only and are the same in all workers. A ticket of one service, or of another set of client
// CAs, is not taken by the next: OpenSSL compares the session context name and makes a full handshake. A ticket made
// under keys that are gone costs a full handshake too, and nothing else.
// Sealed: version, nonce, tag, ciphertext in base64url. Whoever has not the secret learns nothing from it and can make
// none; an old one can be played again, and loses against newer keys. No file, no clock, no socket here.

import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync } from 'node:crypto';
import type { World } from '../world.ts';

/** Name, MAC key and cipher key, 16 bytes each, as OpenSSL wants them. */
const TICKET_KEY_BYTES = 48;
/** OpenSSL's SSL_MAX_SID_CTX_LENGTH. */
const MAX_NAME_BYTES = 32;

const SEAL_VERSION = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const TIME_BYTES = 8;
const SEALED_BYTES = 1 + NONCE_BYTES + TAG_BYTES + TIME_BYTES + TICKET_KEY_BYTES;
const SEALED_TEXT = new RegExp(`^[A-Za-z0-9_-]{${Math.ceil((SEALED_BYTES * 4) / 3)}}$`);
/** So that the secret serves for nothing else. */
const PURPOSE = 'sallyport ticket keys';

export interface TicketKeys {
  readonly bytes: Buffer;
  /** Milliseconds since 1970, by the clock of the node that made them. */
  readonly madeAt: number;
}

export function makeTicketKeys(world: World): Buffer {
  return world.random(TICKET_KEY_BYTES);
}

/** Ticket keys out of plain data; null if they are none. */
export function asTicketKeys(bytes: Buffer, madeAt: unknown): TicketKeys | null {
  const isTime = typeof madeAt === 'number' && Number.isSafeInteger(madeAt) && madeAt >= 0;
  return isTime && bytes.length === TICKET_KEY_BYTES ? { bytes, madeAt } : null;
}

/** At most 32 bytes of ASCII; differs where the service or its client CAs differ. */
export function sessionContextName(serviceName: string, clientCaFingerprint: string | null): string {
  const identity = JSON.stringify([serviceName, clientCaFingerprint]);
  return createHash('sha256').update(identity).digest('base64url').slice(0, MAX_NAME_BYTES);
}

/**
 * Which of two keys all nodes use, the same answer everywhere: below 0 the first, above 0 the second, 0 if they are
 * the same. The younger wins; of two made in the same millisecond the one with the lower hash.
 */
export function compareTicketKeys(one: TicketKeys, other: TicketKeys): number {
  if (one.madeAt !== other.madeAt) return other.madeAt - one.madeAt;
  return Buffer.compare(hashOf(one.bytes), hashOf(other.bytes));
}

function hashOf(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest();
}

export function sealTicketKeys(keys: TicketKeys, secret: string): string {
  const { cipherKey, nonceKey } = deriveKeys(secret);
  const time = Buffer.alloc(TIME_BYTES);
  time.writeBigUInt64BE(BigInt(keys.madeAt));
  const plain = Buffer.concat([time, keys.bytes]);
  // A nonce out of what is sealed: the same keys are sealed the same, others (random as they are) never alike.
  const nonce = createHmac('sha256', nonceKey).update(plain).digest().subarray(0, NONCE_BYTES);
  const version = Buffer.of(SEAL_VERSION);
  const cipher = createCipheriv('aes-256-gcm', cipherKey, nonce).setAAD(version);
  const sealed = Buffer.concat([cipher.update(plain), cipher.final()]);
  return Buffer.concat([version, nonce, cipher.getAuthTag(), sealed]).toString('base64url');
}

/** null where it is not what sealTicketKeys() made with this secret. */
export function openTicketKeys(sealed: string, secret: string): TicketKeys | null {
  if (!SEALED_TEXT.test(sealed)) return null;
  const bytes = Buffer.from(sealed, 'base64url');
  if (bytes.length !== SEALED_BYTES || bytes[0] !== SEAL_VERSION) return null;
  const nonce = bytes.subarray(1, 1 + NONCE_BYTES);
  const tag = bytes.subarray(1 + NONCE_BYTES, 1 + NONCE_BYTES + TAG_BYTES);
  try {
    const decipher = createDecipheriv('aes-256-gcm', deriveKeys(secret).cipherKey, nonce, {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(bytes.subarray(0, 1)).setAuthTag(tag);
    const plain = Buffer.concat([
      decipher.update(bytes.subarray(1 + NONCE_BYTES + TAG_BYTES)),
      decipher.final(),
    ]);
    return asTicketKeys(plain.subarray(TIME_BYTES), Number(plain.readBigUInt64BE()));
  } catch {
    return null;
  }
}

function deriveKeys(secret: string): { cipherKey: Buffer; nonceKey: Buffer } {
  const derived = Buffer.from(hkdfSync('sha256', secret, PURPOSE, `v${SEAL_VERSION}`, 64));
  return { cipherKey: derived.subarray(0, 32), nonceKey: derived.subarray(32) };
}
