// `sallyport restart`: asks the running supervisor to let the program on disk take over, with its listeners, so that no
// connection is refused. Returns when the new one is in charge; the old one then lets finish what is open. If the new one
// fails, the old one goes on, and why is printed, one mistake a line.

import { askSupervisor, refusalText } from './ask.ts';
import { CONFIG_HELP, CONFIG_OPTION, DONE, FAILED, WRONG_SETTINGS } from './usage.ts';
import type { Command } from './usage.ts';

export const restart: Command = {
  name: 'restart',
  summary: 'puts a new supervisor and new workers in charge, and refuses no connection',
  options: CONFIG_OPTION,
  help: `\n${CONFIG_HELP}`,
  async run(values, program) {
    const answer = await askSupervisor('restart', values, program);
    if (!answer.ok) {
      program.err(refusalText(answer));
      return answer.refused === 'settings' ? WRONG_SETTINGS : FAILED;
    }
    const graceSeconds = Number(answer['graceMs']) / 1000;
    program.out(
      `restarted: process ${Number(answer['pid'])}, version ${String(answer['version'])}, is in charge; ` +
        `process ${Number(answer['before'])} ends within ${graceSeconds} s\n`,
    );
    return DONE;
  },
};
