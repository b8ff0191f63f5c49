// `sallyport import KIND FILE`: another program's configuration as settings of this one, on standard output or, with -o,
// in a new file; a file that is there already is left alone. What could not be carried over goes to standard error, one
// a line, with file and line. `-` as FILE is standard input. Nothing that the file names is read.

import { readFileSync, writeFileSync } from 'node:fs';
import { importConfigutil } from '../config/legacy/configutil.ts';
import type { Imported } from '../config/legacy/configutil.ts';
import { harmless } from '../log.ts';
import { nearNames } from '../spelling.ts';
import { DONE, FAILED, textOption, WRONG_USAGE } from './usage.ts';
import type { Command, Program } from './usage.ts';

interface Kind {
  /** What the file is. */
  readonly file: string;
  readonly read: (text: string) => Imported;
}

const KINDS: Readonly<Record<string, Kind>> = {
  configutil: {
    file: 'a listing by configutil of a Sun Messaging Server: its TLS options',
    read: importConfigutil,
  },
};

const MAX_BYTES = 16 * 1_048_576;

export const importSettings: Command = {
  name: 'import',
  summary: "makes settings of another server's configuration, and says what could not be carried over",
  options: { output: { type: 'string', short: 'o' } },
  operands: ['KIND', 'FILE'],
  help:
    `\nKIND:\n${Object.entries(KINDS)
      .map(([name, { file }]) => `  ${name}  ${file}\n`)
      .join('')}` +
    `FILE is read, - is standard input.\n\n  -o, --output F   writes to this file, which must not be there yet; default standard output\n`,
  run(values, program) {
    const [name = '', file = ''] = [textOption(values, 'KIND'), textOption(values, 'FILE')];
    const kind = Object.hasOwn(KINDS, name) ? KINDS[name] : undefined;
    return Promise.resolve(
      kind === undefined
        ? unknownKind(name, program)
        : convert(kind, { file, output: textOption(values, 'output') }, program),
    );
  },
};

function unknownKind(name: string, program: Program): number {
  const [near] = nearNames(name, Object.keys(KINDS));
  const hint = near === undefined ? '' : `, did you mean ${near}?`;
  const known = Object.keys(KINDS).join(', ');
  program.err(`sallyport import: expected ${known}, found ${JSON.stringify(name.slice(0, 64))}${hint}\n`);
  return WRONG_USAGE;
}

interface Files {
  readonly file: string;
  readonly output: string | undefined;
}

function convert(kind: Kind, { file, output }: Files, program: Program): number {
  const shown = file === '-' ? 'standard input' : file;
  const fail = (words: string): number => {
    program.err(`${words}\n`);
    return FAILED;
  };
  const text = readText(file);
  if (text instanceof Error) return fail(`${shown}: cannot be read (${codeOf(text)})`);
  const { yaml, notes } = kind.read(text);
  if (yaml === null) return fail(`${shown}: expected ${kind.file}, found no line name = value`);
  if (output === undefined) program.out(yaml);
  else {
    try {
      writeFileSync(output, yaml, { flag: 'wx' });
    } catch (error) {
      const code = codeOf(error);
      return fail(
        `${output}: ${code === 'EEXIST' ? 'is there already, and is left alone' : `cannot be written (${code})`}`,
      );
    }
  }
  for (const { line, option, reason } of notes) {
    const place = line === null ? shown : `${shown}:${line}`;
    program.err(`${harmless(`${place}: ${option === null ? '' : `${option}: `}${reason}`)}\n`);
  }
  return DONE;
}

function readText(file: string): string | Error {
  try {
    const bytes = readFileSync(file === '-' ? 0 : file);
    return bytes.length > MAX_BYTES ? new Error(`more than ${MAX_BYTES} bytes`) : bytes.toString('utf8');
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error';
  return 'code' in error ? String(error.code) : error.message;
}
