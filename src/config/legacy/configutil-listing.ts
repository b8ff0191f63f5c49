// A listing of `configutil` (or `configutil -l`) of a Sun Messaging Server as a table: lines `name = value`, the value
// perhaps in quotes, names in any letter case. Empty lines and comments (#, !) count for nothing. Of an option that is
// there twice the later line counts. Never throws; each line that is none of these is kept as unread.

export interface Line {
  /** As it is written. */
  readonly name: string;
  readonly value: string;
  readonly line: number;
}

/** Something of the listing that is not in the settings, and why. Never says a value that may be a secret. */
export interface Note {
  /** null: of the whole. */
  readonly line: number | null;
  readonly option: string | null;
  readonly reason: string;
}

const OPTION = /^\s*([A-Za-z][\w-]*(?:\.[\w@*:-]+)*)\s*=\s*(.*)$/;
/** How an option without a value is listed. */
const UNSET = /^(\s*|not set|\(not set\)|<not set>)$/i;

export class Listing {
  readonly notes: Note[] = [];
  readonly #options = new Map<string, Line>();
  readonly #taken = new Set<string>();

  constructor(text: string) {
    for (const [index, raw] of text
      .replace(/^\uFEFF/, '')
      .split(/\r?\n/)
      .entries()) {
      if (/^\s*([#!].*)?$/.test(raw)) continue;
      const line = index + 1;
      const [, name = '', rest = ''] = OPTION.exec(raw) ?? [];
      if (name === '') this.notes.push({ line, option: null, reason: 'expected name = value' });
      else this.#put({ name, value: unquoted(rest.trim()), line });
    }
  }

  get size(): number {
    return this.#options.size;
  }

  /** The option, which is dealt with from now on; null: it is not there, or not set. */
  take(name: string): Line | null {
    this.#taken.add(name);
    const line = this.#options.get(name) ?? null;
    return line === null || UNSET.test(line.value) ? null : line;
  }

  /** Whether an option is on; null where it is not there, or neither. */
  flag(name: string): boolean | null {
    const line = this.take(name);
    if (line === null) return null;
    if (/^(1|yes|on|true|y)$/i.test(line.value)) return true;
    if (/^(0|no|off|false|n)$/i.test(line.value)) return false;
    this.note(line, 'expected yes or no; taken as not set');
    return null;
  }

  /** A whole number of the range; null where it is not there, or another. */
  number(name: string, { min, max }: { min: number; max: number }): number | null {
    const line = this.take(name);
    if (line === null) return null;
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

  note({ name, line }: Line, reason: string): void {
    this.notes.push({ line, option: name, reason });
  }

  /** What nobody has taken. */
  rest(): readonly Line[] {
    return [...this.#options].filter(([name]) => !this.#taken.has(name)).map(([, line]) => line);
  }

  #put(option: Line): void {
    const key = option.name.toLowerCase();
    const before = this.#options.get(key);
    if (before !== undefined) this.note(before, `given again on line ${option.line}, which counts`);
    this.#options.delete(key);
    this.#options.set(key, option);
  }
}

function unquoted(text: string): string {
  return /^(["'])(.*)\1$/.exec(text)?.[2] ?? text;
}
