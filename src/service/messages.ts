// What the supervisor and its workers say to each other over the IPC channel: plain data, serialised by the runtime.
// `start` and `update` carry private keys, so no message is ever logged. A listening handle travels beside `listen`.
// A message with an `id` is answered by exactly one `reply` with the same id.

import type { Settings } from '../config/settings.ts';
import type { ServerNotice } from '../connection/server-health.ts';
import type { CheckReport } from './checks.ts';
import type { FrontMaterial } from './material.ts';
import type { SessionFilter } from './sessions.ts';
import type { FromGuard, Sharing, SharingStart, ToGuard } from './sharing.ts';

export type Counters = Readonly<Record<string, number>>;

export type ToWorker =
  | {
      readonly kind: 'start';
      readonly settings: Settings;
      readonly material: FrontMaterial;
      readonly connectionsMax: number;
      readonly sharing?: SharingStart;
    }
  | { readonly kind: 'listen'; readonly key: string; readonly service: string }
  | { readonly kind: 'begin' }
  | {
      readonly kind: 'update';
      readonly id: number;
      readonly settings: Settings;
      readonly material: FrontMaterial;
      /** Which service each listener that stays belongs to now, by listener key. */
      readonly services: Readonly<Record<string, string>>;
      readonly sharing?: Sharing;
      readonly connectionsMax: number;
    }
  /** Answered when what was counted under these keys is reported. */
  | { readonly kind: 'escort'; readonly id: number; readonly keys: readonly string[] }
  | { readonly kind: 'shared'; readonly note: ToGuard }
  | { readonly kind: 'unlisten'; readonly keys: readonly string[] }
  | { readonly kind: 'counters'; readonly id: number }
  /** What is known of servers behind: drains, and what the prober found. */
  | { readonly kind: 'notice'; readonly notices: readonly ServerNotice[] }
  /** Asks for ServerFacts. */
  | { readonly kind: 'servers'; readonly id: number }
  /** From now on this worker looks at the servers for all. */
  | { readonly kind: 'prober' }
  /** Answered with a SessionList. */
  | { readonly kind: 'sessions'; readonly id: number; readonly filter: SessionFilter }
  /** Answered with the number of sessions that it ends. */
  | { readonly kind: 'kick'; readonly id: number; readonly filter: SessionFilter }
  /** `newcomersMs`: see Front. */
  | { readonly kind: 'drain'; readonly graceMs: number; readonly newcomersMs: number };

export type FromWorker =
  | { readonly kind: 'ready' }
  | { readonly kind: 'listen-failed'; readonly key: string; readonly code: string }
  | { readonly kind: 'reply'; readonly id: number; readonly answer: unknown }
  /** Not checked yet: asFromGuard() does. */
  | { readonly kind: 'shared'; readonly note: FromGuard }
  | { readonly kind: 'checked'; readonly report: CheckReport }
  | { readonly kind: 'drained'; readonly cut: number };

/** A message of a worker, or null: a child that runs something else must not confuse the supervisor. */
export function asFromWorker(value: unknown): FromWorker | null {
  if (typeof value !== 'object' || value === null || !('kind' in value)) return null;
  switch (value.kind) {
    case 'ready':
    case 'listen-failed':
    case 'reply':
    case 'checked':
    case 'drained':
    case 'shared':
      return value as FromWorker;
    default:
      return null;
  }
}
