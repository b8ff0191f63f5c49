// How long a connection may be silent in the step that it is in, and what counts as no silence. Pure.

import type { Client } from './client.ts';

/** The step a connection is in; SMTP's relay tells apart whom it waits for. */
export type Phase =
  'login' | 'penalty' | 'backend' | 'client' | 'relay' | 'end of data' | 'bytes' | 'closing';

type Waiting = Pick<Client, 'gate' | 'phase' | 'leg' | 'back' | 'relayed'>;

export function limitMs({ gate, phase, relayed }: Waiting): number {
  const { timeouts, dialect } = gate;
  switch (phase) {
    case 'login':
      return timeouts.loginMs;
    case 'penalty':
      return Number.POSITIVE_INFINITY;
    case 'client':
      return dialect.protocol === 'pop3' ? timeouts.pop3Ms : timeouts.smtpMs;
    case 'relay':
    case 'backend':
      return timeouts.replyMs;
    case 'end of data':
      return timeouts.dataMs;
    case 'closing':
      return timeouts.closeMs;
    case 'bytes':
      if (relayed?.backendEnded === true) return timeouts.closeMs;
      if (dialect.protocol === 'pop3') return timeouts.pop3Ms;
      return relayed?.inIdle === true ? timeouts.imapIdleMs : timeouts.imapMs;
  }
}

/** What counts as a sign of life of the side that is waited for. */
export function signsOfLife({ phase, leg, back, relayed }: Waiting): number {
  switch (phase) {
    case 'closing':
      return leg.socket.writableLength;
    case 'bytes':
      return (relayed?.up ?? 0) + (relayed?.down ?? 0);
    case 'backend':
    case 'relay':
    case 'end of data':
      return back?.leg.bytesIn ?? 0;
    case 'login':
    case 'penalty':
    case 'client':
      return leg.bytesIn;
  }
}
