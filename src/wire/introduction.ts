// What one mail proxy says to the next about a client: Postfix's XCLIENT, Dovecot's POP3 XCLIENT, our own XPEHLO.
// Promises: never throws; every value is checked and bounded, so that it can be logged and said again to a third proxy
// without breaking out of its place; a value that is said to be unknown is told apart from one that was not said.
// On failure: a named malformation with the name of the word, never its value.

import { ipOf } from './address.ts';
import { malformed, type Malformation, type Malformed } from './lines.ts';
import { decodeXtext } from './smtp.ts';

/** What was not said is undefined. */
export interface Told {
  /** In canonical form; '': it has none, or nobody knows it. */
  readonly address?: string | undefined;
  readonly port?: number | undefined;
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  readonly ttl?: number | undefined;
  readonly sessionId?: string | undefined;
  /** Host name; null: it has none. */
  readonly name?: string | null | undefined;
  readonly helo?: string | null | undefined;
  readonly esmtp?: boolean | undefined;
  /** null: nobody has logged in. */
  readonly login?: string | null | undefined;
  /** null: in clear text. */
  readonly tls?: ToldTls | null | undefined;
}

export interface ToldTls {
  readonly version: string | null;
  readonly cipher: string | null;
  readonly sni: null;
  readonly clientName: null;
}

/** A malformation, and which word it is in. */
export interface Misword extends Malformed {
  readonly what: string;
}

export interface Xclient {
  readonly kind: 'xclient';
  readonly told: Told;
}

export interface Xpehlo {
  readonly kind: 'xpehlo';
  /** What the client said in EHLO. */
  readonly helo: string;
  readonly password: string | null;
  readonly channel: string | null;
  readonly told: Told;
}

/** What EHLO lists behind XCLIENT. */
export const XCLIENT_NAMES = 'NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT TTL SESSION';

const TEXT_MAX = 255;
const SESSION_MAX = 128;
const UNKNOWN = /^\[(?:UNAVAILABLE|TEMPUNAVAIL)\]$/i;

/** With the words of XPEHLO that are not about the client. */
interface Said extends Told {
  readonly password?: string;
  readonly channel?: string;
}

/** A value as it came → what it says; null: malformed. */
type Reader = (value: string) => Said | null;

const SMTP_WORDS: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ['NAME', text((name) => ({ name }))],
  ['HELO', text((helo) => ({ helo }))],
  ['LOGIN', text((login) => ({ login }))],
  ['ADDR', (value) => given(toldAddress(value), (address) => ({ address }))],
  ['PORT', (value) => given(toldPort(value), (port) => ({ port }))],
  ['DESTADDR', (value) => given(toldAddress(value), (localAddress) => ({ localAddress }))],
  ['DESTPORT', (value) => given(toldPort(value), (localPort) => ({ localPort }))],
  ['PROTO', (value) => (/^E?SMTP$/i.test(value) ? { esmtp: value.length === 5 } : unknownOnly(value))],
  ['TTL', (value) => given(toldTtl(value), (ttl) => ({ ttl }))],
  ['SESSION', (value) => given(toldSession(decodeXtext(value) ?? ''), (sessionId) => ({ sessionId }))],
]);

const POP3_WORDS: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ['ADDR', (value) => given(ipOf(value), ({ address }) => ({ address }))],
  ['PORT', (value) => given(toldPort(value), (port) => ({ port }))],
  ['TTL', (value) => given(toldTtl(value), (ttl) => ({ ttl }))],
  ['SESSION', (value) => given(toldSession(value), (sessionId) => ({ sessionId }))],
]);

/** The client's HELO is XPEHLO's own argument. */
const XPEHLO_WORDS: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ...[...SMTP_WORDS].filter(([name]) => name !== 'HELO'),
  ['TLS', (value) => given(toldTls(value), ({ tls }) => ({ tls }))],
  ['PASSWORD', (value) => given(decodeXtext(value), (password) => ({ password }))],
  ['CHANNEL', (value) => given(toldChannel(value), (channel) => ({ channel }))],
]);

/** The argument of SMTP's XCLIENT, as Postfix has it. */
export function parseXclient(argument: string): Xclient | Misword {
  const told = readWords(argument, { words: SMTP_WORDS, strangers: 'refused' });
  if (isMisword(told)) return told;
  return Object.keys(told).length === 0 && argument.trim() === ''
    ? misword('syntax', 'XCLIENT')
    : { kind: 'xclient', told };
}

/** The argument of POP3's XCLIENT, as Dovecot has it: values as they are, and what is unknown is passed over. */
export function parsePop3Xclient(argument: string): Xclient | Misword {
  const told = readWords(argument, { words: POP3_WORDS, strangers: 'passed over' });
  return isMisword(told) ? told : { kind: 'xclient', told };
}

/** `XPEHLO name PASSWORD=… ADDR=… …`: the words of XCLIENT but HELO, and three more; never without ADDR. */
export function parseXpehlo(argument: string): Xpehlo | Misword {
  const [helo = '', ...rest] = argument.split(' ').filter((word) => word !== '');
  if (helo.length > TEXT_MAX || !isPlain(helo)) return misword('syntax', 'XPEHLO');
  const said = readWords(rest.join(' '), { words: XPEHLO_WORDS, strangers: 'refused' });
  if (isMisword(said)) return said;
  const { password = null, channel = null, ...told } = said;
  if (told.address === undefined) return misword('syntax', 'ADDR');
  return { kind: 'xpehlo', helo, password, channel, told: { ...told, helo } };
}

interface Grammar {
  readonly words: ReadonlyMap<string, Reader>;
  readonly strangers: 'refused' | 'passed over';
}

/** `NAME=value …`; no name twice. */
function readWords(argument: string, { words, strangers }: Grammar): Said | Misword {
  const seen = new Set<string>();
  let told: Said = {};
  for (const word of argument.split(' ')) {
    if (word === '') continue;
    const equals = word.indexOf('=');
    const name = (equals < 0 ? word : word.slice(0, equals)).toUpperCase();
    const read = words.get(name);
    if (read === undefined) {
      if (strangers === 'passed over') continue;
      return misword('syntax', /^[A-Z]{1,32}$/.test(name) ? name : 'name');
    }
    const value = equals < 0 ? '' : word.slice(equals + 1);
    const more = value === '' || seen.has(name) ? null : read(value);
    if (more === null) return misword('syntax', name);
    seen.add(name);
    told = { ...told, ...more };
  }
  return told;
}

export function misword(reason: Malformation, what: string): Misword {
  return { ...malformed(reason), what };
}

function isMisword(value: Said | Misword): value is Misword {
  return 'kind' in value;
}

/** An IP address; Postfix puts IPV6: before some, Dovecot does not. */
function toldAddress(value: string): string | null {
  if (UNKNOWN.test(value)) return '';
  const prefixed = /^IPV6:/i.test(value);
  const ip = ipOf(prefixed ? value.slice('IPV6:'.length) : value);
  return ip?.address ?? null;
}

/** 0 where it is unknown. */
export function toldPort(value: string): number | null {
  if (UNKNOWN.test(value)) return 0;
  return /^\d{1,5}$/.test(value) && Number(value) <= 65_535 ? Number(value) : null;
}

export function toldTtl(value: string): number | null {
  return /^\d{1,3}$/.test(value) ? Number(value) : null;
}

/** What may name a session: it goes on into commands and logs as it is. */
export function toldSession(value: string): string | null {
  return value.length <= SESSION_MAX && /^[!-~]+$/.test(value) ? value : null;
}

function toldTls(value: string): Pick<Told, 'tls'> | null {
  if (UNKNOWN.test(value)) return { tls: null };
  const match = /^([\w.]{1,20})(?::([\w-]{1,80}))?$/.exec(decodeXtext(value) ?? '');
  if (match === null) return null;
  return { tls: { version: match[1] ?? null, cipher: match[2] ?? null, sni: null, clientName: null } };
}

function toldChannel(value: string): string | null {
  return /^[\w.-]{1,64}$/.test(value) ? value : null;
}

/** A value in xtext, null where it is said to be unknown. */
function text(tell: (value: string | null) => Told): Reader {
  return (value) => {
    if (UNKNOWN.test(value)) return tell(null);
    const decoded = decodeXtext(value);
    return decoded !== null && decoded.length <= TEXT_MAX && isPlain(decoded) ? tell(decoded) : null;
  };
}

function isPlain(value: string): boolean {
  return /^[^\s\p{Cc}]+$/u.test(value);
}

function unknownOnly(value: string): Told | null {
  return UNKNOWN.test(value) ? {} : null;
}

function given<T>(value: T | null, tell: (value: T) => Said): Said | null {
  return value === null ? null : tell(value);
}
