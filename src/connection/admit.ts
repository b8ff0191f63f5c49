// Before TLS and behind the PROXY header: may this client be here? The access rules of the service, then the limits on
// connections: of its address, and of all. Judged is the client itself, so a front tier of ours is judged by whom it
// brings: admit() takes the tier in, readmit() judges whoever was introduced meanwhile, and is called before each login
// and each mail.
// Promises: a place that was taken is given back when the connection is forgotten; no name is looked up unless the
// rules hang on one, and no look-up takes longer than timeouts.connect. Throws the refusal.

import { type ErrorCode, GateError } from '../errors.ts';
import { type ClientNames, judgeAccess } from '../policy/access.ts';
import type { Claim } from '../policy/limits.ts';
import { type AccessRules, parseAccessRules } from '../wire/access-rules.ts';
import type { Endpoint } from '../config/settings.ts';
import type { Backend } from './backend-leg.ts';
import { serverName } from './backend-servers.ts';
import type { Client } from './client.ts';
import type { Gate } from './gate.ts';
import type { Places } from './guard.ts';

export async function admit(client: Client): Promise<void> {
  if (isTier(client)) await take(client, { total: client.gate.guard.totalClaim });
  else await admitAs(client);
}

/** Does nothing for a client that is still the one that was admitted. */
export async function readmit(client: Client): Promise<void> {
  if (client.admitted !== client.remote.address) await admitAs(client);
}

/** Counts a login once it is proven. */
export async function takeUser(client: Client, user: string): Promise<void> {
  const claim = client.gate.guard.userClaim(user);
  if (claim?.key === client.places.user) return;
  client.leave('user');
  await take(client, { user: claim });
}

/** `host`: the first that a directory has named, each of which has the limit for itself. */
export async function takeBackend(
  client: Client,
  { settings }: Backend,
  host: Endpoint | null,
): Promise<void> {
  client.leave('backend');
  const { name, connections } = settings;
  if (connections === 0) return;
  const key = host === null ? name : `${name} ${serverName(host)}`;
  await take(client, { backend: client.gate.guard.backendClaim(key, connections) });
}

/**
 * A front tier or balancer of ours that has not said yet whom it brings, or asks for itself; before a login it is judged
 * like anybody, but neither counted nor slowed.
 */
export function isTier(client: Client): boolean {
  const { tier, via, remote, gate } = client;
  if (client.isFrontTier && (tier === null || tier.address === remote.address)) return true;
  return via === null && gate.balancers?.include(client.leg.socket, remote.address) === true;
}

async function admitAs(client: Client): Promise<void> {
  const { gate } = client;
  const { address } = client.remote;
  if (gate.access !== null) await requireAccess(client, gate.access);
  client.leave('address');
  await take(client, {
    total: client.places.total === null ? gate.guard.totalClaim : null,
    address: isTier(client) ? null : gate.guard.addressClaim(address),
  });
  client.admitted = address;
}

const FULL = {
  total: 'TOTAL_LIMIT',
  address: 'ADDRESS_LIMIT',
  user: 'USER_LIMIT',
  backend: 'BACKEND_LIMIT',
} as const satisfies Record<keyof Places, ErrorCode>;

const PLACES = Object.keys(FULL) as (keyof Places)[];

/** All places or none of them. */
async function take(
  client: Client,
  wanted: Readonly<Partial<Record<keyof Places, Claim | null>>>,
): Promise<void> {
  const claims: { readonly place: keyof Places; readonly claim: Claim }[] = [];
  for (const place of PLACES) {
    const claim = wanted[place] ?? null;
    if (claim !== null) claims.push({ place, claim });
  }
  if (claims.length === 0) return;
  const answer = client.gate.guard.take(claims.map(({ claim }) => claim));
  const full = answer instanceof Promise ? await answer : answer;
  for (const { place, claim } of claims) {
    if (full !== null && full.key === claim.key) throw new GateError(FULL[place], { limit: full.limit });
  }
  for (const { place, claim } of claims) client.places[place] = claim.key;
}

async function requireAccess(client: Client, rules: AccessRules): Promise<void> {
  // Or a balancer has ended it, as it came.
  const implicitTls = client.gate.implicitTls || client.leg.securedOutside;
  if (!(await isAllowed(client, rules, implicitTls ? 'imaps' : 'imap'))) throw new GateError('ACCESS_DENIED');
}

/** Rules of a user, as the directory has them: any TLS counts. What cannot be read lets nobody in. */
export async function passesRules(client: Client, text: string): Promise<boolean> {
  const rules = parseAccessRules(text);
  if (rules.kind === 'rules') return isAllowed(client, rules, client.leg.secured ? 'imaps' : 'imap');
  client.gate.log.error('access-rules-malformed', { user: client.claimed, reason: rules.reason });
  return false;
}

/** `as`: the plain name of the service, or that with TLS, whatever the protocol. */
async function isAllowed(client: Client, rules: AccessRules, as: 'imap' | 'imaps'): Promise<boolean> {
  const { gate, remote } = client;
  const facts = {
    protocol: gate.dialect.protocol,
    implicitTls: as === 'imaps',
    address: remote.address,
    names: null as ClientNames | null,
  };
  const ruling = judgeAccess(rules, facts);
  if (ruling !== 'needs names') return ruling === 'allow';
  const names = await lookUpNames(gate, remote.address);
  return judgeAccess(rules, { ...facts, names }) === 'allow';
}

const NAMELESS: ClientNames = { claimed: [], confirmed: [] };

async function lookUpNames({ world, timeouts }: Gate, address: string): Promise<ClientNames> {
  if (address === '') return NAMELESS;
  const { promise, resolve } = Promise.withResolvers<ClientNames>();
  const late = world.after(timeouts.connectMs, () => resolve(NAMELESS));
  world.namesOf(address).then(resolve, () => resolve(NAMELESS));
  const names = await promise;
  late.cancel();
  return names;
}
