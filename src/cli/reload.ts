// `sallyport reload`: asks the running supervisor to take the settings as they are in its file now. If they are wrong,
// prints every mistake, one a line, and the old ones go on.

import { askSupervisor, refusalText } from './ask.ts';
import { CONFIG_HELP, CONFIG_OPTION, counted, DONE, FAILED, WRONG_SETTINGS } from './usage.ts';
import type { Command } from './usage.ts';

export const reload: Command = {
  name: 'reload',
  summary: 'makes the running supervisor read its settings and certificates again',
  options: CONFIG_OPTION,
  help: `\n${CONFIG_HELP}`,
  async run(values, program) {
    const answer = await askSupervisor('reload', values, program);
    if (!answer.ok) {
      program.err(refusalText(answer));
      return answer.refused === 'settings' ? WRONG_SETTINGS : FAILED;
    }
    program.out(
      `reloaded: ${counted(Number(answer['opened']), 'address', 'addresses')} opened, ` +
        `${Number(answer['closed'])} closed\n`,
    );
    const keys: unknown = answer['needRestart'];
    if (Array.isArray(keys) && keys.length > 0)
      program.err(`takes a restart to change: ${keys.join(', ')}\n`);
    return DONE;
  },
};
