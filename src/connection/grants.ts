// POP before SMTP on the path of a connection: a login at a mailbox earns a grant for the client's address, an SMTP
// session from an address that has one starts on the channel of grants, and its relay is told what the settings say.
// Promises: an address is only the client's own, never that of a balancer or front tier of ours; a login waits for its
// grant to be known to all workers (and to the store), so that the very next connection finds it, but never for longer
// than the book's own limit, and never fails for it.

import { type Grant, grantFor, isTellable } from '../policy/grants.ts';
import type { AuthService } from '../protocol/dialect.ts';
import { SmtpFront } from '../protocol/smtp-front.ts';
import type { NetworkTable } from '../wire/network.ts';
import { isTier } from './admit.ts';
import type { Client } from './client.ts';

/** What is known of grants; the supervisor's, in each worker (service/grants/replica.ts). */
export interface Grants {
  /** Resolves when everybody knows of it, or a short time is over. */
  earn(address: string, grant: Grant): Promise<void>;
  /** At once, where nobody else need be asked. */
  find(address: string): Grant | null | Promise<Grant | null>;
}

/** What grants mean at one service. */
export interface GateGrants {
  readonly book: Grants;
  readonly channel: string;
  readonly tell: readonly ('login' | 'channel')[];
  /** Logins at it earn one. */
  readonly earns: boolean;
  /** Sessions of it start on the channel. */
  readonly uses: boolean;
  /** Who never has one. */
  readonly excluded: NetworkTable<true>;
  /** Who may ask by XQUERYAUTH. */
  readonly askers: NetworkTable<true>;
}

/** A login was accepted, and its client not told yet. */
export async function earnGrant(client: Client, user: string): Promise<void> {
  const { grants, settings, world } = client.gate;
  if (grants === null || !grants.earns || !mayHold(client, grants)) return;
  const grant = grantFor(user, settings, world.now());
  if (grant === null) return;
  await grants.book.earn(client.remote.address, grant);
  if (client.leg.failure !== null) throw client.leg.failure;
}

/** The grant of the client that is there now. */
export function findGrant(client: Client): Grant | null | Promise<Grant | null> {
  const { grants } = client.gate;
  if (grants === null || !grants.uses || !mayHold(client, grants)) return null;
  return grants.book.find(client.remote.address);
}

/** Who speaks for others has no grant of its own, nor what shares an IPv6 block with somebody who has. */
function mayHold(client: Client, { excluded }: GateGrants): boolean {
  const { address } = client.remote;
  return address !== '' && !isTier(client) && excluded.find(address) === undefined;
}

export interface GrantTold {
  readonly login?: string;
  readonly channel?: string;
}

/** What the relay is told of the grant by which mail comes: nothing, where somebody has logged in. */
export function toldOf({ course, gate, session }: Client): GrantTold {
  const grant = course?.grant ?? null;
  const { grants } = gate;
  if (grant === null || grants === null) return {};
  if (session instanceof SmtpFront && session.authenticated) return {};
  return {
    ...(grants.tell.includes('login') && isTellable(grant) ? { login: grant.user } : {}),
    ...(grants.tell.includes('channel') ? { channel: grants.channel } : {}),
  };
}

/** Null: the client may not ask. */
export function authServiceOf({ gate, remote }: Client): AuthService | null {
  const { grants } = gate;
  if (grants === null || grants.askers.find(remote.address) === undefined) return null;
  return async (address) => (await grants.book.find(address))?.user ?? null;
}
