// The grammar of Netscape's dbconf, in which the configuration of the Sun MMP is written: `section:Option value` in its .cfg
// files; `vdmap NAME ADDRESS` and then `NAME:Option value` in vdmap.cfg. Blank lines and lines that begin with # count for
// nothing; the name of a section is taken letter by letter, and a colon or blanks stand behind it; an option without a
// value is there, and empty. Pure. Never throws; a line that is not read is a note, which never says what may be a value.

import { ipOf } from '../../wire/address.ts';
import { isControlled, type Line, type Note } from './option-table.ts';

const LINE_BYTES_MAX = 1024;
const LINES_MAX = 100_000;
const DIRECTIVE = 'vdmap';
const FORM = 'expected section:Option value';

export interface DbconfFile {
  readonly path: string;
  readonly text: string;
}

export interface DbconfSections {
  /** Lines of each section, as they come. */
  readonly sections: ReadonlyMap<string, readonly Line[]>;
  readonly notes: readonly Note[];
}

export interface Vdmap {
  readonly name: string;
  /** Of ours, as the system writes it. */
  readonly address: string;
  readonly lines: readonly Line[];
}

export interface Vdmaps {
  readonly vdmaps: readonly Vdmap[];
  readonly notes: readonly Note[];
}

interface Record {
  readonly line: number;
  readonly name: string;
  readonly isBlank: boolean;
  readonly rest: string;
}

export function parseSections({ path, text }: DbconfFile): DbconfSections {
  const notes: Note[] = [];
  const sections = new Map<string, Line[]>();
  for (const record of recordsOf(text, path, notes)) {
    const option = optionOf(record, path, notes);
    if (option === null) continue;
    const lines = sections.get(record.name) ?? [];
    lines.push(option);
    sections.set(record.name, lines);
  }
  return { sections, notes };
}

export function parseVdmaps({ path, text }: DbconfFile): Vdmaps {
  const notes: Note[] = [];
  const vdmaps = new Map<string, { name: string; address: string | null; lines: Line[] }>();
  const wrong = (line: number, reason: string): void =>
    void notes.push({ file: path, line, option: null, reason });
  for (const record of recordsOf(text, path, notes)) {
    if (record.name === DIRECTIVE && record.isBlank) {
      const [, name = '', place = ''] = /^(\S+)\s+(\S+)$/.exec(record.rest) ?? [];
      const address = ipOf(place)?.address ?? null;
      if (name === '') wrong(record.line, 'expected vdmap NAME ADDRESS');
      else if (vdmaps.has(name)) wrong(record.line, 'the name is there twice; the first one counts');
      else {
        if (address === null)
          wrong(record.line, 'expected an IP address behind the name; left out with its options');
        vdmaps.set(name, { name, address, lines: [] });
      }
      continue;
    }
    const vdmap = vdmaps.get(record.name);
    const option = optionOf(record, path, notes);
    if (vdmap === undefined) wrong(record.line, 'there is no vdmap line of that name above');
    else if (option !== null) vdmap.lines.push(option);
  }
  const known = [...vdmaps.values()].flatMap(({ name, address, lines }) =>
    address === null ? [] : [{ name, address, lines }],
  );
  return { vdmaps: known, notes };
}

function* recordsOf(text: string, path: string, notes: Note[]): Generator<Record> {
  for (const [index, raw] of text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    const line = index + 1;
    if (index >= LINES_MAX) {
      notes.push({ file: path, line, option: null, reason: `only ${LINES_MAX} lines are read` });
      return;
    }
    const trimmed = raw.trim();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    if (Buffer.byteLength(raw) > LINE_BYTES_MAX) {
      const reason = `a line has at most ${LINE_BYTES_MAX} bytes; left out`;
      notes.push({ file: path, line, option: null, reason });
      continue;
    }
    if (isControlled(trimmed)) {
      notes.push({ file: path, line, option: null, reason: 'there are control characters in it; left out' });
      continue;
    }
    const [, name = '', behind = '', rest = ''] = /^([^\s:]+)([\s:]*)(.*)$/.exec(trimmed) ?? [];
    if (name !== '') yield { line, name, isBlank: !behind.startsWith(':'), rest };
    else notes.push({ file: path, line, option: null, reason: FORM });
  }
}

function optionOf({ line, rest }: Record, path: string, notes: Note[]): Line | null {
  const [, name = '', value = ''] = /^(\S+)\s*(.*)$/.exec(rest) ?? [];
  // What stands there with another sign between is not told: it may be a password.
  const isName = /^[\w.-]+$/.test(name);
  if (!isName || name === 'encoded') {
    const reason = isName ? 'encoded values are not read, write it as text' : FORM;
    notes.push({ file: path, line, option: null, reason });
    return null;
  }
  return { file: path, name, value: unquoted(value), line };
}

function unquoted(text: string): string {
  return /^"(.*)"$/.exec(text)?.[1] ?? text;
}
