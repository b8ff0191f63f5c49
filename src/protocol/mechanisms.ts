// Which mechanisms are for whom: what a client is shown, and what is taken from it, by how its leg stands. Pure.

import type { Mechanism } from '../config/settings.ts';

export interface Standing {
  /** The client itself has shown a certificate that is believed. */
  readonly certified: boolean;
}

export function offeredNow(mechanisms: readonly Mechanism[], { certified }: Standing): readonly Mechanism[] {
  return mechanisms.filter((mechanism) => mechanism !== 'EXTERNAL' || certified);
}
