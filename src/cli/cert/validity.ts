// How long a certificate is to be valid: `--validity 90`, `90d`, `2w`, `3m`, `1y`. Months are those of the calendar. Pure.

import { monthsLater } from '../../certdb/issue.ts';

export interface Validity {
  readonly count: number;
  readonly unit: 'd' | 'w' | 'm' | 'y';
}

/** As documented: three months. */
export const USUAL_VALIDITY: Validity = { count: 3, unit: 'm' };
/** For a CA, which is not renewed as lightly. */
export const AUTHORITY_VALIDITY: Validity = { count: 10, unit: 'y' };

const DAY_MS = 86_400_000;
const MAX_YEARS = 100;

/** An Error says what is wrong with it. */
export function readValidity(text: string): Validity {
  const [, digits = '', unit = 'd'] = /^(\d{1,6})\s*([dwmy])?$/i.exec(text.trim()) ?? [];
  const count = Number(digits);
  const validity = { count, unit: unit.toLowerCase() as Validity['unit'] };
  if (count < 1)
    throw new Error(`--validity is a number of days, or like 3m or 1y, found ${JSON.stringify(text)}`);
  if (endOf(0, validity) > endOf(0, { count: MAX_YEARS, unit: 'y' }))
    throw new Error(`--validity is at most ${MAX_YEARS}y, found ${JSON.stringify(text)}`);
  return validity;
}

/** Milliseconds since 1970. */
export function endOf(start: number, { count, unit }: Validity): number {
  if (unit === 'd' || unit === 'w') return start + count * (unit === 'w' ? 7 : 1) * DAY_MS;
  return monthsLater(start, count * (unit === 'y' ? 12 : 1));
}
