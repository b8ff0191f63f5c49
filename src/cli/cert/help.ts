// The help pages of `sallyport cert`, in the layout that administrators of the Sun Messaging Server know. Pure.

import { DATABASE_OPTIONS, HELP_OPTION } from './verb.ts';
import type { Option, Options, Verb } from './verb.ts';

const WIDTH = 80;
const SUMMARY_COLUMN = 24;

export function toolPage(tool: string, verbs: readonly Verb[]): string {
  const list = verbs.map(({ name, summary }) => inColumns(name, summary)).join('');
  return (
    `Usage: ${tool} SUBCMD [GLOBAL_OPTS] [SUBCMD_OPTS] [SUBCMD_OPERANDS]\n\n` +
    `Manages the certificate database of Sallyport\n` +
    `The accepted values for SUBCMD are:\n\n${list}\n` +
    `The accepted value for GLOBAL_OPTS is:\n${inColumns('-?, --help', 'Displays the help of SUBCMD')}\n` +
    `NOTE: The servers need not be stopped: a running one takes a change up by itself.\n`
  );
}

export function verbPage(tool: string, { name, summary, usage, options, operands, help }: Verb): string {
  const typed = [name, usage, ...operands].join(' ').replaceAll('\n', '\n       ');
  return [
    `Usage: ${tool} ${typed}\n`,
    `\n${summary}\n`,
    help === undefined ? '' : `\n${help.trimEnd()}\n`,
    `\nThe accepted values for the options are:\n\n`,
    optionList({ ...options, ...HELP_OPTION }),
  ].join('');
}

function optionList(options: Options): string {
  const last: readonly string[] = [...Object.keys(DATABASE_OPTIONS), 'help'];
  const entries = Object.entries(options);
  const own = entries.filter(([name]) => !last.includes(name));
  const shared = entries.filter(([name]) => last.includes(name));
  return [...own, ...shared].map(([name, option]) => inColumns(flagsOf(name, option), option.doc)).join('');
}

function flagsOf(name: string, { short, value }: Option): string {
  const behind = value === undefined ? '' : ` ${value}`;
  return short === undefined ? `--${name}${behind}` : `-${short}, --${name}${behind}`;
}

/** A term and its words beside it, wrapped; below it where the term is too long. */
function inColumns(term: string, words: string): string {
  const lines: string[] = [];
  let line = '';
  for (const word of words.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > WIDTH - SUMMARY_COLUMN) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  lines.push(line);
  const indent = ' '.repeat(SUMMARY_COLUMN);
  const start = term.length < SUMMARY_COLUMN - 1 ? term.padEnd(SUMMARY_COLUMN) : `${term}\n${indent}`;
  return `${start}${lines.join(`\n${indent}`)}\n`;
}
