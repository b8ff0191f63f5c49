// The MD5 ($1$), SHA-256 ($5$) and SHA-512 ($6$) forms of crypt(3), after their published descriptions. Pure. Slow on
// purpose: runs in a thread of its own (crypt.ts). A value that is malformed or asks for too many rounds fits nothing.

import { createHash, timingSafeEqual } from 'node:crypto';

const ALPHABET = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const ROUNDS = { usual: 5000, min: 1000, max: 1_000_000 } as const;
/** The cost of the SHA forms grows with the square of the length. */
const PASSWORD_BYTES_MAX = 1024;

export function unixCryptFits(value: string, password: string): boolean {
  const found = unixCrypt(value, password);
  const [mine, theirs] = [Buffer.from(found ?? ''), Buffer.from(value)];
  return found !== null && mine.length === theirs.length && timingSafeEqual(mine, theirs);
}

function unixCrypt(value: string, password: string): string | null {
  const key = Buffer.from(password);
  if (key.length > PASSWORD_BYTES_MAX) return null;
  const md5 = /^\$1\$([^$]{0,8})\$/.exec(value);
  if (md5 !== null) return `${md5[0]}${md5Crypt(key, Buffer.from(md5[1] ?? ''))}`;
  const sha = /^\$([56])\$(?:rounds=(\d{1,9})\$)?([^$]{0,16})\$/.exec(value);
  if (sha === null) return null;
  const rounds = Math.max(ROUNDS.min, Number(sha[2] ?? ROUNDS.usual));
  if (rounds > ROUNDS.max) return null;
  return `${sha[0]}${shaCrypt({ key, salt: Buffer.from(sha[3] ?? ''), rounds, form: sha[1] === '5' ? SHA256 : SHA512 })}`;
}

function digest(hash: string, parts: readonly Buffer[]): Buffer {
  const state = createHash(hash);
  for (const part of parts) state.update(part);
  return state.digest();
}

/** As many bytes of `block` as `length` says, over and over. */
function stretch(block: Buffer, length: number): Buffer {
  return Buffer.alloc(length, block);
}

interface Form {
  readonly hash: string;
  /** Three bytes each become four letters. */
  readonly order: readonly (readonly [number, number, number])[];
  readonly rest: (bytes: Buffer) => string;
}

function turning(count: number, step: (index: number) => readonly [number, number, number]): Form['order'] {
  return Array.from({ length: count }, (_, index) => step(index));
}

const SHA256: Form = {
  hash: 'sha256',
  order: turning(10, (i) => [(i * 21) % 30, (i * 21 + 10) % 30, (i * 21 + 20) % 30]),
  rest: (bytes) => letters(((bytes[31] ?? 0) << 8) | (bytes[30] ?? 0), 3),
};

const SHA512: Form = {
  hash: 'sha512',
  order: turning(21, (i) => [(i * 22) % 63, (i * 22 + 21) % 63, (i * 22 + 42) % 63]),
  rest: (bytes) => letters(bytes[63] ?? 0, 2),
};

interface ShaJob {
  readonly key: Buffer;
  readonly salt: Buffer;
  readonly rounds: number;
  readonly form: Form;
}

function shaCrypt({ key, salt, rounds, form }: ShaJob): string {
  const { hash } = form;
  const inner = digest(hash, [key, salt, key]);
  const parts = [key, salt, stretch(inner, key.length)];
  for (let bits = key.length; bits > 0; bits >>= 1) parts.push((bits & 1) === 1 ? inner : key);
  let state = digest(hash, parts);
  const keys = stretch(digest(hash, Array<Buffer>(key.length).fill(key)), key.length);
  const salts = stretch(digest(hash, Array<Buffer>(16 + (state[0] ?? 0)).fill(salt)), salt.length);
  for (let round = 0; round < rounds; round++) {
    const odd = (round & 1) === 1;
    const mix = [odd ? keys : state];
    if (round % 3 !== 0) mix.push(salts);
    if (round % 7 !== 0) mix.push(keys);
    mix.push(odd ? state : keys);
    state = digest(hash, mix);
  }
  return written(state, form.order) + form.rest(state);
}

function md5Crypt(key: Buffer, salt: Buffer): string {
  const inner = digest('md5', [key, salt, key]);
  const parts = [key, Buffer.from('$1$'), salt, stretch(inner, key.length)];
  const zero = Buffer.alloc(1);
  for (let bits = key.length; bits > 0; bits >>= 1) parts.push((bits & 1) === 1 ? zero : key.subarray(0, 1));
  let state = digest('md5', parts);
  for (let round = 0; round < 1000; round++) {
    const odd = (round & 1) === 1;
    const mix = [odd ? key : state];
    if (round % 3 !== 0) mix.push(salt);
    if (round % 7 !== 0) mix.push(key);
    mix.push(odd ? state : key);
    state = digest('md5', mix);
  }
  const order = turning(5, (i) => [i, i + 6, i === 4 ? 5 : i + 12]);
  return written(state, order) + letters(state[11] ?? 0, 2);
}

function written(bytes: Buffer, order: Form['order']): string {
  return order
    .map(([a, b, c]) => letters(((bytes[a] ?? 0) << 16) | ((bytes[b] ?? 0) << 8) | (bytes[c] ?? 0), 4))
    .join('');
}

/** Six bits a letter, the lowest first. */
function letters(value: number, count: number): string {
  let text = '';
  for (let left = value, index = 0; index < count; index++, left >>>= 6) text += ALPHABET[left & 63];
  return text;
}
