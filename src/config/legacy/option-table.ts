// Options of another server's configuration, by name in any letter case, each with the line it is on. Of an option that is
// there twice the later line counts. What nobody has taken in the end is `rest()`, so that nothing is left out unsaid.

import { harmless } from '../../log.ts';

export interface Line {
  /** null: the file that the import was given. */
  readonly file: string | null;
  /** As it is written. */
  readonly name: string;
  readonly value: string;
  readonly line: number;
}

/** Something that is not in the settings, or not as it was, and why. Never says a value that may be a secret. */
export interface Note {
  /** null: the file that the import was given. */
  readonly file: string | null;
  /** null: of the whole. */
  readonly line: number | null;
  readonly option: string | null;
  readonly reason: string;
}

/** A file that the settings name, to be written beside them; its owner's only. */
export interface Companion {
  readonly name: string;
  readonly text: string;
}

export interface Imported {
  /** null: what was given is nothing to make settings of. */
  readonly yaml: string | null;
  readonly notes: readonly Note[];
  readonly companions: readonly Companion[];
  /** Why there are no settings. */
  readonly problems: readonly string[];
}

/** Whether a line has characters that no setting takes and no screen should get; tabs are blanks. */
export function isControlled(line: string): boolean {
  const plain = line.replaceAll('\t', ' ');
  return harmless(plain) !== plain;
}

export const ON = /^(1|yes|on|true|y)$/i;
export const OFF = /^(0|no|off|false|n)$/i;

export class OptionTable {
  readonly notes: Note[];
  readonly #options = new Map<string, Line>();
  readonly #taken = new Set<string>();

  constructor(notes: Note[]) {
    this.notes = notes;
  }

  get size(): number {
    return this.#options.size;
  }

  /** Under a name of its own where one option has several. */
  put(option: Line, name = option.name): void {
    const key = name.toLowerCase();
    const before = this.#options.get(key);
    if (before !== undefined) this.note(before, `given again on line ${option.line}, which counts`);
    this.#options.delete(key);
    this.#options.set(key, option);
  }

  /** The option, which is dealt with from now on; null: it is not there. */
  take(name: string): Line | null {
    const key = name.toLowerCase();
    this.#taken.add(key);
    return this.#options.get(key) ?? null;
  }

  /** Whether an option is on; null where it is not there, or neither. */
  flag(name: string): boolean | null {
    const line = this.take(name);
    return line === null ? null : this.flagOf(line);
  }

  flagOf(line: Line): boolean | null {
    if (ON.test(line.value)) return true;
    if (OFF.test(line.value)) return false;
    this.note(line, 'expected yes or no; taken as not set');
    return null;
  }

  /** A whole number of the range; null where it is not there, or another. */
  number(name: string, range: { min: number; max: number }): number | null {
    const line = this.take(name);
    return line === null ? null : this.numberOf(line, range);
  }

  numberOf(line: Line, { min, max }: { min: number; max: number }): number | null {
    const value = /^-?\d{1,9}$/.test(line.value) ? Number(line.value) : Number.NaN;
    if (value >= min && value <= max) return value;
    this.note(line, `expected a whole number from ${min} to ${max}; taken as not set`);
    return null;
  }

  /** Options whose names begin with this, or are it; in the order of their lines. */
  takeAll(start: string): readonly Line[] {
    const names = [...this.#options.keys()].filter((name) => name === start || name.startsWith(`${start}.`));
    return names.flatMap((name) => this.take(name) ?? []);
  }

  note({ file, name, line }: Line, reason: string): void {
    this.notes.push({ file, line, option: name, reason });
  }

  all(): readonly Line[] {
    return [...this.#options.values()];
  }

  /** What nobody has taken. */
  rest(): readonly Line[] {
    return [...this.#options].filter(([name]) => !this.#taken.has(name)).map(([, line]) => line);
  }
}
