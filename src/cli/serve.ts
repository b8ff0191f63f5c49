// `sallyport serve`: runs the supervisor until it is told to stop. SIGTERM and SIGINT drain, a second one ends at once;
// SIGHUP reloads; SIGUSR2 restarts: a successor takes over, and this process ends. Mistakes in the settings go to
// standard error, one a line.

import { resolve } from 'node:path';

import { takeServiceManager } from '../config/environment.ts';
import { findSettingsFile } from '../config/load.ts';
import { SettingsError } from '../errors.ts';
import { explain } from '../log.ts';
import { forkSuccessor } from '../service/children.ts';
import { createConfigurationSource } from '../service/configuration.ts';
import { createLiveLog } from '../service/live-log.ts';
import { Supervisor } from '../service/supervisor.ts';
import { CONFIG_HELP, CONFIG_OPTION, FAILED, textOption, WRONG_SETTINGS } from './usage.ts';
import type { Command, Program } from './usage.ts';

export const SUPERVISOR_TITLE = 'sallyport: supervisor';

export const serve: Command = {
  name: 'serve',
  summary: 'runs the front end until it is signalled',
  options: CONFIG_OPTION,
  help:
    `\n${CONFIG_HELP}` +
    `\nSIGHUP reloads the settings. SIGUSR2 restarts: the program on disk takes over, and this process ends. SIGTERM and\n` +
    `SIGINT drain: nothing new is accepted, what is open may finish within timeouts.drain; a second one ends at once.\n` +
    `Listening sockets of systemd are taken (LISTEN_FDS). Log lines go to standard error.\n\n`,
  async run(values, program) {
    const file = findSettingsFile(textOption(values, 'config'));
    if (file === null) {
      program.err(
        'serve: expected --config F, ./sallyport.yaml or /etc/sallyport/sallyport.yaml, found none of them\n',
      );
      return WRONG_SETTINGS;
    }
    process.title = SUPERVISOR_TITLE;
    const log = createLiveLog({ level: 'info', format: 'json' });
    const { entry, version, world } = program;
    const source = createConfigurationSource({ file, world, missing: 'make' });
    const supervisor = new Supervisor({
      source,
      entry,
      version,
      world,
      log,
      manager: takeServiceManager(),
      forkSuccessor: () => forkSuccessor(startedAs(program), resolve(file)),
    });
    obeySignals(supervisor);
    try {
      return await supervisor.run();
    } catch (error) {
      return failed(error, program);
    }
  },
};

/** The name of the program as it was given, so that a link in it leads to what it leads to now. */
export function startedAs({ entry }: Pick<Program, 'entry'>): string {
  return process.argv[1] ?? entry;
}

export function obeySignals(supervisor: Supervisor): void {
  process.on('SIGTERM', () => supervisor.end());
  process.on('SIGINT', () => supervisor.end());
  process.on('SIGHUP', () => void supervisor.reload());
  process.on('SIGUSR2', () => void supervisor.restart());
  // Without a listener the runtime opens its debugger on this signal.
  process.on('SIGUSR1', () => {});
}

function failed(error: unknown, program: Program): number {
  if (error instanceof SettingsError) {
    program.err(error.mistakes.map((mistake) => `${mistake}\n`).join(''));
    return WRONG_SETTINGS;
  }
  program.err(`serve: ${explain(error)}\n`);
  return FAILED;
}
