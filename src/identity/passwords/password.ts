// Whether a password fits a stored value: {SSHA}, {PBKDF2…}, {CRYPT}, {ARGON2}, keys of SCRAM and others, or plain. Promises: what is
// compared is compared in constant time; what is slow runs off the event loop; a value that is not understood fits
// nothing, and no cost that a value asks for is above COSTS. Values and passwords are in no message.

import { argon2, createHash, pbkdf2, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

import { cryptFits } from './crypt.ts';
import { prepared } from './saslprep.ts';
import { isSameKey, parseScramVerifier, scramKeys } from './scram.ts';

/** The most that a stored value may ask for. */
const COSTS = { iterations: 10_000_000, memoryKiB: 1_048_576, passes: 100, lanes: 64 } as const;
const VALUE_MAX = 4096;

const derivePbkdf2 = promisify(pbkdf2);
const deriveArgon2 = promisify(argon2);

export async function passwordFits(stored: string, password: string): Promise<boolean> {
  if (stored.length > VALUE_MAX || password === '' || LOCKED.test(stored)) return false;
  if (SCRAM.test(stored)) return scramFits(stored, password);
  const [, scheme = '', value = ''] = /^\{([\w./-]{1,32})\}([^]*)$/.exec(stored) ?? [];
  if (scheme === '') return stored.startsWith('$') ? hashFits(stored, password) : isSame(stored, password);
  const name = scheme.toUpperCase().replaceAll('_', '-');
  const digest = DIGESTS[name];
  if (digest !== undefined) return digestFits(value, password, digest);
  if (PLAIN_SCHEMES.has(name)) return isSame(value, password);
  if (name.startsWith('PBKDF2')) return pbkdf2Fits(name, value, password);
  return /^(CRYPT|BLF-CRYPT|SHA256-CRYPT|SHA512-CRYPT|MD5-CRYPT|BCRYPT|ARGON2|ARGON2ID|ARGON2I)$/.test(name)
    ? hashFits(value, password)
    : false;
}

/** A stored value that is the password itself; null: it is something else, and what, says nothing of the password. */
export function plainOf(stored: string): string | null {
  if (stored.length > VALUE_MAX || SCRAM.test(stored) || LOCKED.test(stored)) return null;
  const [, scheme = '', value = ''] = /^\{([\w./-]{1,32})\}([^]*)$/.exec(stored) ?? [];
  if (scheme === '') return stored === '' || stored.startsWith('$') ? null : stored;
  return PLAIN_SCHEMES.has(scheme.toUpperCase()) && value !== '' ? value : null;
}

/** Whether the text of a stored value is of a form that passwordFits() knows. */
export function isKnownScheme(stored: string): boolean {
  if (SCRAM.test(stored)) return parseScramVerifier(stored) !== null;
  const scheme = /^\{([\w./-]{1,32})\}/.exec(stored)?.[1];
  if (scheme === undefined) return stored !== '';
  const name = scheme.toUpperCase().replaceAll('_', '-');
  return (
    name in DIGESTS ||
    /^(PLAIN|CLEARTEXT|CLEAR|PBKDF2(-SHA(1|256|512))?|CRYPT|BLF-CRYPT|SHA(256|512)-CRYPT|MD5-CRYPT|BCRYPT|ARGON2(ID|I)?)$/.test(
      name,
    )
  );
}

/** As accounts are locked in files of passwords and in tables made of them: marks alone, or before the value that was. */
const LOCKED = /^(?:[!*]+(?:$|[${])|\*LK\*)/;

const PLAIN_SCHEMES: ReadonlySet<string> = new Set(['PLAIN', 'CLEARTEXT', 'CLEAR']);
/** What looks like keys of SCRAM is no plain password, whether they can be read or not. */
const SCRAM = /^(\{SCRAM-|SCRAM-SHA-\d+ *\$ *\d+:)/i;

/** A directory may have made the keys of the password as it came, and clients of SCRAM of the prepared one. */
async function scramFits(stored: string, password: string): Promise<boolean> {
  const verifier = parseScramVerifier(stored);
  if (verifier === null) return false;
  const { salt, iterations } = verifier;
  for (const text of new Set([prepared(password) ?? password, password])) {
    if (isSameKey(await scramKeys(text, salt, iterations), verifier)) return true;
  }
  return false;
}

interface Digest {
  readonly hash: string;
  readonly bytes: number;
}

/** Salted and unsalted alike: the salt is what follows the digest. */
const DIGESTS: Readonly<Record<string, Digest>> = {
  MD5: { hash: 'md5', bytes: 16 },
  SMD5: { hash: 'md5', bytes: 16 },
  SHA: { hash: 'sha1', bytes: 20 },
  SHA1: { hash: 'sha1', bytes: 20 },
  SSHA: { hash: 'sha1', bytes: 20 },
  SHA256: { hash: 'sha256', bytes: 32 },
  SSHA256: { hash: 'sha256', bytes: 32 },
  SHA384: { hash: 'sha384', bytes: 48 },
  SSHA384: { hash: 'sha384', bytes: 48 },
  SHA512: { hash: 'sha512', bytes: 64 },
  SSHA512: { hash: 'sha512', bytes: 64 },
};

// RFC 2307 5.3 and what directories have made of it: base64 of digest and salt.
function digestFits(value: string, password: string, { hash, bytes }: Digest): boolean {
  const raw = Buffer.from(value, 'base64');
  if (raw.length < bytes) return false;
  const found = createHash(hash).update(password).update(raw.subarray(bytes)).digest();
  return timingSafeEqual(found, raw.subarray(0, bytes));
}

/** Of equal length whatever the texts are, so that the time says nothing of either. */
function isSame(stored: string, password: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return stored !== '' && timingSafeEqual(digest(stored), digest(password));
}

/** `iterations$salt$hash`; Dovecot's `$1$salt$iterations$hex`; 389's base64 of iterations, salt and hash. */
async function pbkdf2Fits(name: string, value: string, password: string): Promise<boolean> {
  const hash = name.endsWith('SHA512') ? 'sha512' : name.endsWith('SHA256') ? 'sha256' : 'sha1';
  const read = readPbkdf2(value);
  if (read === null) return false;
  const { iterations, salt, key } = read;
  if (iterations < 1 || iterations > COSTS.iterations || key.length < 16) return false;
  return timingSafeEqual(await derivePbkdf2(password, salt, iterations, key.length, hash), key);
}

interface Pbkdf2Value {
  readonly iterations: number;
  readonly salt: Buffer;
  readonly key: Buffer;
}

function readPbkdf2(value: string): Pbkdf2Value | null {
  const dovecot = /^\$1\$([^$]*)\$(\d{1,8})\$([0-9a-f]+)$/.exec(value);
  if (dovecot !== null) {
    const [, salt = '', iterations, key = ''] = dovecot;
    return { iterations: Number(iterations), salt: Buffer.from(salt), key: Buffer.from(key, 'hex') };
  }
  const fields = /^(\d{1,8})\$([\w./+=-]+)\$([\w./+=-]+)$/.exec(value);
  if (fields !== null) {
    const [, iterations, salt = '', key = ''] = fields;
    return { iterations: Number(iterations), salt: adapted(salt), key: adapted(key) };
  }
  const raw = Buffer.from(value, 'base64');
  if (raw.length !== 4 + 64 + 256) return null;
  return { iterations: raw.readUInt32BE(0), salt: raw.subarray(4, 68), key: raw.subarray(68) };
}

/** Base64 in which a dot may stand for the plus sign. */
function adapted(text: string): Buffer {
  return Buffer.from(text.replaceAll('.', '+'), 'base64');
}

async function hashFits(value: string, password: string): Promise<boolean> {
  return value.startsWith('$argon2') ? argon2Fits(value, password) : cryptFits(value, password);
}

// RFC 9106 3.1 names the parameters; the text form is that of its reference implementation.
async function argon2Fits(value: string, password: string): Promise<boolean> {
  const fields = /^\$(argon2id?)\$v=19\$m=(\d{1,8}),t=(\d{1,4}),p=(\d{1,3})\$([\w+/]+)\$([\w+/]+)$/.exec(
    value,
  );
  if (fields === null) return false;
  const [, algorithm, memory, passes, parallelism] = fields;
  const nonce = Buffer.from(fields[5] ?? '', 'base64');
  const key = Buffer.from(fields[6] ?? '', 'base64');
  const costs = { memory: Number(memory), passes: Number(passes), parallelism: Number(parallelism) };
  if (costs.memory > COSTS.memoryKiB || costs.passes > COSTS.passes || costs.parallelism > COSTS.lanes)
    return false;
  if (nonce.length < 8 || key.length < 16) return false;
  try {
    const found = await deriveArgon2(algorithm === 'argon2id' ? 'argon2id' : 'argon2i', {
      message: password,
      nonce,
      tagLength: key.length,
      ...costs,
    });
    return timingSafeEqual(found, key);
  } catch {
    // The runtime does not have it, or the costs do not go together.
    return false;
  }
}
