// What a worker serves: a gate for each service, all open connections, their drain, and what is counted. New settings
// make new gates; connections keep the gate they came through, and a backend whose settings did not change keeps what
// it has learnt (capabilities, TLS sessions).

import type net from 'node:net';
import type { BackendSettings, ServiceSettings, Settings } from '../config/settings.ts';
import { accept } from '../connection/accept.ts';
import type { Backend } from '../connection/backend-leg.ts';
import { serverKeys } from '../connection/backend-servers.ts';
import type { Client } from '../connection/client.ts';
import { type Gate, offerOf } from '../connection/gate.ts';
import type { Upgrader } from '../connection/leg.ts';
import { balancersOf } from '../connection/proxy-header.ts';
import { HealthBoard, type ServerFacts, type ServerNotice } from '../connection/server-health.ts';
import type { PasswordCheck } from '../connection/verify.ts';
import { StorePasswords } from '../identity/store-passwords.ts';
import { explain, type Log } from '../log.ts';
import { passwordCheck } from '../policy/front-tier.ts';
import type { Dialect } from '../protocol/dialect.ts';
import { buildServerContexts, type ServerTlsMaterial } from '../tls/context.ts';
import { serverFacts } from '../tls/facts.ts';
import { acceptTls } from '../tls/server.ts';
import { sessionContextName } from '../tls/tickets.ts';
import { NetworkTable } from '../wire/network.ts';
import type { World } from '../world.ts';
import { NO_SECRETS } from './backend-material.ts';
import { backendOf, DIALECTS, makeBackend } from './backends.ts';
import { type CheckReport, Checks, type CheckTarget } from './checks.ts';
import { decisionCounter } from './channel-counters.ts';
import { frontRules, makeChannels, rulesAhead } from './channel-gates.ts';
import { proxyMail } from './mail-proxy.ts';
import type { FrontMaterial } from './material.ts';
import { kickSessions, listSessions, type SessionFilter, type SessionList } from './sessions.ts';

export interface Front {
  /** Takes over an accepted socket of the named service. */
  serve(service: string, socket: net.Socket): void;
  /** New settings for new connections; those that are open go on. Throws where they cannot be served. */
  update(settings: Settings, material: FrontMaterial): void;
  /** Says goodbye at idle points; resolves when nothing is open or `graceMs` is over and the rest is cut. */
  drain(graceMs: number): Promise<void>;
  counters(): Readonly<Record<string, number>>;
  /** What the supervisor says of servers behind. */
  notice(notices: readonly ServerNotice[]): void;
  servers(): readonly ServerFacts[];
  /** From now on this front looks at the servers for all, as the settings say. */
  probe(report: (report: CheckReport) => void): void;
  sessions(filter: SessionFilter): SessionList;
  /** Ends the sessions that fit; gives their number. */
  kick(filter: SessionFilter): number;
}

export interface FrontOptions {
  readonly settings: Settings;
  readonly material: FrontMaterial;
  readonly world: World;
  readonly log: Log;
  readonly connectionsMax: number;
}

/** How often waits are looked at: the resolution of every time-out. */
const CHECK_MS = 100;

/** Well below the descriptors that machine.ts keeps free. */
const TURNED_AWAY_MAX = 40;

export function createFront(options: FrontOptions): Front {
  return new MailFront(options);
}

class MailFront implements Front {
  readonly #world: World;
  readonly #log: Log;
  readonly #connectionsMax: number;
  readonly #clients = new Set<Client>();
  readonly #prefix: string;
  #gates: ReadonlyMap<string, Gate> = new Map();
  #backends = new Map<string, Backend>();
  readonly #health: HealthBoard;
  readonly #checks: Checks;
  #closeMs = 0;
  #count = 0;
  #draining = false;
  #turnedAway = 0;
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
    this.#connectionsMax = options.connectionsMax;
    this.#prefix = options.world.random(4).toString('hex');
    this.#health = new HealthBoard({ world: this.#world, log: this.#log });
    this.#checks = new Checks({ world: this.#world, log: this.#log, closeMs: () => this.#closeMs });
    this.update(options.settings, options.material);
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
      crowded: this.#turnedAway >= TURNED_AWAY_MAX,
      onClose: this.#forget,
      onLogin: this.#countLogin,
      onDecision: this.#countDecision,
    });
    if (client === null) {
      this.#turnAway(socket);
      return;
    }
    this.#clients.add(client);
    if (this.#draining) client.drain();
    proxyMail(client).catch((defect: unknown) => {
      this.#log.error('defect', { service, session: client.id, cause: explain(defect) });
      client.cut();
      this.#forget(client);
    });
  }

  update(settings: Settings, material: FrontMaterial): void {
    const maker = new GateMaker({
      settings,
      material,
      world: this.#world,
      log: this.#log,
      old: this.#backends,
      health: this.#health,
    });
    const gates = new Map(
      Object.values(settings.services).map((service) => [service.name, maker.gate(service)]),
    );
    // A service that is gone keeps its gate: what the kernel has queued for it is still to be served.
    this.#gates = new Map([...this.#gates, ...gates]);
    this.#backends = maker.backends;
    this.#closeMs = settings.timeouts.closeMs;
    this.#health.keep(new Set(Object.values(settings.backends).flatMap(serverKeys)));
    this.#checks.update(maker.checkTargets());
    // What clients will be shown is asked for before the first of them comes.
    for (const gate of gates.values()) {
      for (const rules of rulesAhead(gate, settings)) rules.offer().catch(() => undefined);
    }
  }

  async drain(graceMs: number): Promise<void> {
    this.#draining = true;
    this.#checks.end();
    for (const client of this.#clients) client.drain();
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
    return { open: this.#clients.size, ...this.#totals, ...this.#decisions };
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

  /** They hold a descriptor each until they have read why. */
  #turnAway(socket: net.Socket): void {
    if (socket.destroyed) return;
    this.#turnedAway++;
    socket.once('close', () => this.#turnedAway--);
  }

  sessions(filter: SessionFilter): SessionList {
    return listSessions(this.#clients, filter);
  }

  kick(filter: SessionFilter): number {
    return kickSessions(this.#clients, filter);
  }

  #check(): void {
    const now = this.#world.monotonic();
    for (const client of this.#clients) client.check(now);
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
    const totals = this.#totals;
    totals.loginsFailed += client.loginsFailed;
    totals.messages += client.messages;
    totals.bytesIn += client.bytesIn;
    totals.bytesOut += client.bytesOut;
    if (this.#clients.size === 0) this.#whenEmpty?.();
  };
}

interface MakerOptions {
  readonly settings: Settings;
  readonly material: FrontMaterial;
  readonly world: World;
  readonly log: Log;
  readonly old: ReadonlyMap<string, Backend>;
  readonly health: HealthBoard;
}

/** Builds the gates of one set of settings. */
class GateMaker {
  readonly backends = new Map<string, Backend>();
  readonly #passwordChecks = new Map<string, PasswordCheck>();
  readonly #options: MakerOptions;

  constructor(options: MakerOptions) {
    this.#options = options;
  }

  gate(service: ServiceSettings): Gate {
    const { settings, material, world, log } = this.#options;
    const dialect = DIALECTS[service.protocol];
    const backendSettings = backendOf(settings, service);
    if (backendSettings === null) throw new Error(`service ${service.name} has no backend`);
    const backend = this.#backend(backendSettings, dialect);
    const tls = material.services[service.name] ?? null;
    const certified = tls !== null;
    const isTierPassword = passwordCheck(material.tierPasswords.services[service.name] ?? null);
    const channels = makeChannels({
      settings,
      service,
      certified,
      isTierPassword,
      backend: (relay) => this.#backend(relay, dialect),
    });
    const offer = offerOf(service, dialect, backend);
    return {
      name: service.name,
      dialect,
      settings: service,
      rules:
        channels?.gates.get(channels.start.channel)?.rules ??
        frontRules({ settings, service, channel: null, certified, offer, isTierPassword }),
      upgrader: tls === null ? null : this.#upgrader(service, tls, dialect.alpn),
      implicitTls: service.tlsMode === 'implicit',
      balancers: balancersOf(service.proxyProtocol),
      backend,
      passwordCheck: this.#passwordCheck(service),
      frontTier: new NetworkTable(service.frontTier.from.map((network) => [network, true])),
      channels,
      limits: settings.limits,
      timeouts: settings.timeouts,
      world,
      log,
    };
  }

  /** Each backend once, whatever the protocols it serves. */
  checkTargets(): CheckTarget[] {
    const first = new Map(
      [...this.backends.values()].toReversed().map((backend) => [backend.settings.name, backend]),
    );
    return [...first.values()].map((backend) => {
      const { name, check } = backend.settings;
      const { checkPassword: password } = this.#options.material.backendSecrets[name] ?? NO_SECRETS;
      const account = check.user === null || password === null ? null : { user: check.user, password };
      return { backend, tls: backend.tls, account };
    });
  }

  /** One for all services that ask the same store, so that what it is asked at once is limited once. */
  #passwordCheck({ verify }: ServiceSettings): PasswordCheck | null {
    if (verify.kind === 'backend') return null;
    const { settings, world } = this.#options;
    const known = this.#passwordChecks.get(verify.store);
    if (known !== undefined) return known;
    const store = settings.backends[verify.store];
    if (store === undefined) throw new Error(`there is no backend ${verify.store}`);
    const backend = this.#backend(store, DIALECTS.imap);
    const made = new StorePasswords({
      backend: store.name,
      target: { mode: store.tls.mode, tls: backend.tls, allowClear: store.allowClearBackend },
      stores: (login) => backend.approaches(login),
      storeMs: store.failoverTimeoutMs,
      budgetMs: settings.timeouts.replyMs,
      world,
    });
    this.#passwordChecks.set(verify.store, made);
    return made;
  }

  #upgrader(service: ServiceSettings, tls: ServerTlsMaterial, alpn: readonly string[]): Upgrader {
    const { settings, material, world } = this.#options;
    const contexts = buildServerContexts(tls, {
      ticketKeys: Buffer.from(material.ticketKeys),
      sessionIdContext: sessionContextName(service.name, null),
    });
    const options = { alpn, timeoutMs: settings.timeouts.handshakeMs, world };
    return {
      async upgrade(raw) {
        const socket = await acceptTls(raw, contexts, options);
        return { socket, facts: serverFacts(socket) };
      },
    };
  }

  /** One backend may serve services of several protocols; it is one Backend for each. */
  #backend(backend: BackendSettings, dialect: Dialect): Backend {
    const { settings, material, world, log, old, health } = this.#options;
    const secrets = material.backendSecrets[backend.name] ?? NO_SECRETS;
    const ca = material.backendCas[backend.name] ?? null;
    const xpehloPassword = material.tierPasswords.backends[backend.name] ?? null;
    const key = JSON.stringify([
      dialect.protocol,
      backend,
      ca,
      secrets,
      xpehloPassword,
      settings.hostname,
      settings.limits,
      settings.timeouts,
      settings.probeMs,
    ]);
    const made = this.backends.get(key);
    if (made !== undefined) return made;
    const kept = old.get(key);
    // What was found out with other settings, a certificate that did not fit say, may be mended by these.
    if (kept === undefined) health.startAnew(backend.name);
    const used =
      kept ?? makeBackend({ settings, backend, dialect, ca, secrets, health, xpehloPassword, world, log });
    this.backends.set(key, used);
    return used;
  }
}
