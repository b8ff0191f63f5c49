// Whom a certificate is for and with what key, from the options of a verb. Pure; an Error says what is wrong with what
// was typed.

import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';

import { commonNameOf, nameOf, parseName } from '../../certdb/distinguished-name.ts';
import type { Name } from '../../certdb/distinguished-name.ts';
import { keyWishProblem } from '../../certdb/keys.ts';
import type { KeyWish } from '../../certdb/keys.ts';
import { oneOf, shown } from './verb.ts';
import type { Given, Options } from './verb.ts';

export const SUBJECT_OPTIONS = {
  subject: {
    type: 'string',
    short: 'S',
    value: 'DN',
    doc: 'the subject as a distinguished name, such as "CN=mail.example.com,O=Example,C=us"',
  },
  name: { type: 'string', value: 'NAME', doc: 'the common name (CN): the host name of the server' },
  org: { type: 'string', value: 'ORG', doc: 'the organization (O)' },
  'org-unit': { type: 'string', value: 'ORG-UNIT', doc: 'the organizational unit (OU)' },
  city: { type: 'string', value: 'CITY', doc: 'the city or locality (L)' },
  state: { type: 'string', value: 'STATE', doc: 'the state or province (ST)' },
  country: { type: 'string', value: 'COUNTRY', doc: 'the country (C), two letters' },
} as const satisfies Options;

export const ALTERNATIVE_OPTIONS = {
  dns: {
    type: 'string',
    multiple: true,
    value: 'HOST',
    doc: 'a host name that it is valid for; repeat it, or list several with commas (default: the common name)',
  },
  ip: { type: 'string', multiple: true, value: 'ADDRESS', doc: 'an IP address that it is valid for, likewise' },
  email: { type: 'string', multiple: true, value: 'ADDRESS', doc: 'an e-mail address, likewise' },
} as const satisfies Options;

export const KEY_OPTIONS = {
  keytype: { type: 'string', value: 'TYPE', doc: 'the type of the new key: ec (default), rsa or ed25519' },
  keysize: { type: 'string', value: 'BITS', doc: 'its size: 256 (default) or 384 for ec, 2048 and more for rsa' },
} as const satisfies Options;

export const SUBJECT_USAGE = `{-S DN|--name NAME [--org ORG] [--org-unit ORG-UNIT]
[--city CITY] [--state STATE] [--country COUNTRY]}
[--dns HOST]... [--ip ADDRESS]... [--email ADDRESS]...
[--keytype TYPE] [--keysize BITS]`;

export const USES = ['server', 'client', 'ca'] as const;
export type Use = (typeof USES)[number];

export interface Alternatives {
  readonly dns: string[];
  readonly ip: string[];
  readonly email: string[];
}

export function readSubject(given: Given): Name {
  const dn = given.text('subject');
  const fields = {
    name: given.text('name'),
    org: given.text('org'),
    orgUnit: given.text('org-unit'),
    city: given.text('city'),
    state: given.text('state'),
    country: given.text('country'),
  };
  const isNamed = Object.values(fields).some((value) => value !== undefined);
  if (dn !== undefined && isNamed) throw new Error('-S has the whole name: --name and the others go without it');
  if (dn === undefined && fields.name === undefined) throw new Error('expected -S DN or --name NAME');
  const name = dn === undefined ? nameOf(fields) : parseName(dn);
  if ('problem' in name) throw new Error(name.problem);
  return name;
}

/** A server is found by the alternative names alone, so its common name is among them (RFC 6125 6.4.4). */
export function readAlternatives(given: Given, subject: Name, use: Use): Alternatives {
  const dns = listOf(given, 'dns').map(hostOf);
  const ip = listOf(given, 'ip').map(addressOf);
  const email = listOf(given, 'email').map(mailboxOf);
  if (use !== 'server') return { dns, ip, email };
  const common = commonNameOf(subject) ?? '';
  const isAlone = dns.length === 0 && ip.length === 0;
  if (isIP(common) !== 0) return { dns, ip: isAlone ? [common] : ip, email };
  const host = asHost(common);
  const isWanted = host !== null && !dns.includes(host) && (isAlone || host.includes('.'));
  return { dns: isWanted ? [host, ...dns] : dns, ip, email };
}

export function readKeyWish(given: Given): KeyWish {
  const type = oneOf('--keytype', given.text('keytype'), ['ec', 'rsa', 'ed25519']) ?? 'ec';
  const size = given.text('keysize');
  const bits = size === undefined ? undefined : Number(size);
  if (bits !== undefined && !Number.isInteger(bits))
    throw new Error(`--keysize is a number of bits, found ${shown(size ?? '')}`);
  const problem = keyWishProblem({ type, bits });
  if (problem !== null) throw new Error(`--keysize: ${problem}`);
  return { type, bits };
}

function listOf(given: Given, option: string): string[] {
  const items = given.texts(option).flatMap((text) => text.split(','));
  return [...new Set(items.map((item) => item.trim()).filter((item) => item !== ''))];
}

function hostOf(text: string): string {
  const host = isIP(text) === 0 ? asHost(text) : null;
  if (host !== null) return host;
  throw new Error(`--dns ${shown(text)} is no host name${isIP(text) === 0 ? '' : ': --ip takes addresses'}`);
}

/** In ASCII, lower case; null where it cannot be one. */
function asHost(text: string): string | null {
  const [, wildcard = '', name = ''] = /^(\*\.)?(.+)$/.exec(text) ?? [];
  // domainToASCII() would take 127.1 for an address.
  const host = /^[\d.]+$/.test(name) ? '' : domainToASCII(name);
  const isHost =
    host.length <= 253 && /^(?!-)[a-z\d_-]{1,63}(?<!-)(\.(?!-)[a-z\d_-]{1,63}(?<!-))*$/.test(host);
  return isHost ? wildcard + host : null;
}

function addressOf(text: string): string {
  if (isIP(text) !== 0) return text;
  throw new Error(`--ip ${shown(text)} is no IP address`);
}

function mailboxOf(text: string): string {
  // oxlint-disable-next-line no-control-regex
  if (/^[^\s@\u0000-\u0020]+@[^\s@]+$/.test(text) && /^[\u0021-\u007e]+$/.test(text)) return text;
  throw new Error(`--email ${shown(text)} is no e-mail address in ASCII`);
}
