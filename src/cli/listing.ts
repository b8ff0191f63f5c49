// How a list that the supervisor answers with is told: a line each on standard output and the count on standard error, or
// all of it as JSON. The supervisor sends no more than fits in an answer, so there may be more than are listed.

import { counted } from './usage.ts';
import type { OptionValues, Program } from './usage.ts';

export interface Listing {
  /** One of them in words: grant, session. */
  readonly noun: string;
  readonly lines: readonly string[];
  /** How many there are, listed or not. */
  readonly count: number;
  /** For a program that reads it. */
  readonly json: Readonly<Record<string, unknown>>;
}

export function tellList(values: OptionValues, program: Program, listing: Listing): void {
  const { noun, lines, count, json } = listing;
  if (values['json'] === true) {
    program.out(`${JSON.stringify({ count, ...json }, null, 2)}\n`);
    return;
  }
  program.out(lines.join(''));
  const rest = count - lines.length;
  program.err(`${counted(count, noun)}${rest > 0 ? `, ${rest} of them not listed` : ''}\n`);
}
