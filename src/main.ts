// argv → command. The same program in a checkout (`node src/main.ts`) and installed (dist/main.js, by way of bin.js).
// The only place that decides how the process ends.

import { readFileSync } from 'node:fs';

import { DONE, FAILED, programUsage, runCommand, WRONG_SETTINGS, WRONG_USAGE } from './cli/usage.ts';
import type { Command, Program, Tool } from './cli/usage.ts';
import { SettingsError } from './errors.ts';
import { explain } from './log.ts';
import { nearNames } from './spelling.ts';
import { realWorld } from './world.ts';

/** Loaded when they are run: a worker has no use for the settings reader, nor `status` for the dialects. */
const COMMANDS: Readonly<Record<string, () => Promise<Command | Tool>>> = {
  serve: async () => (await import('./cli/serve.ts')).serve,
  check: async () => (await import('./cli/check.ts')).check,
  reload: async () => (await import('./cli/reload.ts')).reload,
  restart: async () => (await import('./cli/restart.ts')).restart,
  drain: async () => (await import('./cli/drain.ts')).drain,
  backend: async () => (await import('./cli/backend.ts')).backend,
  status: async () => (await import('./cli/status.ts')).status,
  sessions: async () => (await import('./cli/sessions.ts')).sessions,
  acme: async () => (await import('./cli/acme.ts')).acme,
  kick: async () => (await import('./cli/kick.ts')).kick,
  grants: async () => (await import('./cli/grants.ts')).grants,
  move: async () => (await import('./cli/move.ts')).move,
  cert: async () => (await import('./cli/cert.ts')).cert,
  certmap: async () => (await import('./cli/certmap.ts')).certmap,
  token: async () => (await import('./cli/token.ts')).token,
  import: async () => (await import('./cli/import.ts')).importSettings,
};

const program: Program = {
  version: readVersion(),
  entry: import.meta.filename,
  world: realWorld,
  out: (text) => write(process.stdout, text),
  err: (text) => write(process.stderr, text),
  exit: (code) => process.exit(code),
};

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
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (load !== undefined) return runCommand(await load(), args, program);
  switch (name) {
    case 'worker':
      return (await import('./cli/worker.ts')).work(args, program);
    case 'acme-order':
      return (await import('./cli/acme-order.ts')).orderAcme(args, program);
    case 'successor':
      return (await import('./cli/successor.ts')).succeed(args, program);
    case '--version':
    case '-V':
      program.out(`sallyport ${program.version}\n`);
      return DONE;
    case '--help':
    case '-h':
    case 'help':
      program.out(await usage());
      return DONE;
    default:
      program.err(name === '' ? await usage() : `${unknownCommand(name)}\n\n${await usage()}`);
      return WRONG_USAGE;
  }
}

async function usage(): Promise<string> {
  return programUsage(await Promise.all(Object.values(COMMANDS).map((load) => load())));
}

function unknownCommand(name: string): string {
  const [near] = nearNames(name, Object.keys(COMMANDS));
  const hint = near === undefined ? '' : `, did you mean ${near}?`;
  return `sallyport: there is no command ${JSON.stringify(name.slice(0, 64))}${hint}`;
}

// The streams are touched only here, when there is something to say: to make one switches its pipe to non-blocking, also
// for the log. A reader that went away (`sallyport status | head`) is no failure of ours.
function write(stream: NodeJS.WriteStream, text: string | Uint8Array): void {
  if (stream.listenerCount('error') === 0) stream.on('error', () => {});
  stream.write(text);
}

function readVersion(): string {
  const text: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  return typeof text === 'object' && text !== null && 'version' in text ? String(text.version) : 'unknown';
}
