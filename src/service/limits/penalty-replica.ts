// A worker's view of who has guessed passwords: the supervisor's table, and at once what happened here. Of innocent
// addresses nothing is kept and nothing said. Bounded: the latest `remembered` addresses.

import type { PenaltySettings } from '../../config/settings.ts';
import { delayOf, graver, type Penalty, worsened } from '../../policy/penalties.ts';
import type { World } from '../../world.ts';
import type { FromGuard, Misdeeds, PenaltyChange } from './sharing.ts';

const REPORT_EVERY_MS = 50;

export class PenaltyReplica {
  readonly #world: World;
  readonly #send: (note: FromGuard) => void;
  readonly #penalties = new Map<string, Penalty>();
  #unreported = new Map<string, Misdeeds>();
  #isReporting = false;
  #rules: PenaltySettings;

  constructor(options: {
    readonly rules: PenaltySettings;
    readonly world: World;
    readonly send: (note: FromGuard) => void;
  }) {
    this.#rules = options.rules;
    this.#world = options.world;
    this.#send = options.send;
  }

  update(rules: PenaltySettings): void {
    this.#rules = rules;
    this.#trim();
  }

  hear(changes: readonly PenaltyChange[]): void {
    const now = this.#world.now();
    for (const [key, penalty] of changes) {
      if (penalty === null) this.#penalties.delete(key);
      // What has not been reported yet may be more than the supervisor knows.
      else this.#set(key, graver(this.#penalties.get(key) ?? null, penalty, { now, rules: this.#rules }));
    }
  }

  get size(): number {
    return this.#penalties.size;
  }

  delayOf(key: string): number {
    return delayOf(this.#penalties.get(key) ?? null, this.#world.now(), this.#rules);
  }

  failed(key: string): void {
    this.#set(key, worsened(this.#penalties.get(key) ?? null, { now: this.#world.now() }, this.#rules));
    const { forgiven = false, failures = 0 } = this.#unreported.get(key) ?? {};
    this.#tell({ key, forgiven, failures: failures + 1 });
  }

  forgive(key: string): void {
    if (this.#penalties.delete(key)) this.#tell({ key, forgiven: true, failures: 0 });
  }

  #set(key: string, penalty: Penalty): void {
    this.#penalties.delete(key);
    this.#penalties.set(key, penalty);
    this.#trim();
  }

  #trim(): void {
    for (const key of this.#penalties.keys()) {
      if (this.#penalties.size <= this.#rules.remembered) return;
      this.#penalties.delete(key);
    }
  }

  #tell(misdeeds: Misdeeds): void {
    this.#unreported.set(misdeeds.key, misdeeds);
    if (this.#isReporting) return;
    this.#isReporting = true;
    this.#world.after(REPORT_EVERY_MS, () => {
      this.#isReporting = false;
      const all = [...this.#unreported.values()];
      this.#unreported = new Map();
      this.#send({ what: 'misdeeds', misdeeds: all });
    });
  }
}
