// Step 2: what a balancer says of the client that it stands for, before the first byte of the protocol or of TLS.
// Promises: only peers of proxyProtocol.from are read at all, and nobody else's header is believed; what is behind the
// header goes to TLS or the protocol unread; LOCAL and UNKNOWN leave the balancer's own address, which is then the
// client. On failure (missing, malformed, too long, too slow) the socket is destroyed and nothing is said.
// Also the other direction: what a server that expects a header is told.

import type net from 'node:net';
import type { BackendSettings, ProxyProtocolSettings } from '../config/settings.ts';
import { GateError } from '../errors.ts';
import type { Introduction, OuterTls } from '../protocol/dialect.ts';
import type { TlsFacts } from '../tls/facts.ts';
import { NetworkTable } from '../wire/network.ts';
import { type HeaderTls, parseProxyHeader, type Proxied, type ProxyHeader } from '../wire/proxy-header.ts';
import { formatProxyHeader } from '../wire/proxy-header-out.ts';
import type { Client } from './client.ts';

/** Who may speak for others at a service; made once per gate. */
export interface Balancers {
  readonly mode: ProxyProtocolSettings['mode'];
  readonly include: (socket: net.Socket, address: string) => boolean;
}

export function balancersOf(settings: ProxyProtocolSettings | null): Balancers | null {
  if (settings === null) return null;
  const { from, mode } = settings;
  const table = new NetworkTable(from.flatMap((peer) => (peer === 'unix' ? [] : [[peer, true] as const])));
  const unix = from.includes('unix');
  return {
    mode,
    include: (socket, address) =>
      address === '' ? unix && isUnixSocket(socket) : table.find(address) === true,
  };
}

/** A TCP peer that has gone has no address any more either, but our own end of it still has one. */
function isUnixSocket(socket: net.Socket): boolean {
  return socket.localAddress === undefined;
}

export async function proxyHeader(client: Client): Promise<void> {
  const { balancers } = client.gate;
  if (balancers === null) return;
  if (!balancers.include(client.leg.socket, client.remote.address)) {
    if (balancers.mode === 'optional') return;
    client.leg.destroy();
    throw new GateError('PROXY_STRANGER');
  }
  const header = await readHeader(client, balancers.mode);
  const proxied = header?.proxied ?? null;
  if (proxied === null) return;
  client.leg.securedOutside = proxied.tls !== null && proxied.tls !== undefined;
  client.proxied = proxied;
  client.introduce(introductionOf(proxied));
}

/** Null: the peer is a client like others. */
async function readHeader(client: Client, mode: Balancers['mode']): Promise<ProxyHeader | null> {
  const { leg, gate } = client;
  const reader = new HeaderReader(mode);
  const timer = gate.world.after(gate.timeouts.proxyHeaderMs, () => {
    reader.late = true;
    leg.lookAgain();
  });
  try {
    await leg.opening(reader.judge);
    return reader.header;
  } catch (error) {
    leg.destroy();
    throw error;
  } finally {
    timer.cancel();
  }
}

class HeaderReader {
  readonly #mode: Balancers['mode'];
  header: ProxyHeader | null = null;
  /** The time is over. */
  late = false;

  constructor(mode: Balancers['mode']) {
    this.#mode = mode;
  }

  /** How many of the bytes that came are the header's; null: more must come. */
  readonly judge = (bytes: Buffer): number | null => {
    const read = parseProxyHeader(bytes);
    switch (read.kind) {
      case 'header':
        this.header = read;
        return read.bytes;
      case 'malformed':
        throw new GateError('PROXY_HEADER_BAD', { reason: read.reason });
      case 'none':
        if (this.#mode === 'optional') return 0;
        throw new GateError('PROXY_HEADER_MISSING');
      case 'need-more':
        if (!this.late) return null;
        // Clients of IMAP, POP3 and SMTP wait for the greeting, so silence is theirs.
        if (this.#mode === 'optional' && bytes.length === 0) return 0;
        throw new GateError('PROXY_HEADER_TIMEOUT', { bytes: bytes.length });
    }
  };
}

function introductionOf({ source, destination, tls, authority, uniqueId }: Proxied): Introduction {
  return {
    address: source.address,
    port: source.port,
    localAddress: destination.address,
    localPort: destination.port,
    tls: outerTls(tls, authority),
    sessionId: uniqueId ?? undefined,
  };
}

function outerTls(tls: HeaderTls | null | undefined, sni: string | null): Introduction['tls'] {
  if (tls === null || tls === undefined) return tls;
  const { version, cipher, certificate, clientName } = tls;
  return { version, cipher, sni, clientName: certificate === 'verified' ? clientName : null };
}

/** The PROXY header that a server of a backend expects; null: none. */
export function headerFor(
  settings: BackendSettings,
  proxied: Proxied | null,
  raw: net.Socket,
): Buffer | null {
  const version = versionFor(settings);
  if (version === null) return null;
  // Postfix takes UNKNOWN for an error. Our own address says the same: nobody but us.
  return formatProxyHeader(version, proxied ?? (version === 1 ? ourselves(raw) : null));
}

function versionFor({ client }: BackendSettings): 1 | 2 | null {
  const way = client.find(({ method }) => method === 'proxy-v1' || method === 'proxy-v2');
  return way === undefined ? null : way.method === 'proxy-v1' ? 1 : 2;
}

const SILENT = { tls: undefined, alpn: null, authority: null, uniqueId: null };

function ourselves({ localAddress, localPort, remoteAddress, remotePort }: net.Socket): Proxied {
  return {
    source: { address: localAddress ?? '', port: localPort ?? 0 },
    destination: { address: remoteAddress ?? '', port: remotePort ?? 0 },
    ...SILENT,
  };
}

/**
 * The client as a PROXY header tells it; null where the backend gets none, or the client has no address to tell. TLS
 * that a balancer has ended is the client's own.
 */
export function proxiedOf(client: Client, settings: BackendSettings): Proxied | null {
  const { leg, outerTls } = client;
  if (versionFor(settings) === null || client.remote.address === '') return null;
  // What secures the way from a front tier to us says nothing about the client.
  const own = client.tier === null ? leg.facts : null;
  const tls = outerTls ?? own;
  return {
    source: client.remote,
    destination: client.local,
    tls: tls === null ? undefined : headerTls(tls, outerTls?.clientName ?? null),
    alpn: own?.alpn ?? null,
    authority: tls?.sni ?? null,
    uniqueId: client.outerId ?? client.id,
  };
}

function headerTls({ version, cipher }: OuterTls | TlsFacts, clientName: string | null): HeaderTls {
  const certificate = clientName === null ? 'none' : 'verified';
  return { version, cipher, certificate, clientName, signature: null, key: null };
}
