// Where users of hashed backends were put by hand, on the path of a connection: a stay at a user's mailbox begins before
// anything of it is asked of a server, and ends when the leg to that server is closed; while the user is being moved
// nobody begins one. Promises: whoever is held waits a short time only, then is told to come again.

import type { BackendSettings } from '../config/settings.ts';
import { GateError } from '../errors.ts';
import type { Backend } from './backend-leg.ts';
import type { Client } from './client.ts';

/** Somebody is at a mailbox, or on the way there. */
export interface Stay {
  /** As placementKey() has them. */
  readonly keys: readonly string[];
  /** Once. */
  end(): void;
}

/** What is known of placements; the supervisor's, in each worker (service/placements/replica.ts). */
export interface Placements {
  /** Identity of the server where the user was put; null: hashing decides. */
  find(backend: string, user: string): string | null;
  /** At once unless the user is being moved; null: that takes too long. */
  enter(backends: readonly string[], user: string): Stay | Promise<Stay | null>;
}

export const NO_PLACEMENTS: Placements = {
  find: () => null,
  enter: () => ({ keys: [], end: () => undefined }),
};

/**
 * Whoever's host the directory names (`isPlaced`) is moved there, not by hand. Throws where the user is being moved, or
 * the client is gone meanwhile.
 */
export async function beginStay(
  client: Client,
  backend: Backend,
  { user, isPlaced }: { readonly user: string; readonly isPlaced: boolean },
): Promise<void> {
  const own = isPlaced ? [] : hashed(backend.settings);
  const names = [...new Set([...own, ...storeOf(client)])];
  if (names.length === 0) return;
  const begun = client.gate.placements.enter(names, user);
  const stay = begun instanceof Promise ? await begun : begun;
  if (stay === null) throw new GateError('USER_MOVING', { backend: backend.settings.name });
  client.stay = stay;
  if (client.leg.failure !== null) throw client.leg.failure;
}

function hashed({ balance, name }: Pick<BackendSettings, 'balance' | 'name'>): readonly string[] {
  return balance === 'hash' ? [name] : [];
}

/** The store that is asked for passwords is logged in to for a moment. */
function storeOf({ gate }: Client): readonly string[] {
  const { verify } = gate.settings;
  return gate.passwordCheck !== null && verify.kind === 'store' ? [verify.store] : [];
}
