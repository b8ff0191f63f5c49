// What was negotiated on a TLS connection, for the log line and for telling the backend.
// Reads only; never throws on a socket that is closing, the fields are then empty or null.
// Node names the server's key exchange group nowhere, so it is read from the session's DER form, where OpenSSL keeps
// it as element [19] (ssl/ssl_asn1.c). On a resumed TLS 1.2 session it is the group of the first handshake.

import type net from 'node:net';
import tls from 'node:tls';

export interface TlsFacts {
  /** 'TLSv1.3'. */
  readonly version: string;
  /** OpenSSL's name of the suite. */
  readonly cipher: string;
  /** Key exchange group: 'X25519MLKEM768', 'X25519', 'P-256' ...; null where there is none (static RSA). */
  readonly group: string | null;
  readonly resumed: boolean;
  /** The name the client asked for. */
  readonly sni: string | null;
  readonly alpn: string | null;
}

/** IANA "TLS Supported Groups", the ones OpenSSL can negotiate. */
const GROUPS: ReadonlyMap<number, string> = new Map([
  [0x0017, 'P-256'],
  [0x0018, 'P-384'],
  [0x0019, 'P-521'],
  [0x001d, 'X25519'],
  [0x001e, 'X448'],
  [0x0100, 'ffdhe2048'],
  [0x0101, 'ffdhe3072'],
  [0x0102, 'ffdhe4096'],
  [0x0103, 'ffdhe6144'],
  [0x0104, 'ffdhe8192'],
  [0x0200, 'MLKEM512'],
  [0x0201, 'MLKEM768'],
  [0x0202, 'MLKEM1024'],
  [0x11eb, 'SecP256r1MLKEM768'],
  [0x11ec, 'X25519MLKEM768'],
  [0x11ed, 'SecP384r1MLKEM1024'],
]);

export const GROUP_NAMES: readonly string[] = [...GROUPS.values()];

/** OpenSSL's own names of the curves. */
const CURVES: ReadonlyMap<string, string> = new Map([
  ['x25519', 'X25519'],
  ['x448', 'X448'],
  ['prime256v1', 'P-256'],
  ['secp256r1', 'P-256'],
  ['secp384r1', 'P-384'],
  ['secp521r1', 'P-521'],
]);

const SEQUENCE = 0x30;
const INTEGER = 0x02;
const GROUP_ELEMENT = 0xb3;
const MAX_ELEMENTS = 64;

export function serverFacts(socket: tls.TLSSocket): TlsFacts {
  const asked: unknown = Reflect.get(socket, 'servername');
  return { ...commonFacts(socket), sni: nameOrNull(asked) };
}

export function clientFacts(socket: tls.TLSSocket): TlsFacts {
  const asked: unknown = Reflect.get(socket, 'servername');
  const facts = commonFacts(socket);
  return { ...facts, group: facts.group ?? ephemeralGroup(socket), sni: nameOrNull(asked) };
}

function commonFacts(socket: tls.TLSSocket): TlsFacts {
  const cipher: tls.CipherNameAndProtocol | undefined = socket.getCipher();
  return {
    version: socket.getProtocol() ?? '',
    cipher: cipher?.name ?? '',
    group: negotiatedGroup(socket),
    resumed: socket.isSessionReused(),
    sni: null,
    alpn: nameOrNull(socket.alpnProtocol),
  };
}

function nameOrNull(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

function negotiatedGroup(socket: tls.TLSSocket): string | null {
  const session: Buffer | undefined = socket.getSession();
  if (session === undefined) return null;
  const id = sessionGroup(session);
  session.fill(0); // It holds the master secret.
  // 0: there was no key exchange with a group (static RSA).
  return id === null || id === 0 ? null : (GROUPS.get(id) ?? `0x${id.toString(16).padStart(4, '0')}`);
}

function ephemeralGroup(socket: tls.TLSSocket): string | null {
  const info: object | null = socket.getEphemeralKeyInfo();
  if (info === null || !('name' in info) || typeof info.name !== 'string') return null;
  return CURVES.get(info.name) ?? info.name;
}

interface Element {
  readonly tag: number;
  readonly start: number;
  readonly end: number;
}

/** The group's number in a DER SSL_SESSION, or null. Takes any bytes. */
export function sessionGroup(der: Buffer): number | null {
  const outer = elementAt(der, 0, der.length);
  if (outer === null || outer.tag !== SEQUENCE) return null;
  let offset = outer.start;
  for (let count = 0; count < MAX_ELEMENTS && offset < outer.end; count += 1) {
    const element = elementAt(der, offset, outer.end);
    if (element === null) return null;
    if (element.tag === GROUP_ELEMENT) return integerIn(der, element);
    offset = element.end;
  }
  return null;
}

function integerIn(der: Buffer, wrapper: Element): number | null {
  const integer = elementAt(der, wrapper.start, wrapper.end);
  if (integer === null || integer.tag !== INTEGER) return null;
  const size = integer.end - integer.start;
  return size >= 1 && size <= 4 ? der.readUIntBE(integer.start, size) : null;
}

// X.690 8.1: one tag octet (numbers up to 30 are all that occur), then a definite length of at most three octets.
function elementAt(der: Buffer, offset: number, limit: number): Element | null {
  const tag = der[offset];
  const first = der[offset + 1];
  if (tag === undefined || first === undefined || offset + 2 > limit) return null;
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  if (lengthBytes > 3 || first === 0x80 || offset + 2 + lengthBytes > limit) return null;
  const size = lengthBytes === 0 ? first : der.readUIntBE(offset + 2, lengthBytes);
  const start = offset + 2 + lengthBytes;
  return start + size > limit ? null : { tag, start, end: start + size };
}

/** When the certificate that the other side showed ends, milliseconds since 1970; null without one. */
export function certificateExpiry(socket: net.Socket): number | null {
  if (!(socket instanceof tls.TLSSocket)) return null;
  const end = Date.parse(socket.getPeerCertificate().valid_to);
  return Number.isNaN(end) ? null : end;
}
