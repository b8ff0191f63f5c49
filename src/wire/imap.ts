// IMAP commands before login, and a server's answers to them (RFC 3501, RFC 9051, RFC 7888, RFC 2971) as values.
// Promises: never throws; takes lines that takeLine has cut; at most MAX_TOKENS arguments are kept, however long the
// command, and nothing recurses, so nesting costs nothing.
// On failure: a named malformation, with the tag where it could be read, so that the client can be answered.

import { malformed, type Malformation, type Malformed } from './lines.ts';

export type ImapToken =
  | { readonly kind: 'atom'; readonly text: string }
  | { readonly kind: 'string'; readonly value: Buffer }
  | { readonly kind: 'nil' }
  | { readonly kind: 'open' }
  | { readonly kind: 'close' };

export type LiteralResult =
  | { readonly kind: 'none' }
  | { readonly kind: 'literal'; readonly bytes: number; readonly synchronising: boolean }
  | Malformed;

export type ImapCommandResult =
  | {
      readonly kind: 'command';
      readonly tag: string;
      /** In upper case. */
      readonly name: string;
      readonly args: readonly ImapToken[];
    }
  | (Malformed & { readonly tag: string | null });

export type ImapResponse =
  | {
      readonly kind: 'tagged';
      readonly tag: string;
      readonly status: 'OK' | 'NO' | 'BAD';
      /** What stands in the brackets, or ''. */
      readonly code: string;
      readonly text: string;
    }
  | {
      readonly kind: 'untagged';
      readonly status: 'OK' | 'NO' | 'BAD' | 'PREAUTH' | 'BYE' | 'CAPABILITY' | 'ID' | 'OTHER';
      readonly code: string;
      readonly text: string;
    }
  | { readonly kind: 'continuation'; readonly text: string };

export const MAX_TOKENS = 64;
const MAX_LITERAL_BYTES = 0xffff_ffff;
const MAX_CAPABILITIES = 200;
const MAX_ID_PAIRS = 30;
const MAX_ID_KEY_BYTES = 30;
const MAX_ID_VALUE_BYTES = 1024;

/**
 * Whether a command line goes on with a literal. A quoted string ends in a quote, so `"x{3}"` is none; a line whose
 * last quoted string is still open is against the grammar whatever this says, and parseCommand refuses it.
 */
export function literalAtEnd(line: Buffer): LiteralResult {
  if (line[line.length - 1] !== 0x7d) return { kind: 'none' };
  const match = /\{(\d+)(\+?)\}$/.exec(line.toString('latin1'));
  if (match === null) return { kind: 'none' };
  const digits = match[1] ?? '';
  const bytes = Number(digits);
  // RFC 3501 9: a number has 32 bits.
  if (digits.length > 10 || bytes > MAX_LITERAL_BYTES) return malformed('too-long');
  return { kind: 'literal', bytes, synchronising: match[2] === '' };
}

// RFC 3501 9: atoms, with the list wildcards, which passwords sent as atoms have in them. '+', '=' and '/' are in.
const ATOM = /[!#-'*-[\]-z|-~]+/y;
const QUOTED = /"((?:[^\0\r\n"\\]|\\["\\])*)"/y;
const TAG_AND_NAME = /^([!#$&',-[\]-z|-~]{1,255}) ([A-Za-z0-9][A-Za-z0-9._-]*)(?= |$)/;
const TAG = /^([!#$&',-[\]-z|-~]{1,255})(?: |$)/;

/** A command from its pieces: line, literal, line, literal, …, line. Lines still carry the `{n}` at their end. */
export function parseCommand(pieces: readonly Buffer[]): ImapCommandResult {
  const first = pieces[0]?.toString('latin1') ?? '';
  const tag = TAG.exec(first)?.[1] ?? null;
  const refuse = (reason: Malformation): ImapCommandResult => ({ ...malformed(reason), tag });
  const head = TAG_AND_NAME.exec(first);
  if (pieces.some((piece) => piece.includes(0))) return refuse('nul');
  if (tag === null || head === null || pieces.length % 2 === 0) return refuse('syntax');
  const reader = new ArgumentReader();
  for (let at = 0; at < pieces.length; at += 2) {
    const line = pieces[at]?.toString('latin1', at === 0 ? head[0].length : 0) ?? '';
    const literal = pieces[at + 1];
    const reason =
      literal === undefined
        ? reader.readLine(line)
        : (reader.readLine(withoutLiteral(line, literal)) ?? reader.readLiteral(literal));
    if (reason !== null) return refuse(reason);
  }
  return { kind: 'command', tag, name: (head[2] ?? '').toUpperCase(), args: reader.tokens };
}

/** The line in front of a literal's announcement; null where the line announces none, or another size. */
function withoutLiteral(line: string, literal: Buffer): string | null {
  const match = /~?\{(\d{1,10})\+?\}$/.exec(line);
  return match !== null && Number(match[1]) === literal.length ? line.slice(0, match.index) : null;
}

/** Collects arguments, one line or literal after the other; answers null or what is wrong. */
class ArgumentReader {
  readonly tokens: ImapToken[] = [];
  /** Whether a blank or a bracket stands in front, so that an atom or string may begin. */
  #separated = false;

  readLine(line: string | null): Malformation | null {
    if (line === null) return 'syntax';
    for (let at = 0; at < line.length;) {
      const char = line[at] ?? '';
      if (char === ' ') {
        this.#separated = true;
        at += 1;
        continue;
      }
      if (this.tokens.length >= MAX_TOKENS) return 'too-long';
      const length = char === '(' || char === ')' ? this.#readBracket(char) : this.#readWord(line, at);
      if (length === 0) return 'syntax';
      at += length;
    }
    return null;
  }

  readLiteral(value: Buffer): Malformation | null {
    if (this.tokens.length >= MAX_TOKENS) return 'too-long';
    if (!this.#separated) return 'syntax';
    this.tokens.push({ kind: 'string', value });
    this.#separated = false;
    return null;
  }

  #readBracket(char: '(' | ')'): number {
    if (char === '(' && !this.#separated) return 0;
    this.tokens.push({ kind: char === '(' ? 'open' : 'close' });
    this.#separated = char === '(';
    return 1;
  }

  /** How many characters the atom or quoted string at `at` has; 0 where there is none. */
  #readWord(line: string, at: number): number {
    if (!this.#separated) return 0;
    this.#separated = false;
    const pattern = line[at] === '"' ? QUOTED : ATOM;
    pattern.lastIndex = at;
    const match = pattern.exec(line);
    if (match === null) return 0;
    this.tokens.push(match[1] === undefined ? atomOrNil(match[0]) : quotedToken(match[1]));
    return match[0].length;
  }
}

function atomOrNil(text: string): ImapToken {
  return text.toUpperCase() === 'NIL' ? { kind: 'nil' } : { kind: 'atom', text };
}

function quotedToken(escaped: string): ImapToken {
  return { kind: 'string', value: Buffer.from(escaped.replace(/\\(.)/g, '$1'), 'latin1') };
}

/** One line of a server. What is no UTF-8 becomes U+FFFD. */
export function parseResponse(line: Buffer): ImapResponse | Malformed {
  const text = line.toString('utf8');
  if (text === '+' || text.startsWith('+ ')) return { kind: 'continuation', text: text.slice(2) };
  if (text.startsWith('* ')) return untagged(text.slice(2));
  const match = /^([!#$&',-[\]-z|-~]{1,255}) (OK|NO|BAD)(?: (.*))?$/is.exec(text);
  if (match === null) return malformed('syntax');
  const status = (match[2] ?? '').toUpperCase() as 'OK' | 'NO' | 'BAD';
  return { kind: 'tagged', tag: match[1] ?? '', status, ...codeAndText(match[3] ?? '') };
}

function untagged(text: string): ImapResponse | Malformed {
  if (text === '') return malformed('syntax');
  const match = /^(OK|NO|BAD|PREAUTH|BYE|CAPABILITY|ID)(?: (.*))?$/is.exec(text);
  if (match === null) return { kind: 'untagged', status: 'OTHER', code: '', text };
  const status = (match[1] ?? '').toUpperCase() as
    'OK' | 'NO' | 'BAD' | 'PREAUTH' | 'BYE' | 'CAPABILITY' | 'ID';
  const rest = match[2] ?? '';
  const isData = status === 'CAPABILITY' || status === 'ID';
  return { kind: 'untagged', status, ...(isData ? { code: '', text: rest } : codeAndText(rest)) };
}

/** RFC 3501 7.1: the response code stands in brackets in front of the text and holds no ']'. */
function codeAndText(text: string): { readonly code: string; readonly text: string } {
  const match = /^\[([^\]]+)\] ?(.*)$/s.exec(text);
  return match === null ? { code: '', text } : { code: match[1] ?? '', text: match[2] ?? '' };
}

/** What an untagged CAPABILITY, or a CAPABILITY response code, lists, in upper case; null where it is neither. */
export function capabilitiesIn(response: ImapResponse | Malformed): readonly string[] | null {
  if (response.kind !== 'tagged' && response.kind !== 'untagged') return null;
  const listing = response.status === 'CAPABILITY' ? `CAPABILITY ${response.text}` : response.code;
  const match = /^CAPABILITY(?: (.*))?$/is.exec(listing);
  if (match === null) return null;
  const names = new Set<string>();
  for (const word of (match[1] ?? '').split(' ')) {
    if (names.size >= MAX_CAPABILITIES) break;
    // What cannot be an atom is left out: the list goes on to clients.
    if (/^[\x21-\x7e]+$/.test(word) && !/[(){%*"\\\]]/.test(word)) names.add(word.toUpperCase());
  }
  return [...names];
}

/** A quoted string, or null where only a literal can carry the value (CR, LF, NUL, 8-bit; RFC 3501 4.3). */
export function quoted(value: Buffer | string): string | null {
  const text = typeof value === 'string' ? value : value.toString('latin1');
  return /^[^\0\r\n\x80-\uffff]*$/.test(text) ? `"${text.replace(/["\\]/g, '\\$&')}"` : null;
}

/** The argument of ID, within the limits of RFC 2971 3.3. Bytes that are not printable ASCII are left out. */
export function formatId(fields: ReadonlyMap<string, string>): string {
  const pairs: string[] = [];
  for (const [key, value] of fields) {
    const name = quoted(printable(key).slice(0, MAX_ID_KEY_BYTES));
    const words = quoted(printable(value).slice(0, MAX_ID_VALUE_BYTES));
    if (name === '""' || pairs.length >= MAX_ID_PAIRS) continue;
    pairs.push(`${name} ${words}`);
  }
  return pairs.length === 0 ? 'NIL' : `(${pairs.join(' ')})`;
}

function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '');
}

/** RFC 5530 codes of a login that failed for another reason than the credentials. */
const TEMPORARY = /^(UNAVAILABLE|SERVERBUG|INUSE|LIMIT|CONTACTADMIN|OVERQUOTA|CORRUPTION)\b/;

/** Whether a refused login may succeed later, by its response code. */
export function isTemporary(code: string): boolean {
  return TEMPORARY.test(code);
}
