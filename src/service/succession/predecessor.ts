// The successor's side of a restart: what the supervisor before us hands over, and our words to it.
// meetPredecessor() resolves when all of it has come, or with null where the other is gone before that, or hands over in
// a way that we do not know. Once everything is here we can do without the other: if it dies we take charge unasked,
// because then nobody else listens. Its end after that means nothing to us but that it is gone.

import type { ServerNotice } from '../../connection/server-health.ts';
import { asTicketKeys } from '../../tls/tickets.ts';
import type { TicketKeys } from '../../tls/tickets.ts';
import { asToSuccessor, PROTOCOL } from './handover.ts';
import type { FromSuccessor, Inheritance, Refusal } from './handover.ts';
import type { ListeningHandle } from '../handles.ts';
import type { SpareListener } from '../listener-set.ts';

/** The predecessor's end of the line; in a real successor this is `process`. */
export interface PredecessorPort {
  /** Resolves when it is sent, or cannot be. */
  send(message: FromSuccessor): Promise<void>;
  on(event: 'message', hear: (message: unknown, handle?: ListeningHandle) => void): void;
  on(event: 'disconnect', hear: () => void): void;
}

export interface Predecessor {
  readonly pid: number;
  readonly dataDir: string;
  readonly notifySocket: string | null;
  readonly ticketKeys: TicketKeys | null;
  readonly listeners: readonly SpareListener[];
  readonly notices: readonly ServerNotice[];
  /** Resolves when its process is gone. */
  readonly gone: Promise<void>;
  /** Resolves when it tells us to end. */
  readonly abandoned: Promise<void>;
  /** Says that we serve; true: take charge, false: end. */
  prepared(version: string): Promise<boolean>;
  inCharge(): Promise<void>;
  failed(refusal: Refusal): Promise<void>;
}

export function meetPredecessor(port: PredecessorPort): Promise<Predecessor | null> {
  const listeners: SpareListener[] = [];
  const met = Promise.withResolvers<Predecessor | null>();
  const gone = Promise.withResolvers<void>();
  const abandoned = Promise.withResolvers<void>();
  const charge = Promise.withResolvers<boolean>();
  port.on('disconnect', () => {
    gone.resolve();
    charge.resolve(true);
    met.resolve(null);
  });
  port.on('message', (value, handle) => {
    const message = asToSuccessor(value);
    switch (message?.kind) {
      case 'listener':
        if (handle !== undefined) listeners.push(inherited(message.facts, handle));
        return;
      case 'inherit':
        if (message.inheritance.protocol === PROTOCOL)
          met.resolve(introduce(message.inheritance, { port, listeners, gone, abandoned, charge }));
        else
          void port
            .send({ kind: 'failed', refusal: otherProtocol(message.inheritance) })
            .then(() => met.resolve(null));
        return;
      case 'take-charge':
        charge.resolve(true);
        return;
      case 'abandon':
        charge.resolve(false);
        abandoned.resolve();
        return;
      default:
    }
  });
  return met.promise;
}

interface Line {
  readonly port: PredecessorPort;
  readonly listeners: readonly SpareListener[];
  readonly gone: PromiseWithResolvers<void>;
  readonly abandoned: PromiseWithResolvers<void>;
  readonly charge: PromiseWithResolvers<boolean>;
}

function introduce(
  inheritance: Inheritance,
  { port, listeners, gone, abandoned, charge }: Line,
): Predecessor {
  const { pid, dataDir, notifySocket, ticketKeys, ticketKeysMadeAt } = inheritance;
  return {
    pid,
    dataDir,
    notifySocket,
    ticketKeys: asTicketKeys(Buffer.from(ticketKeys, 'base64'), ticketKeysMadeAt),
    listeners,
    notices: Array.isArray(inheritance.notices) ? inheritance.notices : [],
    gone: gone.promise,
    abandoned: abandoned.promise,
    async prepared(version) {
      await port.send({ kind: 'prepared', pid: process.pid, version });
      return charge.promise;
    },
    inCharge: () => port.send({ kind: 'in-charge' }),
    failed: (refusal) => port.send({ kind: 'failed', refusal }),
  };
}

/** The manager's stay the manager's. */
function inherited(facts: Omit<SpareListener, 'handle'>, handle: ListeningHandle): SpareListener {
  return { ...facts, handle, origin: facts.origin === 'manager' ? 'manager' : 'predecessor' };
}

function otherProtocol({ protocol }: Inheritance): Refusal {
  return {
    ok: false,
    error:
      `the version on disk takes over by protocol ${PROTOCOL}, the running one hands over by ${protocol}; ` +
      `stop the service and start it`,
  };
}
