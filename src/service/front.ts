// What a worker serves: a gate for each service, all open connections, their drain, and what is counted. New settings
// make new gates; connections keep the gate they came through, and a backend whose settings did not change keeps what
// it has learnt (capabilities, TLS sessions).

import type net from 'node:net';
import type { Settings } from '../config/settings.ts';
import { accept } from '../connection/accept.ts';
import type { Backend } from '../connection/backend-leg.ts';
import { serverKeys } from '../connection/backend-servers.ts';
import type { Client } from '../connection/client.ts';
import type { Places } from '../connection/guard.ts';
import type { Gate } from '../connection/gate.ts';
import { Refusals } from '../connection/refusals.ts';
import { HealthBoard, type ServerFacts, type ServerNotice } from '../connection/server-health.ts';
import { explain, type Log } from '../log.ts';
import { stapledChains } from '../tls/stapling.ts';
import type { World } from '../world.ts';
import { type CheckReport, Checks } from './backends/checks.ts';
import { ClientOcsp } from './certificates/client-ocsp.ts';
import { decisionCounter } from './channel-counters.ts';
import { Directories } from './directories/directories.ts';
import { rulesAhead } from './channel-gates.ts';
import { GateMaker } from './gate-maker.ts';
import { proxyMail } from './mail-proxy.ts';
import type { FrontMaterial } from './material.ts';
import { WorkerKeys } from './tokens/worker-keys.ts';
import { WorkerGuard } from './limits/worker-guard.ts';
import {
  type Eviction,
  evictSessions,
  kickSessions,
  listSessions,
  type SessionFilter,
  type SessionList,
} from './sessions.ts';
import { StapleKeeper } from './certificates/staples.ts';

export interface Front {
  /** Takes over an accepted socket of the named service. */
  serve(service: string, socket: net.Socket): void;
  /** New settings for new connections; those that are open go on. Throws where they cannot be served. */
  update(settings: Settings, material: FrontMaterial, connectionsMax: number): void;
  /**
   * Says goodbye at idle points; resolves when nothing is open or `graceMs` is over and the rest is cut. Who has not got
   * to a login or a transaction yet may do so for `newcomersMs`, and is told only then.
   */
  drain(graceMs: number, newcomersMs?: number): Promise<void>;
  counters(): Readonly<Record<string, number>>;
  /** What the supervisor says of servers behind. */
  notice(notices: readonly ServerNotice[]): void;
  servers(): readonly ServerFacts[];
  /** From now on this front looks at the servers for all, as the settings say. */
  probe(report: (report: CheckReport) => void): void;
  sessions(filter: SessionFilter): SessionList;
  /** Ends the sessions that fit; gives their number. */
  kick(filter: SessionFilter): number;
  /** Ends whatever leads to a user's mailbox, but at `except`; gives what is still there. */
  evict(eviction: Eviction): number;
}

export interface FrontOptions {
  readonly settings: Settings;
  readonly material: FrontMaterial;
  readonly world: World;
  readonly log: Log;
  readonly connectionsMax: number;
  /** A key in a token could not be used. */
  readonly onTokenFailed?: () => void;
  /** Default: one that counts for itself. */
  readonly guard?: WorkerGuard;
}

/** How often waits are looked at: the resolution of every time-out. */
const CHECK_MS = 100;

export function createFront(options: FrontOptions): Front {
  return new MailFront(options);
}

class MailFront implements Front {
  readonly #world: World;
  readonly #log: Log;
  #connectionsMax = 0;
  readonly #clients = new Set<Client>();
  readonly #prefix: string;
  readonly #staples: StapleKeeper;
  readonly #keys: WorkerKeys;
  readonly #clientOcsp: ClientOcsp;
  readonly #guard: WorkerGuard;
  readonly #refusals: Refusals;
  #gates: ReadonlyMap<string, Gate> = new Map();
  #backends = new Map<string, Backend>();
  readonly #health: HealthBoard;
  readonly #checks: Checks;
  readonly #directories = new Directories();
  #closeMs = 0;
  #count = 0;
  #draining = false;
  readonly #newcomers = new Set<Client>();
  #newcomersUntil = -Infinity;
  #whenEmpty: (() => void) | null = null;
  readonly #totals = {
    connections: 0,
    logins: 0,
    loginsFailed: 0,
    messages: 0,
    bytesIn: 0,
    bytesOut: 0,
    cut: 0,
  };

  /** What the rules of channels have decided, by counter name. */
  readonly #decisions: Record<string, number> = {};

  constructor(options: FrontOptions) {
    this.#world = options.world;
    this.#log = options.log;
    this.#prefix = options.world.random(4).toString('hex');
    this.#guard = options.guard ?? new WorkerGuard({ settings: options.settings, world: options.world });
    this.#refusals = new Refusals(options);
    this.#staples = new StapleKeeper(options);
    this.#keys = new WorkerKeys(options);
    this.#clientOcsp = new ClientOcsp(options);
    this.#health = new HealthBoard({ world: this.#world, log: this.#log });
    this.#checks = new Checks({ world: this.#world, log: this.#log, closeMs: () => this.#closeMs });
    this.update(options.settings, options.material, options.connectionsMax);
    options.world.every(CHECK_MS, () => this.#check());
  }

  serve(service: string, socket: net.Socket): void {
    const gate = this.#gates.get(service);
    if (gate === undefined) {
      socket.destroy();
      return;
    }
    this.#totals.connections++;
    const client = accept(gate, socket, {
      id: `${this.#prefix}-${(++this.#count).toString(36)}`,
      full: this.#clients.size >= this.#connectionsMax,
      onClose: this.#forget,
      onLogin: this.#countLogin,
      onDecision: this.#countDecision,
    });
    if (client === null) return;
    this.#clients.add(client);
    if (this.#draining) this.#tellToLeave(client, this.#world.monotonic());
    proxyMail(client).catch((defect: unknown) => {
      this.#log.error('defect', { service, session: client.id, cause: explain(defect) });
      client.cut();
      this.#forget(client);
    });
  }

  update(settings: Settings, material: FrontMaterial, connectionsMax: number): void {
    this.#keys.accelerate(settings);
    this.#keys.use(() => this.#update(settings, material, connectionsMax));
  }

  #update(settings: Settings, material: FrontMaterial, connectionsMax: number): void {
    this.#guard.update(settings);
    const stapled = Object.values(settings.services).filter(({ tls }) => tls.stapling);
    const shown = stapled.flatMap(({ name }) => material.services[name] ?? []);
    this.#staples.update(shown.flatMap(stapledChains));
    const maker = new GateMaker({
      settings,
      material,
      world: this.#world,
      log: this.#log,
      old: this.#backends,
      guard: this.#guard,
      grants: this.#guard.grants,
      placements: this.#guard.placements,
      refusals: this.#refusals,
      health: this.#health,
      staples: this.#staples,
      receptions: this.#directories.update({
        settings,
        material: material.directory,
        saltKey: Buffer.from(material.saltKey),
        world: this.#world,
        log: this.#log,
      }),
      tokenKeys: this.#keys.tokens,
      onTokenFailed: () => this.#keys.failed(),
      clientOcsp: this.#clientOcsp,
    });
    const gates = new Map(
      Object.values(settings.services).map((service) => [service.name, maker.gate(service)]),
    );
    // A service that is gone keeps its gate: what the kernel has queued for it is still to be served.
    this.#gates = new Map([...this.#gates, ...gates]);
    this.#backends = maker.backends;
    this.#connectionsMax = connectionsMax;
    this.#closeMs = settings.timeouts.closeMs;
    const named = [...this.#backends.values()].flatMap(({ hostKeys }) => hostKeys);
    this.#health.keep(new Set([...Object.values(settings.backends).flatMap(serverKeys), ...named]));
    this.#checks.update(maker.checkTargets());
    // What clients will be shown is asked for before the first of them comes.
    for (const gate of gates.values()) {
      for (const rules of rulesAhead(gate, settings)) rules.offer().catch(() => undefined);
    }
  }

  async drain(graceMs: number, newcomersMs = 0): Promise<void> {
    const now = this.#world.monotonic();
    this.#draining = true;
    this.#keys.close();
    this.#staples.close();
    this.#checks.end();
    this.#newcomersUntil = now + newcomersMs;
    for (const client of this.#clients) this.#tellToLeave(client, now);
    if (this.#clients.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = this.#world.after(graceMs, () => {
        this.#totals.cut = this.#clients.size;
        for (const client of this.#clients) client.cut();
        resolve();
      });
      this.#whenEmpty = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  counters(): Readonly<Record<string, number>> {
    const refused = [...this.#refusals.counts].map(([code, count]) => [`refused ${code}`, count]);
    return {
      open: this.#clients.size,
      ...this.#totals,
      ...this.#decisions,
      ...Object.fromEntries(refused),
    };
  }

  notice(notices: readonly ServerNotice[]): void {
    this.#health.notice(notices);
  }

  servers(): readonly ServerFacts[] {
    return this.#health.facts;
  }

  probe(report: (report: CheckReport) => void): void {
    if (!this.#draining) this.#checks.begin(report);
  }

  /** Now, or when it has got where it wants to. */
  #tellToLeave(client: Client, now: number): void {
    if (client.phase === 'login' && now < this.#newcomersUntil) {
      this.#newcomers.add(client);
      return;
    }
    this.#newcomers.delete(client);
    client.drain();
  }

  sessions(filter: SessionFilter): SessionList {
    return listSessions(this.#clients, filter);
  }

  kick(filter: SessionFilter): number {
    return kickSessions(this.#clients, filter);
  }

  evict(eviction: Eviction): number {
    evictSessions(this.#clients, eviction);
    return this.#guard.placements.count(eviction.key);
  }

  #check(): void {
    const now = this.#world.monotonic();
    for (const client of this.#clients) client.check(now);
    this.#refusals.sweep(now);
    for (const client of this.#newcomers) this.#tellToLeave(client, now);
  }

  readonly #countLogin = (): void => {
    this.#totals.logins++;
  };

  readonly #countDecision = (channel: string, rule: string): void => {
    const name = decisionCounter(channel, rule);
    this.#decisions[name] = (this.#decisions[name] ?? 0) + 1;
  };

  readonly #forget = (client: Client): void => {
    if (!this.#clients.delete(client)) return;
    client.leaveBackend();
    for (const place of Object.keys(client.places) as (keyof Places)[]) client.leave(place);
    this.#newcomers.delete(client);
    const totals = this.#totals;
    totals.loginsFailed += client.loginsFailed;
    totals.messages += client.messages;
    totals.bytesIn += client.bytesIn;
    totals.bytesOut += client.bytesOut;
    if (this.#clients.size === 0) this.#whenEmpty?.();
  };
}
