// Counts what a client does wrong before login; past the limit the connection ends with TOO_MANY_ERRORS.

import { GateError } from '../errors.ts';

export class Patience {
  #left: number;

  constructor(badCommands: number) {
    this.#left = badCommands;
  }

  lose(): void {
    if (--this.#left < 0) throw new GateError('TOO_MANY_ERRORS');
  }
}
