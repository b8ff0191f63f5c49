// The supervisor's count of places, worker by worker, so that the counts of one that dies go with it. Exact where it is
// asked: workers that may still take places of a key without asking are told first to ask for each (the key is
// escorted), and only then the sum decides. Over machines the store decides after that; where it cannot be had, the
// sum over our own workers is all there is.

import { type Claim, ownAllowance } from '../../policy/limits.ts';
import type { SharedCounts } from '../../state/store.ts';

/** Whatever stands for a worker. */
export type Holder = object;

export interface CensusOptions {
  /** Tells all workers to ask for each place of these keys; resolves when all have heard it. */
  readonly escort: (keys: readonly string[]) => Promise<unknown>;
  readonly relax: (keys: readonly string[]) => void;
}

export class Census {
  readonly #options: CensusOptions;
  readonly #holders = new Map<Holder, Map<string, number>>();
  readonly #sums = new Map<string, number>();
  /** Escorted keys with their limit; a promise while the workers are being told. */
  readonly #escorted = new Map<string, number>();
  readonly #escorting = new Map<string, Promise<unknown>>();
  /** Changes that the store has not been told. */
  #untold = new Map<string, number>();
  /** How many workers may take places without asking. */
  workers = 1;
  /** The counts over machines, while they can be had. */
  shared: SharedCounts | null = null;

  constructor(options: CensusOptions) {
    this.#options = options;
  }

  get escorted(): readonly string[] {
    return [...new Set([...this.#escorted.keys(), ...this.#escorting.keys()])];
  }

  /** All counts of this machine; what is untold is in them. */
  snapshot(): ReadonlyMap<string, number> {
    this.#untold.clear();
    return this.#sums;
  }

  /** Takes a place under each claim for a worker, or none of them; null, or the key that is full. */
  async ask(holder: Holder, claims: readonly Claim[]): Promise<string | null> {
    const loose = claims.filter((claim) => this.#mayOverflow(claim));
    if (loose.length > 0) await Promise.all(loose.map((claim) => this.#escort(claim)));
    const full = this.#full(claims);
    if (full !== null) return full;
    if (this.shared !== null) {
      const elsewhere = await this.shared.take(claims).catch(() => this.#full(claims));
      if (elsewhere !== null) return elsewhere;
    }
    for (const { key } of claims) this.#count(holder, key, 1);
    return null;
  }

  #full(claims: readonly Claim[]): string | null {
    return claims.find(({ key, limit }) => (this.#sums.get(key) ?? 0) >= limit)?.key ?? null;
  }

  /** What a worker took without asking, and what it gave back. */
  report(holder: Holder, changes: readonly (readonly [string, number])[]): void {
    for (const [key, by] of changes) {
      const counted = this.#count(holder, key, by);
      if (counted !== 0) this.#tell(key, counted);
    }
    this.#relax(changes.map(([key]) => key));
  }

  /** A worker is gone, and all that it held. */
  drop(holder: Holder): void {
    const held = this.#holders.get(holder);
    this.#holders.delete(holder);
    for (const [key, count] of held ?? []) {
      this.#add(key, -count);
      this.#tell(key, -count);
    }
    this.#relax([...(held?.keys() ?? [])]);
  }

  /** Changes for the store since the last call. */
  takeUntold(): [string, number][] {
    const untold = this.#untold;
    this.#untold = new Map();
    return [...untold];
  }

  /** Whether workers that do not ask could exceed the limit, together with what is known. */
  #mayOverflow({ key, limit }: Claim): boolean {
    if (this.workers < 2 || (this.#escorted.has(key) && !this.#escorting.has(key))) return false;
    return (this.#sums.get(key) ?? 0) + this.workers * ownAllowance(limit, this.workers) >= limit;
  }

  #escort({ key, limit }: Claim): Promise<unknown> {
    const running = this.#escorting.get(key);
    if (running !== undefined) return running;
    this.#escorted.set(key, limit);
    const told = this.#options.escort([key]).finally(() => this.#escorting.delete(key));
    this.#escorting.set(key, told);
    return told;
  }

  #relax(keys: readonly string[]): void {
    const calm = keys.filter((key) => {
      const limit = this.#escorted.get(key);
      return limit !== undefined && !this.#escorting.has(key) && (this.#sums.get(key) ?? 0) < limit / 2;
    });
    if (calm.length === 0) return;
    for (const key of calm) this.#escorted.delete(key);
    this.#options.relax(calm);
  }

  /** Gives what was really counted: nobody holds less than nothing. */
  #count(holder: Holder, key: string, by: number): number {
    let held = this.#holders.get(holder);
    if (held === undefined) this.#holders.set(holder, (held = new Map()));
    const before = held.get(key) ?? 0;
    const after = Math.max(0, before + by);
    if (after === 0) held.delete(key);
    else held.set(key, after);
    this.#add(key, after - before);
    return after - before;
  }

  #add(key: string, by: number): void {
    const sum = (this.#sums.get(key) ?? 0) + by;
    if (sum > 0) this.#sums.set(key, sum);
    else this.#sums.delete(key);
  }

  #tell(key: string, by: number): void {
    if (this.shared === null) return;
    const sum = (this.#untold.get(key) ?? 0) + by;
    if (sum === 0) this.#untold.delete(key);
    else this.#untold.set(key, sum);
  }
}
