// `sallyport acme-order`: what the supervisor forks for each ACME order, and to ask when to renew; not for people, so it is in no list. Without a
// supervisor's channel it refuses. Loads the ACME library, which no other process does.

import { askRenewal, orderCertificate } from '../certdb/acme.ts';
import { runAcmeOrder } from '../service/acme/child.ts';
import type { AcmePort } from '../service/acme/child.ts';
import { DONE, WRONG_USAGE } from './usage.ts';
import type { Program } from './usage.ts';

export async function orderAcme(args: readonly string[], program: Program): Promise<number> {
  if (process.send === undefined || args.length > 0) {
    program.err('sallyport acme-order: only `sallyport serve` starts it\n');
    return WRONG_USAGE;
  }
  process.title = 'sallyport: acme order';
  // These go to the whole process group of a terminal; the supervisor decides what they mean.
  process.on('SIGINT', () => {});
  process.on('SIGHUP', () => {});
  await runAcmeOrder({ port: channelPort(), world: program.world, order: orderCertificate, askRenewal });
  return DONE;
}

function channelPort(): AcmePort {
  return {
    send(result, sent) {
      if (process.send === undefined || !process.connected) sent();
      else process.send(result, undefined, {}, sent);
    },
    on: (event: string, hear: (...args: never[]) => void) => void process.on(event, hear as () => void),
  };
}
