// The name that was probably meant, as the end of a mistake's sentence. Pure.

import { nearNames } from '../spelling.ts';

/** `, did you mean …?` when a known key is near. */
export function suggest(name: string, known: readonly string[]): string {
  const [near] = nearNames(name, known);
  return near === undefined ? '' : `, did you mean ${near}?`;
}
