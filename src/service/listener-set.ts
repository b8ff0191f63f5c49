// The listeners that a supervisor has: bound by it, taken over from its predecessor, or given by the service manager.
// A change is prepared first, all or nothing, and then made or given up; what was given and is wanted is never bound
// again and never closed. Owns every handle in it. Who is told of a change, and when, is the supervisor's business.

import type { Settings } from '../config/settings.ts';
import type { World } from '../world.ts';
import { bindListeners, closeListener, diffListeners, releaseListener, wantedListeners } from './handles.ts';
import type { BoundListener, Owner, WantedListener } from './handles.ts';

/** A listener that belongs to no service yet. */
export type SpareListener = Omit<BoundListener, 'service' | 'ipv6Only'>;

export interface PreparedChange {
  readonly failures: readonly string[];
  readonly opens: readonly BoundListener[];
  readonly stays: readonly BoundListener[];
  readonly closes: readonly BoundListener[];
}

export class ListenerSet {
  #held = new Map<string, BoundListener>();
  readonly #spare = new Map<string, SpareListener>();

  get(key: string): BoundListener | undefined {
    return this.#held.get(key);
  }

  values(): BoundListener[] {
    return [...this.#held.values()];
  }

  get spare(): SpareListener[] {
    return [...this.#spare.values()];
  }

  give(listeners: Iterable<SpareListener>): void {
    for (const listener of listeners) this.#spare.set(listener.key, listener);
  }

  /** Opens what the settings want and is not there. With failures nothing has changed. */
  async prepare(services: Settings['services'], owner: Owner | null, world: World): Promise<PreparedChange> {
    const change = diffListeners(this.#held, wantedListeners(services));
    const [there, missing] = [[] as BoundListener[], [] as WantedListener[]];
    for (const wanted of change.opens) {
      const spare = this.#spare.get(wanted.key);
      if (spare === undefined) missing.push(wanted);
      else there.push({ ...spare, ...wanted });
    }
    const { bound, failures } = await bindListeners(missing, owner, world);
    return { failures, opens: [...there, ...bound], stays: change.stays, closes: change.closes };
  }

  make({ opens, stays }: PreparedChange): void {
    for (const { key } of opens) this.#spare.delete(key);
    this.#held = new Map([...stays, ...opens].map((listener) => [listener.key, listener]));
  }

  giveUp({ opens }: PreparedChange): void {
    for (const listener of opens) if (!this.#spare.has(listener.key)) closeListener(listener);
  }

  /** Closes what a change has put aside. The manager's are kept: they stay open on its side, so nobody else can bind. */
  drop(listeners: readonly BoundListener[]): void {
    for (const listener of listeners) {
      if (listener.origin === 'manager') this.#spare.set(listener.key, listener);
      else closeListener(listener);
    }
  }

  /** Closes what no service wanted; the addresses. */
  dropSpare(): string[] {
    const spare = this.spare;
    this.#spare.clear();
    // Which service it is for does not matter for its end.
    for (const listener of spare) closeListener({ ...listener, service: '', ipv6Only: false });
    return spare.map(({ address }) => address);
  }

  /** The end of all. What is in the hands of another supervisor too stays open there. */
  close(how: 'for good' | 'to the successor' | 'back to the predecessor'): void {
    for (const listener of this.#held.values()) {
      const isElsewhere = how === 'to the successor' || (how !== 'for good' && listener.origin !== 'bound');
      if (isElsewhere) releaseListener(listener);
      else closeListener(listener);
    }
    this.#held.clear();
    for (const listener of this.#spare.values()) listener.handle.close();
    this.#spare.clear();
  }
}
