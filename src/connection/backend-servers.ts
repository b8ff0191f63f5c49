// The servers of a backend with what is known of each, and what a failure says about a server: the host is away, it does
// not do what it should, or nothing, where the settings are to blame. Pure but for the shared board.

import type { BackendSettings, Endpoint } from '../config/settings.ts';
import type { ErrorCode, GateError } from '../errors.ts';
import type { Outcome } from '../policy/breaker.ts';
import { formatHostPort } from '../wire/address.ts';
import { type HealthBoard, keyOf, type ServerHealth } from './server-health.ts';

export interface ServerOfBackend {
  readonly endpoint: Endpoint;
  readonly identity: string;
  readonly weight: number;
  readonly priority: number;
  readonly health: ServerHealth;
}

export function serverName(server: Endpoint): string {
  return server.kind === 'unix' ? server.path : formatHostPort(server.host, server.port);
}

/** The names of all servers of a backend, as the board has them. */
export function serverKeys({ name, servers }: BackendSettings): readonly string[] {
  return servers.map((server) => keyOf(name, serverName(server)));
}

/** What users are put on a server by: the same machine for IMAP and for POP3, unless several servers are on one. */
export function identitiesOf({ servers }: Pick<BackendSettings, 'servers'>): readonly string[] {
  const hosts = servers.map((server) => (server.kind === 'tcp' ? server.host : server.path));
  return servers.map((server, place) => {
    const host = hosts[place] ?? '';
    return hosts.filter((other) => other === host).length === 1 ? host : serverName(server);
  });
}

export function serversOf(settings: BackendSettings, board: HealthBoard): readonly ServerOfBackend[] {
  const { name, servers } = settings;
  const identities = identitiesOf(settings);
  return servers.map((server, place) => {
    const { weight = 1, priority = place + 1 } = server;
    const identity = identities[place] ?? '';
    return { endpoint: server, identity, weight, priority, health: board.of(name, serverName(server)) };
  });
}

/** Failures behind the greeting that say something of the server; others come from the settings. */
const TELLING: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'BACKEND_CLOSED',
  'BACKEND_REFUSED',
  'BACKEND_TIMEOUT',
  'BACKEND_PROTOCOL',
  'BACKEND_NO_CLIENT_INFO',
]);

/** Whether a failure behind the greeting says something of the server or of the client. */
export function isTelling({ code }: GateError): boolean {
  return TELLING.has(code);
}

/** Whether a server hears of the client before it says a word (PROXY), so that even a greeting may fail for its sake. */
export function saysWhoFirst({ client }: BackendSettings): boolean {
  return client.some(({ method }) => method.startsWith('proxy'));
}

/** What needs no second look: nobody listens, or no way leads there. */
const ABSENT = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ENOTFOUND', 'ENOENT']);

/** Want of our own: no server is to blame for it. */
const OURS = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']);

/** Null: it says nothing of the server. */
export function outcomeOf({ cause }: GateError): Outcome | null {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  if (OURS.has(code)) return null;
  return { kind: ABSENT.has(code) ? 'refused' : 'failed' };
}
