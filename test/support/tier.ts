// A visitor that comes from a front tier of ours: what it was told is kept, and it may be made to refuse.

import type { Course, Introduction, Visitor } from '../../src/protocol/dialect.ts';

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
  /** On a channel that takes every login that is told. */
  readonly course: Course;
  readonly #channels: readonly string[];
  readonly #refusal: Error | undefined;

  constructor(options: TierOptions = {}) {
    const { isFrontTier = true, channels = [] } = options;
    this.isFrontTier = isFrontTier;
    this.#refusal = options.refusal;
    this.#channels = channels;
    const { told } = this;
    this.course = {
      settling: null,
      get login() {
        return told.at(-1)?.login ?? null;
      },
      secured: () => undefined,
      refused: () => undefined,
      switchChannel: (name) => this.askChannel(name),
    };
  }

  readonly authService = null;
  readonly certified = false;
  readonly bindable = false;

  askChannel(name: string): boolean {
    this.asked.push(name);
    return this.#channels.includes(name);
  }

  introduce(introduction: Introduction): void {
    this.told.push(introduction);
    if (this.#refusal !== undefined) throw this.#refusal;
  }
}
