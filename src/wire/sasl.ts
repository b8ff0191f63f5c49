// What SASL mechanisms put on the wire: base64, PLAIN, XOAUTH2, OAUTHBEARER.
// Promises: never throws; a token is checked for its form and is not among what a login is read to, so that nobody logs it
// by accident: bearerToken() gives it, to who has to judge it.
// On failure: null, without saying what was wrong, because the client is told no more than that either.

import { isUtf8 } from 'node:buffer';

export interface PlainCredentials {
  readonly authzid: string;
  readonly user: string;
  readonly password: string;
}

export interface TokenLogin {
  /** Whom the client wants to be; '' where OAUTHBEARER leaves that to the token. */
  readonly user: string;
}

const FIELD_END = '\x01';
const CONTROL = /\p{Cc}/u;
/** RFC 6750 2.1: the scheme and a b64token; other printable characters are let pass to the one who checks it. */
const BEARER = /^bearer +[\x21-\x7e]+$/i;
// RFC 7628 3.1: these blanks may stand in a value.
const KEY_VALUE = /^([a-z]+)=([\x20-\x7e\t\r\n]*)$/i;

/** Strict base64 (RFC 4648 4): alphabet, padding, no stray bits. '=' alone is an empty response (RFC 4954 4). */
export function decodeBase64(text: string, maxBytes: number): Buffer | null {
  if (text === '=') return Buffer.alloc(0);
  if (text.length % 4 !== 0 || text.length > 4 * Math.ceil(maxBytes / 3)) return null;
  const bytes = Buffer.from(text, 'base64');
  return bytes.length <= maxBytes && bytes.toString('base64') === text ? bytes : null;
}

/** RFC 4616 2: [authzid] NUL user NUL password. */
export function parsePlain(message: Buffer): PlainCredentials | null {
  if (!isUtf8(message)) return null;
  const [authzid, user, password, ...more] = message.toString('utf8').split('\0', 4);
  if (authzid === undefined || !user || !password || more.length > 0) return null;
  // RFC 4616 2 prepares all three with SASLprep, which knows no control characters; a line end in one of them would
  // also be a second command where the login is replayed as `USER` and `PASS`.
  if (CONTROL.test(authzid + user) || /[\r\n]/.test(password)) return null;
  return { authzid, user, password };
}

export function formatPlain(credentials: PlainCredentials): Buffer {
  return Buffer.from([credentials.authzid, credentials.user, credentials.password].join('\0'), 'utf8');
}

/** Google's XOAUTH2: `user=` and `auth=Bearer `, each ended by ^A, and one ^A more. */
export function parseXoauth2(message: Buffer): TokenLogin | null {
  const text = endedText(message);
  if (text === null) return null;
  const [first = '', ...fields] = text.split(FIELD_END);
  const user = /^user=([^\p{Cc}]+)$/u.exec(first)?.[1];
  return user !== undefined && holdsBearer(fields) ? { user } : null;
}

/** RFC 7628 3.1: the GS2 header, ^A, key=value pairs each ended by ^A, and one ^A more. */
export function parseOauthBearer(message: Buffer): TokenLogin | null {
  const text = endedText(message);
  if (text === null) return null;
  const [header = '', ...fields] = text.split(FIELD_END);
  // RFC 5801 4: no channel binding here, so 'n' or 'y'; commas and equal signs of the name are escaped.
  const match = /^[ny],(?:a=((?:[^,=\p{Cc}]|=2C|=3D)+))?,$/u.exec(header);
  if (match === null || !holdsBearer(fields)) return null;
  return { user: (match[1] ?? '').replaceAll('=2C', ',').replaceAll('=3D', '=') };
}

/** The token in a message of either kind. */
export function bearerToken(message: Buffer): string | null {
  const fields = endedText(message)?.split(FIELD_END).slice(1) ?? [];
  if (!holdsBearer(fields)) return null;
  const tokens = fields.flatMap((field) => /^auth=bearer +(.+)$/i.exec(field)?.[1] ?? []);
  return tokens[0] ?? null;
}

/** The message without the two ^A that end it; null where they are missing, or a NUL or bad UTF-8 is inside. */
function endedText(message: Buffer): string | null {
  if (!isUtf8(message) || message.includes(0)) return null;
  const text = message.toString('utf8');
  return text.endsWith(FIELD_END + FIELD_END) ? text.slice(0, -2) : null;
}

/** All fields are key=value, and exactly one is a bearer token. */
function holdsBearer(fields: readonly string[]): boolean {
  let bearers = 0;
  for (const field of fields) {
    const match = KEY_VALUE.exec(field);
    if (match === null) return false;
    if (match[1]?.toLowerCase() !== 'auth') continue;
    if (!BEARER.test(match[2] ?? '')) return false;
    bearers += 1;
  }
  return bearers === 1;
}
