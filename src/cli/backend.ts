// `sallyport backend NAME [drain|up [SERVER]]`: the servers of a backend and how they are; takes one, or all of them, out
// of use for new logins, and back.

import { harmless } from '../log.ts';
import type { BackendStatus, FleetServerStatus } from '../service/backends/fleet.ts';
import { askSupervisor, refusalText } from './ask.ts';
import { CONFIG_HELP, CONFIG_OPTION, counted, DONE, FAILED, JSON_HELP, JSON_OPTION } from './usage.ts';
import type { Command } from './usage.ts';

export const backend: Command = {
  name: 'backend',
  summary: 'shows the servers of a backend; drains one (no new logins, sessions stay) or takes it up again',
  options: { ...CONFIG_OPTION, ...JSON_OPTION },
  operands: ['NAME', '[drain|up]', '[SERVER]'],
  help:
    `\n  NAME         as in \`backends\` of the settings\n` +
    `  drain, up    all servers of it, or the one that is named\n` +
    `  SERVER       as in \`servers\` of the settings: host:port\n\n${CONFIG_HELP}${JSON_HELP}`,
  async run(values, program) {
    const request = { name: values['NAME'], action: values['[drain|up]'], server: values['[SERVER]'] };
    const answer = await askSupervisor('backend', values, { world: program.world, request });
    if (!answer.ok) {
      program.err(refusalText(answer));
      return FAILED;
    }
    const found = answer['backend'] as BackendStatus;
    const text =
      values['json'] === true ? `${JSON.stringify(found, null, 2)}\n` : backendLines(found).join('');
    program.out(text);
    return DONE;
  },
};

/** One line a server. */
export function backendLines({ name, balance, servers }: BackendStatus): string[] {
  // A cause may be in the words of a server.
  return servers.map((server) => `${harmless(`backend ${name} (${balance}): ${serverText(server)}`)}\n`);
}

function serverText({ server, state, open, checked, cause }: FleetServerStatus): string {
  const words = { none: '', down: ', check fails', up: ', check passes', login: ', check logs in' }[checked];
  return `${server} ${state}, ${counted(open, 'connection')}${words}${cause === null ? '' : `; ${cause}`}`;
}
