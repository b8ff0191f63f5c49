// The comments that an imported file begins with: where it comes from, what is to be done, what is not in it. Pure.

import { basename } from 'node:path';
import type { Note } from './option-table.ts';

export function headOf(from: string, todo: readonly string[], notes: readonly Note[]): string[] {
  return [
    `Made by \`sallyport import\` of ${from}. Behind each value is the option it comes from.`,
    'Before it serves, run `sallyport check`, and:',
    '- say `user`, as in `user: sallyport`, whom the workers run as, and `hostname`, if it is not the name of the machine;',
    ...todo.map((line) => `- ${line}`),
    ...(notes.length === 0 ? [] : ['', 'Not carried over, or not as it was:', ...notes.map(noteText)]),
  ];
}

function noteText({ file, line, option, reason }: Note): string {
  const place = file === null || line === null ? '' : `${basename(file)}:${line}: `;
  return `- ${place}${option === null ? '' : `${option}: `}${reason}`;
}

/** In the order of files and lines, each once. */
export function sortedNotes(notes: readonly Note[]): Note[] {
  const seen = new Set<string>();
  const order = [...new Set(notes.map(({ file }) => file))];
  return notes
    .filter((note) => {
      const key = JSON.stringify(note);
      return !seen.has(key) && seen.add(key) !== undefined;
    })
    .toSorted(
      (one, other) =>
        order.indexOf(one.file) - order.indexOf(other.file) ||
        (one.line ?? Infinity) - (other.line ?? Infinity),
    );
}
