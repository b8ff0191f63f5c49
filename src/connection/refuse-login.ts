// How a login that goes no further is told to the client, logged and counted: refused in a dialect's words, or failed for
// a reason of the table. The client may try again, unless the words end the connection.

import { asGateError, type GateError } from '../errors.ts';
import { explain } from '../log.ts';
import type { Verdict } from '../protocol/dialect.ts';
import { isTier } from './admit.ts';
import { ownCertificate } from './certificate.ts';
import type { Client } from './client.ts';
import { isRefusal } from './refusals.ts';

/** Somebody guessed, as far as anybody can tell. */
export function blame(client: Client): void {
  if (!isTier(client)) client.gate.guard.failed(client.remote.address);
}

export function refuse(client: Client, verdict: Verdict, said: string): void {
  noteRefusal(client, verdict, said);
  client.session.refuse(verdict);
}

/** For who is not told: something else stands in for the mailbox. */
export function noteRefusal(client: Client, { temporary }: Verdict, said: string): void {
  client.loginsFailed++;
  client.gate.log.info('login-refused', { ...about(client), temporary, said });
}

/** A login that could not be decided. Throws what ends the connection. */
export function turnDown(client: Client, cause: unknown): void {
  client.leg.send(client.session.wordsFor(noteFailure(client, cause)));
}

/** The same without a word to the client. */
export function noteFailure(client: Client, cause: unknown): GateError {
  // Whatever became of it, a client that was dismissed meanwhile is gone for that reason.
  const error = (client.dismissed ? client.leg.failure : null) ?? asGateError(cause);
  client.leaveBackend();
  if (client.session.ends(error)) throw error;
  client.loginsFailed++;
  client.failure = error.code;
  if (error.code === 'USER_LIMIT' || isRefusal(error)) client.gate.refusals.note(client, error);
  else {
    // That the directory is down is told once, by whoever asks it.
    const level = error.code === 'DIRECTORY_DOWN' ? 'debug' : error.row.level;
    client.gate.log.at(level, 'login-failed', { ...about(client), code: error.code, cause: explain(error) });
  }
  return error;
}

/** Somebody is in who is not the user. */
export function noteActor(client: Client): void {
  if (client.actor === null) return;
  client.gate.log.info('login-as', { ...about(client), as: client.claimed });
}

function about(client: Client): Readonly<Record<string, unknown>> {
  return {
    service: client.gate.name,
    session: client.id,
    client: client.remote.address,
    user: client.claimed,
    admin: client.actor ?? undefined,
    mechanism: client.mechanism,
    certificate: client.mechanism === 'EXTERNAL' ? ownCertificate(client)?.subject : undefined,
    backend: client.server,
  };
}
