// The messages of SCRAM (RFC 5802 7), server side: what a client sends is parsed, what it is sent is put together.
// Promises: never throws; one reading of each message, attributes in the order of the RFC, nothing left over, no blank and
// no NUL where none may be; what is extended in a way that must be understood is refused. On failure: null, without saying
// what was wrong.

import { isUtf8 } from 'node:buffer';

/** What the client says of channel binding (RFC 5802 6). */
export type BindingFlag =
  /** The client cannot, or could and thinks that the server cannot. */
  | { readonly kind: 'n' | 'y' }
  /** It does, with data of this type. */
  | { readonly kind: 'p'; readonly type: string };

export interface ClientFirst {
  readonly binding: BindingFlag;
  /** '' where there is none. */
  readonly authzid: string;
  readonly user: string;
  readonly nonce: string;
  /** As it stands in the message: both are needed again. */
  readonly gs2Header: string;
  readonly bare: string;
}

export interface ClientFinal {
  /** What `c=` held: the GS2 header, and the data that bind. */
  readonly binding: Buffer;
  readonly nonce: string;
  readonly proof: Buffer;
  readonly withoutProof: string;
}

const SASLNAME = '(?:[^\\0,=]|=2C|=3D)+';
/** RFC 5802 7: printable ASCII but for the comma. */
const PRINTABLE = '[\\x21-\\x2b\\x2d-\\x7e]+';
const BASE64 = '(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?';
/** RFC 5802 7: extensions, which may be ignored. Letters that mean something already, `m` too, are none. */
const EXTENSIONS = '(?:,[A-Zbdf-hj-loqtuw-z]=[^\\0,]+)*';

const FIRST = new RegExp(
  `^((?:(n|y)|p=([A-Za-z0-9.-]{1,64})),(?:a=(${SASLNAME}))?,)(n=(${SASLNAME}),r=(${PRINTABLE})${EXTENSIONS})$`,
);
const FINAL = new RegExp(`^(c=(${BASE64}),r=(${PRINTABLE})${EXTENSIONS}),p=(${BASE64})$`);

const CONTROL = /\p{Cc}/u;
const NONCE_MAX = 1024;

export function parseClientFirst(message: Buffer): ClientFirst | null {
  const match = FIRST.exec(textOf(message) ?? '');
  if (match === null) return null;
  const [, gs2Header = '', flag, type = '', acting = '', bare = '', name = '', nonce = ''] = match;
  const user = nameOf(name);
  const authzid = nameOf(acting);
  if (CONTROL.test(user + authzid) || nonce.length > NONCE_MAX) return null;
  const binding: BindingFlag = flag === 'n' || flag === 'y' ? { kind: flag } : { kind: 'p', type };
  return { binding, authzid, user, nonce, gs2Header, bare };
}

export function parseClientFinal(message: Buffer): ClientFinal | null {
  const match = FINAL.exec(textOf(message) ?? '');
  if (match === null) return null;
  const [, withoutProof = '', binding = '', nonce = '', proof = ''] = match;
  const bound = bytesOf(binding);
  const shown = bytesOf(proof);
  if (bound === null || shown === null || bound.length === 0) return null;
  return { binding: bound, nonce, proof: shown, withoutProof };
}

export function formatServerFirst(nonce: string, salt: Buffer, iterations: number): string {
  return `r=${nonce},s=${salt.toString('base64')},i=${iterations}`;
}

export function formatServerFinal(signature: Buffer): string {
  return `v=${signature.toString('base64')}`;
}

function textOf(message: Buffer): string | null {
  return isUtf8(message) ? message.toString('utf8') : null;
}

/** RFC 5802 5.1: saslname. */
function nameOf(text: string): string {
  return text.replaceAll('=2C', ',').replaceAll('=3D', '=');
}

/** No stray bits. */
function bytesOf(base64: string): Buffer | null {
  const bytes = Buffer.from(base64, 'base64');
  return bytes.toString('base64') === base64 ? bytes : null;
}
