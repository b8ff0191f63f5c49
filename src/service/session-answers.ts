// The supervisor's answers to `sessions` and `kick`: every worker is asked, also those that are leaving, and what they
// say is put together. A worker that does not answer in time is named, not waited for.

import type { ControlAnswer, ControlRequest } from './control.ts';
import { isEmpty, LISTED_MAX, readFilter } from './sessions.ts';
import type { SessionInfo, SessionList } from './sessions.ts';
import type { WorkerPool } from './worker-pool.ts';

const ANSWER_LIMIT_MS = 5000;

/** A session as the asker sees it. */
export type ListedSession = SessionInfo & { readonly worker: number };

type Pool = Pick<WorkerPool, 'all' | 'askAll'>;

function silentOf(pool: Pool, answers: readonly unknown[]): number[] {
  return pool.all.filter((_, place) => answers[place] === null).map(({ index }) => index);
}

export async function askSessions(pool: Pool, request: ControlRequest): Promise<ControlAnswer> {
  const filter = readFilter(request);
  if (typeof filter === 'string') return { ok: false, error: filter };
  const workers = pool.all.map(({ index }) => index);
  const answers = await pool.askAll((id) => ({ kind: 'sessions', id, filter }), ANSWER_LIMIT_MS);
  const lists = answers as readonly (SessionList | null)[];
  const sessions = lists.flatMap((list, place): ListedSession[] =>
    (list?.sessions ?? []).map((session) => ({ ...session, worker: workers[place] ?? 0 })),
  );
  return {
    ok: true,
    sessions: sessions.slice(0, LISTED_MAX),
    count: lists.reduce((sum, list) => sum + (list?.count ?? 0), 0),
    silent: silentOf(pool, answers),
  };
}

export async function askKick(pool: Pool, request: ControlRequest): Promise<ControlAnswer> {
  const filter = readFilter(request);
  if (typeof filter === 'string') return { ok: false, error: filter };
  if (isEmpty(filter) && request['all'] !== true) {
    return {
      ok: false,
      error: 'expected whom to kick: a session, user, address, backend or service, or all',
    };
  }
  const answers = await pool.askAll((id) => ({ kind: 'kick', id, filter }), ANSWER_LIMIT_MS);
  const counts = answers as readonly (number | null)[];
  return {
    ok: true,
    kicked: counts.reduce<number>((sum, count) => sum + (count ?? 0), 0),
    silent: silentOf(pool, answers),
  };
}
