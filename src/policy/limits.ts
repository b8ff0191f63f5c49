// How many connections each may have, and how a worker that does not know of the others stays within that. Pure.

import { type Network, NetworkTable } from '../wire/network.ts';

/** A place that a connection takes: where `limit` have been taken already, it is full. */
export interface Claim {
  readonly key: string;
  readonly limit: number;
}

/** Rows of `limits.perAddress`: so many connections for each address of a network. */
export type AddressLimits = readonly (readonly [Network, number])[];

/** What no row covers. */
const PER_ADDRESS_DEFAULT = 20;

export function addressTable(rows: AddressLimits): (address: string) => number {
  const table = new NetworkTable(rows);
  return (address) => table.find(address) ?? PER_ADDRESS_DEFAULT;
}

/** One number for everybody. */
export function sameForAll(limit: number): AddressLimits {
  const everywhere = (family: 4 | 6): Network => ({
    family,
    address: family === 4 ? '0.0.0.0' : '::',
    prefix: 0,
  });
  return [
    [everywhere(4), limit],
    [everywhere(6), limit],
  ];
}

/**
 * How many places of a key each of several workers may take without asking. All together they stay below the limit, so
 * whoever adds up the counts only has to look closer when they near it.
 */
export function ownAllowance(limit: number, workers: number): number {
  if (limit < workers) return 0;
  return Math.max(1, Math.floor(limit / (4 * workers)));
}
