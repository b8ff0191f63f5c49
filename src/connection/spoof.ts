// A mailbox that stands in for one which cannot be had (POP3, `spoof`): whether a login gets it, and the session in it.
// Promises: where the service checks passwords, nobody gets it whose password was not found right; what is shown is the
// operator's notice and nothing of the user; the login counts as one that failed: it earns no grant, forgives no address
// and is no place of the user. Not for what tells the client to come again on purpose: limits, a move, a drain.

import { type GateError, STORE_AWAY } from '../errors.ts';
import { Pop3Spoof, type SpoofMessage, spoofWelcome } from '../protocol/pop3-spoof.ts';
import type { Verdict } from '../protocol/dialect.ts';
import type { Client } from './client.ts';
import type { Target } from './route.ts';
import type { Passport } from './verify.ts';

export interface GateSpoof {
  readonly when: readonly ('unreachable' | 'tempfail')[];
  /** null: the mailbox is empty. */
  readonly message: SpoofMessage | null;
}

/** A session to be played in place of a store's. */
export interface Spoof {
  readonly kind: 'spoof';
  readonly message: SpoofMessage | null;
}

/** Null: the client is told what happened. */
export function spoofFor(
  client: Client,
  { target, passport }: { readonly target: Pick<Target, 'checked'>; readonly passport: Readonly<Passport> },
  failure: GateError | Verdict,
): Spoof | null {
  const { spoof, passwordCheck } = client.gate;
  if (spoof === null || client.dismissed || client.draining || client.leg.failure !== null) return null;
  const isChecked = target.checked || passwordCheck !== null;
  if (isChecked && passport.proof !== 'right') return null;
  const reason = reasonOf(failure);
  return reason !== null && spoof.when.includes(reason) ? { kind: 'spoof', message: spoof.message } : null;
}

function reasonOf(failure: GateError | Verdict): GateSpoof['when'][number] | null {
  if (!('code' in failure)) return isTempfail(failure) ? 'tempfail' : null;
  if (failure.code === 'USER_ON_HOLD') return 'tempfail';
  return STORE_AWAY.has(failure.code) ? 'unreachable' : null;
}

/** RFC 3206 4: [IN-USE] and [LOGIN-DELAY] mean a mailbox that is there. */
function isTempfail({ temporary, words }: Verdict): boolean {
  return temporary && words.startsWith('[SYS/TEMP]');
}

export async function playSpoof(client: Client, { message }: Spoof): Promise<void> {
  const { session, leg, gate } = client;
  client.ending = 'spoof';
  client.enter('client');
  session.admit({ accepted: true, temporary: false, words: spoofWelcome(message), extra: [] });
  await new Pop3Spoof(leg, message, gate.limits.badCommands).run();
}
