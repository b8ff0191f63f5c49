// Settings written as YAML for people: block style, lists in one line, comments before the keys they are about, and where
// a value comes from behind it.

import { Document, isMap, isScalar, isSeq, YAMLMap } from 'yaml';
import { harmless } from '../../log.ts';

type Plain = string | number | boolean | null | readonly (string | number)[];
export type SettingsValue = Plain | SettingsMap | Commented | Sourced;
export interface SettingsMap {
  [key: string]: SettingsValue;
}

/** A map with words before it. */
export class Commented {
  readonly comment: readonly string[];
  readonly value: SettingsMap;

  constructor(comment: readonly string[], value: SettingsMap) {
    this.comment = comment;
    this.value = value;
  }
}

/** A value with its origin. */
export class Sourced {
  readonly value: Plain;
  readonly source: string;

  constructor(value: Plain, source: string) {
    this.value = value;
    this.source = source;
  }
}

const WIDTH = 118;

export function yamlText(settings: SettingsMap, head: readonly string[] = []): string {
  const document = new Document();
  const map = nodeOf(document, settings);
  for (const [index, { key }] of map.items.entries()) {
    if (isScalar(key) && index > 0) key.spaceBefore = true;
  }
  document.contents = map;
  if (head.length > 0) document.commentBefore = commentText(head);
  return `${document.toString({ lineWidth: WIDTH, flowCollectionPadding: true }).trimEnd()}\n`;
}

function nodeOf(document: Document, settings: SettingsMap): YAMLMap {
  const map = new YAMLMap();
  for (const [name, given] of Object.entries(settings)) {
    const key = document.createNode(name);
    if (given instanceof Commented) key.commentBefore = commentText(given.comment);
    const value = given instanceof Commented || given instanceof Sourced ? given.value : given;
    const node = isObject(value) ? nodeOf(document, value) : document.createNode(value);
    if (isSeq(node)) node.flow = true;
    if (isMap(node)) node.flow = isShort(value);
    if (given instanceof Sourced) node.comment = ` ${harmless(given.source)}`;
    map.items.push(document.createPair(key, node));
  }
  return map;
}

/** A map of texts and numbers alone stands in one line. */
function isShort(value: SettingsValue): boolean {
  return (
    isObject(value) &&
    Object.values(value).every((inner) => inner === null || typeof inner !== 'object') &&
    JSON.stringify(value).length < 80
  );
}

function isObject(value: SettingsValue): value is SettingsMap {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Commented) &&
    !(value instanceof Sourced)
  );
}

function commentText(lines: readonly string[]): string {
  return lines.map((line) => (line === '' ? '' : ` ${harmless(line)}`)).join('\n');
}
