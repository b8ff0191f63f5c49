// `sallyport token SUBCMD …`: PKCS#11 modules, their tokens and keys in an administrator's hands; the duties of modutil.
// Exit codes: 0 done, 1 failed and nothing changed, 64 wrong usage, 78 the settings are wrong; Ctrl-C at a prompt 130.

import { SettingsError } from '../errors.ts';
import { harmless } from '../log.ts';
import { nearNames } from '../spelling.ts';
import { verbPage } from './cert/help.ts';
import { findPlace } from './cert/place.ts';
import { readGiven, shown } from './cert/verb.ts';
import type { Given, Job, Verb } from './cert/verb.ts';
import { Prompt } from './prompt.ts';
import { generateKeyVerb, removeKeyVerb } from './token/generate.ts';
import { listKeys, listModules, listTokenCertificates } from './token/inspect.ts';
import { addModuleVerb, removeModuleVerb } from './token/modules.ts';
import { DONE, FAILED, WRONG_USAGE } from './usage.ts';
import type { Program, Tool } from './usage.ts';

const TOOL = 'sallyport token';
const VERBS: readonly Verb[] = [
  listModules,
  listKeys,
  listTokenCertificates,
  generateKeyVerb,
  removeKeyVerb,
  addModuleVerb,
  removeModuleVerb,
];

export const token: Tool = {
  name: 'token',
  summary: 'PKCS#11 modules: lists, adds, removes them, their tokens and keys',
  runArguments: runTool,
};

async function runTool([first = '', ...args]: readonly string[], program: Program): Promise<number> {
  if (['--help', '-h', '-?', 'help'].includes(first)) {
    program.out(toolPage());
    return DONE;
  }
  const verb = VERBS.find(({ name }) => name === first.toLowerCase());
  if (verb !== undefined) return runVerb(verb, args, program);
  const [near] = nearNames(
    first,
    VERBS.map(({ name }) => name),
  );
  const hint = near === undefined ? '' : `, did you mean ${near}?`;
  program.err(`${first === '' ? '' : `${TOOL}: there is no ${shown(first)}${hint}\n\n`}${toolPage()}`);
  return WRONG_USAGE;
}

function toolPage(): string {
  const lines = VERBS.map(
    ({ name, operands, summary }) => `  ${[name, ...operands].join(' ').padEnd(26)}  ${summary}\n`,
  );
  const more = `Certificates in tokens are the business of sallyport cert, as MODULE:NICKNAME.\n`;
  return `usage: ${TOOL} SUBCMD [options]\n\n${lines.join('')}\n${TOOL} SUBCMD --help explains one. ${more}`;
}

async function runVerb(verb: Verb, args: readonly string[], program: Program): Promise<number> {
  let given: Given;
  let job: Job;
  try {
    given = readGiven(verb, args);
    if (given.flag('help')) {
      program.out(verbPage(TOOL, verb));
      return DONE;
    }
    job = verb.read(given);
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    program.err(`${TOOL} ${verb.name}: ${harmless(words)}\n${TOOL} ${verb.name} --help explains it\n`);
    return WRONG_USAGE;
  }
  const note = (line: string): void => program.err(`${harmless(line)}\n`);
  const desk = {
    program,
    tool: TOOL,
    place: findPlace(given),
    prompt: new Prompt(program),
    passwordFile: given.text('cert-pwd-file'),
    say: (line: string): void => program.out(`${harmless(line)}\n`),
    note,
  };
  try {
    return (await job(desk)) === 'failed' ? FAILED : DONE;
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    for (const mistake of error.mistakes) note(`${TOOL} ${verb.name}: ${mistake}`);
    return FAILED;
  }
}
