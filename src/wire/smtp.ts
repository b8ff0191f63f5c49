// SMTP commands, replies and their parameters (RFC 5321, RFC 3030, RFC 3461) as values.
// Promises: never throws; takes lines that takeLine has cut; what a reply is formatted from cannot break out of its line.
// Lenient where mail in the wild is (blank behind `FROM:`, dots anywhere in a local part, no domain), strict where
// leniency would let two programs read one line differently (brackets, control characters, doubled parameters).
// On failure: a named malformation.

import { isUtf8 } from 'node:buffer';
import { ipOf } from './address.ts';
import { malformed, type Malformed } from './lines.ts';

export interface SmtpCommand {
  readonly kind: 'command';
  /** In upper case. */
  readonly verb: string;
  /** What follows the verb, without blanks at either end. */
  readonly argument: string;
}

export interface SmtpPath {
  readonly kind: 'path';
  /** Without brackets and source route; '' is the null sender. */
  readonly address: string;
  /** ESMTP parameters by upper-case name; null where there is no `=`. */
  readonly parameters: ReadonlyMap<string, string | null>;
}

export interface SmtpReplyLine {
  readonly kind: 'reply';
  readonly code: number;
  readonly last: boolean;
  readonly text: string;
}

export interface EhloKeyword {
  /** In upper case. */
  readonly keyword: string;
  readonly parameters: readonly string[];
}

/** RFC 5321 4.5.3.1.3 */
const MAX_PATH_BYTES = 256;
/** RFC 5321 4.5.3.1.5, CRLF included */
const MAX_REPLY_LINE_BYTES = 512;
const MAX_EHLO_PARAMETERS = 64;

const CONTROL = /\p{Cc}/u;
const COMMAND = /^([A-Za-z][A-Za-z0-9-]{0,63})(?: +(.*))?$/s;

export function parseCommand(line: Buffer): SmtpCommand | Malformed {
  if (!isUtf8(line)) return malformed('syntax');
  const text = line.toString('utf8');
  if (CONTROL.test(text)) return malformed('syntax');
  // Blanks only: what else counts as white space here is a character of the argument to the next server.
  const match = COMMAND.exec(text.replace(/ +$/, ''));
  if (match === null) return malformed('syntax');
  return { kind: 'command', verb: (match[1] ?? '').toUpperCase(), argument: match[2] ?? '' };
}

// RFC 5321 4.1.2, RFC 6531 3.3. Each piece is anchored where the last one ended, and none can match in two ways.
const DOMAIN = /[A-Za-z0-9_\u0080-\u{10ffff}][A-Za-z0-9._\-\u0080-\u{10ffff}]*|\[[\x21-\x5a\x5e-\x7e]+\]/uy;
const LOCAL_PART = /[^\p{Cc} ()<>[\]:;@\\,"]+|"(?:[^\p{Cc}"\\]|\\[\x20-\x7e])*"/uy;
const SOURCE_ROUTE = /@[^\p{Cc} ()<>:;@\\,"]+(?:,@[^\p{Cc} ()<>:;@\\,"]+)*:/uy;
const PARAMETER = /^([A-Za-z0-9][A-Za-z0-9-]{0,63})(?:=([^\p{Cc} ]+))?$/u;

/** The argument of MAIL (`FROM`) or RCPT (`TO`). */
export function parsePath(argument: string, keyword: 'FROM' | 'TO'): SmtpPath | Malformed {
  if (CONTROL.test(argument)) return malformed('syntax');
  const opening = /^(FROM|TO): *</i.exec(argument);
  if (opening === null || opening[1]?.toUpperCase() !== keyword) return malformed('syntax');
  const start = opening[0].length;
  const closing = endOfPath(argument, start);
  if (closing < 0) return malformed('syntax');
  const path = argument.slice(start, closing);
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return malformed('too-long');
  if (path === '' && keyword === 'TO') return malformed('syntax');
  const parameters = parseParameters(argument.slice(closing + 1));
  if (parameters === null) return malformed('syntax');
  // RFC 5321 C: a source route is accepted and ignored.
  return { kind: 'path', address: path.slice(lengthOf(SOURCE_ROUTE, path, 0)), parameters };
}

/** Where the `>` stands that ends the path, or -1 where the path is against the grammar. */
function endOfPath(text: string, start: number): number {
  if (text[start] === '>') return start;
  const local = start + lengthOf(SOURCE_ROUTE, text, start);
  const localBytes = lengthOf(LOCAL_PART, text, local);
  if (localBytes === 0) return -1;
  let at = local + localBytes;
  if (text[at] === '@') {
    const domainBytes = lengthOf(DOMAIN, text, at + 1);
    if (domainBytes === 0) return -1;
    at += 1 + domainBytes;
  }
  return text[at] === '>' ? at : -1;
}

function lengthOf(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex - at : 0;
}

function parseParameters(text: string): ReadonlyMap<string, string | null> | null {
  const parameters = new Map<string, string | null>();
  if (text !== '' && !text.startsWith(' ')) return null;
  for (const word of text.split(' ')) {
    if (word === '') continue;
    const match = PARAMETER.exec(word);
    const name = match?.[1]?.toUpperCase();
    if (match === null || name === undefined || parameters.has(name)) return null;
    parameters.set(name, match[2] ?? null);
  }
  return parameters;
}

/** RFC 3030 2: `BDAT size [LAST]`. */
export function parseBdat(
  argument: string,
): { readonly kind: 'bdat'; readonly bytes: number; readonly last: boolean } | Malformed {
  const match = /^(\d{1,15})( +LAST)? *$/i.exec(argument);
  if (match === null) return malformed('syntax');
  return { kind: 'bdat', bytes: Number(match[1]), last: match[2] !== undefined };
}

/** One line of a reply (RFC 5321 4.2). What is no UTF-8 becomes U+FFFD. */
export function parseReplyLine(line: Buffer): SmtpReplyLine | Malformed {
  const match = /^([2-5]\d\d)(?:([ -])(.*))?$/s.exec(line.toString('utf8'));
  if (match === null) return malformed('syntax');
  return { kind: 'reply', code: Number(match[1]), last: match[2] !== '-', text: match[3] ?? '' };
}

/** A whole reply, CRLF included; every line carries the code and, where given, the enhanced code (RFC 2034 4). */
export function formatReply(code: number, enhanced: string | null, text: string | readonly string[]): string {
  const lines = typeof text === 'string' ? [text] : text.length === 0 ? [''] : text;
  return lines
    .map((line, index) => {
      const separator = index === lines.length - 1 ? ' ' : '-';
      const words = `${enhanced === null ? '' : `${enhanced} `}${line.replace(/\p{Cc}+/gu, ' ')}`;
      return `${cutToBytes(`${code}${separator}${words.trim()}`, MAX_REPLY_LINE_BYTES - 2)}\r\n`;
    })
    .join('');
}

function cutToBytes(text: string, maxBytes: number): string {
  if (Buffer.byteLength(text) <= maxBytes) return text;
  const bytes = Buffer.from(text);
  let end = maxBytes;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.toString('utf8', 0, end);
}

/** One line of an EHLO answer, without its code. Takes the `AUTH=LOGIN` of old servers for `AUTH LOGIN`. */
export function parseEhloKeyword(text: string): EhloKeyword {
  const [keyword = '', ...parameters] = text
    .replace(/^ *auth=/i, 'AUTH ')
    .split(' ')
    .filter(Boolean);
  return { keyword: keyword.toUpperCase(), parameters: parameters.slice(0, MAX_EHLO_PARAMETERS) };
}

/** RFC 3461 4: every byte outside '!'–'~', and '+' and '=', as '+' and two hexadecimal digits. */
export function encodeXtext(text: string): string {
  return Buffer.from(text)
    .toString('latin1')
    .replace(/[^!-*,-<>-~]/g, (byte) => `+${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);
}

/** null where the text is no xtext, or its bytes no UTF-8. */
export function decodeXtext(text: string): string | null {
  if (!/^(?:[!-*,-<>-~]|\+[0-9A-Fa-f]{2})*$/.test(text)) return null;
  const unescape = (_: string, digits: string): string => String.fromCharCode(Number.parseInt(digits, 16));
  const bytes = Buffer.from(text.replace(/\+(..)/g, unescape), 'latin1');
  return isUtf8(bytes) ? bytes.toString('utf8') : null;
}

/** An address as Postfix's XCLIENT wants it; what is no IP address is said to be unavailable. */
export function xclientAddress(address: string): string {
  const ip = ipOf(address);
  if (ip === null) return '[UNAVAILABLE]';
  return ip.address.includes(':') ? `IPV6:${ip.address}` : ip.address;
}
