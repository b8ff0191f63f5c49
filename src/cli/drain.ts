// `sallyport drain`: tells the running supervisor to stop accepting, to let what is open finish, and to end. Returns as
// soon as it has begun.

import { askSupervisor, refusalText } from './ask.ts';
import { CONFIG_HELP, CONFIG_OPTION, DONE, FAILED } from './usage.ts';
import type { Command } from './usage.ts';

export const drain: Command = {
  name: 'drain',
  summary: 'makes the running supervisor finish what is open, then end',
  options: CONFIG_OPTION,
  help: `\n${CONFIG_HELP}`,
  async run(values, program) {
    const answer = await askSupervisor('drain', values, program);
    if (!answer.ok) {
      program.err(refusalText(answer));
      return FAILED;
    }
    const graceSeconds = Number(answer['graceMs']) / 1000;
    const begun = answer['already'] === true ? 'already draining' : 'draining';
    program.out(`${begun}: process ${Number(answer['pid'])} ends within ${graceSeconds} s\n`);
    return DONE;
  },
};
