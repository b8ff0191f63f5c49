// So many pieces of work at once, so many that wait, and no more. On failure: GateError DIRECTORY_DOWN for whoever finds
// all places of those that wait taken.

import { GateError } from '../errors.ts';

const AT_ONCE_MAX = 4;
const WAITING_MAX = 512;

export class Turns {
  readonly #waiting: (() => void)[] = [];
  #atOnce = 0;

  async take<T>(work: () => Promise<T>): Promise<T> {
    await this.#enter();
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#atOnce--;
      else next();
    }
  }

  async #enter(): Promise<void> {
    if (this.#atOnce < AT_ONCE_MAX) {
      this.#atOnce++;
      return;
    }
    if (this.#waiting.length >= WAITING_MAX) {
      throw new GateError('DIRECTORY_DOWN', { phase: 'too many passwords wait to be compared' });
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}
