// What a connection asks about others: is there a place left, how long must this address wait. The answers come from
// the worker's own account or from the supervisor (service/limits/worker-guard.ts); nothing here waits for more than a second.

import type { Claim } from '../policy/limits.ts';
import type { Sender, Sent } from './rates.ts';

export interface Guard {
  /** Takes a place under each claim, or none of them; null, or the claim that is full. At once where it can be. */
  take(claims: readonly Claim[]): Claim | null | Promise<Claim | null>;
  give(key: string): void;
  /** Claims of a connection; null: no limit. */
  addressClaim(address: string): Claim | null;
  userClaim(user: string): Claim | null;
  backendClaim(name: string, limit: number): Claim | null;
  readonly totalClaim: Claim | null;
  /** Takes a permit to send one; null, or the rate that is used up. At once where it can be. */
  spend(what: Sent, sender: Sender): Claim | null | Promise<Claim | null>;
  /** Milliseconds that a login from this address has to wait. */
  delayOf(address: string): number;
  /** A login was refused, or accepted: what that address is remembered for. */
  failed(address: string): void;
  proved(address: string): void;
  /** Whether the address may make one more full TLS handshake now; handshook() counts it. */
  mayHandshake(address: string): boolean;
  handshook(address: string): void;
}

/** What a connection holds places for, with the key of each. */
export type Places = Record<'total' | 'address' | 'user' | 'backend', string | null>;

export function noPlaces(): Places {
  return { total: null, address: null, user: null, backend: null };
}
