// What the supervisor and its workers say to each other over the IPC channel: plain data, serialised by the runtime.
// `start` and `update` carry private keys, so no message is ever logged. A listening handle travels beside `listen`.
// A message with an `id` is answered by exactly one `reply` with the same id.

import type { Settings } from '../config/settings.ts';
import type { ServerFacts, ServerNotice } from '../connection/server-health.ts';
import type { GrantChange } from '../policy/grants.ts';
import type { CheckReport } from './backends/checks.ts';
import type { FrontMaterial } from './material.ts';
import type { Eviction, SessionFilter } from './sessions.ts';
import type { Sharing, SharingStart, ToGuard } from './limits/sharing.ts';

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
  /** Answered when every connection from now on finds what has changed. */
  | { readonly kind: 'grants'; readonly id: number; readonly changes: readonly GrantChange[] }
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
  /** Answered with the number of connections that still lead there. */
  | { readonly kind: 'evict'; readonly id: number; readonly eviction: Eviction }
  /** `newcomersMs`: see Front. */
  | { readonly kind: 'drain'; readonly graceMs: number; readonly newcomersMs: number };

export type FromWorker =
  | { readonly kind: 'ready' }
  | { readonly kind: 'listen-failed'; readonly key: string; readonly code: string }
  | { readonly kind: 'reply'; readonly id: number; readonly answer: unknown }
  /** Not checked yet: asFromGuard() does. */
  | { readonly kind: 'shared'; readonly note: unknown }
  | { readonly kind: 'checked'; readonly report: CheckReport }
  /** A key in a token could not be used. */
  | { readonly kind: 'token-failed' }
  | { readonly kind: 'drained'; readonly cut: number };

/** A message of a worker, or null: neither a child that runs something else nor one that strangers have taken over
 * may confuse the supervisor. What an answer is about, who asked must look at. */
export function asFromWorker(value: unknown): FromWorker | null {
  if (!isRecord(value)) return null;
  const { kind, key, code, id, answer, cut } = value;
  switch (kind) {
    case 'ready':
    case 'token-failed':
      return { kind };
    case 'listen-failed':
      return isText(key) && isText(code) ? { kind, key, code } : null;
    case 'reply':
      return isCount(id) ? { kind, id, answer } : null;
    case 'checked': {
      const report = asReport(value['report']);
      return report === null ? null : { kind, report };
    }
    case 'drained':
      return isCount(cut) ? { kind, cut } : null;
    case 'shared':
      return { kind, note: value['note'] };
    default:
      return null;
  }
}

const CAUSE_MAX = 500;
const MARKS: readonly unknown[] = ['down', 'up', 'login'] satisfies readonly CheckReport['mark'][];

function asReport(value: unknown): CheckReport | null {
  if (!isRecord(value)) return null;
  const { backend, server, mark, cause } = value;
  if (!isText(backend) || !isText(server) || !MARKS.includes(mark)) return null;
  return {
    backend,
    server,
    mark: mark as CheckReport['mark'],
    cause: isText(cause) ? cause.slice(0, CAUSE_MAX) : null,
  };
}

/** What a worker says of its servers. */
export function asServerFacts(answer: unknown): readonly ServerFacts[] | null {
  if (!Array.isArray(answer)) return null;
  return answer.filter(
    (facts): facts is ServerFacts =>
      isRecord(facts) &&
      isText(facts['backend']) &&
      isText(facts['server']) &&
      isText(facts['phase']) &&
      isCount(facts['open']) &&
      (facts['cause'] === null || isText(facts['cause'])),
  );
}

/** What a worker has counted. */
export function asCounters(answer: unknown): Counters | null {
  if (!isRecord(answer)) return null;
  return Object.fromEntries(
    Object.entries(answer).filter((pair): pair is [string, number] => isCount(pair[1])),
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value);
}
