// The crowd: thousands of logged-in TLS connections that do nothing, and what a login and a transfer cost beside them,
// measured in one process before the crowd comes, while it is there, and when it has gone.
// A process may open as many files as the machine allows it, so the crowd's clients and its store are several processes;
// each comes from, or listens behind, an address of its own in 127.0.0.0/8, so that ports suffice. The crowd has services
// of its own: what is measured takes another way to another store, as connections of a quiet server do.
// Crowd owns its processes; the caller stops it.

import type { ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Certificate } from './certificates.ts';
import { measureLogins, measureRelay, median, warmUp } from './measure.ts';
import type { Bench } from './measure.ts';
import { cpuBetween, sampleCpu, sampleMemory } from './meter.ts';
import { launch } from './peers/peer.ts';
import type { RunningPeer } from './peers/peer.ts';
import { MAIN, sallyport } from './peers/sallyport.ts';
import type { CrowdPlan } from './plan.ts';
import { freePort, pinTo } from './programs.ts';
import { askLoad, firstMessage, startHelper } from './stage.ts';

export interface CrowdOptions extends CrowdPlan {
  readonly folder: string;
  readonly certificate: Certificate;
  readonly say: (text: string) => void;
}

export type Moment = 'before' | 'with' | 'after';

export interface CrowdResult {
  readonly workers: number;
  readonly wanted: number;
  /** Still there when the time to idle was over. */
  readonly alive: number;
  /** Growth of the server's memory (PSS) while the second half came: the first fills what the warm-up left. */
  readonly pssKiBPerConnection: number;
  /** CPU of the server while all of them idled, in parts of one core. */
  readonly idleCpu: number;
  readonly loginFullMs: Readonly<Record<Moment, readonly number[]>>;
  readonly downSecondsPerGiB: Readonly<Record<Moment, readonly number[]>>;
}

/** As many clients as one process of the crowd holds. */
const PER_CLIENT = 4500;
const PER_REQUEST = 1500;
const LANES = 32;
/** One collection of a large heap falls into one part and must not stand for all. */
const LOGIN_PARTS = 3;
const SETTLE_MS = 3000;

class Crowd {
  readonly #clients: ChildProcess[] = [];
  readonly #stores: ChildProcess[] = [];
  readonly storePorts: number[] = [];

  static async gather(size: number): Promise<Crowd> {
    const crowd = new Crowd();
    for (let place = 0; place < Math.ceil(size / PER_CLIENT); place += 1) {
      const client = startHelper('load.ts');
      const store = startHelper('sink.ts');
      crowd.#clients.push(client);
      crowd.#stores.push(store);
      const [, ports] = await Promise.all([firstMessage(client), firstMessage(store)]);
      crowd.storePorts.push(Number(ports['port']));
    }
    return crowd;
  }

  /** Logs in `size` connections, in turn through `ports`. */
  async enter(size: number, ports: readonly number[], ca: string): Promise<void> {
    const share = Math.ceil(size / this.#clients.length);
    for (const [place, client] of this.#clients.entries()) {
      const port = ports[place % ports.length] ?? 0;
      const target = { port, ca, from: `127.0.0.${10 + place}` };
      for (let left = Math.min(share, size - place * share); left > 0; left -= PER_REQUEST) {
        const count = Math.min(left, PER_REQUEST);
        await askLoad(client, { kind: 'open', target, count, concurrency: LANES });
      }
    }
  }

  async alive(): Promise<number> {
    const answers = await Promise.all(this.#clients.map((client) => askLoad(client, { kind: 'count' })));
    return answers.reduce((sum, { alive }) => sum + alive, 0);
  }

  async leave(): Promise<void> {
    await Promise.all(this.#clients.map((client) => askLoad(client, { kind: 'close' })));
  }

  stop(): void {
    for (const child of [...this.#clients, ...this.#stores]) child.kill('SIGKILL');
  }
}

async function start(
  bench: Bench,
  options: CrowdOptions,
  shape: { readonly workers: number; readonly storePorts: readonly number[] },
): Promise<{ readonly server: RunningPeer; readonly crowdPorts: readonly number[] }> {
  const { certificate } = options;
  const folder = join(options.folder, `crowd-${shape.workers}`);
  mkdirSync(folder);
  const port = await freePort();
  const crowdPorts: number[] = [];
  for (const _ of shape.storePorts) crowdPorts.push(await freePort());
  const service = (listen: number, backend: string): string =>
    `{ protocol: imap, listen: ["127.0.0.1:${listen}"], backend: ${backend}, tls: { mode: implicit, ` +
    `certificate: { cert: ${certificate.certFile}, key: ${certificate.keyFile} } } }`;
  const backend = (at: number): string => `{ servers: ["127.0.0.1:${at}"], tls: notls, client: none }`;
  const file = join(folder, 'sallyport.yaml');
  writeFileSync(
    file,
    `hostname: localhost
dataDir: ${join(folder, 'data')}
workers: ${shape.workers}
log: { level: info, format: json }
limits: { perAddress: 0, perUser: 0 }
services:
  imaps: ${service(port, 'sink')}
${crowdPorts.map((at, place) => `  crowd${place}: ${service(at, `crowd${place}`)}`).join('\n')}
backends:
  sink: ${backend(bench.stage.backendPort)}
${shape.storePorts.map((at, place) => `  crowd${place}: ${backend(at)}`).join('\n')}
`,
  );
  const pin = shape.workers === 1 ? pinTo(0) : [];
  const { backendPort, authPort } = bench.stage;
  const server = await launch({
    peer: sallyport,
    context: { folder, port, certificate, backendPort, authPort, pin },
    command: [process.execPath, MAIN, 'serve', '--config', file],
    isReady: (logFile) => readFileSync(logFile, 'utf8').includes('"event":"ready"'),
  });
  return { server, crowdPorts };
}

interface Costs {
  readonly login: number[];
  readonly down: number[];
}

async function measureCosts(bench: Bench, server: RunningPeer): Promise<Costs> {
  const costs: Costs = { login: [], down: [] };
  for (let round = 0; round < bench.plan.rounds; round += 1) {
    for (let part = 0; part < LOGIN_PARTS; part += 1) {
      const { loginFullMs = Number.NaN } = await measureLogins(bench, server, bench.plan.logins);
      costs.login.push(loginFullMs);
    }
    const { downSecondsPerGiB = Number.NaN } = await measureRelay(bench, server);
    costs.down.push(downSecondsPerGiB);
  }
  return costs;
}

/** Waits, and says how much of a core the server used meanwhile. */
async function hold(server: RunningPeer, holdMs: number): Promise<number> {
  const before = sampleCpu(server.pids());
  const start = performance.now();
  await sleep(holdMs);
  const spent = cpuBetween(before, sampleCpu(server.pids()));
  return spent / (performance.now() - start);
}

async function measureOne(bench: Bench, options: CrowdOptions, workers: number): Promise<CrowdResult> {
  const wanted = options.perWorker * workers;
  const crowd = await Crowd.gather(wanted);
  const { server, crowdPorts } = await start(bench, options, { workers, storePorts: crowd.storePorts });
  const { say } = options;
  try {
    say(`  ${workers} worker(s): warm-up`);
    await warmUp(bench, server, bench.plan.warmUpLogins * workers);
    // What the compiler has yet to do would make the first figures the dearest.
    await measureCosts(bench, server);
    say(`  ${workers} worker(s): nobody there`);
    const before = await measureCosts(bench, server);
    say(`  ${workers} worker(s): ${wanted} log in`);
    await crowd.enter(wanted / 2, crowdPorts, bench.ca);
    await sleep(SETTLE_MS);
    const half = sampleMemory(server.pids());
    await crowd.enter(wanted / 2, crowdPorts, bench.ca);
    await sleep(SETTLE_MS);
    const full = sampleMemory(server.pids());
    say(`  ${workers} worker(s): ${wanted} idle for ${options.holdMs / 1000} s`);
    const idleCpu = await hold(server, options.holdMs);
    say(`  ${workers} worker(s): logins and transfers beside them`);
    const beside = await measureCosts(bench, server);
    const alive = await crowd.alive();
    say(`  ${workers} worker(s): ${alive} of ${wanted} are still there, and leave`);
    await crowd.leave();
    await sleep(SETTLE_MS);
    const after = await measureCosts(bench, server);
    return {
      workers,
      wanted,
      alive,
      pssKiBPerConnection: (full.pssKiB - half.pssKiB) / (wanted / 2),
      idleCpu,
      loginFullMs: { before: before.login, with: beside.login, after: after.login },
      downSecondsPerGiB: { before: before.down, with: beside.down, after: after.down },
    };
  } finally {
    crowd.stop();
    await server.stop();
  }
}

export async function measureCrowd(bench: Bench, options: CrowdOptions): Promise<readonly CrowdResult[]> {
  const results: CrowdResult[] = [];
  for (const workers of options.workers) results.push(await measureOne(bench, options, workers));
  return results;
}

/** How much dearer it is beside the crowd than without one: the median of before and after. */
export function ratioOf(costs: Readonly<Record<Moment, readonly number[]>>): number {
  return median(costs.with) / median([...costs.before, ...costs.after]);
}
