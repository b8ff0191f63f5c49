// POP before SMTP: what a login at a mailbox is worth to SMTP sessions from its address, and for how long. Pure. Times
// are milliseconds of the wall clock, so that they outlive a process and hold over machines.

import type { PopBeforeSmtpSettings, Protocol, ServiceSettings } from '../config/settings.ts';
import { contains, type Network, parseNetwork } from '../wire/network.ts';

/** Who earned it, where, and when last. */
export interface Grant {
  readonly user: string;
  /** Name of the service. */
  readonly service: string;
  readonly at: number;
  /** How long it holds, where not as long as the rules say. */
  readonly ttlMs?: number;
}

/** A null grant is gone. */
export type GrantChange = readonly [key: string, grant: Grant | null];

type Rules = Pick<PopBeforeSmtpSettings, 'ttlMs'>;

/** What it is called where rules of channels are named. */
export const POP_BEFORE_SMTP = 'pop-before-smtp';

/** Longer names cannot be told to a relay. */
export const USER_MAX = 255;

/** A login within this part of `ttl` after the last one of the same user changes nothing worth telling. */
const SAME_PART = 100;

/** When it is over, so that whoever keeps it may forget it. */
export function endOf({ at, ttlMs = Infinity }: Grant, rules: Rules): number {
  return at + Math.min(ttlMs, rules.ttlMs);
}

export function isLive(grant: Grant, now: number, rules: Rules): boolean {
  return now < endOf(grant, rules);
}

/** The grant that a login earns; null: the name is none that an operator could look for. */
export function grantFor(
  user: string,
  { name, grantTtlMs }: Pick<ServiceSettings, 'name' | 'grantTtlMs'>,
  now: number,
): Grant | null {
  const isName = user !== '' && user.length <= USER_MAX && !/\p{Cc}/u.test(user);
  if (!isName) return null;
  return { user, service: name, at: now, ...(grantTtlMs === null ? {} : { ttlMs: grantTtlMs }) };
}

/** Whether a relay can be told the name (LOGIN); blanks are not for every one of them. */
export function isTellable({ user }: Grant): boolean {
  return !/\s/.test(user);
}

/** Whether a login changes so little that nobody need be told: somebody who polls, or many sessions at once. */
export function isAsGood(known: Grant | null, earned: Grant, rules: Rules): boolean {
  const ttlMs = endOf(earned, rules) - earned.at;
  return (
    known !== null &&
    known.user === earned.user &&
    known.service === earned.service &&
    known.ttlMs === earned.ttlMs &&
    Math.abs(earned.at - known.at) < ttlMs / SAME_PART
  );
}

/** Whether logins in a protocol earn grants. */
export function earns(protocol: Protocol, { protocols }: PopBeforeSmtpSettings): boolean {
  return protocol !== 'smtp' && protocols.includes(protocol);
}

/** The channel that sessions of a service with a grant start on; null: grants mean nothing there. */
export function grantChannelOf(
  service: Pick<ServiceSettings, 'protocol' | 'grants'>,
  settings: { readonly popBeforeSmtp: PopBeforeSmtpSettings | null },
): string | null {
  return service.protocol === 'smtp' && service.grants ? (settings.popBeforeSmtp?.channel ?? null) : null;
}

/** What an operator asks for; a part that is null fits all. */
export interface GrantFilter {
  /** In lower case. */
  readonly user: string | null;
  readonly network: Network | null;
}

export function isMeant([key, { user }]: readonly [string, Grant], filter: GrantFilter): boolean {
  if (filter.user !== null && user.toLowerCase() !== filter.user) return false;
  if (filter.network === null) return true;
  const block = parseNetwork(key);
  return block !== null && overlap(block, filter.network);
}

function overlap(a: Network, b: Network): boolean {
  return contains(a, b.address) || contains(b, a.address);
}

export function formatGrant({ user, service, at, ttlMs }: Grant): string {
  return JSON.stringify([user, service, at, ...(ttlMs === undefined ? [] : [ttlMs])]);
}

/** Null where it is none. A clock that is ahead on another machine makes no grant longer. */
export function parseGrant(text: string, now: number): Grant | null {
  try {
    const value: unknown = JSON.parse(text);
    if (!Array.isArray(value)) return null;
    const [user, service, at, ttlMs] = value as unknown[];
    if (typeof user !== 'string' || typeof service !== 'string' || typeof at !== 'number') return null;
    const own = typeof ttlMs === 'number' ? { ttlMs } : {};
    return { user, service, at: Math.min(at, now), ...own };
  } catch {
    return null;
  }
}
