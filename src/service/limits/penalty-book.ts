// The supervisor's table of who has guessed passwords: what its workers report, what other machines say, and the store
// in which it outlives a restart. Memory is what decides; the store is written a moment later and never waited for. A
// store that is lost is caught up with when it is back: of two tellings the graver one counts.
// Bounded: the latest `remembered` addresses, here and in the store.

import type { PenaltySettings } from '../../config/settings.ts';
import { endOf, graver, type Penalty, worsened } from '../../policy/penalties.ts';
import type { Entry, Store } from '../../state/store.ts';
import type { World } from '../../world.ts';
import type { Misdeeds, PenaltyChange } from './sharing.ts';

const TABLE = 'penalties';
const TRIES = 5;
/** Changes that are on their way to a shared store at once. */
const AT_ONCE = 50;

export interface BookOptions {
  readonly world: World;
  /** Tells the workers. */
  readonly announce: (changes: readonly PenaltyChange[]) => void;
}

export class PenaltyBook {
  readonly #options: BookOptions;
  readonly #penalties = new Map<string, Penalty>();
  #dirty = new Map<string, Misdeeds>();
  #evicted: string[] = [];
  #rules: PenaltySettings | null = null;

  constructor(options: BookOptions) {
    this.#options = options;
  }

  update(rules: PenaltySettings): void {
    this.#rules = rules;
    this.#trim();
  }

  /** Those whose time is not over; the others are forgotten now. */
  get size(): number {
    const now = this.#options.world.now();
    for (const [key, penalty] of this.#penalties) {
      if (this.#rules !== null && endOf(penalty, this.#rules) <= now) this.#penalties.delete(key);
    }
    return this.#penalties.size;
  }

  get all(): readonly (readonly [string, Penalty])[] {
    return [...this.#penalties];
  }

  get isDirty(): boolean {
    return this.#dirty.size > 0 || this.#evicted.length > 0;
  }

  /** What a worker reports. */
  hear(misdeeds: readonly Misdeeds[]): void {
    const now = this.#options.world.now();
    const changes: PenaltyChange[] = [];
    for (const { key, forgiven, failures } of misdeeds) {
      const before = this.#dirty.get(key);
      this.#dirty.delete(key);
      this.#dirty.set(key, {
        key,
        forgiven: forgiven || before?.forgiven === true,
        failures: (forgiven ? 0 : (before?.failures ?? 0)) + failures,
      });
      if (forgiven) this.#penalties.delete(key);
      if (failures > 0) this.#set(key, this.#worsen(this.#penalties.get(key) ?? null, { now, failures }));
      changes.push([key, this.#penalties.get(key) ?? null]);
    }
    this.#options.announce(changes);
  }

  /** What another machine has changed. */
  hearOther(key: string, entry: Entry | null): void {
    if (this.#dirty.has(key)) return;
    this.#adopt(key, entry === null ? null : read(entry.value));
  }

  /** Takes over what the store holds. */
  async load(store: Store): Promise<void> {
    for (const { key, value } of await store.load(TABLE)) {
      const penalty = read(value);
      if (penalty !== null) this.#adopt(key, this.#graver(this.#penalties.get(key) ?? null, penalty));
    }
  }

  /** Writes what has changed. Rejects where the store fails; then it is tried again at the next call. */
  async save(store: Store): Promise<void> {
    const [dirty, evicted] = [this.#dirty, this.#evicted];
    [this.#dirty, this.#evicted] = [new Map(), []];
    try {
      if (store.counts === null) await this.#saveAll(store, dirty);
      else {
        const all = [...dirty.values()];
        for (let start = 0; start < all.length; start += AT_ONCE) {
          const part = all.slice(start, start + AT_ONCE);
          await Promise.all(part.map((misdeeds) => this.#saveShared(store, misdeeds)));
          for (const { key } of part) dirty.delete(key);
        }
      }
      if (evicted.length > 0) await store.remove(TABLE, evicted);
    } catch (error) {
      for (const [key, misdeeds] of dirty) if (!this.#dirty.has(key)) this.#dirty.set(key, misdeeds);
      this.#evicted.push(...evicted);
      this.#trim();
      throw error;
    }
  }

  /** A store of our own is what memory is. */
  async #saveAll(store: Store, dirty: ReadonlyMap<string, Misdeeds>): Promise<void> {
    const entries: Entry[] = [];
    const gone: string[] = [];
    for (const key of dirty.keys()) {
      const penalty = this.#penalties.get(key);
      if (penalty === undefined) gone.push(key);
      else entries.push(this.#entryOf(key, penalty));
    }
    await store.put(TABLE, entries);
    await store.remove(TABLE, gone);
  }

  /** Adds to what others may have written meanwhile. */
  async #saveShared(store: Store, { key, forgiven, failures }: Misdeeds): Promise<void> {
    for (let tries = 0; tries < TRIES; tries++) {
      const old = await store.get(TABLE, key);
      const before = forgiven || old === null ? null : read(old.value);
      const now = this.#options.world.now();
      const next = failures === 0 ? null : this.#worsen(before, { now, failures });
      const to = next === null ? null : this.#entryOf(key, next);
      if (await store.change(TABLE, { key, from: old?.value ?? null, to })) {
        if (!this.#dirty.has(key)) this.#adopt(key, next);
        return;
      }
    }
  }

  #adopt(key: string, penalty: Penalty | null): void {
    const known = this.#penalties.get(key) ?? null;
    if (known?.at === penalty?.at && known?.delayMs === penalty?.delayMs) return;
    if (penalty === null) this.#penalties.delete(key);
    else this.#set(key, penalty);
    this.#options.announce([[key, penalty]]);
  }

  #set(key: string, penalty: Penalty): void {
    this.#penalties.delete(key);
    this.#penalties.set(key, penalty);
    this.#trim();
  }

  #trim(): void {
    const max = this.#rules?.remembered ?? 0;
    for (const key of this.#penalties.keys()) {
      if (this.#penalties.size <= max) break;
      this.#penalties.delete(key);
      this.#dirty.delete(key);
      this.#evicted.push(key);
    }
    for (const key of this.#dirty.keys()) {
      if (this.#dirty.size <= max) break;
      this.#dirty.delete(key);
    }
    if (this.#evicted.length > max) this.#evicted.splice(0, this.#evicted.length - max);
  }

  #worsen(penalty: Penalty | null, more: { readonly now: number; readonly failures: number }): Penalty {
    return this.#rules === null ? { delayMs: 0, at: more.now } : worsened(penalty, more, this.#rules);
  }

  #graver(known: Penalty | null, other: Penalty): Penalty {
    const rules = this.#rules;
    return rules === null ? other : graver(known, other, { now: this.#options.world.now(), rules });
  }

  #entryOf(key: string, penalty: Penalty): Entry {
    const expiresAt = this.#rules === null ? penalty.at : endOf(penalty, this.#rules);
    return { key, value: JSON.stringify([penalty.delayMs, penalty.at]), expiresAt };
  }
}

function read(text: string): Penalty | null {
  try {
    const value: unknown = JSON.parse(text);
    if (!Array.isArray(value)) return null;
    const [delayMs, at] = value as unknown[];
    return typeof delayMs === 'number' && typeof at === 'number' ? { delayMs, at } : null;
  } catch {
    return null;
  }
}

export const PENALTY_TABLE = TABLE;
