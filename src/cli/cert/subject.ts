// Whom a certificate is for and with what key, from the options of a verb. Pure; an Error says what is wrong with what
// was typed.

import { isIP } from 'node:net';

import { commonNameOf, nameOf, parseName } from '../../certdb/distinguished-name.ts';
import type { Name } from '../../certdb/distinguished-name.ts';
import { checkedNames, withHostOf } from '../../certdb/extensions.ts';
import type { AlternativeNames } from '../../certdb/extensions.ts';
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
  ip: {
    type: 'string',
    multiple: true,
    value: 'ADDRESS',
    doc: 'an IP address that it is valid for, likewise',
  },
  email: { type: 'string', multiple: true, value: 'ADDRESS', doc: 'an e-mail address, likewise' },
} as const satisfies Options;

export const KEY_OPTIONS = {
  keytype: { type: 'string', value: 'TYPE', doc: 'the type of the new key: ec (default), rsa or ed25519' },
  keysize: {
    type: 'string',
    value: 'BITS',
    doc: 'its size: 256 (default) or 384 for ec, 2048 and more for rsa',
  },
} as const satisfies Options;

export const SUBJECT_USAGE = `{-S DN|--name NAME [--org ORG] [--org-unit ORG-UNIT]
[--city CITY] [--state STATE] [--country COUNTRY]}
[--dns HOST]... [--ip ADDRESS]... [--email ADDRESS]...
[--keytype TYPE] [--keysize BITS]`;

export const USES = ['server', 'client', 'ca'] as const;
export type Use = (typeof USES)[number];

const FULL_HOST_NAME = /^(\*\.)?[a-z\d-]+(\.[a-z\d-]+)+$/i;

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
  if (dn !== undefined && isNamed)
    throw new Error('-S has the whole name: --name and the others go without it');
  if (dn === undefined && fields.name === undefined) throw new Error('expected -S DN or --name NAME');
  const name = dn === undefined ? nameOf(fields) : parseName(dn);
  if ('problem' in name) throw new Error(name.problem);
  return name;
}

/** What was asked for by name; a common name that is a full host name is always among them. */
export function readAlternatives(given: Given, subject: Name, use: Use): AlternativeNames {
  const dns = listOf(given, 'dns');
  const ip = listOf(given, 'ip');
  const common = commonNameOf(subject) ?? '';
  const isHost = use === 'server' && FULL_HOST_NAME.test(common) && isIP(common) === 0;
  // Without any host the issuing code takes the common name.
  const isLeftOut = isHost && dns.length + ip.length > 0;
  return checkedNames({ dns: isLeftOut ? [common, ...dns] : dns, ip, email: listOf(given, 'email') });
}

/** What to say of a server that no client will believe: clients look at alternative names first of all (RFC 6125 6.4.4). */
export function hostWarning(subject: Name, names: AlternativeNames): string | null {
  const { dns, ip, email } = withHostOf(subject, names);
  if (dns.length + ip.length + email.length > 0) return null;
  return 'warning: it is valid for no host name, so no mail program accepts a server with it: --dns HOST gives it one';
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
