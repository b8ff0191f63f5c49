// `npm run bench`: measures Sallyport and every peer that is installed, side by side, and prints a table.
// Real processes on loopback, one sink behind all of them, one load generator. Peers are measured in turn, round after
// round, so that a slow moment of the machine hits all of them. A peer that is missing or fails gets its line and
// stops nobody. All processes and files of the bench are gone when it ends, also by Ctrl-C.

import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { KEY_TITLES, makeCertificate } from './certificates.ts';
import type { Certificate, KeyType } from './certificates.ts';
import { measureCrowd } from './crowd.ts';
import { renderCrowd } from './crowd-table.ts';
import { measureDirect, measureIdle, measureRound, warmUp } from './measure.ts';
import type { Bench, Figure, Figures } from './measure.ts';
import type { Peer, RunningPeer } from './peers/peer.ts';
import { USAGE, readOptions } from './plan.ts';
import type { Options } from './plan.ts';
import { findProgram, freePort, pinTo, stopAll } from './programs.ts';
import { Stage } from './stage.ts';
import { emptySamples, renderTable } from './table.ts';
import type { PeerResult } from './table.ts';

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

interface Contender {
  readonly peer: Peer;
  readonly result: PeerResult;
  running: RunningPeer | null;
}

function enter(peer: Peer): Contender {
  const version = peer.version();
  const problem = version === null ? 'not installed' : null;
  const { name, title } = peer;
  return { peer, running: null, result: { name, title, version, problem, samples: emptySamples() } };
}

function keep(result: PeerResult, figures: Figures): void {
  for (const [figure, value] of Object.entries(figures)) {
    if (Number.isFinite(value)) result.samples[figure as Figure].push(value);
  }
}

class Contest {
  readonly #bench: Bench;
  readonly #folder: string;
  readonly #certificate: Certificate;
  readonly #contenders: readonly Contender[];

  constructor(bench: Bench, certificate: Certificate, options: { folder: string; peers: readonly Peer[] }) {
    this.#bench = bench;
    this.#certificate = certificate;
    this.#folder = options.folder;
    this.#contenders = options.peers.map(enter);
  }

  async run(): Promise<readonly PeerResult[]> {
    const { plan } = this.#bench;
    await this.#each('idle memory', (contender) => this.#idle(contender));
    await this.#each('warm-up', (contender) => this.#prepare(contender));
    for (let round = 1; round <= plan.rounds; round += 1) {
      const directUs = await measureDirect(this.#bench);
      await this.#each(`round ${round} of ${plan.rounds}`, async ({ peer, running, result }) => {
        if (running === null) return;
        const logins = peer.weight === 'heavy' ? plan.heavyLogins : plan.logins;
        keep(result, await measureRound(this.#bench, running, { logins, directUs }));
      });
    }
    await Promise.all(this.#contenders.map(async ({ running }) => running?.stop()));
    return this.#contenders.map(({ result }) => result);
  }

  /** One step for everybody who is still in; who fails is out. */
  async #each(what: string, step: (contender: Contender) => Promise<void>): Promise<void> {
    for (const contender of this.#contenders) {
      const { peer, result } = contender;
      if (result.problem !== null) continue;
      say(`  ${what}: ${peer.name}`);
      try {
        await step(contender);
      } catch (error) {
        result.problem = `failed: ${words(error).replaceAll('|', '/').replaceAll('\n', ' ').slice(0, 160)}`;
        say(`    failed: ${words(error)}`);
        await contender.running?.stop();
        contender.running = null;
      }
    }
  }

  async #start(contender: Contender): Promise<RunningPeer> {
    const folder = mkdtempSync(join(this.#folder, `${contender.peer.name}-`));
    chmodSync(folder, 0o711);
    contender.running = await contender.peer.start({
      folder,
      port: await freePort(),
      certificate: this.#certificate,
      backendPort: this.#bench.stage.backendPort,
      authPort: this.#bench.stage.authPort,
      pin: pinTo(0),
    });
    return contender.running;
  }

  async #idle(contender: Contender): Promise<void> {
    const { plan } = this.#bench;
    const running = await this.#start(contender);
    const counts = contender.peer.weight === 'heavy' ? plan.heavyIdle : plan.idle;
    keep(contender.result, await measureIdle(this.#bench, running, counts));
    await running.stop();
  }

  async #prepare(contender: Contender): Promise<void> {
    const { plan } = this.#bench;
    const running = await this.#start(contender);
    await warmUp(
      this.#bench,
      running,
      contender.peer.weight === 'heavy' ? plan.heavyWarmUpLogins : plan.warmUpLogins,
    );
  }
}

function describeMachine(options: Options): string {
  const load = loadavg()[0]?.toFixed(2) ?? '?';
  const pinned =
    pinTo(0).length > 0 ? 'server pinned to one core, load and sink to another' : 'nothing pinned';
  const { plan } = options;
  return [
    `${new Date().toISOString().slice(0, 16)}Z · ${cpus()[0]?.model ?? '?'}, ${availableParallelism()} cores, ` +
      `Linux ${release()}, Node ${process.versions.node}, load ${load}; ${pinned}.`,
    `TLS 1.3, X25519, AES-256-GCM. ${plan.rounds} round(s) of ${plan.logins} full and as many resumed logins and ` +
      `${plan.transferMiB} MiB each way. In each cell: **median** (ratio to nginx mail) smallest–largest.`,
    'CPU of nginx mail is without its auth_http server. Those marked "no login" pass the login through as bytes.',
  ].join('\n');
}

function unfit(): string | null {
  if (process.platform !== 'linux' || !existsSync('/proc/self/smaps_rollup'))
    return 'the bench reads /proc of Linux';
  return findProgram('openssl') === null ? 'the bench needs the openssl command for its certificates' : null;
}

async function bench(options: Options): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-bench-'));
  chmodSync(folder, 0o711);
  let stage: Stage | null = null;
  const cleanUp = (): void => {
    stopAll();
    stage?.strike();
    rmSync(folder, { recursive: true, force: true });
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      cleanUp();
      process.exit(130);
    });
  }
  try {
    stage = await Stage.set();
    const about = describeMachine(options);
    console.log(`${about}\n`);
    if (options.crowd !== null) {
      const certificate = makeCertificate(folder, 'p256');
      const setting = { stage, plan: options.plan, ca: certificate.pem };
      const crowds = await measureCrowd(setting, { ...options.crowd, folder, certificate, say });
      console.log(renderCrowd(crowds));
      if (options.jsonFile !== null)
        writeFileSync(options.jsonFile, `${JSON.stringify({ about, crowds }, null, 2)}\n`);
      return;
    }
    const results: Partial<Record<KeyType, readonly PeerResult[]>> = {};
    for (const keyType of options.keyTypes) {
      say(`${KEY_TITLES[keyType]}:`);
      const certificate = makeCertificate(folder, keyType);
      const setting: Bench = { stage, plan: options.plan, ca: certificate.pem };
      const contest = new Contest(setting, certificate, { folder, peers: options.peers });
      const found = await contest.run();
      results[keyType] = found;
      console.log(`### ${KEY_TITLES[keyType]}\n\n${renderTable(found)}\n`);
    }
    if (options.jsonFile !== null) {
      writeFileSync(options.jsonFile, `${JSON.stringify({ about, plan: options.plan, results }, null, 2)}\n`);
    }
  } finally {
    cleanUp();
  }
}

try {
  const options = readOptions(process.argv.slice(2));
  const problem = unfit();
  if (options === null) console.log(USAGE);
  else if (problem !== null) throw new Error(problem);
  else await bench(options);
} catch (error) {
  say(`bench: ${words(error)}`);
  process.exitCode = 1;
}
