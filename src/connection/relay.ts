// Step 8: what the connection was made for. IMAP and POP3 become a byte relay; SMTP goes on command by command until the
// client leaves or asks for something that belongs to an earlier step.

import { GateError } from '../errors.ts';
import { SmtpBack } from '../protocol/smtp-back.ts';
import { SmtpFront } from '../protocol/smtp-front.ts';
import { SmtpRelay } from '../protocol/smtp-relay.ts';
import type { BackLeg } from './backend-leg.ts';
import { ByteRelay } from './byte-relay.ts';
import type { Client } from './client.ts';
import { spend } from './rates.ts';
import { playSpoof, type Spoof } from './spoof.ts';

/** So much of the relay's answer goes into the log: the queue's name for the message is in it. */
const SAID_MAX = 200;

/** 'again': back to step 5 with the next command. */
export async function relay(client: Client, back: BackLeg | Spoof): Promise<'over' | 'again'> {
  if ('kind' in back) {
    await playSpoof(client, back);
    return 'over';
  }
  const { session } = client;
  if (session instanceof SmtpFront && back.session instanceof SmtpBack) {
    return relayTransactions(client, session, back.session);
  }
  const bytes = new ByteRelay(client.leg.release(), back.leg.release(), client.gate.dialect.protocol);
  client.relayed = bytes;
  client.enter('bytes');
  client.ending = await bytes.run();
  if (client.ending === 'backend lost')
    throw new GateError('BACKEND_CLOSED', { backend: client.server ?? '' });
  return 'over';
}

async function relayTransactions(
  client: Client,
  front: SmtpFront,
  back: SmtpBack,
): Promise<'over' | 'again'> {
  const { backend } = client;
  const transactions = new SmtpRelay(front, back, {
    waitFor: (whom) => {
      if (client.phase !== whom) client.enter(whom);
    },
    messageAnswered: (reply) => {
      client.said = reply.raw.trim().slice(0, SAID_MAX);
      if (reply.code < 300) client.messages++;
    },
    spend: (what) => spend(client, what),
    isElsewhere: () => client.backend !== backend,
  });
  const end = await transactions.run();
  if (end === 'refused by relay') {
    client.dismissed = true;
    throw new GateError('BACKEND_CLOSED', { backend: client.server ?? '', said: '421' });
  }
  if (end === 'quit') {
    client.ending = 'quit';
    return 'over';
  }
  client.leaveBackend();
  return 'again';
}
