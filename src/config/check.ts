// One map of the file against one schema, by convict, and the list of all mistakes.
// Before convict sees a map, keys that the schema does not have and maps where none belong are reported and taken
// out: convict splits keys at dots, trips over __proto__ and turns "no" into true when a format has one of its own
// names. After it, each line of its one message is a mistake again, with key and line.

import convict from 'convict';
import { SettingsError } from '../errors.ts';
import { FORMATS, misfit } from './formats.ts';
import type { Format, Given, Group } from './formats.ts';
import { found, splitMisfit } from './misfit.ts';
import type { Path, SettingsTree } from './lines.ts';
import { isLeaf, leavesOf } from './schema.ts';
import type { Values } from './schema.ts';
import { suggest } from './suggest.ts';

/** Where a mistake is told. */
export type Reporter = Pick<Report, 'add'>;

interface Mistake {
  readonly line: number | null;
  readonly text: string;
}

/** Collects mistakes; `throwIfAny` throws all of them, in the order of their lines. */
export class Report {
  readonly #label: string;
  readonly #tree: SettingsTree;
  readonly #mistakes: Mistake[] = [];

  constructor(label: string, tree: SettingsTree) {
    this.#label = label;
    this.#tree = tree;
    for (const { line, path, text } of tree.faults) this.#put(line, path, text);
  }

  add(path: Path, text: string): void {
    const line = this.#tree.lineOf(path);
    const { brokenAt } = this.#tree;
    // Behind the place where the file breaks, keys and values are not what they look like.
    if (brokenAt !== null && (line === null || line >= brokenAt)) return;
    this.#put(line, path, text);
  }

  throwIfAny(): void {
    if (this.#mistakes.length === 0) return;
    const sorted = this.#mistakes.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0));
    throw new SettingsError([...new Set(sorted.map(({ text }) => text))]);
  }

  #put(line: number | null, path: Path, text: string): void {
    const place = line === null ? this.#label : `${this.#label}:${line}`;
    const key = path.length === 0 ? '' : ` ${formatPath(path)}:`;
    this.#mistakes.push({ line, text: `${place}:${key} ${text}` });
  }
}

/** `tls.sni."*.example.org"[1].cert` */
export function formatPath(path: Path): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else text += `${text === '' ? '' : '.'}${/^[\w-]{1,64}$/.test(step) ? step : found(step)}`;
  }
  return text;
}

export interface Checked<S> {
  readonly path: Path;
  /** Settings with a mistake have their default here. */
  readonly values: Values<S>;
  /** Whether a mistake was found at this setting of the schema (`tls.mode`). */
  readonly isWrong: (setting: string) => boolean;
}

export interface MapToCheck<S extends Group> {
  readonly schema: S;
  readonly given: unknown;
  readonly path: Path;
  /** Where a setting stands in the file, if not at its own name. */
  readonly places?: ReadonlyMap<string, Path>;
}

export function checkMap<const S extends Group>(map: MapToCheck<S>, report: Report): Checked<S> {
  const wrong = new Set<string>();
  const places = new Map(map.places);
  const add = (setting: string, text: string): void => {
    wrong.add(setting);
    const place = places.get(setting) ?? [...map.path, ...setting.split('.')];
    for (const part of splitMisfit(text)) {
      report.add(part.item === null ? place : [...place, part.item], part.text);
    }
  };
  const sorter: Sorter = { report, add, moved: (setting, to) => places.set(setting, [...map.path, ...to]) };
  const known = sortKeys({ group: map.schema, given: map.given, path: map.path, above: [] }, sorter);
  for (const [setting, text] of askConvict(map.schema, known)) {
    if (setting === '') report.add(map.path, text);
    else if (!wrong.has(setting)) add(setting, text);
  }
  return {
    path: map.path,
    values: readValues(map.schema, known, { above: [], wrong }) as Values<S>,
    isWrong: (setting) => wrong.has(setting) || [...wrong].some((other) => setting.startsWith(`${other}.`)),
  };
}

type Tree = { [key: string]: unknown };

interface Sorter {
  readonly report: Report;
  readonly add: (setting: string, text: string) => void;
  readonly moved: (setting: string, to: readonly string[]) => void;
}

interface Level {
  readonly group: Group;
  readonly given: unknown;
  readonly path: Path;
  readonly above: readonly string[];
}

/** The part of a given map that the schema knows, as plain objects; reports the rest. */
function sortKeys({ group, given, path, above }: Level, sorter: Sorter): Tree {
  const tree: Tree = {};
  if (given === null || given === undefined) return tree;
  if (!(given instanceof Map)) {
    const text = `expected a map of ${Object.keys(group).join(', ')}, found ${found(given)}`;
    if (above.length > 0) sorter.add(above.join('.'), text);
    else sorter.report.add(path, text);
    return tree;
  }
  for (const [key, value] of given as Given) {
    const name = String(key);
    const node = Object.hasOwn(group, name) ? group[name] : undefined;
    const here = [...above, name];
    if (node === undefined) {
      sorter.report.add([...path, name], `unknown key${suggest(name, Object.keys(group))}`);
    } else if (!isLeaf(node)) {
      const isWord = typeof value === 'string' && Object.hasOwn(node, 'mode');
      if (isWord) sorter.moved([...here, 'mode'].join('.'), here);
      const inner = isWord ? new Map([['mode', value]]) : value;
      tree[name] = sortKeys({ group: node, given: inner, path: [...path, name], above: here }, sorter);
    } else if (!(value instanceof Map)) {
      // A key with nothing behind it is a map whose lines are all comments.
      const isEmptyMap = value === null && (node.format === 'entries' || node.format === 'sni');
      if (!isEmptyMap) tree[name] = value;
    } else if (FORMATS[node.format].takesMap) {
      tree[name] = [value];
    } else {
      sorter.add(here.join('.'), misfit(node, value));
    }
  }
  return tree;
}

/** Loads and validates; gives [setting, message] for each mistake. */
function askConvict(schema: Group, known: Tree): [string, string][] {
  const config = convict<Tree>(schema as convict.Schema<Tree>, { env: {}, args: [] });
  try {
    config.load(known).validate({ allowed: 'strict' });
    return [];
  } catch (error) {
    const settings = [...leavesOf(schema)].map(([path]) => path.join('.'));
    const lines = (error instanceof Error ? error.message : String(error)).split('\n');
    return lines.map((line) => {
      const setting = settings.find((candidate) => line.startsWith(`${candidate}: `));
      return setting === undefined ? ['', line] : [setting, line.slice(setting.length + 2)];
    });
  }
}

interface ReadOptions {
  readonly above: readonly string[];
  readonly wrong: ReadonlySet<string>;
}

function readValues(group: Group, given: Tree, { above, wrong }: ReadOptions): Tree {
  const values: Tree = {};
  for (const [key, node] of Object.entries(group)) {
    const here = [...above, key];
    if (!isLeaf(node)) {
      values[key] = readValues(node, (given[key] ?? {}) as Tree, { above: here, wrong });
      continue;
    }
    const format: Format<unknown> = FORMATS[node.format];
    const isWrong = wrong.has(here.join('.'));
    if (isWrong && format.salvage) {
      values[key] = format.salvage(given[key]);
      continue;
    }
    const value = given[key] === undefined || isWrong ? node.default : given[key];
    values[key] = value === null ? null : format.read(value, node);
  }
  return values;
}
