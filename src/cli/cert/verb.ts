// What a verb of `sallyport cert` is: its words, its options, and how these become a job. Reading what was typed
// touches nothing, so wrong usage is known before a password is asked for or a file is opened. Pure but for Desk.

import { parseArgs } from 'node:util';

import { nearNames } from '../../spelling.ts';
import type { Prompt } from '../prompt.ts';
import type { Program } from '../usage.ts';
import type { Place } from './place.ts';

export interface Option {
  readonly type: 'string' | 'boolean';
  readonly short?: string;
  readonly multiple?: true;
  /** What its value is called in the help. */
  readonly value?: string;
  readonly doc: string;
}

export type Options = Readonly<Record<string, Option>>;

export interface Verb {
  /** As the Sun Messaging Server spells it. */
  readonly name: string;
  readonly summary: string;
  /** The options as the first lines of the help show them. */
  readonly usage: string;
  readonly options: Options;
  /** What stands behind the options; `[NAME]` may be left out. */
  readonly operands: readonly string[];
  /** What it does may matter to a server that runs. */
  readonly changes?: true;
  /** More for the help. */
  readonly help?: string;
  /** What is asked for. An Error says what is wrong with what was typed. */
  read(given: Given): Job;
}

/** SettingsError: it failed, and nothing was changed but for what the message says. */
export type Job = (desk: Desk) => Promise<void | 'failed'>;

/** What was typed behind the verb. */
export interface Given {
  readonly words: readonly string[];
  text(option: string): string | undefined;
  texts(option: string): readonly string[];
  flag(option: string): boolean;
}

/** What a job works with. */
export interface Desk {
  readonly program: Program;
  readonly place: Place;
  readonly prompt: Prompt;
  /** `-W`. */
  readonly passwordFile: string | undefined;
  /** How the tool was called, for commands in messages. */
  readonly tool: string;
  /** A line of the result. */
  readonly say: (line: string) => void;
  /** A line that is not the result: what to do next, what is odd. */
  readonly note: (line: string) => void;
}

export const PLACE_OPTIONS = {
  config: { type: 'string', value: 'F', doc: 'the settings, which name the database' },
  database: { type: 'string', value: 'DIR', doc: 'the folder of the database, whatever the settings name' },
} as const satisfies Options;

export const DATABASE_OPTIONS = {
  'cert-pwd-file': {
    type: 'string',
    short: 'W',
    value: 'CERT_PW_FILE',
    doc: 'reads the certificate database password from this file, one line, or the line of the database in a sslpassword.conf (default: prompt for it)',
  },
  ...PLACE_OPTIONS,
} as const satisfies Options;

export const HELP_OPTION = {
  help: { type: 'boolean', short: '?', doc: 'this page' },
} as const satisfies Options;

/** Throws an Error in words for whoever typed it. */
export function readGiven(verb: Verb, args: readonly string[]): Given {
  const options = { ...verb.options, ...HELP_OPTION };
  refuseUnknown(options, args);
  const { values, positionals } = parseArgs({
    args: [...args],
    options: parserOptions(options),
    allowPositionals: true,
  });
  const list = (option: string): readonly string[] => {
    const value: unknown = (values as Record<string, unknown>)[option];
    return [value].flat().filter((item): item is string => typeof item === 'string');
  };
  const given: Given = {
    words: positionals,
    text: (option) => list(option).at(-1),
    texts: list,
    flag: (option) => (values as Record<string, unknown>)[option] === true,
  };
  if (!given.flag('help')) checkWords(verb, positionals);
  return given;
}

function parserOptions(
  options: Options,
): Record<string, { type: 'string' | 'boolean'; short?: string; multiple?: boolean }> {
  return Object.fromEntries(
    Object.entries(options).map(([name, { type, short, multiple }]) => [
      name,
      { type, ...(short === undefined ? {} : { short }), ...(multiple === undefined ? {} : { multiple }) },
    ]),
  );
}

function refuseUnknown(options: Options, args: readonly string[]): void {
  const { tokens } = parseArgs({
    args: [...args],
    options: parserOptions(options),
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  for (const token of tokens) {
    if (token.kind !== 'option' || Object.hasOwn(options, token.name)) continue;
    throw new Error(`there is no option ${shown(token.rawName)}${nearOption(token.name, options)}`);
  }
}

function nearOption(name: string, options: Options): string {
  if (name.length === 1) {
    const other = Object.values(options).find(({ short }) => short?.toLowerCase() === name.toLowerCase());
    return other?.short === undefined ? '' : `, did you mean -${other.short}?`;
  }
  const [near] = nearNames(name, Object.keys(options));
  return near === undefined ? '' : `, did you mean --${near}?`;
}

function checkWords({ operands }: Verb, words: readonly string[]): void {
  const least = operands.filter((name) => !name.startsWith('[')).length;
  if (words.length >= least && words.length <= operands.length) return;
  const found = words.length === 0 ? 'nothing' : words.map(shown).join(' ');
  throw new Error(`expected ${operands.join(' ') || 'nothing'} behind the options, found ${found}`);
}

/** A word that was typed, for a message. */
export function shown(word: string): string {
  return JSON.stringify(word.slice(0, 200)).slice(1, -1);
}

/** Which of the known words was typed, letter case aside; an Error names what there is. */
export function oneOf<T extends string>(
  option: string,
  typed: string | undefined,
  known: readonly T[],
): T | undefined {
  if (typed === undefined) return undefined;
  const found = known.find((word) => word === typed.toLowerCase());
  if (found === undefined) throw new Error(`${option} is one of ${known.join(', ')}, found ${shown(typed)}`);
  return found;
}

/** As it is typed in a shell, for commands in messages. */
export function quoted(alias: string): string {
  return /^[\w.@%+-]+$/.test(alias) ? alias : `'${alias.replaceAll("'", String.raw`'\''`)}'`;
}
