// What may be asked of a running supervisor on its control socket, and who answers.

import type { AcmeKeeper } from './acme/keeper.ts';
import type { ControlAnswer, ControlCommands, ControlRequest } from './control.ts';
import type { Crew } from './crew.ts';
import { askGrants } from './grants/answers.ts';
import { askMove } from './placements/answers.ts';
import { askKick, askSessions } from './session-answers.ts';
import type { Status } from './status.ts';

export interface Commanded {
  status(): Promise<Status>;
  reload(): Promise<ControlAnswer>;
  replaceWorkers(): Promise<ControlAnswer>;
  restart(): Promise<ControlAnswer>;
  drain(): ControlAnswer;
}

export function controlCommands(supervisor: Commanded, { pool, fleet, shared, acme }: Crew): ControlCommands {
  return {
    status: async (): Promise<ControlAnswer> => ({ ok: true, status: await supervisor.status() }),
    reload: (request) => (request['workers'] === true ? supervisor.replaceWorkers() : supervisor.reload()),
    restart: () => supervisor.restart(),
    drain: () => Promise.resolve(supervisor.drain()),
    backend: (request) => fleet.obey(request),
    sessions: (request) => askSessions(pool, request),
    acme: (request) => askAcme(acme, request),
    kick: (request) => askKick(pool, request),
    grants: (request) => askGrants(shared, request),
    move: (request) => askMove({ shared, fleet }, request),
  };
}

function askAcme(acme: AcmeKeeper, { now, nickname }: ControlRequest): Promise<ControlAnswer> {
  if (now === true) return acme.orderNow(typeof nickname === 'string' ? nickname : null);
  return Promise.resolve({ ok: true, acme: acme.status() });
}
