// Hosts that a directory names for a user: which of them a backend may be led to, and what is known of each. Promises: a
// host that is neither among the servers nor in `hosts` of the settings is nobody's; so many hosts are remembered and no
// more, the longest unused go first.

import type { BackendSettings, Endpoint, HostPattern, Protocol } from '../config/settings.ts';
import { formatHostPort, ipOf, parseHostPort } from '../wire/address.ts';
import { contains } from '../wire/network.ts';
import type { ServerOfBackend } from './backend-servers.ts';
import type { HealthBoard } from './server-health.ts';

const HOSTS_MAX = 1024;

const PORTS: Readonly<Record<Protocol, readonly [plain: number, implicit: number]>> = {
  imap: [143, 993],
  pop3: [110, 995],
  smtp: [25, 465],
};

/** The server that a directory means by `host` or `host:port`; null: it may not. */
export function namedServer(text: string, settings: BackendSettings, protocol: Protocol): Endpoint | null {
  const bare = ipOf(text.replace(/^\[(.*)\]$/, '$1'));
  const port = settings.port ?? PORTS[protocol][settings.tls.mode === 'implicit' ? 1 : 0];
  const named = parseHostPort(text) ?? parseHostPort(formatHostPort(bare?.address ?? text, port));
  if (named === null) return null;
  const isGiven = parseHostPort(text) !== null;
  const host = (ipOf(named.host)?.address ?? named.host).toLowerCase();
  const own = settings.servers.find(
    (server) =>
      server.kind === 'tcp' && server.host.toLowerCase() === host && (!isGiven || server.port === named.port),
  );
  // A server of the settings has its own port.
  if (own?.kind === 'tcp') return { kind: 'tcp', host: own.host, port: own.port };
  return settings.hosts.some((pattern) => isHost(pattern, host))
    ? { kind: 'tcp', host, port: named.port }
    : null;
}

function isHost(pattern: HostPattern, host: string): boolean {
  if (!('name' in pattern)) return contains(pattern, host);
  if (ipOf(host) !== null && !/^[\d.*]+$/.test(pattern.name)) return false;
  const [first = '', ...rest] = pattern.name.split('*');
  if (rest.length === 0) return pattern.name === host;
  const last = rest.pop() ?? '';
  if (host.length < first.length + last.length || !host.startsWith(first) || !host.endsWith(last))
    return false;
  // What is between stars, from left to right.
  let at = first.length;
  for (const part of rest) {
    const found = host.indexOf(part, at);
    if (found < 0 || found + part.length > host.length - last.length) return false;
    at = found + part.length;
  }
  return true;
}

/** What is known of the hosts of one backend. */
export class HostBook {
  readonly #backend: string;
  readonly #board: HealthBoard;
  readonly #hosts = new Map<string, ServerOfBackend>();

  constructor(backend: string, board: HealthBoard) {
    this.#backend = backend;
    this.#board = board;
  }

  /** The directory's order, but for those that are left alone; a server of the settings stays what it is. */
  order(named: readonly Endpoint[], servers: readonly ServerOfBackend[]): readonly ServerOfBackend[] {
    const known = named.map(
      (host, place) =>
        servers.find(({ endpoint }) => nameOf(endpoint) === nameOf(host)) ?? this.#of(host, place + 1),
    );
    const usable = known.filter(({ health }) => health.state === 'up');
    return [...usable, ...known.filter(({ health }) => health.state === 'penalty')];
  }

  #of(endpoint: Endpoint, priority: number): ServerOfBackend {
    const name = nameOf(endpoint);
    const health = this.#hosts.get(name)?.health ?? this.#board.of(this.#backend, name);
    const server = { endpoint, identity: name, weight: 1, priority, health };
    this.#hosts.delete(name);
    this.#hosts.set(name, server);
    if (this.#hosts.size > HOSTS_MAX) this.#forgetOne();
    return server;
  }

  find(name: string): ServerOfBackend | undefined {
    return this.#hosts.get(name);
  }

  /** The last ones that were used. */
  recent(count: number): readonly ServerOfBackend[] {
    return [...this.#hosts.values()].slice(-count);
  }

  /** Their names, so that they are not forgotten elsewhere. */
  get names(): readonly string[] {
    return [...this.#hosts.keys()];
  }

  /** One without connections where there is one among the oldest. */
  #forgetOne(): void {
    const oldest = [...this.#hosts.entries()].slice(0, 32);
    const [name] = oldest.find(([, { health }]) => health.open === 0) ?? oldest[0] ?? [];
    if (name === undefined) return;
    this.#hosts.delete(name);
    this.#board.forget(this.#backend, name);
  }
}

function nameOf(endpoint: Endpoint): string {
  return endpoint.kind === 'unix' ? endpoint.path : formatHostPort(endpoint.host, endpoint.port);
}
