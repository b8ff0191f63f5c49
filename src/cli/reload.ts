// `sallyport reload`: asks the running supervisor to take the settings as they are in its file now. If they are wrong,
// prints every mistake, one a line, and the old ones go on. With --workers every worker is replaced too, one after another;
// that takes as long as their connections do, within timeouts.drain for each, and the command waits for it.

import { askSupervisor, refusalText } from './ask.ts';
import { CONFIG_HELP, CONFIG_OPTION, counted, DONE, FAILED, WRONG_SETTINGS } from './usage.ts';
import type { Command } from './usage.ts';

export const reload: Command = {
  name: 'reload',
  summary: 'makes the running supervisor read its settings and certificates again',
  options: { ...CONFIG_OPTION, workers: { type: 'boolean' } },
  help: `\n${CONFIG_HELP}  --workers    also puts a new worker in the place of each, one after another\n`,
  async run(values, program) {
    const request = { workers: values['workers'] === true };
    const answer = await askSupervisor('reload', values, { world: program.world, request });
    if (!answer.ok) {
      program.err(refusalText(answer));
      return answer.refused === 'settings' ? WRONG_SETTINGS : FAILED;
    }
    program.out(
      `reloaded: ${counted(Number(answer['opened']), 'address', 'addresses')} opened, ` +
        `${Number(answer['closed'])} closed\n`,
    );
    if (answer['replaced'] !== undefined)
      program.out(`replaced: ${counted(Number(answer['replaced']), 'worker')}\n`);
    const keys: unknown = answer['needRestart'];
    if (Array.isArray(keys) && keys.length > 0)
      program.err(`takes a restart (sallyport restart) to change: ${keys.join(', ')}\n`);
    return DONE;
  },
};
