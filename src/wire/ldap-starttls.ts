// StartTLS of LDAP (RFC 4511 4.14): the request, and the answer byte by byte. It is done before any library reads from
// the socket, so that what somebody puts in behind the answer is seen (the 'rest') and not taken for an answer later.

/** Message 1, extended request 1.3.6.1.4.1.1466.20037. */
export const STARTTLS_REQUEST: Buffer = Buffer.concat([
  Buffer.from('301d02010177188016', 'hex'),
  Buffer.from('1.3.6.1.4.1.1466.20037'),
]);

export type StartTlsAnswer =
  | { readonly kind: 'more' }
  /** A result code of RFC 4511 4.1.9; 0: go on with the handshake. */
  | { readonly kind: 'answer'; readonly code: number; readonly rest: number }
  | { readonly kind: 'malformed' };

const ANSWER_MAX = 4096;
const SEQUENCE = 0x30;
const INTEGER = 0x02;
const ENUMERATED = 0x0a;
const EXTENDED_RESPONSE = 0x78;

export function readStartTlsAnswer(bytes: Buffer): StartTlsAnswer {
  if (bytes.length > 0 && bytes[0] !== SEQUENCE) return { kind: 'malformed' };
  const message = elementAt(bytes, 0);
  if (message === 'malformed') return { kind: 'malformed' };
  if (message === 'more' || message.end > bytes.length)
    return bytes.length > ANSWER_MAX ? { kind: 'malformed' } : { kind: 'more' };
  const id = inside(bytes, message, message.start);
  const response = id === null ? null : inside(bytes, message, id.end);
  const code = response === null ? null : inside(bytes, response, response.start);
  const isWell =
    message.end <= ANSWER_MAX &&
    id?.tag === INTEGER &&
    bytes.subarray(id.start, id.end).equals(Buffer.of(1)) &&
    response?.tag === EXTENDED_RESPONSE &&
    code?.tag === ENUMERATED &&
    code.end === code.start + 1;
  if (!isWell) return { kind: 'malformed' };
  return { kind: 'answer', code: bytes[code.start] ?? 0, rest: bytes.length - message.end };
}

interface Element {
  readonly tag: number;
  readonly start: number;
  readonly end: number;
}

/** Of a BER element: where its contents start and end. */
function elementAt(bytes: Buffer, at: number): Element | 'more' | 'malformed' {
  const tag = bytes[at];
  const first = bytes[at + 1];
  if (tag === undefined || first === undefined) return 'more';
  if (first < 0x80) return { tag, start: at + 2, end: at + 2 + first };
  // RFC 4511 5.1: definite lengths only; one answer needs no more than four bytes of them.
  const count = first & 0x7f;
  if (count === 0 || count > 4) return 'malformed';
  if (bytes.length < at + 2 + count) return 'more';
  const start = at + 2 + count;
  return { tag, start, end: start + bytes.readUIntBE(at + 2, count) };
}

function inside(bytes: Buffer, outer: Element, at: number): Element | null {
  const element = elementAt(bytes, at);
  return typeof element === 'string' || element.end > outer.end ? null : element;
}
