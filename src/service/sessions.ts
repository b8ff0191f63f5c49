// `sallyport sessions` and `sallyport kick`: what the open connections are, and which of them a filter means. Pure over
// the clients of one worker; who asks has shown to be the owner of the control socket. Nothing listed is secret.

import { GateError } from '../errors.ts';
import type { Client } from '../connection/client.ts';
import { contains, type Network, parseNetwork } from '../wire/network.ts';

/** One open connection, as it is shown. */
export interface SessionInfo {
  readonly id: string;
  readonly service: string;
  readonly client: string;
  readonly port: number;
  /** The balancer or front tier that it came through. */
  readonly via: string | null;
  /** Whom a backend has let in. */
  readonly user: string | null;
  /** Who has logged in for the user; null: nobody else. */
  readonly admin: string | null;
  readonly backend: string | null;
  readonly tls: string | null;
  readonly phase: string;
  readonly seconds: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** What must fit; a part that is null fits everybody. */
export interface SessionFilter {
  readonly id: string | null;
  /** Letter case does not matter. */
  readonly user: string | null;
  readonly network: Network | null;
  /** Name of the backend, or one of its servers. */
  readonly backend: string | null;
  readonly service: string | null;
}

/** So many are listed of each worker; the rest is counted. */
export const LISTED_MAX = 20_000;

const PARTS = ['id', 'user', 'address', 'backend', 'service'] as const;

/** The filter of a request, or a sentence about what is wrong with it. */
export function readFilter(request: Readonly<Record<string, unknown>>): SessionFilter | string {
  for (const part of PARTS) {
    const value = request[part];
    if (value !== undefined && value !== null && (typeof value !== 'string' || value === '')) {
      return `${part}: expected a text`;
    }
  }
  const text = (part: (typeof PARTS)[number]): string | null => {
    const value = request[part];
    return typeof value === 'string' ? value : null;
  };
  const address = text('address');
  const network = address === null ? null : parseNetwork(address);
  if (address !== null && network === null) {
    return `address: expected an address or a network such as 192.0.2.0/24, found ${JSON.stringify(address.slice(0, 60))}`;
  }
  return {
    id: text('id'),
    user: text('user')?.toLowerCase() ?? null,
    network,
    backend: text('backend'),
    service: text('service'),
  };
}

export function isEmpty(filter: SessionFilter): boolean {
  return Object.values(filter).every((part) => part === null);
}

export function fits(client: Client, filter: SessionFilter): boolean {
  const { id, user, network, backend, service } = filter;
  if (id !== null && client.id !== id) return false;
  if (user !== null && !isOf(client, user)) return false;
  if (service !== null && client.gate.name !== service) return false;
  if (backend !== null && client.server !== backend && client.backendName !== backend) return false;
  return network === null || contains(network, client.remote.address);
}

/** The user's own, and those in which it acts for others. */
function isOf({ user, actor }: Client, wanted: string): boolean {
  return user !== null && (user.toLowerCase() === wanted || actor?.toLowerCase() === wanted);
}

export function describeSession(client: Client): SessionInfo {
  return {
    id: client.id,
    service: client.gate.name,
    client: client.remote.address,
    port: client.remote.port,
    via: client.via?.address ?? null,
    user: client.user,
    admin: client.user === null ? null : client.actor,
    backend: client.server,
    tls: client.leg.facts?.version ?? client.outerTls?.version ?? null,
    phase: client.phase,
    seconds: Math.round((client.gate.world.monotonic() - client.startedAt) / 1000),
    bytesIn: client.bytesIn,
    bytesOut: client.bytesOut,
  };
}

export interface SessionList {
  readonly sessions: readonly SessionInfo[];
  /** Those that fit, listed or not. */
  readonly count: number;
}

export function listSessions(clients: Iterable<Client>, filter: SessionFilter): SessionList {
  const sessions: SessionInfo[] = [];
  let count = 0;
  for (const client of clients) {
    if (!fits(client, filter)) continue;
    count++;
    if (sessions.length < LISTED_MAX) sessions.push(describeSession(client));
  }
  return { sessions, count };
}

/** Ends those that fit, in their dialect where words fit; gives their number. */
export function kickSessions(clients: Iterable<Client>, filter: SessionFilter): number {
  const meant = [...clients].filter((client) => client.phase !== 'closing' && fits(client, filter));
  for (const client of meant) client.dismiss(new GateError('KICKED'));
  return meant.length;
}

/** Whoever leads to a mailbox is to go. */
export interface Eviction {
  /** As placementKey() has it. */
  readonly key: string;
  /** Those at this server may stay; null: nobody. */
  readonly except: string | null;
}

/** Also those that are on the way to the mailbox, and not let in yet. */
export function evictSessions(clients: Iterable<Client>, { key, except }: Eviction): void {
  const meant = [...clients].filter(
    (client) =>
      client.phase !== 'closing' &&
      client.stay?.keys.includes(key) === true &&
      (except === null || client.server !== except),
  );
  for (const client of meant) client.dismiss(new GateError('KICKED'));
}
