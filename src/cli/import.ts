// `sallyport import KIND FILE`: another program's configuration as settings of this one, on standard output or, with -o,
// in a new file; a file that is there already is left alone. Passwords come into files beside that new one, their owner's
// only, and are never printed. What could not be carried over goes to standard error, one a line, with file and line.
// What is written is read once more as `sallyport check` reads it. `-` as FILE is standard input (configutil alone).

import { dirname, resolve } from 'node:path';
import { importConfigutil } from '../config/legacy/configutil.ts';
import { importImta } from '../config/legacy/imta.ts';
import { importMmp } from '../config/legacy/mmp.ts';
import type { Imported, Note } from '../config/legacy/option-table.ts';
import { loadSettings } from '../config/load.ts';
import { SettingsError } from '../errors.ts';
import { harmless } from '../log.ts';
import { nearNames } from '../spelling.ts';
import { filesIn, isFolder, readFound, readText, Unreadable, writeAll } from './import-files.ts';
import { DONE, FAILED, textOption, WRONG_USAGE } from './usage.ts';
import type { Command, OptionValues, Program } from './usage.ts';

interface Kind {
  /** What is given, and of what. */
  readonly operand: string;
  readonly what: string;
  /** Options that only some kinds have. */
  readonly takes: readonly ('imta' | 'relay')[];
  /** A text: what is wrong with the file itself. */
  readonly read: (file: string, values: OptionValues) => Imported | string;
}

const KINDS: Readonly<Record<string, Kind>> = {
  configutil: {
    operand: 'FILE',
    what: 'a listing by configutil of a Sun Messaging Server: its TLS options',
    takes: [],
    read: (file) => importConfigutil(readText(file).text),
  },
  mmp: {
    operand: 'DIR',
    what: 'the folder of a Sun MMP: AService.cfg, the .cfg of its proxies, and the files they name',
    takes: ['imta', 'relay'],
    read(folder, values) {
      const imta = textOption(values, 'imta');
      const file = imta === undefined ? null : readFound(resolve(imta));
      if (!isFolder(folder)) return `${folder}: expected a folder with the configuration of an MMP`;
      if (file === null && imta !== undefined) return `${imta}: there is no such file`;
      return importMmp({
        shown: resolve(folder),
        files: filesIn(resolve(folder)),
        imta: file === null ? null : { file, files: filesIn(dirname(file.path)) },
        relay: textOption(values, 'relay') ?? null,
      });
    },
  },
  imta: {
    operand: 'FILE',
    what: 'imta.cnf of a Sun MTA: its channel blocks; files beside it are read where it names them',
    takes: ['relay'],
    read(file, values) {
      if (file === '-') return 'standard input: a file is needed, since others beside it are read';
      const { text } = readText(file);
      const path = resolve(file);
      const relay = textOption(values, 'relay') ?? null;
      return importImta({ file: { path, text }, files: filesIn(dirname(path)), relay });
    },
  },
};

export const importSettings: Command = {
  name: 'import',
  summary: "makes settings of another server's configuration, and says what could not be carried over",
  options: {
    output: { type: 'string', short: 'o' },
    imta: { type: 'string' },
    relay: { type: 'string' },
  },
  operands: ['KIND', 'FILE'],
  help:
    `\nKIND and FILE:\n${Object.entries(KINDS)
      .map(([name, { operand, what }]) => `  ${`${name} ${operand}`.padEnd(16)}  ${what}\n`)
      .join('')}` +
    `FILE is read, - is standard input (configutil).\n\n` +
    `  -o, --output F   writes to this file, and passwords into files beside it; they must not be there yet;\n` +
    `                   default standard output, without passwords\n` +
    `  --imta FILE      (mmp) imta.cnf of the MTA behind, whose channels the SMTP services then have\n` +
    `  --relay H:PORT   (mmp, imta) the MTA that the mail goes to, where no file says it\n`,
  run(values, program) {
    const [name = '', file = ''] = [textOption(values, 'KIND'), textOption(values, 'FILE')];
    const kind = Object.hasOwn(KINDS, name) ? KINDS[name] : undefined;
    return Promise.resolve(
      kind === undefined ? unknownKind(name, program) : convert({ kind, name, file }, values, program),
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

interface Given {
  readonly kind: Kind;
  readonly name: string;
  readonly file: string;
}

function convert({ kind, name, file }: Given, values: OptionValues, program: Program): number {
  for (const option of ['imta', 'relay'] as const) {
    if (values[option] === undefined || kind.takes.includes(option)) continue;
    program.err(`sallyport import: --${option} is not for ${name}\n`);
    return WRONG_USAGE;
  }
  const shown = file === '-' ? 'standard input' : file;
  const fail = (words: string): number => {
    program.err(`${words.split('\n').map(harmless).join('\n')}\n`);
    return FAILED;
  };
  const imported = readBy(kind, file, values);
  if (typeof imported === 'string') return fail(imported);
  const { yaml, notes, companions, problems } = imported;
  if (yaml === null) return fail(problems.map((problem) => `${shown}: ${problem}`).join('\n'));
  const output = textOption(values, 'output');
  if (output === undefined) program.out(yaml);
  else {
    const problem = writeAll(output, yaml, companions);
    if (problem !== null) return fail(problem);
  }
  for (const note of notes) program.err(`${noteText(note, shown)}\n`);
  if (output !== undefined) return checked(output, program);
  for (const companion of companions)
    program.err(`${companion.name}: the settings name this file with a password; -o writes it\n`);
  return DONE;
}

function readBy(kind: Kind, file: string, values: OptionValues): Imported | string {
  try {
    return kind.read(file, values);
  } catch (error) {
    if (error instanceof Unreadable) return error.message;
    throw error;
  }
}

function noteText({ file, line, option, reason }: Note, shown: string): string {
  const place = line === null ? (file ?? shown) : `${file ?? shown}:${line}`;
  return harmless(`${place}: ${option === null ? '' : `${option}: `}${reason}`);
}

/** What `sallyport check` would say of it first. */
function checked(output: string, program: Program): number {
  try {
    loadSettings({ file: output });
    return DONE;
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    program.err(error.mistakes.map((mistake) => `${mistake}\n`).join(''));
    return FAILED;
  }
}
