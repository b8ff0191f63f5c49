// `sallyport acme`: what the running supervisor says of the certificates that it orders by ACME, and with --now an order
// at once, whose end is waited for.

import { harmless } from '../log.ts';
import type { AcmeStatus } from '../service/acme/keeper.ts';
import { askSupervisor, refusalText } from './ask.ts';
import { CONFIG_HELP, CONFIG_OPTION, counted, DONE, FAILED, JSON_HELP, JSON_OPTION } from './usage.ts';
import type { Command } from './usage.ts';

export const acme: Command = {
  name: 'acme',
  summary: 'shows the certificates that are ordered by ACME, or orders them at once',
  options: { ...CONFIG_OPTION, ...JSON_OPTION, now: { type: 'boolean' } },
  operands: ['[NICKNAME]'],
  help: `\n${CONFIG_HELP}${JSON_HELP}  --now        orders it, or all of them, now, and waits; due or not\n`,
  async run(values, program) {
    const nickname = values['[NICKNAME]'];
    const request = { now: values['now'] === true, ...(nickname === undefined ? {} : { nickname }) };
    const answer = await askSupervisor('acme', values, { world: program.world, request });
    if (!answer.ok) {
      program.err(refusalText(answer));
      return FAILED;
    }
    const all = answer['acme'] as readonly AcmeStatus[];
    const found = all.filter((one) => nickname === undefined || one.nickname === nickname);
    if (values['json'] === true) program.out(`${JSON.stringify(found, null, 2)}\n`);
    else if (all.length === 0) program.out('nothing is ordered by ACME (certificates.acme)\n');
    else program.out(found.map((one) => `${acmeText(one)}\n`).join(''));
    if (found.length > 0 || all.length === 0) return DONE;
    program.err(`certificates.acme.names has no ${String(nickname)}\n`);
    return FAILED;
  },
};

/** One line for people. */
export function acmeText(found: AcmeStatus): string {
  const { nickname, names, notAfter, nextAt, isOrdering, failures, lastFailure } = found;
  const has = notAfter === null ? 'none of the CA yet' : `until ${notAfter.slice(0, 10)}`;
  const next = isOrdering ? 'being ordered now' : `next order ${nextAt}`;
  const failed =
    lastFailure === null
      ? ''
      : `; FAILED ${counted(failures, 'time')}, at ${lastFailure.at}: ${harmless(lastFailure.cause)}`;
  return `acme ${nickname}: ${names.join(', ')}; ${has}; ${next}${failed}`;
}
