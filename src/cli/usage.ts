// The command line in words: what commands there are, how one is told apart from a typing mistake, and how the options
// of one are read. Results go to standard output, everything else to standard error.
// Exit codes: 0 done, 1 failed, 64 wrong usage, 78 wrong settings (sysexits.h).

import { parseArgs } from 'node:util';
import type { ParseArgsOptionsConfig } from 'node:util';

import type { World } from '../world.ts';

export const DONE = 0;
export const FAILED = 1;
export const WRONG_USAGE = 64;
export const WRONG_SETTINGS = 78;

/** What a command gets from the program. */
export interface Program {
  readonly version: string;
  /** The file to run for a worker: this program. */
  readonly entry: string;
  readonly world: World;
  out(text: string | Uint8Array): void;
  err(text: string): void;
  exit(code: number): never;
}

export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  readonly options: ParseArgsOptionsConfig;
  /** Names of the words behind the options, `[NAME]` where it may be left out; their values are among the options' by these names. */
  readonly operands?: readonly string[];
  /** The page of --help behind the first line. */
  readonly help: string;
  run(values: OptionValues, program: Program): Promise<number>;
}

/** A command with words of its own behind its name, which it reads itself. */
export interface Tool {
  readonly name: string;
  readonly summary: string;
  runArguments(args: readonly string[], program: Program): Promise<number>;
}

export type OptionValues = Readonly<Record<string, string | boolean | undefined>>;

export const CONFIG_OPTION = { config: { type: 'string' } } as const satisfies ParseArgsOptionsConfig;
export const JSON_OPTION = { json: { type: 'boolean' } } as const satisfies ParseArgsOptionsConfig;

export const CONFIG_HELP = `  --config F   the settings; default ./sallyport.yaml, then /etc/sallyport/sallyport.yaml\n`;
export const JSON_HELP = `  --json       the answer as JSON\n`;
const HELP_HELP = `  --help       this page\n`;

export function programUsage(commands: readonly Pick<Command, 'name' | 'summary'>[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  const list = commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}\n`).join('');
  return (
    `usage: sallyport COMMAND [options]\n       sallyport --version | --help\n\ncommands:\n${list}\n` +
    `sallyport COMMAND --help explains one. Exit codes: 0 done, 1 failed, 64 wrong usage, 78 wrong settings.\n`
  );
}

function commandUsage({ name, summary, options, operands = [], help }: Command): string {
  const flags = Object.entries(options).map(([flag, { type }]) =>
    type === 'string' ? `[--${flag} F]` : `[--${flag}]`,
  );
  return `usage: sallyport ${[name, ...flags, ...operands].join(' ')}\n\n${summary}\n${help}${HELP_HELP}`;
}

/** Reads the options of a command and runs it. */
export async function runCommand(
  command: Command | Tool,
  args: readonly string[],
  program: Program,
): Promise<number> {
  if ('runArguments' in command) return command.runArguments(args, program);
  const options = { ...command.options, help: { type: 'boolean' } } as const;
  let values: OptionValues;
  try {
    const { operands = [] } = command;
    const allowPositionals = operands.length > 0;
    const parsed = parseArgs({ args: [...args], options, strict: true, allowPositionals });
    const words = parsed.positionals;
    const needed = operands.filter((name) => !name.startsWith('[')).length;
    const fits = words.length >= needed && words.length <= operands.length;
    if (parsed.values['help'] !== true && allowPositionals && !fits)
      throw new Error(`expected ${operands.join(' ')}, found ${words.join(' ') || 'nothing'}`);
    values = {
      ...(parsed.values as OptionValues),
      ...Object.fromEntries(operands.map((name, place) => [name, words[place]])),
    };
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    program.err(`sallyport ${command.name}: ${words}\n\n${commandUsage(command)}`);
    return WRONG_USAGE;
  }
  if (values['help'] === true) {
    program.out(commandUsage(command));
    return DONE;
  }
  return command.run(values, program);
}

/** The value of a string option. */
export function textOption(values: OptionValues, name: string): string | undefined {
  const value = values[name];
  return typeof value === 'string' ? value : undefined;
}

/** `1 address`, `2 addresses`. */
export function counted(count: number, one: string, more = `${one}s`): string {
  return `${count} ${count === 1 ? one : more}`;
}
