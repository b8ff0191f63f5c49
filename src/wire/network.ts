// IP networks: a CIDR block, a single address, or Sun's `address|mask`; and a table of them, most specific first.
// Promises: never throws, asks no resolver; an IPv4-mapped IPv6 address is the IPv4 address. On failure: null.

import { isIP } from 'node:net';
import { ipOf } from './address.ts';

/** Plain data, so that it can be sent to a worker. */
export interface Network {
  readonly family: 4 | 6;
  /** The network's address in canonical form, host bits cleared. */
  readonly address: string;
  /** 0 to 32, or to 128. */
  readonly prefix: number;
}

/** The bytes of an address; null where it is none. */
export function addressBytes(text: string): Uint8Array | null {
  const ip = ipOf(text);
  if (ip === null) return null;
  const { address } = ip;
  if (isIP(address) === 4) return bytesOfV4(address);
  const [head = '', tail] = address.split('::');
  const words = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((word) => Number.parseInt(word, 16));
  const front = words(head);
  const back = tail === undefined ? [] : words(tail);
  const all = [...front, ...Array<number>(8 - front.length - back.length).fill(0), ...back];
  return Uint8Array.from(all.flatMap((word) => [word >> 8, word & 255]));
}

/** There is one for every connection, and more. */
function bytesOfV4(address: string): Uint8Array {
  const bytes = new Uint8Array(4);
  let byte = 0;
  for (const part of address.split('.')) bytes[byte++] = Number(part);
  return bytes;
}

/** `192.0.2.0/24`, `2001:db8::/32`, `192.0.2.1`, `192.0.2.0|255.255.255.0`. Host bits are cleared. */
export function parseNetwork(text: string): Network | null {
  const match = /^([^/|]+)(?:\/(\d{1,3})|\|([\d.]+))?$/.exec(text);
  const bytes = addressBytes(match?.[1] ?? '');
  if (match === null || bytes === null) return null;
  const family = bytes.length === 4 ? 4 : 6;
  const bits = bytes.length * 8;
  const prefix =
    match[3] === undefined ? Number(match[2] ?? bits) : family === 4 ? prefixOfMask(match[3]) : null;
  if (prefix === null || prefix > bits) return null;
  return { family, address: addressOf(masked(bytes, prefix)), prefix };
}

/** Whether an address in canonical form or as a socket gives it is inside. */
export function contains(network: Network, address: string): boolean {
  const bytes = addressBytes(address);
  return bytes !== null && matcherOf(network)(bytes);
}

/** The block of `prefix` bits around an IPv6 address, as text; an IPv4 address stands for itself. */
export function blockOf(address: string, prefix6: number): string {
  const bytes = addressBytes(address);
  if (bytes === null || bytes.length === 4 || prefix6 >= 128) return ipOf(address)?.address ?? address;
  return `${addressOf(masked(bytes, prefix6))}/${prefix6}`;
}

/** Finds the value of the most specific network that holds an address. */
export class NetworkTable<T> {
  readonly #rows: readonly { readonly fits: (bytes: Uint8Array) => boolean; readonly value: T }[];

  constructor(rows: readonly (readonly [Network, T])[]) {
    this.#rows = rows
      .toSorted(([a], [b]) => b.prefix - a.prefix)
      .map(([network, value]) => ({ fits: matcherOf(network), value }));
  }

  find(address: string): T | undefined {
    if (this.#rows.length === 0) return undefined;
    const bytes = addressBytes(address);
    return bytes === null ? undefined : this.#rows.find(({ fits }) => fits(bytes))?.value;
  }
}

function matcherOf(network: Network): (bytes: Uint8Array) => boolean {
  const wanted = addressBytes(network.address) ?? new Uint8Array();
  const whole = network.prefix >> 3;
  const mask = (0xff00 >> (network.prefix & 7)) & 0xff;
  return (bytes) => {
    if (bytes.length !== wanted.length) return false;
    for (let i = 0; i < whole; i++) if (bytes[i] !== wanted[i]) return false;
    return mask === 0 || ((bytes[whole] ?? 0) & mask) === (wanted[whole] ?? 0);
  };
}

function masked(bytes: Uint8Array, prefix: number): Uint8Array {
  return bytes.map((byte, index) => {
    const left = prefix - index * 8;
    return left >= 8 ? byte : left <= 0 ? 0 : byte & (0xff00 >> left) & 0xff;
  });
}

/** The canonical text of 4 or 16 bytes. */
export function addressOf(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const words = Array.from({ length: 8 }, (_, i) =>
    (((bytes[i * 2] ?? 0) << 8) | (bytes[i * 2 + 1] ?? 0)).toString(16),
  );
  return ipOf(words.join(':'))?.address ?? words.join(':');
}

/** Ones, then zeroes; null otherwise. */
function prefixOfMask(mask: string): number | null {
  const bytes = addressBytes(mask);
  if (bytes?.length !== 4) return null;
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return /^1*0*$/.test(bits) ? bits.lastIndexOf('1') + 1 : null;
}

/** What is left of a network without another, in as few networks as can be. */
export function withoutNetwork(network: Network, hole: Network): readonly Network[] {
  if (containsNetwork(hole, network)) return [];
  if (!containsNetwork(network, hole)) return [network];
  const prefix = network.prefix + 1;
  const bytes = addressBytes(network.address) ?? new Uint8Array();
  const upper = bytes.map((byte, index) =>
    index === network.prefix >> 3 ? byte | (0x80 >> (network.prefix & 7)) : byte,
  );
  return [bytes, upper].flatMap((half) =>
    withoutNetwork({ family: network.family, address: addressOf(half), prefix }, hole),
  );
}

/** Whether every address of `inner` is in `outer` too. */
export function containsNetwork(outer: Network, inner: Network): boolean {
  return outer.family === inner.family && outer.prefix <= inner.prefix && contains(outer, inner.address);
}
