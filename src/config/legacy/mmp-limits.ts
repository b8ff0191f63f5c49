// The options of the MMP against abuse, as penalties and limits. Pure but for the files that options name.

import { containsNetwork, parseNetwork, type Network } from '../../wire/network.ts';
import { type Migration, sourced } from './mmp-files.ts';
import { type Everywhere, within } from './mmp-scope.ts';
import type { Line } from './option-table.ts';
import { type SettingsMap, Sourced } from './yaml-text.ts';

const DAY_SECONDS = 86_400;
const LIMIT_MAX = 1_000_000;
const NO_LIMIT = 'carried as 0, which is no limit: with none allowed nobody could have connected';
const NOBODY = 'carried as 1, for 0 is no limit here; whom nothing is to let in, keep out by `access`';

export function penaltiesOf(everywhere: Everywhere, migration: Migration): SettingsMap {
  const penalties: SettingsMap = {};
  for (const [name, key] of [
    ['BGPenalty', 'step'],
    ['BGMaxBadness', 'max'],
    ['BGDecay', 'decay'],
  ] as const) {
    const line = everywhere.take(name);
    const value = line === null ? null : within(everywhere, line, { min: 0, max: DAY_SECONDS });
    if (line === null || value === null) continue;
    if (value > 0) penalties[key] = sourced(line, value);
    else {
      penalties['remembered'] = sourced(line, 0);
      everywhere.table.note(line, 'carried as penalties.remembered: 0, which is no penalties');
    }
  }
  const linear = everywhere.take('BGLinear');
  const isLinear = linear === null ? null : everywhere.table.flagOf(linear);
  if (linear !== null && isLinear !== null) penalties['linear'] = sourced(linear, isLinear);
  const most = everywhere.take('BGMax');
  const remembered = most === null ? null : within(everywhere, most, { min: 0, max: 100_000 });
  if (most !== null && remembered !== null) {
    if (penalties['remembered'] === undefined) penalties['remembered'] = sourced(most, remembered);
    else everywhere.table.note(most, 'there are no penalties, so nothing is remembered');
  }
  const excluded = excludedOf(everywhere, migration);
  if (excluded !== null) penalties['excluded'] = excluded;
  return Object.keys(penalties).length === 0 ? {} : { penalties };
}

interface Item {
  readonly text: string;
  /** Of the option, or of the file that it names. */
  readonly line: Line;
}

/** Items of a list, or of the file that the value names; null: it is neither. */
function itemsOf(line: Line, migration: Migration): Item[] | null {
  const split = (text: string): string[] => text.split(/[\s,]+/).filter((item) => item !== '');
  if (!/[\\/]|\.(cfg|conf|txt)$/i.test(line.value) && /[|:\d]/.test(line.value))
    return split(line.value).map((text) => ({ text, line }));
  const found = migration.files.read(line.value);
  if (found === null) return null;
  return found.text.split(/\r?\n/).flatMap((raw, index) =>
    raw.trim().startsWith('#')
      ? []
      : split(raw).map((text) => ({
          text,
          line: { file: found.path, name: line.name, value: text, line: index + 1 },
        })),
  );
}

function excludedOf(everywhere: Everywhere, migration: Migration): Sourced | null {
  const line = everywhere.take('BGExcluded');
  if (line === null || line.value === '') return null;
  const items = itemsOf(line, migration);
  if (items === null) {
    everywhere.table.note(line, 'the file is not there; nobody is excluded');
    return null;
  }
  const networks = items.flatMap(({ text, line: place }) => {
    const network = parseNetwork(text);
    if (network === null) everywhere.table.note(place, 'expected IP|MASK; left out');
    return network === null ? [] : [networkText(network)];
  });
  return sourced(line, [...new Set(networks)]);
}

function networkText({ family, address, prefix }: Network): string {
  return prefix === (family === 4 ? 32 : 128) ? address : `${address}/${prefix}`;
}

interface Row {
  readonly network: Network;
  readonly limit: number;
}

/** The first that fits counts there, the most specific here. */
export function connectionLimitsOf(everywhere: Everywhere, migration: Migration): SettingsMap {
  const line = everywhere.take('ConnLimits');
  if (line === null) return {};
  const items = itemsOf(line, migration);
  if (items === null) {
    everywhere.table.note(line, 'the file is not there; the default is taken, 20 of each address');
    return {};
  }
  const rows: Row[] = [];
  for (const { text, line: place } of items) {
    const row = rowOf(text);
    if (row?.limit === 0) everywhere.table.note(place, row.network.prefix === 0 ? NO_LIMIT : NOBODY);
    if (row === null) everywhere.table.note(place, 'expected IP|MASK:NUMBER; left out');
    else if (rows.some(({ network }) => containsNetwork(network, row.network)))
      everywhere.table.note(
        place,
        'a line before it has its addresses already, so it never counted; left out',
      );
    else rows.push(row.limit === 0 && row.network.prefix > 0 ? { ...row, limit: 1 } : row);
  }
  const all = rows.find(({ network }) => network.family === 4 && network.prefix === 0)?.limit;
  if (rows.length === 0) return {};
  if (rows.length === 1 && all !== undefined) return { limits: { perAddress: sourced(line, all) } };
  // What no network covers has 20, which is what the MMP has without a word.
  const wide = all === undefined ? [] : [['::/0', all] as const];
  const perAddress = Object.fromEntries([
    ...rows.map(
      ({ network, limit }) => [`${network.address}/${network.prefix}`, sourced(line, limit)] as const,
    ),
    ...wide,
  ]);
  return { limits: { perAddress } };
}

function rowOf(text: string): Row | null {
  const [, place = '', number = ''] = /^(.*):(\d{1,9})$/.exec(text) ?? [];
  // Unified Configuration writes the catch-all as `:20`.
  const network = number === '' ? null : parseNetwork(place === '' ? '0.0.0.0/0' : place);
  return network === null ? null : { network, limit: Math.min(Number(number), LIMIT_MAX) };
}
