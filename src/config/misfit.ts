// A value of the file that does not fit, in words.

const BETWEEN_PARTS = '\u001f';
const MAX_TEXT = 1000;

/** A value that does not fit: one sentence, or several about items of a list (`[3] …`). */
export class Misfit extends Error {
  constructor(parts: readonly string[]) {
    super(parts.join(BETWEEN_PARTS));
  }

  // convict puts the value here and would print it.
  get value(): undefined {
    return undefined;
  }
  set value(_value: unknown) {}
}

/** Takes a Misfit's message apart again: item number, if any, and sentence. */
export function splitMisfit(message: string): { item: number | null; text: string }[] {
  return message.split(BETWEEN_PARTS).map((part) => {
    const match = /^\[(\d+)\] (.*)$/s.exec(part);
    return match ? { item: Number(match[1]), text: match[2] ?? '' } : { item: null, text: part };
  });
}

/** A value of the file for an error message: short, one line. */
export function found(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (value instanceof Map) return 'a map';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}…` : value);
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : 'something else';
}

/** A text of one line, not empty. */
export function isText(value: unknown, limit = MAX_TEXT): value is string {
  // oxlint-disable-next-line no-control-regex
  return typeof value === 'string' && value !== '' && value.length <= limit && !/[\x00-\x1f\x7f]/.test(value);
}
