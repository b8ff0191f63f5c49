// How much each may send in a time: a permit is a place under a key (tally.ts), so it counts over workers and machines as
// connections do, and it is given back when its time is over. Promises: a permit ends no earlier than its time, and no
// later than a sixtieth after it; bounded: of more than PERMITS_MAX groups the oldest are given back before their time.
// What a worker has counted ends with it.

import type { Rate } from '../../config/settings.ts';
import type { Claim } from '../../policy/limits.ts';
import type { World } from '../../world.ts';
import type { Tally } from './tally.ts';

const PARTS = 60;
const LOOK_EVERY_MS = 1000;
/** Permits of one key that end together are one group. */
const PERMITS_MAX = 200_000;

interface Group {
  readonly key: string;
  readonly until: number;
  count: number;
}

export class Rates {
  readonly #world: Pick<World, 'monotonic' | 'after'>;
  readonly #tally: Pick<Tally, 'take' | 'give'>;
  readonly #max: number;
  /** By key and end, oldest first for each rate. */
  readonly #groups = new Map<string, Group>();
  #isLooking = false;

  constructor(parts: {
    readonly world: Pick<World, 'monotonic' | 'after'>;
    readonly tally: Pick<Tally, 'take' | 'give'>;
    readonly max?: number;
  }) {
    this.#world = parts.world;
    this.#tally = parts.tally;
    this.#max = parts.max ?? PERMITS_MAX;
  }

  /** Takes one permit; null, or the claim that is used up. */
  take(claim: Claim, { seconds }: Rate): Claim | null | Promise<Claim | null> {
    const answer = this.#tally.take([claim]);
    const note = (full: Claim | null): Claim | null => {
      if (full === null) this.#hold(claim.key, seconds * 1000);
      return full;
    };
    return answer instanceof Promise ? answer.then(note) : note(answer);
  }

  get size(): number {
    return this.#groups.size;
  }

  #hold(key: string, ms: number): void {
    const part = ms / PARTS;
    const until = Math.ceil((this.#world.monotonic() + ms) / part) * part;
    const name = `${until} ${key}`;
    const group = this.#groups.get(name);
    if (group !== undefined) {
      group.count++;
      return;
    }
    this.#groups.set(name, { key, until, count: 1 });
    for (const [oldest, { key: owner, count }] of this.#groups) {
      if (this.#groups.size <= this.#max) break;
      this.#release(oldest, owner, count);
    }
    this.#lookSoon();
  }

  #lookSoon(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.#world.after(LOOK_EVERY_MS, () => {
      this.#isLooking = false;
      const now = this.#world.monotonic();
      for (const [name, { key, until, count }] of this.#groups) {
        if (until <= now) this.#release(name, key, count);
      }
      if (this.#groups.size > 0) this.#lookSoon();
    });
  }

  #release(name: string, key: string, count: number): void {
    this.#groups.delete(name);
    for (let left = count; left > 0; left--) this.#tally.give(key);
  }
}
