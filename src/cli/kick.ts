// `sallyport kick`: ends the sessions that fit, each with a goodbye in its dialect where one can be said. Without any
// option it refuses: everybody is kicked only by --all.

import { askSupervisor, refusalText } from './ask.ts';
import { FILTER_HELP, FILTER_OPTIONS, filterOf, warnOfSilence } from './sessions.ts';
import { CONFIG_HELP, CONFIG_OPTION, counted, FAILED } from './usage.ts';
import type { Command } from './usage.ts';

export const kick: Command = {
  name: 'kick',
  summary: 'ends open sessions of a user, an address, a backend, a service, or one by its name',
  options: { ...CONFIG_OPTION, ...FILTER_OPTIONS, all: { type: 'boolean' } },
  help: `\n${FILTER_HELP}  --all        every session\n${CONFIG_HELP}`,
  async run(values, program) {
    const request = { ...filterOf(values), all: values['all'] === true };
    const answer = await askSupervisor('kick', values, { world: program.world, request });
    if (!answer.ok) {
      program.err(refusalText(answer));
      return FAILED;
    }
    program.out(`kicked ${counted(Number(answer['kicked']), 'session')}\n`);
    return warnOfSilence(answer['silent'], program);
  },
};
