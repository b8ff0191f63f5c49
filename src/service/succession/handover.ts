// What a supervisor and its successor say to each other over the IPC channel, as JSON: the two may be of different
// versions and run on different Nodes. PROTOCOL grows when a message changes its meaning; who does not know the other's
// refuses, and the old supervisor goes on.
//
//   old → new   listener (a handle beside it) …, inherit: all that is worth keeping
//   new → old   prepared: its workers serve beside the old ones       or failed: why not
//   old → new   take-charge                                            or abandon: end
//   new → old   in-charge: it has the control socket; the old one drains and ends
//
// Whichever process dies before in-charge, the other goes on serving.

import type { ServerNotice } from '../../connection/server-health.ts';
import type { ControlAnswer } from '../control.ts';
import type { SpareListener } from '../listener-set.ts';

export const PROTOCOL = 1;

/** A listener without its handle. */
export type ListenerFacts = Omit<SpareListener, 'handle'>;

export interface Inheritance {
  readonly protocol: number;
  readonly pid: number;
  /** Where the old one holds the control socket. */
  readonly dataDir: string;
  readonly notifySocket: string | null;
  /** base64. */
  readonly ticketKeys: string;
  readonly ticketKeysMadeAt: number;
  /** What is known of the servers behind: above all which ones are drained. */
  readonly notices: readonly ServerNotice[];
}

export type Refusal = Extract<ControlAnswer, { ok: false }>;

export type ToSuccessor =
  | { readonly kind: 'listener'; readonly facts: ListenerFacts }
  | { readonly kind: 'inherit'; readonly inheritance: Inheritance }
  | { readonly kind: 'take-charge' }
  | { readonly kind: 'abandon' };

export type FromSuccessor =
  | { readonly kind: 'prepared'; readonly pid: number; readonly version: string }
  | { readonly kind: 'in-charge' }
  | { readonly kind: 'failed'; readonly refusal: Refusal };

const TO_SUCCESSOR: ReadonlySet<unknown> = new Set(['listener', 'inherit', 'take-charge', 'abandon']);
const FROM_SUCCESSOR: ReadonlySet<unknown> = new Set(['prepared', 'in-charge', 'failed']);

export function asToSuccessor(value: unknown): ToSuccessor | null {
  return TO_SUCCESSOR.has(kindOf(value)) ? (value as ToSuccessor) : null;
}

export function asFromSuccessor(value: unknown): FromSuccessor | null {
  return FROM_SUCCESSOR.has(kindOf(value)) ? (value as FromSuccessor) : null;
}

function kindOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'kind' in value ? value.kind : null;
}
