// What a worker and the supervisor say to each other about counts, penalties and grants: plain data, in batches. A worker is not
// believed more than it must be: what it says is checked for its form and size before anybody looks at it.

import { type Grant, type GrantChange, USER_MAX } from '../../policy/grants.ts';
import type { Claim } from '../../policy/limits.ts';
import type { Penalty } from '../../policy/penalties.ts';
import type { Placement, PlacementChange } from '../../policy/placements.ts';

/** How a worker stands among the others. */
export interface Sharing {
  readonly workers: number;
  /** Other machines count too, so each place is asked for. */
  readonly nodes: boolean;
}

/** What a new worker is told. */
export interface SharingStart extends Sharing {
  /** Keys that are near their limit: asked for one by one. */
  readonly escorted: readonly string[];
  readonly penalties: readonly (readonly [string, Penalty])[];
  readonly grants: readonly (readonly [string, Grant])[];
  readonly placements: readonly (readonly [string, Placement])[];
}

export const ALONE: SharingStart = {
  workers: 1,
  nodes: false,
  escorted: [],
  penalties: [],
  grants: [],
  placements: [],
};

export type PenaltyChange = readonly [key: string, penalty: Penalty | null];

export type ToGuard =
  /** `full` is the key that has no place; otherwise all of `keys` are granted. */
  | {
      readonly what: 'answer';
      readonly question: number;
      readonly full: string | null;
      readonly keys: readonly string[];
    }
  | { readonly what: 'relax'; readonly keys: readonly string[] }
  | { readonly what: 'penalties'; readonly changes: readonly PenaltyChange[] }
  | { readonly what: 'grants'; readonly changes: readonly GrantChange[] }
  | { readonly what: 'placements'; readonly changes: readonly PlacementChange[] }
  /** What was earned is known, or what was asked for is this. */
  | { readonly what: 'grant'; readonly question: number; readonly grant: Grant | null };

/** What befell an address since the last note: forgiven first, if so, then so many failures. */
export interface Misdeeds {
  readonly key: string;
  readonly forgiven: boolean;
  readonly failures: number;
}

export type FromGuard =
  | { readonly what: 'ask'; readonly question: number; readonly claims: readonly Claim[] }
  /** Places taken without asking, and places left. */
  | { readonly what: 'counts'; readonly changes: readonly (readonly [key: string, by: number])[] }
  | { readonly what: 'misdeeds'; readonly misdeeds: readonly Misdeeds[] }
  | { readonly what: 'earned'; readonly question: number; readonly key: string; readonly grant: Grant }
  /** Whether another machine knows of a grant. */
  | { readonly what: 'find grant'; readonly question: number; readonly key: string };

const ITEMS_MAX = 1_000_000;
const CLAIMS_MAX = 8;
export const KEY_MAX = 300;

const isKey = (value: unknown): value is string => typeof value === 'string' && value.length <= KEY_MAX;
const isNumber = (value: unknown): value is number => Number.isSafeInteger(value);

/** A note of a worker, or null where it is none. */
export function asFromGuard(value: unknown): FromGuard | null {
  if (typeof value !== 'object' || value === null || !('what' in value)) return null;
  const note = value as FromGuard;
  switch (note.what) {
    case 'ask':
      return isNumber(note.question) && isListOf(note.claims, CLAIMS_MAX, isClaim) ? note : null;
    case 'counts':
      return isListOf(note.changes, ITEMS_MAX, isCount) ? note : null;
    case 'misdeeds':
      return isListOf(note.misdeeds, ITEMS_MAX, isMisdeeds) ? note : null;
    case 'earned':
      return isNumber(note.question) && isKey(note.key) && isGrant(note.grant) ? note : null;
    case 'find grant':
      return isNumber(note.question) && isKey(note.key) ? note : null;
    default:
      return null;
  }
}

function isListOf(list: unknown, max: number, test: (item: unknown) => boolean): boolean {
  return Array.isArray(list) && list.length <= max && list.every(test);
}

function isClaim(item: unknown): boolean {
  const claim = item as Partial<Claim> | null;
  return isKey(claim?.key) && isNumber(claim.limit) && claim.limit > 0;
}

function isCount(item: unknown): boolean {
  return Array.isArray(item) && isKey(item[0]) && isNumber(item[1]);
}

function isMisdeeds(item: unknown): boolean {
  const one = item as Partial<Misdeeds> | null;
  return isKey(one?.key) && typeof one.forgiven === 'boolean' && isNumber(one.failures) && one.failures >= 0;
}

function isGrant(item: unknown): boolean {
  const grant = item as Partial<Grant> | null;
  return isShort(grant?.user) && isShort(grant.service) && isNumber(grant.at);
}

function isShort(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= USER_MAX;
}
