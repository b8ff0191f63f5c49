// Grants by address block, in the order of their earning: the supervisor's own, and each worker's copy of it. What is
// over is not there. Bounded: the latest GRANTS_MAX.

import type { PopBeforeSmtpSettings } from '../../config/settings.ts';
import { type Grant, isLive } from '../../policy/grants.ts';
import type { World } from '../../world.ts';

const GRANTS_MAX = 100_000;

export class GrantTable {
  readonly #world: Pick<World, 'now'>;
  readonly #grants = new Map<string, Grant>();
  readonly #max: number;
  /** null: nobody has a grant. */
  rules: PopBeforeSmtpSettings | null = null;

  constructor(world: Pick<World, 'now'>, max = GRANTS_MAX) {
    this.#world = world;
    this.#max = max;
  }

  find(key: string): Grant | null {
    const { rules } = this;
    const grant = this.#grants.get(key);
    if (grant === undefined || rules === null) return null;
    return isLive(grant, this.#world.now(), rules) ? grant : null;
  }

  set(key: string, grant: Grant | null): void {
    this.#grants.delete(key);
    if (grant !== null) this.#grants.set(key, grant);
    this.#trim();
  }

  /** Those that hold, oldest first. */
  get all(): readonly (readonly [string, Grant])[] {
    const { rules } = this;
    const now = this.#world.now();
    return rules === null ? [] : [...this.#grants].filter(([, grant]) => isLive(grant, now, rules));
  }

  /** The oldest go first: those that are over, and those that are too many. */
  #trim(): void {
    const { rules } = this;
    const now = this.#world.now();
    for (const [key, grant] of this.#grants) {
      const isOver = rules !== null && !isLive(grant, now, rules);
      if (!isOver && this.#grants.size <= this.#max) return;
      this.#grants.delete(key);
    }
  }
}
