// Submission rates: what a sender may send in a time (limits.messagesPerUser, limits.recipientsPerUser). A sender is the
// user that has logged in, here or at a front tier of ours, or the address that has a grant of POP before SMTP; mail from
// anybody else is not of users and not counted. Promises: no rate, no cost; a refusal is counted and logged as those of
// other limits.

import { GateError } from '../errors.ts';
import type { Claim } from '../policy/limits.ts';
import type { Client } from './client.ts';

export type Sent = 'message' | 'recipient';

/** Who is counted. */
export type Sender = { readonly user: string } | { readonly address: string };

const CODES = { message: 'MESSAGE_LIMIT', recipient: 'RECIPIENT_LIMIT' } as const;

/** Null: it may go on, and is counted. */
export function spend(client: Client, what: Sent): GateError | null | Promise<GateError | null> {
  const sender = senderOf(client);
  if (sender === null) return null;
  const answer = client.gate.guard.spend(what, sender);
  const judge = (full: Claim | null): GateError | null => {
    if (full === null) return null;
    const error = new GateError(CODES[what], { ...sender, limit: full.limit });
    client.gate.refusals.note(client, error);
    return error;
  };
  return answer instanceof Promise ? answer.then(judge) : judge(answer);
}

function senderOf({ user, course, remote }: Client): Sender | null {
  if (user !== null) return { user };
  const isGranted = course?.grant != null && remote.address !== '';
  return isGranted ? { address: remote.address } : null;
}
