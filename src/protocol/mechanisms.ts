// Which mechanisms are for whom: what a client is shown, and what is taken from it, by how its leg stands. Pure.

import type { Mechanism } from '../config/settings.ts';

/** How a leg stands when a mechanism is asked for. */
export interface Standing {
  /** TLS is up, ours or a tier's. */
  readonly secured: boolean;
  /** The client itself has shown a certificate that is believed. */
  readonly certified: boolean;
  /** The client's own TLS ends here, so that both ends can know the same of it. */
  readonly bindable: boolean;
  /** What is as good as a password is not for legs in clear. */
  readonly restricted: boolean;
}

/** A password, or what is as good as one, goes over the wire as it is. */
const PLAIN: ReadonlySet<string> = new Set<Mechanism>(['PLAIN', 'LOGIN', 'XOAUTH2', 'OAUTHBEARER']);

/** What was proven here is not repeated to a backend. */
const CHALLENGES: ReadonlySet<string> = new Set<Mechanism>([
  'APOP',
  'CRAM-MD5',
  'SCRAM-SHA-256',
  'SCRAM-SHA-256-PLUS',
]);

/** SASL mechanisms that hold now; APOP is a command of POP3 and not among them. */
export function offeredNow(mechanisms: readonly Mechanism[], standing: Standing): readonly Mechanism[] {
  return mechanisms.filter((mechanism) => mechanism !== 'APOP' && isOfferedNow(mechanism, standing));
}

/** Whether a mechanism, or a password in a command, is refused for want of TLS alone. */
export function wantsPrivacy(
  mechanism: string,
  { secured, restricted }: Pick<Standing, 'secured' | 'restricted'>,
): boolean {
  return restricted && !secured && PLAIN.has(mechanism.toUpperCase());
}

/** The client answers a challenge of ours; no backend has to know the mechanism. */
export function isByChallenge(mechanism: Mechanism): boolean {
  return CHALLENGES.has(mechanism);
}

function isOfferedNow(mechanism: Mechanism, standing: Standing): boolean {
  if (mechanism === 'EXTERNAL') return standing.certified;
  if (mechanism === 'SCRAM-SHA-256-PLUS') return standing.bindable;
  return !wantsPrivacy(mechanism, standing);
}
