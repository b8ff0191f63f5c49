// argv → command. The same program in a checkout (`node src/main.ts`) and installed (dist/main.js, by way of bin.js).
// The only place that decides how the process ends.

import { readFileSync } from 'node:fs';

import { check } from './cli/check.ts';
import { drain } from './cli/drain.ts';
import { reload } from './cli/reload.ts';
import { serve } from './cli/serve.ts';
import { status } from './cli/status.ts';
import {
  DONE,
  FAILED,
  nearestName,
  programUsage,
  runCommand,
  WRONG_SETTINGS,
  WRONG_USAGE,
} from './cli/usage.ts';
import type { Program } from './cli/usage.ts';
import { work } from './cli/worker.ts';
import { SettingsError } from './errors.ts';
import { explain } from './log.ts';
import { realWorld } from './world.ts';

const COMMANDS = [serve, check, reload, drain, status];

const program: Program = {
  version: readVersion(),
  entry: import.meta.filename,
  world: realWorld,
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  exit: (code) => process.exit(code),
};

// A reader that went away (`sallyport status | head`) is no failure of ours.
process.stdout.on('error', () => {});
process.stderr.on('error', () => {});
// Everything that would keep the process alive has been closed by the command; what a peer left open is not waited for.
process.exit(await main(process.argv.slice(2)));

async function main(argv: readonly string[]): Promise<number> {
  const [name = '', ...args] = argv;
  try {
    return await dispatch(name, args);
  } catch (error) {
    if (error instanceof SettingsError) {
      program.err(error.mistakes.map((mistake) => `${mistake}\n`).join(''));
      return WRONG_SETTINGS;
    }
    program.err(`sallyport ${name}: ${explain(error)}\n`);
    return FAILED;
  }
}

async function dispatch(name: string, args: readonly string[]): Promise<number> {
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (command !== undefined) return runCommand(command, args, program);
  switch (name) {
    case 'worker':
      return work(args, program);
    case '--version':
    case '-V':
      program.out(`sallyport ${program.version}\n`);
      return DONE;
    case '--help':
    case '-h':
    case 'help':
      program.out(programUsage(COMMANDS));
      return DONE;
    case '':
      program.err(programUsage(COMMANDS));
      return WRONG_USAGE;
    default:
      program.err(unknownCommand(name));
      return WRONG_USAGE;
  }
}

function unknownCommand(name: string): string {
  const near = nearestName(
    name,
    COMMANDS.map((command) => command.name),
  );
  const hint = near === null ? '' : `, did you mean ${near}?`;
  return `sallyport: there is no command ${JSON.stringify(name.slice(0, 64))}${hint}\n\n${programUsage(COMMANDS)}`;
}

function readVersion(): string {
  const text: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  return typeof text === 'object' && text !== null && 'version' in text ? String(text.version) : 'unknown';
}
