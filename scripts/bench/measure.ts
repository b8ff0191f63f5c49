// The measurements, each on a peer that runs: what the server used, divided by what was done.
// CPU is sampled over all processes of the peer, a moment after the load has ended, so that closing counts too.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Target } from './imap-session.ts';
import type { LoadRequest } from './load.ts';
import { cpuBetween, sampleCpu, sampleMemory } from './meter.ts';
import type { RunningPeer } from './peers/peer.ts';
import type { Plan } from './plan.ts';
import type { Stage } from './stage.ts';

const SETTLE_MS = 150;
const IDLE_SETTLE_MS = 1_000;
const MIB = 1024 * 1024;
/** Few, and no transfer: a heap that has been large shrinks while the connections grow. */
const IDLE_WARM_UP_LOGINS = 50;
const LANES = 8;
/** Where nothing is measured. */
const FAST_LANES = 32;
const STREAMS = 4;

export type Figure =
  | 'loginFullMs'
  | 'loginResumedMs'
  | 'downSecondsPerGiB'
  | 'upSecondsPerGiB'
  | 'idlePssKiB'
  | 'idleRssKiB'
  | 'noopAddedUs'
  | 'noopAddedP99Us'
  | 'loginWallMs';

export type Figures = Partial<Record<Figure, number>>;

export interface Bench {
  readonly stage: Stage;
  readonly plan: Plan;
  /** PEM of this run's certificate. */
  readonly ca: string;
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

function targetOf(bench: Bench, peer: RunningPeer): Target {
  return { port: peer.port, ca: bench.ca, ...(peer.group === null ? {} : { group: peer.group }) };
}

/** Milliseconds of CPU that the peer used while the load did `request`. */
async function cpuDuring(bench: Bench, peer: RunningPeer, request: LoadRequest): Promise<number> {
  const before = sampleCpu(peer.pids());
  await bench.stage.ask(request);
  await sleep(SETTLE_MS);
  return cpuBetween(before, sampleCpu(peer.pids()));
}

export async function warmUpLogins(bench: Bench, peer: RunningPeer, count: number): Promise<void> {
  const target = targetOf(bench, peer);
  await bench.stage.ask({ kind: 'logins', target, count, concurrency: FAST_LANES, handshake: 'full' });
}

/** Enough of everything that code is compiled, pools are filled and tickets are made before anything counts. */
export async function warmUp(bench: Bench, peer: RunningPeer, logins: number): Promise<void> {
  const target = targetOf(bench, peer);
  const { stage, plan } = bench;
  await warmUpLogins(bench, peer, logins);
  await stage.ask({ kind: 'open', target, count: STREAMS, concurrency: STREAMS });
  await stage.ask({ kind: 'download', bytes: (plan.warmUpMiB * MIB) / STREAMS });
  await stage.ask({ kind: 'upload', bytes: (plan.warmUpMiB * MIB) / STREAMS });
  await stage.ask({ kind: 'close' });
}

export async function measureLogins(bench: Bench, peer: RunningPeer, count: number): Promise<Figures> {
  const target = targetOf(bench, peer);
  const full = { kind: 'logins', target, count, concurrency: LANES, handshake: 'full' } as const;
  const fullMs = await cpuDuring(bench, peer, full);
  const before = sampleCpu(peer.pids());
  const answer = await bench.stage.ask({ ...full, handshake: 'resumed' });
  await sleep(SETTLE_MS);
  const resumedMs = cpuBetween(before, sampleCpu(peer.pids()));
  return {
    loginFullMs: fullMs / count,
    // One more login was made, to get the first ticket. A server that does not resume has no figure.
    ...(answer.resumed < 0.9 * count ? {} : { loginResumedMs: (resumedMs - fullMs / count) / count }),
  };
}

export async function measureRelay(bench: Bench, peer: RunningPeer): Promise<Figures> {
  const target = targetOf(bench, peer);
  const bytes = (bench.plan.transferMiB * MIB) / STREAMS;
  await bench.stage.ask({ kind: 'open', target, count: STREAMS, concurrency: STREAMS });
  await sleep(SETTLE_MS);
  const perGiB = 1024 / bench.plan.transferMiB / 1000;
  const down = await cpuDuring(bench, peer, { kind: 'download', bytes });
  const up = await cpuDuring(bench, peer, { kind: 'upload', bytes });
  await bench.stage.ask({ kind: 'close' });
  return { downSecondsPerGiB: down * perGiB, upSecondsPerGiB: up * perGiB };
}

async function roundTrips(
  bench: Bench,
  target: { port: number; ca: string | null },
): Promise<readonly number[]> {
  await bench.stage.ask({ kind: 'open', target, count: 1, concurrency: 1 });
  const { times } = await bench.stage.ask({ kind: 'noops', count: bench.plan.noops });
  await bench.stage.ask({ kind: 'close' });
  return times;
}

/** Median round trip of a NOOP to the sink itself, in microseconds. */
export async function measureDirect(bench: Bench): Promise<number> {
  return median(await roundTrips(bench, { port: bench.stage.backendPort, ca: null }));
}

async function measureLatency(bench: Bench, peer: RunningPeer, directUs: number): Promise<Figures> {
  const target = targetOf(bench, peer);
  const times = await roundTrips(bench, target);
  const count = bench.plan.wallLogins;
  const logins = await bench.stage.ask({ kind: 'logins', target, count, concurrency: 1, handshake: 'full' });
  return {
    noopAddedUs: median(times) - directUs,
    noopAddedP99Us: percentile(times, 0.99) - directUs,
    loginWallMs: median(logins.times) / 1000,
  };
}

export interface RoundOptions {
  readonly logins: number;
  /** What measureDirect said in this round. */
  readonly directUs: number;
}

/** Everything but memory, once. */
export async function measureRound(bench: Bench, peer: RunningPeer, options: RoundOptions): Promise<Figures> {
  return {
    ...(await measureLogins(bench, peer, options.logins)),
    ...(await measureRelay(bench, peer)),
    ...(await measureLatency(bench, peer, options.directUs)),
  };
}

/** Slope of the least-squares line through the points. */
function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / points.length;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / points.length;
  const above = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  return above / points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
}

/** KiB per idle logged-in connection: the growth from one count of connections to the next, on a fresh server. */
export async function measureIdle(
  bench: Bench,
  peer: RunningPeer,
  counts: readonly number[],
): Promise<Figures> {
  const target = targetOf(bench, peer);
  const pss: [number, number][] = [];
  const rss: [number, number][] = [];
  let open = 0;
  await warmUpLogins(bench, peer, IDLE_WARM_UP_LOGINS);
  for (const count of counts) {
    await bench.stage.ask({ kind: 'open', target, count: count - open, concurrency: FAST_LANES });
    open = count;
    await sleep(IDLE_SETTLE_MS);
    const memory = sampleMemory(peer.pids());
    pss.push([count, memory.pssKiB]);
    rss.push([count, memory.rssKiB]);
  }
  await bench.stage.ask({ kind: 'close' });
  return { idlePssKiB: slope(pss), idleRssKiB: slope(rss) };
}
