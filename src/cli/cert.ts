// `sallyport cert SUBCMD …`, also installed as `msgcert`: the certificate database in an administrator's hands. Finds
// the verb and what was typed behind it, prints help, runs it.
// Exit codes: 0 done, 1 failed and nothing changed, 64 wrong usage, 78 the settings are wrong; Ctrl-C at a prompt 130.

import { basename } from 'node:path';

import { SettingsError } from '../errors.ts';
import { harmless } from '../log.ts';
import { nearNames } from '../spelling.ts';
import { toolPage, verbPage } from './cert/help.ts';
import { findPlace } from './cert/place.ts';
import { tellOfServer } from './cert/running-server.ts';
import { readGiven, shown } from './cert/verb.ts';
import type { Desk, Given, Job, Verb } from './cert/verb.ts';
import { VERBS } from './cert/verbs.ts';
import { Prompt } from './prompt.ts';
import { DONE, FAILED, WRONG_USAGE } from './usage.ts';
import type { Program, Tool } from './usage.ts';

export const cert: Tool = {
  name: 'cert',
  summary: 'manages the certificate database: the verbs of msgcert, which is the same program',
  runArguments: (args, program) => runTool(args.map(withPlainDashes), program),
};

const HELP_WORDS: readonly string[] = ['-?', '--help', '-h', '-help', 'help'];

/** Manuals in print have dashes that no keyboard has. */
function withPlainDashes(arg: string): string {
  return arg.replace(/^[\u2013\u2014](?=[A-Za-z?]$)/, '-').replace(/^[\u2013\u2014](?=[A-Za-z])/, '--');
}

async function runTool(args: readonly string[], program: Program): Promise<number> {
  const tool = toolName();
  const [first = '', ...rest] = args;
  if (HELP_WORDS.includes(first)) {
    const [about] = rest.map(findVerb);
    program.out(about === undefined ? toolPage(tool, VERBS) : verbPage(tool, about));
    return DONE;
  }
  if (first === '--version' || first === '-V') {
    program.out(`${tool} ${program.version}\n`);
    return DONE;
  }
  const verb = findVerb(first);
  if (verb !== undefined) return runVerb(verb, rest, { program, tool });
  const problem = first === '' ? '' : `${tool}: there is no ${shown(first)}${nearVerb(first)}\n\n`;
  program.err(`${problem}${toolPage(tool, VERBS)}`);
  return WRONG_USAGE;
}

function toolName(): string {
  return /^msgcert(\.[jt]s)?$/.test(basename(process.argv[1] ?? '')) ? 'msgcert' : 'sallyport cert';
}

/** `generate_certdb` and `Generate-CertDB` are generate-certDB. */
function findVerb(typed: string): Verb | undefined {
  const wanted = folded(typed);
  return VERBS.find(({ name }) => folded(name) === wanted);
}

function folded(name: string): string {
  return name.toLowerCase().replaceAll('_', '-');
}

function nearVerb(typed: string): string {
  const names = VERBS.map(({ name }) => name);
  const [near] = nearNames(folded(typed), names);
  return near === undefined ? '' : `, did you mean ${near}?`;
}

async function runVerb(
  verb: Verb,
  args: readonly string[],
  { program, tool }: { readonly program: Program; readonly tool: string },
): Promise<number> {
  let given: Given;
  let job: Job;
  try {
    given = readGiven(
      verb,
      args.map((arg) => (arg === '-help' ? '--help' : arg)),
    );
    if (given.flag('help')) {
      program.out(verbPage(tool, verb));
      return DONE;
    }
    job = verb.read(given);
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    program.err(`${tool} ${verb.name}: ${harmless(words)}\n${tool} ${verb.name} --help explains it\n`);
    return WRONG_USAGE;
  }
  const desk: Desk = {
    program,
    tool,
    place: findPlace(given),
    prompt: new Prompt(program),
    passwordFile: given.text('cert-pwd-file'),
    say: (line) => program.out(`${harmless(line)}\n`),
    note: (line) => program.err(`${harmless(line)}\n`),
  };
  try {
    if ((await job(desk)) === 'failed') return FAILED;
    if (verb.changes === true) await tellOfServer(desk);
    return DONE;
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    for (const mistake of error.mistakes) desk.note(`${tool} ${verb.name}: ${mistake}`);
    return FAILED;
  }
}
