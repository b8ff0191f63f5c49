// The PROXY protocol's header, version 1 (a line) and version 2 (binary), as haproxy's proxy-protocol.txt has it: what a
// balancer writes before the first byte of a connection to say whom it stands for. Reads it here; proxy-header-out.ts
// writes it.
// Promises: never throws, never copies but for the checksum, gives the same answer however the network split the bytes,
// asks for no more than a bounded number of them. Texts in the result are printable, so that they can go into a log or a
// command; those that are not are left out.
// On failure: 'none' where the first bytes can begin no header, else a named malformation. Whom to believe is not
// decided here.

import { isIP } from 'node:net';
import { crc32c } from './crc32c.ts';
import { takeLine } from './lines.ts';
import { addressOf } from './network.ts';

export interface HeaderPeer {
  readonly address: string;
  readonly port: number;
}

/** TLS that the sender of the header has ended. */
export interface HeaderTls {
  readonly version: string | null;
  readonly cipher: string | null;
  readonly certificate: 'none' | 'unverified' | 'verified';
  /** Common name in that certificate; not proven unless it was verified. */
  readonly clientName: string | null;
  /** Algorithms of the certificate that the sender has shown: its signature, its key. */
  readonly signature: string | null;
  readonly key: string | null;
}

/** The connection that the header speaks of. */
export interface Proxied {
  readonly source: HeaderPeer;
  readonly destination: HeaderPeer;
  /** null: in clear text; undefined: the header does not say. */
  readonly tls: HeaderTls | null | undefined;
  readonly alpn: string | null;
  /** The host name that the client asked for (SNI). */
  readonly authority: string | null;
  readonly uniqueId: string | null;
}

export interface ProxyHeader {
  readonly kind: 'header';
  readonly version: 1 | 2;
  /** So long it was; what is behind belongs to the protocol. */
  readonly bytes: number;
  /** null: the sender speaks for itself (LOCAL), or for somebody without an IP address (UNKNOWN, AF_UNIX, UDP). */
  readonly proxied: Proxied | null;
}

export type HeaderFault =
  'too-long' | 'line' | 'version' | 'command' | 'family' | 'length' | 'address' | 'port' | 'tlv' | 'checksum';

export type HeaderResult =
  | ProxyHeader
  | { readonly kind: 'need-more' }
  | { readonly kind: 'none' }
  | { readonly kind: 'malformed'; readonly reason: HeaderFault };

/** Version 1: with its CRLF. */
const LINE_BYTES_MAX = 107;
/**
 * Version 2 may announce 65,535 bytes. Addresses and texts are some hundred; what makes a header larger is a client
 * certificate in it (1 to 4 KiB), so this holds every header there is and bounds what waits unread.
 */
const BODY_BYTES_MAX = 8192;

export const TEXT_START = Buffer.from('PROXY ');
export const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');

export const TLV = {
  alpn: 0x01,
  authority: 0x02,
  crc32c: 0x03,
  uniqueId: 0x05,
  tls: 0x20,
  tlsVersion: 0x21,
  tlsClientName: 0x22,
  tlsCipher: 0x23,
  tlsSignature: 0x24,
  tlsKey: 0x25,
} as const;

/** Bits of the `client` byte in the TLS TLV. */
export const TLS_USED = 1;
export const CERTIFICATE_NOW = 2;
/** Shown when the session began that was resumed. */
export const CERTIFICATE_EARLIER = 4;

const NEED_MORE = { kind: 'need-more' } as const;
const NONE = { kind: 'none' } as const;

function malformed(reason: HeaderFault): HeaderResult {
  return { kind: 'malformed', reason };
}

/** The header at the start of `bytes`. */
export function parseProxyHeader(bytes: Buffer): HeaderResult {
  if (bytes.length === 0) return NEED_MORE;
  if (canBe(SIGNATURE, bytes)) return bytes.length < 16 ? NEED_MORE : parseBinary(bytes);
  if (canBe(TEXT_START, bytes)) return parseText(bytes);
  return NONE;
}

function canBe(start: Buffer, bytes: Buffer): boolean {
  const count = Math.min(start.length, bytes.length);
  return bytes.compare(start, 0, count, 0, count) === 0;
}

function parseText(bytes: Buffer): HeaderResult {
  const taken = takeLine(bytes, 0, LINE_BYTES_MAX - 2);
  if (taken.kind === 'need-more') return NEED_MORE;
  if (taken.kind === 'malformed') return malformed(taken.reason === 'too-long' ? 'too-long' : 'line');
  const header = { kind: 'header', version: 1, bytes: taken.next } as const;
  const words = taken.line.toString('latin1').split(' ');
  const [, family, source = '', destination = '', sourcePort, destinationPort] = words;
  // What else the line says of an unknown connection is to be ignored.
  if (family === 'UNKNOWN') return { ...header, proxied: null };
  if (family !== 'TCP4' && family !== 'TCP6') return malformed('family');
  if (words.length !== 6) return malformed('line');
  const version = family === 'TCP4' ? 4 : 6;
  const isAddress = (text: string): boolean => isIP(text) === version && !text.includes('%');
  if (!isAddress(source) || !isAddress(destination)) return malformed('address');
  const from = portOf(sourcePort);
  const to = portOf(destinationPort);
  if (from === null || to === null) return malformed('port');
  return {
    ...header,
    proxied: {
      source: { address: source, port: from },
      destination: { address: destination, port: to },
      tls: undefined,
      alpn: null,
      authority: null,
      uniqueId: null,
    },
  };
}

/** Without leading zeroes, which might be octal to somebody. */
function portOf(text: string | undefined): number | null {
  const port = /^(0|[1-9]\d{0,4})$/.test(text ?? '') ? Number(text) : Number.NaN;
  return port <= 65_535 ? port : null;
}

/** Family and transport → bytes of the two addresses with their ports. All other values are to be refused. */
const ADDRESS_BYTES: ReadonlyMap<number, number> = new Map([
  [0x00, 0],
  [0x11, 12],
  [0x12, 12],
  [0x21, 36],
  [0x22, 36],
  [0x31, 216],
  [0x32, 216],
]);
const UNSPECIFIED = 0x00;
const TCP4 = 0x11;
const TCP6 = 0x21;

function parseBinary(bytes: Buffer): HeaderResult {
  const what = bytes.readUInt8(12);
  const family = bytes.readUInt8(13);
  const length = bytes.readUInt16BE(14);
  if (what >> 4 !== 2) return malformed('version');
  const command = what & 15;
  if (command > 1) return malformed('command');
  if (length > BODY_BYTES_MAX) return malformed('too-long');
  if (bytes.length < 16 + length) return NEED_MORE;
  const whole = bytes.subarray(0, 16 + length);
  const header = { kind: 'header', version: 2, bytes: whole.length } as const;
  // LOCAL: family and all that follows is to be ignored.
  if (command === 0) return { ...header, proxied: null };
  const addressBytes = ADDRESS_BYTES.get(family);
  if (addressBytes === undefined) return malformed('family');
  if (family === UNSPECIFIED) return { ...header, proxied: null };
  if (length < addressBytes) return malformed('length');
  const tlvs = readTlvs(whole.subarray(16 + addressBytes));
  if (tlvs === null) return malformed('tlv');
  if (!isSealed(whole, tlvs.get(TLV.crc32c))) return malformed('checksum');
  const tls = readTls(tlvs.get(TLV.tls));
  if (tls === 'malformed') return malformed('tlv');
  if (family !== TCP4 && family !== TCP6) return { ...header, proxied: null };
  return {
    ...header,
    proxied: {
      ...readAddresses(whole.subarray(16), family === TCP4 ? 4 : 16),
      tls,
      alpn: printable(tlvs.get(TLV.alpn), 255),
      authority: printable(tlvs.get(TLV.authority), 255),
      uniqueId: printable(tlvs.get(TLV.uniqueId), 128),
    },
  };
}

function readAddresses(bytes: Buffer, size: 4 | 16): Pick<Proxied, 'source' | 'destination'> {
  const peer = (index: 0 | 1): HeaderPeer => ({
    address: addressOf(bytes.subarray(size * index, size * (index + 1))),
    port: bytes.readUInt16BE(size * 2 + index * 2),
  });
  return { source: peer(0), destination: peer(1) };
}

/** Those that are read; two of one kind would leave open which is meant. */
const NAMED: ReadonlySet<number> = new Set(Object.values(TLV));

/** Type → value of the named ones; null where a length lies or a named one comes twice. */
function readTlvs(bytes: Buffer): ReadonlyMap<number, Buffer> | null {
  const found = new Map<number, Buffer>();
  for (let offset = 0; offset < bytes.length;) {
    if (offset + 3 > bytes.length) return null;
    const type = bytes.readUInt8(offset);
    const start = offset + 3;
    offset = start + bytes.readUInt16BE(offset + 1);
    if (offset > bytes.length) return null;
    if (!NAMED.has(type)) continue;
    if (found.has(type)) return null;
    found.set(type, bytes.subarray(start, offset));
  }
  return found;
}

/** The checksum is that of the whole header with zeroes in its own place. */
function isSealed(header: Buffer, seal: Buffer | undefined): boolean {
  if (seal === undefined) return true;
  if (seal.length !== 4) return false;
  const copy = Buffer.from(header);
  const at = seal.byteOffset - header.byteOffset;
  copy.fill(0, at, at + 4);
  return crc32c(copy) === seal.readUInt32BE();
}

function readTls(value: Buffer | undefined): HeaderTls | null | undefined | 'malformed' {
  if (value === undefined) return undefined;
  if (value.length < 5) return 'malformed';
  const client = value.readUInt8(0);
  const parts = readTlvs(value.subarray(5));
  if (parts === null) return 'malformed';
  if ((client & TLS_USED) === 0) return null;
  const shown = (client & (CERTIFICATE_NOW | CERTIFICATE_EARLIER)) !== 0;
  return {
    version: printable(parts.get(TLV.tlsVersion), 32),
    cipher: printable(parts.get(TLV.tlsCipher), 64),
    certificate: !shown ? 'none' : value.readUInt32BE(1) === 0 ? 'verified' : 'unverified',
    clientName: shown ? nameOf(parts.get(TLV.tlsClientName)) : null,
    signature: printable(parts.get(TLV.tlsSignature), 64),
    key: printable(parts.get(TLV.tlsKey), 64),
  };
}

/** Printable ASCII without blanks. */
function printable(value: Buffer | undefined, bytesMax: number): string | null {
  if (value === undefined || value.length === 0 || value.length > bytesMax) return null;
  const text = value.toString('latin1');
  return /^[\x21-\x7e]+$/.test(text) ? text : null;
}

const NAME_BYTES_MAX = 256;

/** UTF-8 without control characters. */
function nameOf(value: Buffer | undefined): string | null {
  if (value === undefined || value.length === 0 || value.length > NAME_BYTES_MAX) return null;
  const text = value.toString('utf8');
  return /[\p{C}\ufffd]/u.test(text) ? null : text;
}
