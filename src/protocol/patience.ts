// Counts what a client does wrong before login, and what it does to no purpose; past the limit the connection ends with
// TOO_MANY_ERRORS. A wrong command weighs as much as ten that lead nowhere (NOOP, EHLO and their like).

import { GateError } from '../errors.ts';

const WASTED_PER_WRONG = 10;

export class Patience {
  #whole: number;
  #left: number;

  constructor(badCommands: number) {
    this.#whole = (badCommands + 1) * WASTED_PER_WRONG;
    this.#left = this.#whole;
  }

  /** Another limit from here on; what was spent is spent. */
  limit(badCommands: number): void {
    const whole = (badCommands + 1) * WASTED_PER_WRONG;
    this.#left += whole - this.#whole;
    this.#whole = whole;
  }

  /** A wrong command. */
  lose(): void {
    this.#spend(WASTED_PER_WRONG);
  }

  /** A command that is right and leads nowhere. */
  waste(): void {
    this.#spend(1);
  }

  restore(): void {
    this.#left = this.#whole;
  }

  #spend(weight: number): void {
    this.#left -= weight;
    if (this.#left <= 0) throw new GateError('TOO_MANY_ERRORS');
  }
}
