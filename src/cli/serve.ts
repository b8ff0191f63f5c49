// `sallyport serve`: runs the supervisor until it is told to stop. SIGTERM and SIGINT drain, a second one ends at once;
// SIGHUP reloads. Mistakes in the settings go to standard error, one a line.

import { findSettingsFile } from '../config/load.ts';
import { SettingsError } from '../errors.ts';
import { explain } from '../log.ts';
import { createConfigurationSource } from '../service/configuration.ts';
import { createLiveLog } from '../service/live-log.ts';
import { Supervisor } from '../service/supervisor.ts';
import { CONFIG_HELP, CONFIG_OPTION, FAILED, textOption, WRONG_SETTINGS } from './usage.ts';
import type { Command, Program } from './usage.ts';

export const serve: Command = {
  name: 'serve',
  summary: 'runs the front end until it is signalled',
  options: CONFIG_OPTION,
  help:
    `\n${CONFIG_HELP}` +
    `\nSIGHUP reloads the settings. SIGTERM and SIGINT drain: nothing new is accepted, what is open may finish within\n` +
    `timeouts.drain; a second one ends at once. Log lines go to standard error.\n\n`,
  async run(values, program) {
    const file = findSettingsFile(textOption(values, 'config'));
    if (file === null) {
      program.err(
        'serve: expected --config F, ./sallyport.yaml or /etc/sallyport/sallyport.yaml, found none of them\n',
      );
      return WRONG_SETTINGS;
    }
    process.title = 'sallyport: supervisor';
    const log = createLiveLog({ level: 'info', format: 'json' });
    const { entry, version, world } = program;
    const source = createConfigurationSource({ file, world, missing: 'make' });
    const supervisor = new Supervisor({ source, entry, version, world, log });
    obeySignals(supervisor);
    try {
      return await supervisor.run();
    } catch (error) {
      return failed(error, program);
    }
  },
};

function obeySignals(supervisor: Supervisor): void {
  const end = (): void => {
    if (supervisor.draining) void supervisor.kill();
    else supervisor.drain();
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
  process.on('SIGHUP', () => void supervisor.reload());
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
