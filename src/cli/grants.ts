// `sallyport grants`: the addresses that have a grant of POP before SMTP, with who earned it; `grants revoke` takes
// grants away. Without an address, a user or --all it revokes nothing.

import { harmless } from '../log.ts';
import type { ListedGrant } from '../service/grants/answers.ts';
import { askSupervisor, refusalText } from './ask.ts';
import { tellList } from './listing.ts';
import {
  CONFIG_HELP,
  CONFIG_OPTION,
  counted,
  DONE,
  FAILED,
  JSON_HELP,
  JSON_OPTION,
  textOption,
  WRONG_USAGE,
} from './usage.ts';
import type { Command, OptionValues, Program } from './usage.ts';

export const grants: Command = {
  name: 'grants',
  summary: 'lists who may send without a login after POP (popBeforeSmtp), or revokes it',
  options: {
    ...CONFIG_OPTION,
    user: { type: 'string' },
    address: { type: 'string' },
    all: { type: 'boolean' },
    ...JSON_OPTION,
  },
  operands: ['[revoke]', '[ADDRESS]'],
  help:
    `\n  revoke       takes away the grants of ADDRESS, of --user U, or with --all every one; sessions that are open\n` +
    `               stay (\`kick\` ends them), and the next login earns a new grant\n` +
    `  --user U     those that U earned\n` +
    `  --address A  those of an address or a network, 192.0.2.7 or 2001:db8::/32\n${CONFIG_HELP}${JSON_HELP}`,
  async run(values, program) {
    const [action, operand] = [textOption(values, '[revoke]'), textOption(values, '[ADDRESS]')];
    const option = textOption(values, 'address');
    const wrong =
      action !== undefined && action !== 'revoke'
        ? `expected revoke or nothing, found ${JSON.stringify(action.slice(0, 60))}`
        : operand !== undefined && option !== undefined
          ? 'the address is given twice'
          : values['all'] === true && action === undefined
            ? '--all is for revoke'
            : null;
    if (wrong !== null) {
      program.err(`sallyport grants: ${wrong}\n`);
      return WRONG_USAGE;
    }
    const request = { action, user: textOption(values, 'user'), address: operand ?? option };
    return action === 'revoke'
      ? revoke(values, program, { ...request, all: values['all'] === true })
      : list(values, program, request);
  },
};

type Request = Readonly<Record<string, string | boolean | undefined>>;

async function list(values: OptionValues, program: Program, request: Request): Promise<number> {
  const answer = await askSupervisor('grants', values, { world: program.world, request });
  if (!answer.ok) {
    program.err(refusalText(answer));
    return FAILED;
  }
  const found = answer['grants'] as readonly ListedGrant[];
  tellList(values, program, {
    noun: 'grant',
    lines: found.map(grantLine),
    count: Number(answer['count']),
    json: { channel: answer['channel'], grants: found },
  });
  return DONE;
}

async function revoke(values: OptionValues, program: Program, request: Request): Promise<number> {
  const answer = await askSupervisor('grants', values, { world: program.world, request });
  if (!answer.ok) {
    program.err(refusalText(answer));
    return FAILED;
  }
  const { revoked, pending } = answer;
  if (values['json'] === true) program.out(`${JSON.stringify({ revoked, pending }, null, 2)}\n`);
  else program.out(`revoked ${counted(Number(revoked), 'grant')}\n`);
  if (pending !== true) return DONE;
  program.err('the store is not reached: other machines hear of it when it is back\n');
  return FAILED;
}

/** A user's name is what a stranger sent and a store let in. */
export function grantLine({ address, user, service, since, secondsLeft }: ListedGrant): string {
  return `${harmless(`${address}  ${user}  by ${service}  ${since}  ${secondsLeft} s left`)}\n`;
}
