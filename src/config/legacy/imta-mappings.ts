// INTERNAL_IP of a mappings file: the addresses that belong to the site. A table begins with its name in the first column,
// its lines begin with a blank; `$(192.0.2.0/24) $Y` is a network of ours, `* $N` the end. Pure.

import { parseNetwork } from '../../wire/network.ts';
import { readLines } from './imta-lines.ts';
import type { FoundFile, Migration } from './mmp-files.ts';
import { Sourced } from './yaml-text.ts';
import { basename } from 'node:path';

const TABLE = 'INTERNAL_IP';

/** null: there is no such table, or nothing in it. */
export function networksOf(file: FoundFile, migration: Migration): Sourced | null {
  const { lines, notes } = readLines(file, migration.files);
  migration.notes.push(...notes);
  const networks = new Set<string>();
  let begun: number | null = null;
  for (const { file: path, value, line } of lines) {
    if (/^\S/.test(value)) {
      if (begun !== null) break;
      if (value.trim() === TABLE) begun = line;
      continue;
    }
    if (begun === null || value.trim() === '') continue;
    const [pattern = '', answer = ''] = value.trim().split(/\s+/);
    if (pattern === '*' && /^\$N/i.test(answer)) break;
    const bare = /^\$[({](.*)[)}]$/.exec(pattern)?.[1] ?? pattern;
    const isOurs = /^\$Y/i.test(answer) && parseNetwork(bare) !== null;
    if (isOurs) networks.add(bare);
    else
      migration.notes.push({
        file: path,
        line,
        option: TABLE,
        reason: 'expected an address or network and $Y; left out of `match`',
      });
  }
  return begun === null || networks.size === 0
    ? null
    : new Sourced([...networks], `${TABLE}, ${basename(file.path)}:${begun}`);
}
