// Single items of the lists in the file: addresses, ways to tell the client, nicknames. Each gives the value, null for
// what is nothing of the kind, or a Misfit that says more.

import { isIP } from 'node:net';
import { parseEndpoint } from '../wire/address.ts';
import { type ChannelMatch, parseChannelMatch } from '../wire/channel-match.ts';
import { isAttributeName } from '../wire/ldap-filter.ts';
import { type Network, parseNetwork } from '../wire/network.ts';
import { found, isText, Misfit } from './misfit.ts';
import type {
  ClientInfo,
  Endpoint,
  HostPattern,
  LdapServerSettings,
  Server,
  TrustedPeer,
  Verify,
} from './settings.ts';

const HOST_NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i;

export function isHostName(text: string): boolean {
  return HOST_NAME.test(text);
}

export function readListener(item: unknown): Endpoint | null {
  const text = typeof item === 'number' ? String(item) : item;
  if (!isText(text)) return null;
  const alone = /^(?:\*?:)?(\d{1,5})$/.exec(text);
  if (alone) {
    const port = Number(alone[1]);
    return port <= 65_535 ? { kind: 'tcp', host: '::', port } : null;
  }
  // Port 0 is a free one, which parseEndpoint does not know.
  const free = text.endsWith(':0');
  const endpoint = parseEndpoint(free ? text.replace(/0$/, '1') : text);
  if (endpoint?.kind !== 'tcp') return endpoint;
  if (isIP(endpoint.host) === 0) return null;
  return free ? { ...endpoint, port: 0 } : endpoint;
}

export function readServer(item: unknown): Server | Misfit | null {
  if (item instanceof Map) return readServerMap(item);
  if (!isText(item)) return null;
  const endpoint = parseEndpoint(item);
  if (endpoint !== null) return endpoint;
  const withPort = `${isIP(item) === 6 ? `[${item}]` : item}:143`;
  return item.length <= 60 && parseEndpoint(withPort) !== null
    ? new Misfit([`a port is missing, as in ${withPort}`])
    : null;
}

const WEIGHT_MAX = 100;
const PRIORITY_MAX = 1000;

/** `{ server: host:port, weight: 2, priority: 1 }` */
function readServerMap(item: ReadonlyMap<unknown, unknown>): Server | Misfit | null {
  const unknown = [...item.keys()].filter((key) => !['server', 'weight', 'priority'].includes(String(key)));
  if (unknown.length > 0) return new Misfit([`unknown key ${found(String(unknown[0]))}`]);
  const endpoint = readServer(item.get('server') ?? null);
  if (endpoint === null || endpoint instanceof Misfit) return endpoint;
  const given: { weight?: number; priority?: number } = {};
  for (const [key, max] of [
    ['weight', WEIGHT_MAX],
    ['priority', PRIORITY_MAX],
  ] as const) {
    const value = item.get(key);
    if (value === undefined) continue;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > max)
      return new Misfit([`${key}: expected a whole number from 1 to ${max}, found ${found(value)}`]);
    given[key] = value;
  }
  return { ...endpoint, ...given };
}

/** Hex as OpenSSL prints it (colons allowed) or base64; both with or without `sha256:`. */
export function readPin(item: unknown): string | null {
  if (!isText(item)) return null;
  const text = item.replace(/^sha256[:/]\s*/i, '');
  const hex = text.replaceAll(':', '').toLowerCase();
  if (/^[0-9a-f]{64}$/.test(hex)) return hex;
  return /^[A-Za-z0-9+/]{43}=$/.test(text) ? Buffer.from(text, 'base64').toString('hex') : null;
}

export function readVerify(item: unknown): Verify | null {
  if (item === 'backend' || item === 'directory') return { kind: item };
  const map: unknown = Array.isArray(item) && item.length === 1 ? item[0] : null;
  const store: unknown = map instanceof Map && map.size === 1 ? map.get('store') : null;
  return isText(store) ? { kind: 'store', store } : null;
}

const CLIENT_METHODS = ['id', 'xclient', 'xpehlo', 'proxy-v1', 'proxy-v2'] as const;

export function readClient(item: unknown): ClientInfo | Misfit | null {
  const [, word, mark] = typeof item === 'string' ? (/^([a-z0-9-]+)(\?)?$/.exec(item) ?? []) : [];
  const method = CLIENT_METHODS.find((known) => known === word);
  if (method === undefined) return null;
  if (mark !== undefined && method.startsWith('proxy-')) {
    return new Misfit([
      `${method} cannot be optional: a server that does not expect the header takes it for garbage`,
    ]);
  }
  return { method, required: mark === undefined };
}

/** One connection begins with one header. */
export function checkHeaders(ways: ClientInfo[]): ClientInfo[] {
  const headers = ways.map(({ method }) => method).filter((method) => method.startsWith('proxy-'));
  if (headers.length > 1) throw new Misfit([`expected one PROXY header, found ${headers.join(' and ')}`]);
  return ways;
}

export function readPeer(item: unknown): TrustedPeer | null {
  return item === 'unix' ? 'unix' : readNetwork(item);
}

export function readNetwork(item: unknown): Network | null {
  return isText(item) ? parseNetwork(item) : null;
}

export function readAttribute(item: unknown): string | null {
  return isText(item) && isAttributeName(item) ? item : null;
}

const LDAP_URL = /^(ldaps?):\/\/([^/]+)\/?$/i;

export function readLdapUrl(item: unknown): LdapServerSettings | Misfit | null {
  if (!isText(item)) return null;
  const [, scheme = '', place = ''] = LDAP_URL.exec(item) ?? [];
  if (scheme === '')
    return /^ldaps?:\/\/[^/]+\/./i.test(item)
      ? new Misfit([
          `expected nothing behind host and port, found ${found(item)}: the base has a setting of its own`,
        ])
      : null;
  const implicitTls = scheme.toLowerCase() === 'ldaps';
  const hasPort = /:\d+$/.test(place.replace(/^\[[^\]]*\]/, ''));
  const where = parseEndpoint(hasPort ? place : `${place}:${implicitTls ? 636 : 389}`);
  return where?.kind === 'tcp' ? { host: where.host, port: where.port, implicitTls } : null;
}

const HOST_PATTERN = /^(?=.{1,253}$)[a-z0-9*]([a-z0-9.*-]*[a-z0-9*])?$/;

export function readHostPattern(item: unknown): HostPattern | null {
  if (!isText(item)) return null;
  const network = parseNetwork(item);
  if (network !== null) return network;
  const name = item.toLowerCase();
  // Digits and dots alone are a mistaken address.
  return HOST_PATTERN.test(name) && !/^[\d.]+$/.test(name) ? { name } : null;
}

export function readChannelMatch(item: unknown): ChannelMatch | null {
  return isText(item) ? parseChannelMatch(item) : null;
}

interface Range {
  readonly min?: number;
  readonly max?: number;
}

export function inRange(words: string, { min, max }: Range): string {
  if (min === undefined || max === undefined) return words;
  return `${words} from ${min} to ${max}`;
}

/** One number for every address, or a map that arrives as a list of one. */
export function readNetworkLimits(
  value: unknown,
  { min = 0, max = 1e9 }: Range,
): [Network, number][] | Misfit | null {
  const isLimit = (limit: unknown): limit is number =>
    typeof limit === 'number' && Number.isInteger(limit) && limit >= min && limit <= max;
  if (isLimit(value))
    return ['0.0.0.0/0', '::/0'].flatMap((all): [Network, number][] => {
      const network = parseNetwork(all);
      return network === null ? [] : [[network, value]];
    });
  const map: unknown = Array.isArray(value) && value.length === 1 ? value[0] : null;
  if (!(map instanceof Map)) return null;
  const rows: [Network, number][] = [];
  for (const [key, limit] of map) {
    const network = readNetwork(key);
    if (network === null) return new Misfit([`expected a network, as in 192.0.2.0/24, found ${found(key)}`]);
    if (!isLimit(limit))
      return new Misfit([
        `expected a whole number from ${min} to ${max} for ${String(key)}, found ${found(limit)}`,
      ]);
    rows.push([network, limit]);
  }
  return rows;
}

/** A nickname is also a file name in the certificate database, so it cannot leave that folder. */
export function isNickname(text: unknown): text is string {
  return isText(text, 200) && !/[/\\]/.test(text) && text !== '.' && text !== '..';
}

/** `RSA-Cert, EC-Cert` is a list, as in local.imap.sslnicknames. */
export function nicknamesOf(value: unknown): unknown {
  return typeof value === 'string' && value.includes(',')
    ? value.split(',').map((name) => name.trim())
    : value;
}

/** The name of a PKCS#11 module, as any name in a map of the settings. */
export function isModuleName(name: string): boolean {
  return /^\w[\w.@-]{0,63}$/.test(name) && !(name in Object.prototype);
}
