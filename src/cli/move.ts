// `sallyport move`: puts a user of a hashed backend on another server, safely: new logins are held, sessions ended, all
// workers and machines waited for, and only then is the user led to the new server. `--back` lets hashing decide again.

import { harmless } from '../log.ts';
import { type ListedMove, WAIT_MAX_S } from '../service/placements/answers.ts';
import { askSupervisor, refusalText } from './ask.ts';
import { tellList } from './listing.ts';
import {
  CONFIG_HELP,
  CONFIG_OPTION,
  DONE,
  FAILED,
  JSON_HELP,
  JSON_OPTION,
  textOption,
  WRONG_USAGE,
} from './usage.ts';
import type { Command, OptionValues, Program } from './usage.ts';

export const move: Command = {
  name: 'move',
  summary: 'moves a user of a hashed backend (balance: hash) to another server, or lists who was moved',
  options: {
    ...CONFIG_OPTION,
    backend: { type: 'string' },
    back: { type: 'boolean' },
    list: { type: 'boolean' },
    wait: { type: 'string' },
    ...JSON_OPTION,
  },
  operands: ['[USER]', '[SERVER]'],
  help:
    `\n  USER         the name that sallyport sessions shows, whatever the letter case\n` +
    `  SERVER       the host, or host:port, of a server; at every hashed backend that has it\n` +
    `  --backend B  at this backend only\n` +
    `  --back       to where hashing puts USER, instead of SERVER\n` +
    `  --wait S     so many seconds for its sessions to end, 30 unless said; if they do not, nothing has changed\n` +
    `  --list       who was moved where\n${CONFIG_HELP}${JSON_HELP}`,
  async run(values, program) {
    const wrong = wrongUsage(values);
    if (wrong !== null) {
      program.err(`sallyport move: ${wrong}\n`);
      return WRONG_USAGE;
    }
    return values['list'] === true ? list(values, program) : moveOne(values, program);
  },
};

function wrongUsage(values: OptionValues): string | null {
  const user = textOption(values, '[USER]');
  const server = textOption(values, '[SERVER]');
  const wait = textOption(values, 'wait');
  if (values['list'] === true) return user === undefined ? null : 'expected no USER behind --list';
  if (user === undefined) return 'expected USER and SERVER, or USER and --back, or --list';
  if (values['back'] === true && server !== undefined) return 'expected SERVER or --back, found both';
  if (values['back'] !== true && server === undefined) return 'expected SERVER or --back behind USER';
  const seconds = Number(wait ?? 1);
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > WAIT_MAX_S) {
    return `expected --wait with 1 to ${WAIT_MAX_S} seconds`;
  }
  return null;
}

async function moveOne(values: OptionValues, program: Program): Promise<number> {
  const wait = textOption(values, 'wait');
  const user = textOption(values, '[USER]') ?? '';
  const request = {
    user,
    server: textOption(values, '[SERVER]'),
    backend: textOption(values, 'backend'),
    back: values['back'] === true,
    wait: wait === undefined ? 30 : Number(wait),
  };
  const answer = await askSupervisor('move', values, { world: program.world, request });
  if (!answer.ok) {
    program.err(harmless(refusalText(answer).trimEnd()) + '\n');
    return FAILED;
  }
  const moved = answer['moved'] as readonly { backend: string; to: string | null }[];
  if (values['json'] === true) program.out(`${JSON.stringify({ user, moved }, null, 2)}\n`);
  else program.out(moved.map((one) => `${harmless(`${user}: ${moveText(one)}`)}\n`).join(''));
  if (typeof answer['note'] === 'string') program.err(`${answer['note']}\n`);
  return DONE;
}

function moveText({ backend, to }: { readonly backend: string; readonly to: string | null }): string {
  return `${backend}: ${to === null ? 'back to where hashing puts it' : `now on ${to}`}`;
}

async function list(values: OptionValues, program: Program): Promise<number> {
  const answer = await askSupervisor('move', values, { world: program.world, request: { list: true } });
  if (!answer.ok) {
    program.err(refusalText(answer));
    return FAILED;
  }
  const moves = answer['moves'] as readonly ListedMove[];
  tellList(values, program, {
    noun: 'place',
    lines: moves.map(listLine),
    count: Number(answer['count']),
    json: { moves },
  });
  return DONE;
}

export function listLine({ user, backend, server, since, isMoving, isKnown }: ListedMove): string {
  const notes = [
    ...(isMoving ? ['being moved'] : []),
    ...(isKnown ? [] : ['the settings do not have it: hashing decides']),
  ];
  const words = [user, `${backend}: ${server ?? '-'}`, `since ${since}`, ...notes];
  return `${harmless(words.join('  '))}\n`;
}
