// The load generator: a process of its own that does what main.ts asks over IPC, one request at a time.
// Every request is bounded in count, and main.ts bounds it in time. A request that fails leaves no connection open.
// Its own CPU is not counted; it shares a core with the sink so that the server has the other one.

import { ImapSession } from './imap-session.ts';
import type { Target } from './imap-session.ts';

export type LoadRequest =
  | {
      /** Whole logins: connect, handshake, greeting, LOGIN, LOGOUT. */
      readonly kind: 'logins';
      readonly target: Target;
      readonly count: number;
      readonly concurrency: number;
      readonly handshake: 'full' | 'resumed';
    }
  /** Logs in `count` more sessions and holds them. */
  | { readonly kind: 'open'; readonly target: Target; readonly count: number; readonly concurrency: number }
  /** Every held session moves `bytes`, all at once. */
  | { readonly kind: 'download' | 'upload'; readonly bytes: number }
  /** `count` round trips, one after another, on the first held session. */
  | { readonly kind: 'noops'; readonly count: number }
  /** Says how many of the held sessions are still open. */
  | { readonly kind: 'count' }
  | { readonly kind: 'close' };

export interface LoadAnswer {
  /** One figure a login (until its tagged OK) or a round trip, in microseconds. */
  readonly times: readonly number[];
  /** How many handshakes were resumed ones. */
  readonly resumed: number;
  /** Held sessions that are open. */
  readonly alive: number;
  readonly elapsedMs: number;
}

let held: ImapSession[] = [];

async function inLanes(count: number, lanes: number, step: (lane: number) => Promise<void>): Promise<void> {
  let left = count;
  const lane = async (number: number): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await step(number);
    }
  };
  await Promise.all(Array.from({ length: Math.min(lanes, count) }, (_, number) => lane(number)));
}

async function ticketFrom(target: Target): Promise<Buffer | undefined> {
  const session = new ImapSession(target);
  await session.login();
  await session.noop();
  await session.logout();
  return session.ticket;
}

async function logins(
  request: LoadRequest & { kind: 'logins' },
): Promise<Pick<LoadAnswer, 'times' | 'resumed'>> {
  const times: number[] = [];
  let resumed = 0;
  const tickets: (Buffer | undefined)[] = [];
  if (request.handshake === 'resumed') {
    const first = await ticketFrom(request.target);
    for (let lane = 0; lane < request.concurrency; lane += 1) tickets.push(first);
  }
  await inLanes(request.count, request.concurrency, async (lane) => {
    const start = performance.now();
    const session = new ImapSession(request.target, tickets[lane]);
    await session.login();
    times.push((performance.now() - start) * 1000);
    if (session.isResumed) resumed += 1;
    await session.logout();
    if (request.handshake === 'resumed') tickets[lane] = session.ticket;
  });
  return { times, resumed };
}

async function open(request: LoadRequest & { kind: 'open' }): Promise<void> {
  await inLanes(request.count, request.concurrency, async () => {
    const session = new ImapSession(request.target);
    held.push(session);
    await session.login();
  });
}

async function noops(count: number): Promise<readonly number[]> {
  const session = held[0];
  if (session === undefined) throw new Error('no session is open');
  for (let i = 0; i < 50; i += 1) await session.noop();
  const times: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const start = performance.now();
    await session.noop();
    times.push((performance.now() - start) * 1000);
  }
  return times;
}

async function close(): Promise<void> {
  const sessions = held;
  held = [];
  await Promise.all(sessions.map((session) => session.close()));
}

async function perform(request: LoadRequest): Promise<LoadAnswer> {
  const start = performance.now();
  let times: readonly number[] = [];
  let resumed = 0;
  switch (request.kind) {
    case 'logins':
      ({ times, resumed } = await logins(request));
      break;
    case 'open':
      await open(request);
      break;
    case 'download':
      await Promise.all(held.map((session) => session.download(request.bytes)));
      break;
    case 'upload':
      await Promise.all(held.map((session) => session.upload(request.bytes)));
      break;
    case 'noops':
      times = await noops(request.count);
      break;
    case 'count':
      break;
    case 'close':
      await close();
      break;
  }
  const alive = held.filter((session) => session.isAlive).length;
  return { times, resumed, alive, elapsedMs: performance.now() - start };
}

process.on('message', (message: { readonly id: number; readonly request: LoadRequest }) => {
  perform(message.request).then(
    (answer) => process.send?.({ id: message.id, answer }),
    (error: unknown) => {
      for (const session of held) session.destroy();
      held = [];
      process.send?.({ id: message.id, error: error instanceof Error ? error.message : String(error) });
    },
  );
});
process.on('disconnect', () => process.exit(0));
process.send?.({ ready: true });
