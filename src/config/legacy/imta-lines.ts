// The lines of imta.cnf and of the files that it includes, with where each is. `!` begins a comment, `<FILE` includes a file
// of the same folder, a backslash at the end continues a line. Pure but for the way to read that it is given. Promises: no
// file is read that is not of the folder, none includes itself without end, and so many are read and no more.

import { isControlled } from './option-table.ts';
import type { Files, FoundFile } from './mmp-files.ts';
import type { Line, Note } from './option-table.ts';

const DEPTH_MAX = 8;
const FILES_MAX = 64;
const LINES_MAX = 100_000;

/** A line of the text in `value`; without a name. */
export type TextLine = Omit<Line, 'name'>;

export interface TextLines {
  readonly lines: readonly TextLine[];
  readonly notes: readonly Note[];
}

export function readLines(file: FoundFile, files: Files): TextLines {
  const reader = new Reader(files);
  reader.read(file, 0);
  return { lines: reader.lines, notes: reader.notes };
}

class Reader {
  readonly lines: TextLine[] = [];
  readonly notes: Note[] = [];
  readonly #files: Files;
  /** Paths of the files that are being read. */
  readonly #open = new Set<string>();
  #count = 0;
  #isFull = false;

  constructor(files: Files) {
    this.#files = files;
  }

  read({ path, text }: FoundFile, depth: number): void {
    this.#count += 1;
    this.#open.add(path);
    let begun: TextLine | null = null;
    for (const [index, raw] of text
      .replace(/^\uFEFF/, '')
      .split(/\r?\n/)
      .entries()) {
      const line = index + 1;
      if (this.lines.length >= LINES_MAX) return this.#full(path, line);
      if (raw.startsWith('!')) continue;
      if (isControlled(raw)) {
        const reason = 'there are control characters in it; left out';
        this.notes.push({ file: path, line, option: null, reason });
        continue;
      }
      if (raw.startsWith('<') && begun === null) {
        this.#include({ file: path, value: raw.slice(1).trim(), line }, depth);
        continue;
      }
      const whole: TextLine =
        begun === null
          ? { file: path, value: raw.trimEnd(), line }
          : { ...begun, value: `${begun.value} ${raw.trim()}` };
      if (whole.value.endsWith('\\')) {
        begun = { ...whole, value: whole.value.slice(0, -1).trimEnd() };
        continue;
      }
      begun = null;
      this.lines.push(whole);
    }
    if (begun !== null) this.lines.push(begun);
    this.#open.delete(path);
  }

  /** Said once, however many files are open. */
  #full(file: string, line: number): void {
    if (this.#isFull) return;
    this.#isFull = true;
    this.notes.push({
      file,
      line,
      option: null,
      reason: `more than ${LINES_MAX} lines; the others are not read`,
    });
  }

  /** `IMTA_TABLE:NAME` is a file of the folder. */
  #include({ file, value, line }: TextLine, depth: number): void {
    const say = (reason: string): void => void this.notes.push({ file, line, option: `<${value}`, reason });
    const name = value.replace(/^IMTA_\w+:/i, '');
    if (depth >= DEPTH_MAX) return say(`included more than ${DEPTH_MAX} files deep; not read`);
    if (this.#count >= FILES_MAX) return say(`more than ${FILES_MAX} files; not read`);
    const found = this.#files.beside(name);
    if (found === null) return say('no such file in the folder of the first; not read');
    if (this.#open.has(found.path)) return say('it includes itself; not read once more');
    this.read(found, depth + 1);
  }
}
