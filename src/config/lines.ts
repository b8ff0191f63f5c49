// sallyport.yaml as a tree of Maps, lists and scalars, with the line of every key.
// Maps and not objects, so that a key such as __proto__ is a key like any other. Never throws on what is in the file:
// what is wrong with it as YAML is in `faults`, in our own words, because the parser's may quote a secret.

import { LineCounter, Scalar, isAlias, isMap, isScalar, isSeq, parseDocument, visit } from 'yaml';
import type { Document, ErrorCode, Node, Pair } from 'yaml';

export type Path = readonly (string | number)[];

export interface Fault {
  readonly line: number | null;
  /** The key where it is known. */
  readonly path: Path;
  readonly text: string;
}

export interface SettingsTree {
  readonly root: unknown;
  readonly faults: readonly Fault[];
  /** The line where the shape of the file breaks: what follows cannot be judged. */
  readonly brokenAt: number | null;
  /** Line of the key, or of the nearest one above it that exists. */
  lineOf(path: Path): number | null;
}

const MAX_ALIASES = 100;

/** Faults after which the rest of the file is still what its author meant. */
const HARMLESS = new Set<ErrorCode>(['BAD_DQ_ESCAPE', 'TAG_RESOLVE_FAILED']);

const WORDS: Partial<Record<ErrorCode, string>> = {
  BAD_ALIAS: 'an alias is *name; other texts that begin with * need quotes',
  BAD_DQ_ESCAPE: 'unknown escape in a "…" text',
  BAD_INDENT: 'wrong indentation',
  BAD_SCALAR_START: 'a text cannot begin with this character, put it in quotes',
  BLOCK_AS_IMPLICIT_KEY: 'a key is missing or indented wrongly here',
  BLOCK_IN_FLOW: 'an indented block cannot stand inside { } or [ ]',
  MISSING_CHAR: 'a quote, comma, colon or bracket is missing',
  MULTILINE_IMPLICIT_KEY: 'a key must be on one line; is a colon missing?',
  MULTIPLE_DOCS: 'only one document (---) is read',
  RESOURCE_EXHAUSTION: 'nested too deep',
  TAB_AS_INDENT: 'a tab cannot indent, use spaces',
  TAG_RESOLVE_FAILED: 'unknown !tag',
  UNEXPECTED_TOKEN: 'this cannot stand here; are quotes or a line break missing?',
};

export const EMPTY_TREE: SettingsTree = { root: null, faults: [], brokenAt: null, lineOf: () => null };

export function parseSettings(text: string): SettingsTree {
  try {
    return readTree(text);
  } catch {
    // The parser recurses: a file of brackets only ends its stack. Alias bombs end here too.
    const fault = { line: null, path: [], text: 'not readable as YAML: nested too deep or too many aliases' };
    return { ...EMPTY_TREE, faults: [fault], brokenAt: 0 };
  }
}

function readTree(text: string): SettingsTree {
  const counter = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: counter,
    prettyErrors: false,
    uniqueKeys: false,
    logLevel: 'error',
  });
  const lineAt = (offset: number | undefined): number | null =>
    offset === undefined ? null : counter.linePos(offset).line;
  const faults: Fault[] = [];
  const add = (offset: number | undefined, words: string): number => {
    const line = lineAt(offset);
    faults.push({ line, path: [], text: `not YAML: ${words}` });
    return line ?? 0;
  };
  const breaks: number[] = [];
  for (const { code, pos } of [...document.errors, ...document.warnings]) {
    const line = add(pos[0], WORDS[code] ?? code);
    if (!HARMLESS.has(code)) breaks.push(line);
  }
  visit(document, {
    Alias(_key, alias) {
      if (alias.resolve(document) !== undefined) return undefined;
      breaks.push(add(startOf(alias), `an alias needs its anchor before it`));
      return new Scalar(null);
    },
  });
  for (const { path, offset } of repeatedKeys(document.contents, [])) {
    faults.push({ line: lineAt(offset), path, text: 'given twice' });
  }
  const root: unknown = document.toJS({ mapAsMap: true, maxAliasCount: MAX_ALIASES });
  const brokenAt = breaks.length > 0 ? Math.min(...breaks) : null;
  return { root, faults, brokenAt, lineOf: (path) => lineAt(offsetOf(document, path)) };
}

function keyText(pair: Pair<unknown, unknown>): string | null {
  return isScalar(pair.key) ? String(pair.key.value) : null;
}

function* repeatedKeys(node: unknown, above: Path): Generator<{ path: Path; offset: number | undefined }> {
  if (isSeq(node)) {
    for (const [index, item] of node.items.entries()) yield* repeatedKeys(item, [...above, index]);
  }
  if (!isMap(node)) return;
  const seen = new Set<string>();
  for (const pair of node.items) {
    const key = keyText(pair);
    if (key === null) continue;
    const path = [...above, key];
    if (seen.has(key)) yield { path, offset: startOf(pair.key) };
    seen.add(key);
    yield* repeatedKeys(pair.value, path);
  }
}

function offsetOf(document: Document, path: Path): number | undefined {
  let node: unknown = document.contents;
  let offset: number | undefined;
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document);
    // A list of one and its only item are the same thing to the settings.
    if (isSeq(node) && typeof step === 'string' && node.items.length === 1) node = node.items[0];
    if (isSeq(node)) {
      node = node.items[Number(step)];
    } else if (isMap(node)) {
      const pair = node.items.findLast((candidate) => keyText(candidate) === String(step));
      if (!pair) return offset;
      offset = startOf(pair.key) ?? offset;
      node = pair.value;
      continue;
    }
    if (node === undefined) return offset;
    offset = startOf(node) ?? offset;
  }
  return offset;
}

function startOf(node: unknown): number | undefined {
  return (node as Node | null)?.range?.[0];
}
