// INTERNAL_IP of a mappings file: the addresses that belong to the site. A table begins with its name in the first column,
// its lines begin with a blank; `$(192.0.2.0/24) $Y` is a network of ours, `$N` one that is not, `* $N` the end. The first
// that fits counts. Pure. Promises: nobody is let in whom the table keeps out; where that cannot be told, nobody behind it.

import { formatNetwork } from '../../wire/channel-match.ts';
import { type Network, parseNetwork, withoutNetwork } from '../../wire/network.ts';
import { readLines } from './imta-lines.ts';
import type { FoundFile, Migration } from './mmp-files.ts';
import { Sourced } from './yaml-text.ts';
import { basename } from 'node:path';

const TABLE = 'INTERNAL_IP';

/** null: there is no such table, or nothing in it. */
export function networksOf(file: FoundFile, migration: Migration): Sourced | null {
  const { lines, notes } = readLines(file, migration.files);
  migration.notes.push(...notes);
  const ours = new Set<string>();
  const others: Network[] = [];
  let begun: number | null = null;
  for (const { file: path, value, line } of lines) {
    if (/^\S/.test(value)) {
      if (begun !== null) break;
      if (value.trim() === TABLE) begun = line;
      continue;
    }
    if (begun === null || value.trim() === '') continue;
    const { network, answer } = entryOf(value);
    if (network === 'all' && answer !== 'ours') break;
    if (network === null || network === 'all' || answer === null) {
      const rest = answer === 'ours' ? '' : ', with what is below it';
      const reason = `expected an address or network, and $Y or $N; left out of \`match\`${rest}`;
      migration.notes.push({ file: path, line, option: TABLE, reason });
      if (answer === 'ours') continue;
      break;
    }
    if (answer === 'others') others.push(network);
    else for (const left of without(network, others)) ours.add(formatNetwork(left));
  }
  return begun === null || ours.size === 0
    ? null
    : new Sourced([...ours], `${TABLE}, ${basename(file.path)}:${begun}`);
}

interface Entry {
  readonly network: Network | 'all' | null;
  readonly answer: 'ours' | 'others' | null;
}

function entryOf(value: string): Entry {
  const [pattern = '', reply = ''] = value.trim().split(/\s+/);
  const answer = /^\$Y/i.test(reply) ? 'ours' : /^\$N/i.test(reply) ? 'others' : null;
  if (pattern === '*') return { network: 'all', answer };
  return { network: parseNetwork(/^\$[({](.*)[)}]$/.exec(pattern)?.[1] ?? octetsOf(pattern)), answer };
}

/** `192.0.2.*` as a network. */
function octetsOf(pattern: string): string {
  const octets = /^((?:\d{1,3}\.){1,3})\*(?:\.\*)*$/.exec(pattern)?.[1]?.split('.').slice(0, -1);
  if (octets === undefined) return pattern;
  return `${[...octets, '0', '0', '0'].slice(0, 4).join('.')}/${octets.length * 8}`;
}

function without(network: Network, others: readonly Network[]): readonly Network[] {
  let left: readonly Network[] = [network];
  for (const hole of others) left = left.flatMap((part) => withoutNetwork(part, hole));
  return left;
}
