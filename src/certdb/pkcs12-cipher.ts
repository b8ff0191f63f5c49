// How PKCS#12 files are locked: the old schemes (RFC 7292 appendix B and C: RC2, 3DES), PBES2 (RFC 8018 6.2) and the
// checksum over the whole (RFC 7292 4, RFC 9579). Reading takes all of them but RC4; what is written is AES-256 with
// SHA-256, or 3DES with SHA-1 for old programs.
// Promises: rounds are bounded, per file; failing throws Pkcs12Problem, of kind `password` where that may be the reason.

import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hash,
  pbkdf2Sync,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';
import forge from 'node-forge';
import {
  damaged,
  integer,
  isSequence,
  none,
  numberOf,
  octets,
  octetsOf,
  oid,
  oidOf,
  partsOf,
  Pkcs12Problem,
  sequence,
} from './pkcs12-asn1.ts';
import type { Node } from './pkcs12-asn1.ts';

export type Form = 'modern' | 'legacy';

/** Null is none at all, which is not the empty one; writers differ in what they make of no password. */
export type Password = string | null;

/** How many rounds a file may still cost. */
export interface Budget {
  rounds: number;
}

export interface Secret {
  readonly password: Password;
  readonly budget: Budget;
}

/** Some seconds of work at most. NSS asks for a million at a time. */
export const MAX_ROUNDS = 10_000_000;
const MODERN_ROUNDS = 100_000;
const LEGACY_ROUNDS = 10_000;

const MAX_MAC_KEY_BYTES = 64;

const HASHES: Readonly<Record<string, string>> = {
  '1.2.840.113549.2.5': 'md5',
  '1.3.14.3.2.26': 'sha1',
  '2.16.840.1.101.3.4.2.4': 'sha224',
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};
const HMACS: Readonly<Record<string, string>> = {
  '1.2.840.113549.2.7': 'sha1',
  '1.2.840.113549.2.8': 'sha224',
  '1.2.840.113549.2.9': 'sha256',
  '1.2.840.113549.2.10': 'sha384',
  '1.2.840.113549.2.11': 'sha512',
};
const SHA1 = '1.3.14.3.2.26';
const SHA256 = '2.16.840.1.101.3.4.2.1';
const HMAC_SHA1 = '1.2.840.113549.2.7';
const HMAC_SHA256 = '1.2.840.113549.2.9';
const PBES2 = '1.2.840.113549.1.5.13';
const PBMAC1 = '1.2.840.113549.1.5.14';
const PBKDF2 = '1.2.840.113549.1.5.12';
const AES_256 = '2.16.840.1.101.3.4.1.42';
const TRIPLE_DES = '1.2.840.113549.1.12.1.3';

/** Ciphers of PBES2: name and octets of key. */
const CIPHERS: Readonly<Record<string, readonly [name: string, keyBytes: number]>> = {
  '2.16.840.1.101.3.4.1.2': ['aes-128-cbc', 16],
  '2.16.840.1.101.3.4.1.22': ['aes-192-cbc', 24],
  [AES_256]: ['aes-256-cbc', 32],
  '1.2.840.113549.3.7': ['des-ede3-cbc', 24],
};

/** The schemes of RFC 7292 appendix C. */
const OLD_SCHEMES: Readonly<Record<string, readonly [cipher: 'des3' | 'rc2', keyBytes: number]>> = {
  [TRIPLE_DES]: ['des3', 24],
  '1.2.840.113549.1.12.1.4': ['des3', 16],
  '1.2.840.113549.1.12.1.5': ['rc2', 16],
  '1.2.840.113549.1.12.1.6': ['rc2', 5],
};

/** `algorithm` is the AlgorithmIdentifier that came with the bytes. */
export function decrypt(algorithm: Node, bytes: Buffer, secret: Secret): Buffer {
  const [kind, parameters] = partsOf(algorithm, 1);
  const scheme = oidOf(kind);
  if (scheme === PBES2) return decryptPbes2(parameters, bytes, secret);
  const old = OLD_SCHEMES[scheme];
  if (old === undefined) throw unknown('cipher', scheme);
  const [salt, rounds] = partsOf(parameters, 2);
  const derive = (id: number, size: number): Buffer =>
    deriveKey(secret.password, {
      id,
      size,
      salt: octetsOf(salt),
      rounds: spend(secret.budget, rounds),
      hash: 'sha1',
    });
  const [cipher, size] = old;
  return cipher === 'rc2'
    ? decryptRc2(bytes, derive(1, size), derive(2, 8))
    : decryptBlocks('des-ede3-cbc', bytes, { key: tripled(derive(1, size)), iv: derive(2, 8) });
}

export function encrypt(form: Form, bytes: Buffer, password: string): { algorithm: Node; bytes: Buffer } {
  if (form === 'legacy') {
    const given = { salt: randomBytes(16), rounds: LEGACY_ROUNDS, hash: 'sha1' };
    const key = deriveKey(password, { ...given, id: 1, size: 24 });
    const iv = deriveKey(password, { ...given, id: 2, size: 8 });
    const parameters = sequence(octets(given.salt), integer(given.rounds));
    return {
      algorithm: sequence(oid(TRIPLE_DES), parameters),
      bytes: encryptBlocks('des-ede3-cbc', bytes, { key, iv }),
    };
  }
  const [salt, iv] = [randomBytes(16), randomBytes(16)];
  const key = pbkdf2Sync(Buffer.from(password), salt, MODERN_ROUNDS, 32, 'sha256');
  const derivation = sequence(octets(salt), integer(MODERN_ROUNDS), sequence(oid(HMAC_SHA256), none()));
  const parameters = sequence(sequence(oid(PBKDF2), derivation), sequence(oid(AES_256), octets(iv)));
  return {
    algorithm: sequence(oid(PBES2), parameters),
    bytes: encryptBlocks('aes-256-cbc', bytes, { key, iv }),
  };
}

/** Whether the checksum (MacData) over these bytes is the one that this password gives. */
export function macFits(mac: Node, bytes: Buffer, secret: Secret): boolean {
  const [info, salt, rounds] = partsOf(mac, 2);
  const [algorithm, digest] = partsOf(info, 2);
  const [kind, parameters] = partsOf(algorithm, 1);
  const scheme = oidOf(kind);
  const wanted = octetsOf(digest);
  if (scheme === PBMAC1) {
    const [derivation, hmac] = partsOf(parameters, 2);
    const hash = HMACS[oidOf(partsOf(hmac, 1)[0])];
    if (hash === undefined) throw unknown('checksum', oidOf(partsOf(hmac, 1)[0]));
    const [, , stated] = partsOf(partsOf(derivation, 2)[1], 2);
    // RFC 9579: the length of the key is stated.
    const size = numberOf(stated);
    if (size > MAX_MAC_KEY_BYTES) throw damaged();
    const key = pbkdf2(derivation, {
      budget: secret.budget,
      password: Buffer.from(secret.password ?? ''),
      size,
    });
    return isSame(createHmac(hash, key).update(bytes).digest(), wanted);
  }
  const hash = HASHES[scheme];
  if (hash === undefined) throw unknown('checksum', scheme);
  const spent = rounds === undefined ? 1 : spend(secret.budget, rounds);
  if (wanted.length !== digestOf(hash, Buffer.alloc(0)).length) throw damaged();
  const key = deriveKey(secret.password, {
    id: 3,
    size: wanted.length,
    salt: octetsOf(salt),
    rounds: spent,
    hash,
  });
  return isSame(createHmac(hash, key).update(bytes).digest(), wanted);
}

export function macOver(form: Form, bytes: Buffer, password: string): Node {
  const [hash, size, kind] =
    form === 'modern' ? (['sha256', 32, SHA256] as const) : (['sha1', 20, SHA1] as const);
  const rounds = form === 'modern' ? MODERN_ROUNDS : LEGACY_ROUNDS;
  const salt = randomBytes(16);
  const key = deriveKey(password, { id: 3, size, salt, rounds, hash });
  const digest = createHmac(hash, key).update(bytes).digest();
  return sequence(sequence(sequence(oid(kind), none()), octets(digest)), octets(salt), integer(rounds));
}

interface Derivation {
  /** 1 a key, 2 an initialization vector, 3 a key of a checksum. */
  readonly id: number;
  readonly size: number;
  readonly salt: Buffer;
  readonly rounds: number;
  readonly hash: string;
}

// RFC 7292 B.2.
function deriveKey(password: Password, { id, size, salt, rounds, hash: name }: Derivation): Buffer {
  const block = name === 'sha384' || name === 'sha512' ? 128 : 64;
  const input = Buffer.concat([filled(salt, block), filled(bmpPassword(password), block)]);
  const pieces: Buffer[] = [];
  for (let length = 0; length < size;) {
    let piece = digestOf(name, Buffer.concat([Buffer.alloc(block, id), input]));
    for (let round = 1; round < rounds; round += 1) piece = digestOf(name, piece);
    pieces.push(piece);
    length += piece.length;
    addToBlocks(input, Buffer.alloc(block, piece));
  }
  return Buffer.concat(pieces).subarray(0, size);
}

function digestOf(name: string, bytes: Buffer): Buffer {
  return hash(name, bytes, 'buffer');
}

/** Each block of the input plus the addend plus one, as big numbers. */
function addToBlocks(input: Buffer, addend: Buffer): void {
  for (let start = 0; start < input.length; start += addend.length) {
    let carry = 1;
    for (let place = addend.length - 1; place >= 0; place -= 1) {
      carry += (input[start + place] ?? 0) + (addend[place] ?? 0);
      input[start + place] = carry & 0xff;
      carry >>= 8;
    }
  }
}

/** Repeated up to whole blocks. */
function filled(bytes: Buffer, block: number): Buffer {
  return bytes.length === 0 ? bytes : Buffer.alloc(Math.ceil(bytes.length / block) * block, bytes);
}

// RFC 7292 B.1: UTF-16, the highest octet first, with a zero at the end.
function bmpPassword(password: Password): Buffer {
  if (password === null) return Buffer.alloc(0);
  return Buffer.from(`${password}\0`, 'utf16le').swap16();
}

function decryptPbes2(parameters: Node | undefined, bytes: Buffer, { password, budget }: Secret): Buffer {
  const [derivation, encryption] = partsOf(parameters, 2);
  const [kind, vector] = partsOf(encryption, 2);
  const [cipher, size] = CIPHERS[oidOf(kind)] ?? [];
  if (cipher === undefined || size === undefined) throw unknown('cipher', oidOf(kind));
  const iv = octetsOf(vector);
  const key = pbkdf2(derivation, { password: Buffer.from(password ?? ''), budget, size });
  try {
    return decryptBlocks(cipher, bytes, { key, iv });
  } catch (error) {
    if (/^[ -~]*$/.test(password ?? '')) throw error;
    // Older NSS takes the password as the old schemes do.
    const other = pbkdf2(derivation, { password: bmpPassword(password), budget, size });
    return decryptBlocks(cipher, bytes, { key: other, iv });
  }
}

function pbkdf2(
  algorithm: Node | undefined,
  { password, budget, size }: { password: Buffer; budget: Budget; size: number },
): Buffer {
  const [kind, parameters] = partsOf(algorithm, 2);
  if (oidOf(kind) !== PBKDF2) throw unknown('key derivation', oidOf(kind));
  const [salt, rounds, ...rest] = partsOf(parameters, 2);
  // A length of the key may come before it; cipher and checksum know that as well.
  const prf = rest.find(isSequence);
  const name = prf === undefined ? HMAC_SHA1 : oidOf(partsOf(prf, 1)[0]);
  const hash = HMACS[name];
  if (hash === undefined) throw unknown('key derivation', name);
  return pbkdf2Sync(password, octetsOf(salt), spend(budget, rounds), size, hash);
}

function decryptBlocks(cipher: string, bytes: Buffer, { key, iv }: { key: Buffer; iv: Buffer }): Buffer {
  try {
    const decipher = createDecipheriv(cipher, key, iv);
    return Buffer.concat([decipher.update(bytes), decipher.final()]);
  } catch {
    throw wrongPassword();
  }
}

function encryptBlocks(cipher: string, bytes: Buffer, { key, iv }: { key: Buffer; iv: Buffer }): Buffer {
  const encipher = createCipheriv(cipher, key, iv);
  return Buffer.concat([encipher.update(bytes), encipher.final()]);
}

// OpenSSL 3 as Node brings it has no RC2.
function decryptRc2(bytes: Buffer, key: Buffer, iv: Buffer): Buffer {
  const cipher = forge.rc2.createDecryptionCipher(key.toString('latin1'), key.length * 8);
  cipher.start(iv.toString('latin1'));
  cipher.update(forge.util.createBuffer(bytes.toString('latin1')));
  if (bytes.length === 0 || bytes.length % 8 !== 0 || !cipher.finish()) throw wrongPassword();
  const plain = Buffer.from(cipher.output.getBytes(), 'latin1');
  return plain;
}

/** Two keys of DES are used as three. */
function tripled(key: Buffer): Buffer {
  return key.length === 16 ? Buffer.concat([key, key.subarray(0, 8)]) : key;
}

function spend(budget: Budget, rounds: Node | undefined): number {
  const wanted = numberOf(rounds);
  if (wanted < 1) throw damaged();
  budget.rounds -= wanted;
  if (budget.rounds < 0) {
    throw new Pkcs12Problem(
      'other',
      `asks for more than ${MAX_ROUNDS} rounds of key derivation, which no honest file needs`,
    );
  }
  return wanted;
}

function isSame(one: Buffer, other: Buffer): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}

function unknown(what: string, name: string): Pkcs12Problem {
  return new Pkcs12Problem(
    'other',
    `uses a ${what} that is not known here (${name}): export it anew with AES-256 or 3DES`,
  );
}

function wrongPassword(): Pkcs12Problem {
  return new Pkcs12Problem('password', 'cannot be opened: the password is wrong');
}
