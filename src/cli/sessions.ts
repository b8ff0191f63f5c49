// `sallyport sessions`: the open connections of the running supervisor, one a line, all or those that fit.

import { harmless } from '../log.ts';
import type { ListedSession } from '../service/session-answers.ts';
import { askSupervisor, refusalText } from './ask.ts';
import { tellList } from './listing.ts';
import { CONFIG_HELP, CONFIG_OPTION, DONE, FAILED, JSON_HELP, JSON_OPTION, textOption } from './usage.ts';
import type { Command, OptionValues, Program } from './usage.ts';

export const FILTER_OPTIONS = {
  id: { type: 'string' },
  user: { type: 'string' },
  address: { type: 'string' },
  backend: { type: 'string' },
  service: { type: 'string' },
} as const;

export const FILTER_HELP = `  --id S       the session of that name
  --user U     sessions that a backend has let in as U, and those in which U acts for others
  --address A  those from an address or a network, 192.0.2.7 or 2001:db8::/32
  --backend B  those on a backend, by its name or as host:port of a server
  --service S  those of a service
`;

/** The options as the supervisor wants them. */
export function filterOf(values: OptionValues): Readonly<Record<string, string | undefined>> {
  return Object.fromEntries(Object.keys(FILTER_OPTIONS).map((name) => [name, textOption(values, name)]));
}

export const sessions: Command = {
  name: 'sessions',
  summary: 'lists the open sessions: who, from where, on which backend',
  options: { ...CONFIG_OPTION, ...FILTER_OPTIONS, ...JSON_OPTION },
  help: `\n${FILTER_HELP}${CONFIG_HELP}${JSON_HELP}`,
  async run(values, program) {
    const answer = await askSupervisor('sessions', values, {
      world: program.world,
      request: filterOf(values),
    });
    if (!answer.ok) {
      program.err(refusalText(answer));
      return FAILED;
    }
    const found = answer['sessions'] as readonly ListedSession[];
    tellList(values, program, {
      noun: 'session',
      lines: found.map(sessionLine),
      count: Number(answer['count']),
      json: { sessions: found },
    });
    return warnOfSilence(answer['silent'], program);
  },
};

export function sessionLine(session: ListedSession): string {
  const { id, service, client, port, via, user, admin, backend, tls, phase, seconds, bytesIn, bytesOut } =
    session;
  const words = [
    id,
    service,
    `${user ?? '-'}${admin === null ? '' : ` (by ${admin})`}`,
    `from ${client}:${port}${via === null ? '' : ` by ${via}`}`,
    `on ${backend ?? '-'}`,
    tls ?? 'clear',
    phase,
    `${seconds} s`,
    `in ${bytesIn} out ${bytesOut}`,
  ];
  // A user's name is what a stranger sent and a store let in.
  return `${harmless(words.join('  '))}\n`;
}

/** A worker that did not answer makes the answer incomplete, so the command fails. */
export function warnOfSilence(silent: unknown, program: Pick<Program, 'err'>): number {
  if (!Array.isArray(silent) || silent.length === 0) return DONE;
  program.err(`no answer from worker ${silent.join(', ')}: its sessions are not counted\n`);
  return FAILED;
}
