// A visitor that comes from a front tier of ours: what it was told is kept, and it may be made to refuse.

import type { Introduction, Visitor } from '../../src/protocol/dialect.ts';

export interface TierOptions {
  readonly isFrontTier?: boolean;
  /** Channels that may be asked for; without them no channel can. */
  readonly channels?: readonly string[];
  /** Thrown at the first introduction. */
  readonly refusal?: Error;
}

export class Tier implements Visitor {
  readonly isFrontTier: boolean;
  readonly told: Introduction[] = [];
  readonly asked: string[] = [];
  askChannel?: (name: string) => boolean;
  readonly #refusal: Error | undefined;

  constructor(options: TierOptions = {}) {
    const { isFrontTier = true, channels } = options;
    this.isFrontTier = isFrontTier;
    this.#refusal = options.refusal;
    if (channels === undefined) return;
    this.askChannel = (name) => {
      this.asked.push(name);
      return channels.includes(name);
    };
  }

  introduce(introduction: Introduction): void {
    this.told.push(introduction);
    if (this.#refusal !== undefined) throw this.#refusal;
  }
}
