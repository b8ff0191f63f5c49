// A listing of `configutil` (or `configutil -l`) of a Sun Messaging Server as a table: lines `name = value`, the value
// perhaps in quotes, names in any letter case. Empty lines and comments (#, !) count for nothing. Never throws; each line
// that is none of these is kept as unread.

import { type Line, OptionTable } from './option-table.ts';

export type { Line, Note } from './option-table.ts';

const OPTION = /^\s*([A-Za-z][\w-]*(?:\.[\w@*:-]+)*)\s*=\s*(.*)$/;
/** How an option without a value is listed. */
const UNSET = /^(\s*|not set|\(not set\)|<not set>)$/i;

export class Listing extends OptionTable {
  constructor(text: string) {
    super([]);
    for (const [index, raw] of text
      .replace(/^\uFEFF/, '')
      .split(/\r?\n/)
      .entries()) {
      if (/^\s*([#!].*)?$/.test(raw)) continue;
      const line = index + 1;
      const [, name = '', rest = ''] = OPTION.exec(raw) ?? [];
      if (name === '') this.notes.push({ file: null, line, option: null, reason: 'expected name = value' });
      else this.put({ file: null, name, value: unquoted(rest.trim()), line });
    }
  }

  /** null also where it is not set. */
  override take(name: string): Line | null {
    const line = super.take(name);
    return line === null || UNSET.test(line.value) ? null : line;
  }
}

function unquoted(text: string): string {
  return /^(["'])(.*)\1$/.exec(text)?.[2] ?? text;
}
