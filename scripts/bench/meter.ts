// What a set of processes used, read from /proc: CPU time and memory. Nothing is written, nothing is signalled.
// CPU time is the scheduler's (nanoseconds, by thread) as long as it agrees with utime + stime (ticks). Where threads
// ended in between (stunnel: one a connection) it does not, and the ticks count. Children that ended count through the
// cutime of whoever waited for them (Perdition: one process a connection). A process that ends while it is read
// counts as gone.

import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';

interface ProcessTimes {
  readonly startTicks: number;
  readonly tasks: ReadonlyMap<string, number>;
  /** utime + stime, with threads that ended. */
  readonly ownMs: number;
  /** cutime + cstime. */
  readonly childrenMs: number;
}

export type CpuSample = ReadonlyMap<number, ProcessTimes>;

export interface Memory {
  readonly rssKiB: number;
  readonly pssKiB: number;
}

let tickMs: number | undefined;

function msOfTicks(ticks: number): number {
  tickMs ??= 1000 / Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  return ticks * tickMs;
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return null;
  }
}

/** Fields of /proc/PID/stat from the third on (the second may hold blanks and parentheses). */
function statFields(pid: number): readonly string[] | null {
  const stat = read(`/proc/${pid}/stat`);
  return stat === null ? null : stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** `root` and everything that descends from it. */
export function processTree(root: number): readonly number[] {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    const parent = Number(statFields(pid)?.[1] ?? 0);
    children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const found = [root];
  for (const pid of found) found.push(...(children.get(pid) ?? []));
  return found;
}

function timesOf(pid: number): ProcessTimes | null {
  const fields = statFields(pid);
  if (fields === null) return null;
  const field = (number: number): number => Number(fields[number - 3]);
  const tasks = new Map<string, number>();
  try {
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      const spent = read(`/proc/${pid}/task/${task}/schedstat`)?.split(' ')[0];
      if (spent !== undefined) tasks.set(task, Number(spent) / 1e6);
    }
  } catch {
    return null;
  }
  return {
    startTicks: field(22),
    tasks,
    ownMs: msOfTicks(field(14) + field(15)),
    childrenMs: msOfTicks(field(16) + field(17)),
  };
}

export function sampleCpu(pids: readonly number[]): CpuSample {
  const sample = new Map<number, ProcessTimes>();
  for (const pid of pids) {
    const times = timesOf(pid);
    if (times !== null) sample.set(pid, times);
  }
  return sample;
}

function ownBetween(before: ProcessTimes | undefined, after: ProcessTimes): number {
  if (before === undefined || before.startTicks !== after.startTicks) return after.ownMs;
  const ticksMs = after.ownMs - before.ownMs;
  let tasksMs = 0;
  for (const [task, ms] of after.tasks) tasksMs += ms - (before.tasks.get(task) ?? 0);
  // The tasks miss what ended threads used; the ticks are off by two at most.
  return Math.abs(ticksMs - tasksMs) <= msOfTicks(3) ? tasksMs : ticksMs;
}

/** CPU milliseconds that the sampled processes and their ended children used from one sample to the other. */
export function cpuBetween(before: CpuSample, after: CpuSample): number {
  let spent = 0;
  for (const [pid, times] of after) {
    const earlier = before.get(pid);
    spent += ownBetween(earlier, times) + times.childrenMs - (earlier?.childrenMs ?? 0);
  }
  for (const [pid, times] of before) {
    // It ended in between: its parent's cutime now holds its whole life, and some of that was before.
    if (!after.has(pid)) spent -= times.ownMs + times.childrenMs;
  }
  return spent;
}

export function sampleMemory(pids: readonly number[]): Memory {
  let rssKiB = 0;
  let pssKiB = 0;
  for (const pid of pids) {
    const rollup = read(`/proc/${pid}/smaps_rollup`);
    rssKiB += Number(/^Rss:\s+(\d+)/m.exec(rollup ?? '')?.[1] ?? 0);
    pssKiB += Number(/^Pss:\s+(\d+)/m.exec(rollup ?? '')?.[1] ?? 0);
  }
  return { rssKiB, pssKiB };
}
