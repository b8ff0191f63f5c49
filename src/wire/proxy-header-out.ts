// Writes a PROXY header (proxy-header.ts has the names of its parts): before the first byte of a connection to a server
// that expects one, to say who the client is.
// Promises: pure, never throws; what it writes, proxy-header.ts reads back. A client without an IP address becomes LOCAL
// (version 1: UNKNOWN), which servers take for a connection of our own.

import { crc32c } from './crc32c.ts';
import { addressBytes } from './network.ts';
import { CERTIFICATE_NOW, SIGNATURE, TLS_USED, TLV, type HeaderTls, type Proxied } from './proxy-header.ts';

/** `proxied` null: a connection of our own. */
export function formatProxyHeader(version: 1 | 2, proxied: Proxied | null): Buffer {
  const pair = proxied === null ? null : addressPair(proxied);
  if (proxied === null || pair === null) return version === 1 ? UNKNOWN : LOCAL;
  return version === 1 ? formatText(proxied, pair) : formatBinary(proxied, pair);
}

const UNKNOWN = Buffer.from('PROXY UNKNOWN\r\n');
const LOCAL = Buffer.concat([SIGNATURE, Buffer.of(0x20, 0, 0, 0)]);

/** Both of one family. */
interface AddressPair {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
}

/** A destination that is not known is all zeroes. */
function addressPair({ source, destination }: Proxied): AddressPair | null {
  const from = addressBytes(source.address);
  if (from === null) return null;
  const to = addressBytes(destination.address) ?? new Uint8Array(from.length);
  return from.length === to.length
    ? { source: from, destination: to }
    : { source: widen(from), destination: widen(to) };
}

/** An IPv4 address as an IPv4-mapped IPv6 one. */
function widen(bytes: Uint8Array): Uint8Array {
  return bytes.length === 16 ? bytes : Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...bytes]);
}

function formatText({ source, destination }: Proxied, pair: AddressPair): Buffer {
  const family = pair.source.length === 4 ? 'TCP4' : 'TCP6';
  const addresses = `${textOf(pair.source)} ${textOf(pair.destination)}`;
  return Buffer.from(`PROXY ${family} ${addresses} ${source.port} ${destination.port}\r\n`);
}

/** Not shortened, and a mapped IPv4 address stays IPv6: every reader knows this form. */
function textOf(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const words = Array.from({ length: 8 }, (_, i) => ((bytes[i * 2] ?? 0) << 8) | (bytes[i * 2 + 1] ?? 0));
  return words.map((word) => word.toString(16)).join(':');
}

function formatBinary(proxied: Proxied, pair: AddressPair): Buffer {
  const { source, destination, tls, alpn, authority, uniqueId } = proxied;
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(source.port, 0);
  ports.writeUInt16BE(destination.port, 2);
  const body = Buffer.concat([
    pair.source,
    pair.destination,
    ports,
    textTlv(TLV.alpn, alpn),
    textTlv(TLV.authority, authority),
    textTlv(TLV.uniqueId, uniqueId),
    tls === undefined ? EMPTY : tlv(TLV.tls, tlsValue(tls)),
    tlv(TLV.crc32c, Buffer.alloc(4)),
  ]);
  const head = Buffer.of(0x21, pair.source.length === 4 ? 0x11 : 0x21, body.length >> 8, body.length & 255);
  const header = Buffer.concat([SIGNATURE, head, body]);
  header.writeUInt32BE(crc32c(header), header.length - 4);
  return header;
}

const EMPTY = Buffer.alloc(0);
const NOT_VERIFIED = 1;

function tlsValue(tls: HeaderTls | null): Buffer {
  if (tls === null) return Buffer.of(0, 0, 0, 0, NOT_VERIFIED);
  const { certificate, version, cipher, clientName, signature, key } = tls;
  return Buffer.concat([
    Buffer.of(certificate === 'none' ? TLS_USED : TLS_USED | CERTIFICATE_NOW),
    Buffer.of(0, 0, 0, certificate === 'verified' ? 0 : NOT_VERIFIED),
    textTlv(TLV.tlsVersion, version),
    textTlv(TLV.tlsClientName, certificate === 'none' ? null : clientName),
    textTlv(TLV.tlsCipher, cipher),
    textTlv(TLV.tlsSignature, signature),
    textTlv(TLV.tlsKey, key),
  ]);
}

/** A text that is too long for any reader is left out. */
const TEXT_BYTES_MAX = 256;

function textTlv(type: number, text: string | null): Buffer {
  const value = text === null ? EMPTY : Buffer.from(text);
  return value.length === 0 || value.length > TEXT_BYTES_MAX ? EMPTY : tlv(type, value);
}

function tlv(type: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.of(type, value.length >> 8, value.length & 255), value]);
}
