// Addresses as text: IP addresses in one canonical form, host and port, endpoints.
// Promises: never throws, asks no resolver; the same address always comes out as the same string, so that it can be a
// key of a table. On failure: null.

import { isIP } from 'node:net';

export interface IpAddress {
  readonly kind: 'ip';
  readonly address: string;
}

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export type Endpoint =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

const MAX_TEXT = 300;
/** sockaddr_un holds 108 bytes, the last of them a NUL. */
const MAX_UNIX_PATH_BYTES = 107;
const V4_MAPPED = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/;
const HOST_NAME =
  /^(?=.{1,253}\.?$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.?$/i;

const LOOPBACK = /^(::1|(::ffff:)?127\.\d+\.\d+\.\d+)$/;

export function isLoopback(address: string): boolean {
  return LOOPBACK.test(address);
}

/** The canonical text of an IP address: IPv6 as in RFC 5952 4, without zone; an IPv4-mapped one as IPv4. */
export function ipOf(text: string): IpAddress | null {
  const family = text.length > MAX_TEXT ? 0 : isIP(text);
  if (family === 0) return null;
  if (family === 4) return { kind: 'ip', address: text };
  const zone = text.indexOf('%');
  const bare = zone < 0 ? text : text.slice(0, zone);
  const canonical = new URL(`http://[${bare}]/`).hostname.slice(1, -1);
  const mapped = V4_MAPPED.exec(canonical);
  if (mapped === null) return { kind: 'ip', address: canonical };
  const words = [Number.parseInt(mapped[1] ?? '', 16), Number.parseInt(mapped[2] ?? '', 16)];
  return { kind: 'ip', address: words.map((word) => `${word >> 8}.${word & 255}`).join('.') };
}

/** Whether a text has the form of a host name, as servers want it that are told one. */
export function isHostName(text: string): boolean {
  return HOST_NAME.test(text);
}

export function formatHostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** `host:port`, `192.0.2.1:port` or `[2001:db8::1]:port`; an IPv6 address without brackets is ambiguous, hence null. */
export function parseHostPort(text: string): HostPort | null {
  if (text.length > MAX_TEXT) return null;
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  if (match === null) return null;
  const port = Number(match[3]);
  if (port < 1 || port > 65535) return null;
  const inBrackets = match[1];
  if (inBrackets !== undefined) return isIP(inBrackets) === 6 ? { host: inBrackets, port } : null;
  const host = match[2] ?? '';
  const wellFormed = /^[\d.]+$/.test(host) ? isIP(host) === 4 : HOST_NAME.test(host);
  return wellFormed ? { host, port } : null;
}

/** A TCP host and port, or a Unix socket as `unix:/path` or `/path`. */
export function parseEndpoint(text: string): Endpoint | null {
  const path = text.startsWith('unix:') ? text.slice('unix:'.length) : text;
  if (path.startsWith('/')) {
    const fits = path.length > 1 && Buffer.byteLength(path) <= MAX_UNIX_PATH_BYTES && !path.includes('\0');
    return fits ? { kind: 'unix', path } : null;
  }
  if (text.startsWith('unix:')) return null;
  const where = parseHostPort(text);
  return where === null ? null : { kind: 'tcp', ...where };
}
