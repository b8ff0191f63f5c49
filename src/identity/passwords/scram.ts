// The arithmetic of SCRAM-SHA-256 (RFC 5802 3, RFC 7677), and the two forms in which directories keep its keys. Promises:
// what is compared is compared in constant time; keys are derived off the event loop; no stored value asks for fewer
// iterations than RFC 7677 4 allows nor for more than ITERATIONS_MAX. On failure: null or false, never a throw.

import { createHash, createHmac, pbkdf2, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

/** What a client's proof is checked with; neither is the password. */
export interface ScramKeys {
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

export interface ScramVerifier extends ScramKeys {
  readonly salt: Buffer;
  readonly iterations: number;
}

const ITERATIONS_MIN = 4096;
const ITERATIONS_MAX = 10_000_000;
const KEY_BYTES = 32;
const SALT_BYTES_MAX = 1024;

const BASE64 = '([A-Za-z0-9+/]+={0,2})';
/** RFC 5803 2, over RFC 3112, which lets blanks stand around the dollar signs. PostgreSQL has the same. */
const RFC_5803 = new RegExp(`^SCRAM-SHA-256 *\\$ *(\\d{4,8}):${BASE64} *\\$ *${BASE64}:${BASE64}$`, 'i');
const DOVECOT = new RegExp(`^\\{SCRAM-SHA-256\\}(\\d{4,8}),${BASE64},${BASE64},${BASE64}$`, 'i');

const derive = promisify(pbkdf2);

/** null: it is something else, or out of bounds. */
export function parseScramVerifier(stored: string): ScramVerifier | null {
  const match = RFC_5803.exec(stored) ?? DOVECOT.exec(stored);
  if (match === null) return null;
  const [salt, storedKey, serverKey] = match.slice(2).map((text) => Buffer.from(text, 'base64'));
  const iterations = Number(match[1]);
  if (salt === undefined || storedKey?.length !== KEY_BYTES || serverKey?.length !== KEY_BYTES) return null;
  const isBounded = iterations >= ITERATIONS_MIN && iterations <= ITERATIONS_MAX;
  return isBounded && salt.length <= SALT_BYTES_MAX ? { iterations, salt, storedKey, serverKey } : null;
}

/** `password` is prepared already. */
export async function scramKeys(password: string, salt: Buffer, iterations: number): Promise<ScramKeys> {
  const salted = await derive(password, salt, iterations, KEY_BYTES, 'sha256');
  return {
    storedKey: createHash('sha256').update(hmac(salted, 'Client Key')).digest(),
    serverKey: hmac(salted, 'Server Key'),
  };
}

export function isSameKey(one: ScramKeys, other: ScramKeys): boolean {
  return timingSafeEqual(one.storedKey, other.storedKey);
}

/** RFC 5802 3: ClientProof is ClientKey, which only the client has, under a signature of what was said. */
export function proofFits({ storedKey }: ScramKeys, authMessage: string, clientProof: Buffer): boolean {
  const signature = hmac(storedKey, authMessage);
  if (clientProof.length !== KEY_BYTES) return false;
  const clientKey = Buffer.from(signature.map((octet, at) => octet ^ (clientProof[at] ?? 0)));
  return timingSafeEqual(createHash('sha256').update(clientKey).digest(), storedKey);
}

export function serverSignature({ serverKey }: ScramKeys, authMessage: string): Buffer {
  return hmac(serverKey, authMessage);
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
