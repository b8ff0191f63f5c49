// A worker's copy of the placements of users (sallyport move), and its count of stays at mailboxes of hashed backends.
// Promises: once a hold has been heard no stay begins under its key; who comes then waits WAIT_MS at most; a stay counts
// until it ends, so that a count of none means that no connection of this worker leads to the mailbox any more.

import type { Placements, Stay } from '../../connection/placements.ts';
import { isHeld, type Placement, type PlacementChange, placementKey } from '../../policy/placements.ts';
import type { Timer, World } from '../../world.ts';

/** A move takes a moment where the store closes what is kicked; clients come back at once. */
export const WAIT_MS = 5000;

export class PlacementReplica implements Placements {
  readonly #world: Pick<World, 'now' | 'after'>;
  readonly #placements = new Map<string, Placement>();
  readonly #stays = new Map<string, number>();
  /** Those that wait for a user who is being moved. */
  readonly #waiting = new Set<() => void>();

  constructor(world: Pick<World, 'now' | 'after'>) {
    this.#world = world;
  }

  hear(changes: readonly PlacementChange[]): void {
    for (const [key, placement] of changes) {
      if (placement === null) this.#placements.delete(key);
      else this.#placements.set(key, placement);
    }
    for (const wake of this.#waiting) wake();
  }

  find(backend: string, user: string): string | null {
    if (this.#placements.size === 0) return null;
    return this.#placements.get(placementKey(backend, user))?.server ?? null;
  }

  enter(backends: readonly string[], user: string): Stay | Promise<Stay | null> {
    const keys = backends.map((backend) => placementKey(backend, user));
    return this.#isHeld(keys) ? this.#wait(keys) : this.#begin(keys);
  }

  /** How many connections lead, or are about to, to a mailbox. */
  count(key: string): number {
    return this.#stays.get(key) ?? 0;
  }

  #isHeld(keys: readonly string[]): boolean {
    if (this.#placements.size === 0) return false;
    const now = this.#world.now();
    return keys.some((key) => isHeld(this.#placements.get(key) ?? null, now));
  }

  #begin(keys: readonly string[]): Stay {
    for (const key of keys) this.#stays.set(key, this.count(key) + 1);
    let isOver = false;
    return {
      keys,
      end: () => {
        if (isOver) return;
        isOver = true;
        for (const key of keys) this.#leave(key);
      },
    };
  }

  #leave(key: string): void {
    const left = this.count(key) - 1;
    if (left > 0) this.#stays.set(key, left);
    else this.#stays.delete(key);
  }

  #wait(keys: readonly string[]): Promise<Stay | null> {
    const { promise, resolve } = Promise.withResolvers<Stay | null>();
    const end = (stay: Stay | null): void => {
      this.#waiting.delete(look);
      late.cancel();
      resolve(stay);
    };
    const look = (): void => {
      if (!this.#isHeld(keys)) end(this.#begin(keys));
    };
    // A hold may also end by the clock.
    const late: Timer = this.#world.after(WAIT_MS, () => end(this.#isHeld(keys) ? null : this.#begin(keys)));
    this.#waiting.add(look);
    return promise;
  }
}
