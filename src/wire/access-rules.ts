// Access rules as Sun's TCPAccess writes them (TCP wrappers with a sign in front), from text to plain data:
// `+imaps,pops:ALL$-ALL:.example.net EXCEPT mx.example.net`. Promises: never throws, asks no resolver. On failure: the
// rule that is malformed, and why.

import { type Network, parseNetwork } from './network.ts';

/** A list, without what its EXCEPT names: `a EXCEPT b EXCEPT c` is `a EXCEPT (b EXCEPT c)`. */
export interface AccessList<T> {
  readonly items: readonly T[];
  readonly except: AccessList<T> | null;
}

export type AccessService = 'imap' | 'imaps' | 'pop' | 'pops' | 'smtp' | 'smtps' | 'http' | 'smime' | 'all';

export type ClientPattern =
  | { readonly kind: 'all' | 'known' | 'unknown' | 'local' | 'spoofer' }
  | { readonly kind: 'network'; readonly network: Network }
  /** The first octets of an IPv4 address, with their dot. */
  | { readonly kind: 'octets'; readonly start: string }
  /** With its dot, in lower case. */
  | { readonly kind: 'domain'; readonly suffix: string }
  /** A name, in lower case; `*` and `?` stand for any characters and for one. Without letters also an address. */
  | { readonly kind: 'name'; readonly pattern: string };

export interface AccessRule {
  readonly services: AccessList<AccessService>;
  readonly clients: AccessList<ClientPattern>;
}

export interface AccessRules {
  readonly allow: readonly AccessRule[];
  readonly deny: readonly AccessRule[];
}

export type ParsedAccess =
  ({ readonly kind: 'rules' } & AccessRules) | { readonly kind: 'malformed'; readonly reason: string };

const TEXT_MAX = 16_384;

const SERVICES: Readonly<Record<string, AccessService>> = {
  imap: 'imap',
  imaps: 'imaps',
  pop: 'pop',
  pop3: 'pop',
  pops: 'pops',
  pop3s: 'pops',
  smtp: 'smtp',
  smtps: 'smtps',
  http: 'http',
  smime: 'smime',
  all: 'all',
  '*': 'all',
};

const WORDS: Readonly<Record<string, ClientPattern>> = {
  ALL: { kind: 'all' },
  '*': { kind: 'all' },
  KNOWN: { kind: 'known' },
  UNKNOWN: { kind: 'unknown' },
  LOCAL: { kind: 'local' },
  DNSSPOOFER: { kind: 'spoofer' },
};

const NAME = /^[a-z0-9_*?]([a-z0-9_.*?-]*[a-z0-9_*?])?$/i;

export function parseAccessRules(text: string): ParsedAccess {
  if (text.length > TEXT_MAX)
    return malformed('the rules', `expected at most ${TEXT_MAX} characters, found ${text.length}`);
  const rules = { '+': [] as AccessRule[], '-': [] as AccessRule[] };
  for (const given of text.split('$')) {
    const rule = given.trim();
    const sign = rule[0];
    if (sign !== '+' && sign !== '-') return malformed(rule, 'a rule begins with + or -');
    // The first colon; the others belong to IPv6 addresses.
    const colon = rule.indexOf(':');
    if (colon < 0) return malformed(rule, 'expected services, a colon, clients');
    const services = parseList(rule.slice(1, colon), serviceOf);
    if (typeof services === 'string') return malformed(rule, services);
    const clients = parseList(rule.slice(colon + 1), clientOf);
    if (typeof clients === 'string') return malformed(rule, clients);
    rules[sign].push({ services, clients });
  }
  return { kind: 'rules', allow: rules['+'], deny: rules['-'] };
}

function malformed(rule: string, reason: string): ParsedAccess {
  const shown = rule.length > 60 ? `${rule.slice(0, 57)}…` : rule;
  return { kind: 'malformed', reason: `${JSON.stringify(shown)}: ${reason}` };
}

/** A list, or a sentence about what is wrong with it. */
function parseList<T>(text: string, read: (word: string) => T | null): AccessList<T> | string {
  const groups: T[][] = [[]];
  for (const word of text.split(/[\s,]+/).filter((part) => part !== '')) {
    if (word.toUpperCase() === 'EXCEPT') {
      groups.push([]);
      continue;
    }
    const item = read(word);
    if (item === null) return `${JSON.stringify(word.slice(0, 60))} is not understood`;
    groups.at(-1)?.push(item);
  }
  if (groups.some((group) => group.length === 0)) return 'a list is empty';
  return groups.reduceRight<AccessList<T> | null>(
    (except, items) => ({ items, except }),
    null,
  ) as AccessList<T>;
}

function serviceOf(word: string): AccessService | null {
  const name = word.toLowerCase();
  return Object.hasOwn(SERVICES, name) ? (SERVICES[name] ?? null) : null;
}

function clientOf(word: string): ClientPattern | null {
  const name = word.toUpperCase();
  if (Object.hasOwn(WORDS, name)) return WORDS[name] ?? null;
  const bare = word.replace(/^\[([^\]]*)\]/, '$1').replace(/\/(\d+\.\d+\.\d+\.\d+)$/, '|$1');
  const network = parseNetwork(bare);
  if (network !== null) return { kind: 'network', network };
  if (/^(\d{1,3}\.){1,3}$/.test(word)) return { kind: 'octets', start: word };
  const lower = word.toLowerCase();
  if (lower.startsWith('.')) return NAME.test(lower.slice(1)) ? { kind: 'domain', suffix: lower } : null;
  // Digits and dots alone are a mistaken address.
  return NAME.test(lower) && !/^[\d.]+$/.test(lower) ? { kind: 'name', pattern: lower } : null;
}
