// In which order the servers of a backend are tried for one client. Pure: servers with their state in, an order out.
// Rules, whatever the balance: a server that is drained is never tried; one that is in its penalty comes after all
// that are not, so that it is left alone while there is another, and nobody is turned away by a penalty alone.

import { createHash } from 'node:crypto';

import type { Balance } from '../config/settings.ts';

export interface Candidate {
  /** What hashing goes by: the same text for the same server as long as it is the same machine. */
  readonly identity: string;
  readonly weight: number;
  /** The lowest first; only `priority` looks at it. */
  readonly priority: number;
  /** Connections that are open. */
  readonly open: number;
  readonly state: 'up' | 'penalty' | 'drained';
  /** What the last turn left it with, see `takeTurn`. */
  readonly credit: number;
  /** Somebody has put the owner of the key here; only `hash` looks at it. */
  readonly isChosen?: boolean;
}

export interface Choice {
  /** Places in the list of candidates, in the order to try. */
  readonly order: readonly number[];
  /** The credit of every candidate from now on. */
  readonly credits: readonly number[];
}

/** `key`: whose server it is, for `hash`. */
export function chooseOrder(candidates: readonly Candidate[], balance: Balance, key: string): Choice {
  const places = candidates.map((_, place) => place);
  const inState = (state: Candidate['state']): number[] =>
    places.filter((place) => candidates[place]?.state === state);
  if (balance === 'hash') {
    const scores = candidates.map((candidate) =>
      candidate.isChosen === true ? Number.POSITIVE_INFINITY : hashScore(candidate, key),
    );
    const best = (a: number, b: number): number => (scores[b] ?? 0) - (scores[a] ?? 0);
    return {
      order: [...inState('up').toSorted(best), ...inState('penalty').toSorted(best)],
      credits: candidates.map(({ credit }) => credit),
    };
  }
  const credits = candidates.map(({ credit }) => credit);
  const rank = RANKS[balance];
  const sorted = (group: readonly number[]): number[] => {
    const best = Math.min(...group.map((place) => rank(candidates[place])));
    const equals = group.filter((place) => rank(candidates[place]) === best);
    const first = takeTurn(candidates, equals, credits);
    return group.toSorted(
      (a, b) =>
        Number(b === first) - Number(a === first) ||
        rank(candidates[a]) - rank(candidates[b]) ||
        (credits[b] ?? 0) - (credits[a] ?? 0),
    );
  };
  const up = inState('up');
  const penalty = inState('penalty').toSorted((a, b) => rank(candidates[a]) - rank(candidates[b]));
  // Only those that go first have had a turn.
  return { order: up.length > 0 ? [...sorted(up), ...penalty] : sorted(penalty), credits };
}

const RANKS: Readonly<Record<Exclude<Balance, 'hash'>, (candidate: Candidate | undefined) => number>> = {
  roundRobin: () => 0,
  priority: (candidate) => candidate?.priority ?? 0,
  leastConnections: (candidate) => (candidate === undefined ? 0 : candidate.open / candidate.weight),
};

/**
 * Smooth weighted round robin: each gets its weight as credit, the richest has the turn and pays what all got. Those
 * that take no part keep what they have, so one that comes back is not flooded. Changes `credits`.
 */
function takeTurn(candidates: readonly Candidate[], places: readonly number[], credits: number[]): number {
  let first = places[0] ?? -1;
  let total = 0;
  for (const place of places) {
    const weight = candidates[place]?.weight ?? 1;
    total += weight;
    credits[place] = (credits[place] ?? 0) + weight;
    if ((credits[place] ?? 0) > (credits[first] ?? 0)) first = place;
  }
  if (first >= 0) credits[first] = (credits[first] ?? 0) - total;
  return first;
}

const TWO_48 = 2 ** 48;

/**
 * Weighted rendezvous hashing: each server draws a number for the key by itself, the highest has it. Without one
 * server only its keys move; in the long run each gets keys by its weight.
 */
function hashScore({ identity, weight }: Candidate, key: string): number {
  const drawn = createHash('sha256').update(`${identity}\0${key}`).digest().readUIntBE(0, 6);
  return -weight / Math.log((drawn + 0.5) / TWO_48);
}
