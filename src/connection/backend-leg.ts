// The way to a backend: choose one of its servers, dial it, secure the leg by the backend's rule, greet, introduce the
// client. Promises: one server after another is tried within the connect budget, in the order of policy/balance.ts; what
// it ended in is noted (server-health.ts); a leg that fails is destroyed here; a leg that is returned belongs to the
// caller.

import net from 'node:net';
import type { BackendSettings, Endpoint, Limits, Timeouts } from '../config/settings.ts';
import { asGateError, GateError } from '../errors.ts';
import type { Ending, Store } from '../identity/store-passwords.ts';
import { explain, type Level, type Log } from '../log.ts';
import { chooseOrder } from '../policy/balance.ts';
import type { BackSession, Dialect } from '../protocol/dialect.ts';
import type { BackendTls } from '../tls/client.ts';
import { clientFacts } from '../tls/facts.ts';
import { isLoopback } from '../wire/address.ts';
import { blockOf } from '../wire/network.ts';
import type { Proxied } from '../wire/proxy-header.ts';
import type { World } from '../world.ts';
import { BackendKnowledge, type Knowledge } from './backend-knowledge.ts';
import {
  isTelling,
  outcomeOf,
  saysWhoFirst,
  serverName,
  type ServerOfBackend,
  serversOf,
} from './backend-servers.ts';
import { BACKEND_ROLE, Leg } from './leg.ts';
import type { Upgrader } from './upgrader.ts';
import { headerFor } from './proxy-header.ts';
import { NO_PLACEMENTS, type Placements } from './placements.ts';
import { dial } from './backend-dial.ts';
import { HostBook } from './backend-hosts.ts';
import { type HealthBoard, keyOf } from './server-health.ts';

export { serverName };

/** An open leg to a backend server, greeted and secured as its rule says, not yet logged in. */
export interface BackLeg {
  readonly leg: Leg;
  readonly session: BackSession;
  readonly endpoint: Endpoint;
  /** For logs: host:port or path. */
  readonly server: string;
}

/** Somebody who is to be brought to a server. */
export interface Visit {
  /** Whose mailbox it is; null: mail without a login. */
  readonly user: string | null;
  /** The client's own address. */
  readonly address: string;
  /** For the PROXY header, where the backend gets one; null: nobody but ourselves. */
  readonly proxied: Proxied | null;
  /** Tells the server who the client is. From here on a failure may be meant for the client. */
  readonly introduce?: ((back: BackLeg) => Promise<void>) | null;
  /** Where the directory says that the mailbox is, in this order; none: at the servers of the backend. */
  readonly hosts?: readonly Endpoint[];
}

export interface AdminLogin {
  readonly user: string;
  readonly password: string;
}

export interface BackendOptions {
  readonly settings: BackendSettings;
  readonly dialect: Dialect;
  readonly admin: AdminLogin | null;
  readonly tls: BackendTls;
  readonly hostname: string;
  /** What XPEHLO shows, where that is used. */
  readonly xpehloPassword?: string | null;
  readonly limits: Limits;
  readonly timeouts: Timeouts;
  readonly probeMs: number;
  readonly health: HealthBoard;
  /** Default: nobody was put anywhere. */
  readonly placements?: Placements;
  readonly world: World;
  readonly log: Log;
}

/** Clients whose address begins with the same 64 bits are one and the same, as far as a ban goes. */
const BLOCK_PREFIX6 = 64;

/** Where all servers are named by a directory, so many of them are asked what they can do. */
const PROBED_HOSTS = 8;

export class Backend {
  readonly #options: BackendOptions;
  readonly #servers: readonly ServerOfBackend[];
  /** Those that a directory has named. */
  readonly #hosts: HostBook;
  readonly #knowledge: BackendKnowledge;
  /** Whose turn it is, for those that come through here. */
  readonly #turns: Turns;
  /** The same for those that dial by themselves: they would take every other turn away from the first. */
  readonly #otherTurns: Turns;

  constructor(options: BackendOptions) {
    const { settings, health, world, probeMs } = options;
    this.#options = options;
    this.#servers = serversOf(settings, health);
    this.#hosts = new HostBook(settings.name, health);
    this.#turns = { credits: this.#servers.map(() => 0) };
    this.#otherTurns = { ...this.#turns };
    const ask = (): Promise<Knowledge>[] => this.#inUse().map((server) => this.#learn(server));
    this.#knowledge = new BackendKnowledge({ backend: settings.name, probeMs, world, ask });
  }

  /** Who logs in for others; only with `login: proxy`. */
  get admin(): AdminLogin | null {
    return this.#options.admin;
  }

  get tls(): BackendTls {
    return this.#options.tls;
  }

  get settings(): BackendSettings {
    return this.#options.settings;
  }

  /**
   * Opens a leg to the server that is the visitor's turn, and introduces it; the next is tried where one cannot be had.
   * With `balance: hash` a server that greets and then turns the visitor away has the last word: its users' mail is
   * there, and a client that it has banned is not carried through all the others.
   */
  async connect(visit: Visit): Promise<BackLeg> {
    const { settings, world, timeouts } = this.#options;
    const order = this.#order(visit, this.#turns);
    const { hosts = [] } = visit;
    const deadline = world.monotonic() + timeouts.connectMs;
    let failure: GateError | null = null;
    for (const [index, target] of order.entries()) {
      const left = deadline - world.monotonic();
      if (left <= 0) break;
      // One that is silent must leave time for those behind it.
      const share = left / (order.length - index);
      const ms = Math.min(left, settings.failoverTimeoutMs ?? share);
      const result = await this.#attempt(target, { visit, ms });
      if (result.error === null) return result.back;
      failure = result.error;
      if (result.introduced && settings.balance === 'hash') break;
    }
    const none = hosts.length + this.#servers.length === 0 ? 'no host is named' : 'every server is drained';
    const drained = order.length === 0 ? none : undefined;
    throw failure ?? new GateError('BACKEND_UNREACHABLE', { backend: settings.name, found: drained });
  }

  /** The servers in the order in which a visitor would try them, for who dials by itself and tells how it went. */
  approaches(visit: Pick<Visit, 'user' | 'address'>): readonly Store[] {
    const { failoverMs } = this.settings;
    return this.#order(visit, this.#otherTurns).map((server) => ({
      endpoint: server.endpoint,
      begin: () => server.health.dialled(failoverMs),
      end: (ending) => this.#asked(server, visit, ending),
    }));
  }

  #asked(server: ServerOfBackend, visit: Pick<Visit, 'address'>, ending: Ending): void {
    const { failoverMs } = this.settings;
    switch (ending.kind) {
      case 'answered':
        return server.health.note({ kind: 'served' }, failoverMs);
      case 'undecided':
        return server.health.note({ kind: 'greeted' }, failoverMs);
      case 'unreached':
        return this.#unreached(server, ending.error);
      case 'failed':
        return this.#blame(server, visit, ending.error);
    }
  }

  /** How the login of a visitor ended: answered, or with a failure of the server. */
  loggedIn(back: BackLeg, visit: Visit, error: GateError | null): void {
    const target =
      this.#servers.find(({ health }) => health.server === back.server) ?? this.#hosts.find(back.server);
    if (error === null) target?.health.note({ kind: 'served' }, this.settings.failoverMs);
    else if (target !== undefined && isTelling(error)) this.#blame(target, visit, error);
  }

  async #attempt(
    target: ServerOfBackend,
    { visit, ms }: { readonly visit: Visit; readonly ms: number },
  ): Promise<Attempt> {
    const { world, settings } = this.#options;
    const { health, endpoint } = target;
    const startedAt = world.monotonic();
    const { isNews } = health;
    let back: BackLeg | null = null;
    health.dialled(settings.failoverMs);
    try {
      back = await this.open(endpoint, ms, visit.proxied);
      health.note({ kind: 'greeted' }, settings.failoverMs);
      health.count(back.leg.socket);
      await this.#introduce(back, visit, Math.max(1, ms - (world.monotonic() - startedAt)));
      return { error: null, back };
    } catch (cause) {
      back?.leg.destroy();
      const error = asGateError(cause);
      if (!error.code.startsWith('BACKEND_')) throw error;
      // A PROXY header was the first that it heard.
      const introduced = back !== null || (saysWhoFirst(settings) && isTelling(error));
      const level = isNews ? (introduced ? 'info' : 'warn') : 'debug';
      this.#logFailure(target, error, { visit, level });
      if (!introduced) this.#unreached(target, error);
      else if (isTelling(error)) this.#blame(target, visit, error);
      return { error, introduced };
    }
  }

  async #introduce(back: BackLeg, visit: Visit, ms: number): Promise<void> {
    const { introduce = null } = visit;
    if (introduce === null) return;
    const limit = { leg: back.leg, ms, server: back.server, what: 'introduction' };
    await within(this.#options.world, limit, () => introduce(back));
  }

  #unreached({ health }: ServerOfBackend, error: GateError): void {
    const outcome = outcomeOf(error);
    if (outcome !== null) health.note(outcome, this.settings.failoverMs, error);
  }

  #blame({ health }: ServerOfBackend, visit: Pick<Visit, 'address'>, error: GateError): void {
    const client = blockOf(visit.address, BLOCK_PREFIX6);
    health.note({ kind: 'client-failed', client }, this.settings.failoverMs, error);
  }

  #logFailure(
    { health }: ServerOfBackend,
    error: GateError,
    { visit, level }: { readonly visit: Visit; readonly level: Level },
  ): void {
    this.#options.log.at(level, 'backend-failed', {
      backend: health.backend,
      server: health.server,
      client: visit.address,
      code: error.code,
      cause: explain(error),
    });
  }

  /** The names of hosts that a directory has named, as the board has them. */
  get hostKeys(): readonly string[] {
    return this.#hosts.names.map((name) => keyOf(this.settings.name, name));
  }

  #order(visit: Pick<Visit, 'user' | 'address' | 'hosts'>, turns: Turns): readonly ServerOfBackend[] {
    const { balance, name } = this.settings;
    const { placements = NO_PLACEMENTS } = this.#options;
    if (visit.hosts !== undefined && visit.hosts.length > 0)
      return this.#hosts.order(visit.hosts, this.#servers);
    const [first, second] = this.#servers;
    if (first !== undefined && second === undefined)
      return first.health.state === 'drained' ? [] : this.#servers;
    const chosen = balance === 'hash' && visit.user !== null ? placements.find(name, visit.user) : null;
    const candidates = this.#servers.map(({ identity, weight, priority, health }, place) => ({
      identity,
      weight,
      priority,
      open: health.open,
      state: health.state,
      credit: turns.credits[place] ?? 0,
      isChosen: identity === chosen,
    }));
    const key = visit.user === null ? visit.address : visit.user.toLowerCase();
    const { order, credits } = chooseOrder(candidates, balance, key);
    turns.credits = credits;
    return order.flatMap((place) => this.#servers[place] ?? []);
  }

  /** Opens a leg to one server; where it gets a PROXY header, for `proxied` or as a connection of our own. */
  async open(
    server: Endpoint,
    connectMs = this.#options.timeouts.connectMs,
    proxied: Proxied | null = null,
  ): Promise<BackLeg> {
    const { world, limits, dialect, settings, hostname, xpehloPassword = null } = this.#options;
    const name = serverName(server);
    const startedAt = world.monotonic();
    const raw = await dial(world, { server, connectMs });
    const header = headerFor(settings, proxied, raw);
    if (header !== null) raw.write(header);
    const leg = new Leg(raw, {
      role: BACKEND_ROLE,
      upgrader: this.#upgrader(server),
      lineBytesMax: limits.replyBytes,
    });
    try {
      // The budget is for the whole way to a greeted, secured leg: a server that accepts and is silent is no server.
      const left = Math.max(1, connectMs - (world.monotonic() - startedAt));
      return await within(world, { leg, ms: left, server: name, what: 'greeting and TLS' }, async () => {
        const { mode } = settings.tls;
        if (mode === 'implicit') await leg.startTls('');
        else leg.attach();
        const session = dialect.back(leg);
        const tls = mode === 'implicit' ? 'musttls' : mode;
        await session.open({ tls, limits, host: name, hostname, xpehloPassword });
        return { leg, session, endpoint: server, server: name };
      });
    } catch (error) {
      leg.destroy();
      throw error;
    }
  }

  /** What the servers can do. */
  knowledge(): Promise<Knowledge> {
    return this.#knowledge.get();
  }

  #inUse(): readonly Endpoint[] {
    const servers = this.#servers.length > 0 ? this.#servers : this.#hosts.recent(PROBED_HOSTS);
    const up = servers.filter(({ health }) => health.state === 'up');
    return (up.length > 0 ? up : servers).map(({ endpoint }) => endpoint);
  }

  async #learn(server: Endpoint): Promise<Knowledge> {
    const { leg, session } = await this.open(server);
    session.quit();
    leg.finish('');
    leg.destroySoon(this.#options.world, this.#options.timeouts.closeMs);
    return { capabilities: session.capabilities, mechanisms: session.mechanisms };
  }

  #upgrader(server: Endpoint): Upgrader {
    const { tls, timeouts, world } = this.#options;
    const host = server.kind === 'tcp' ? server.host : 'localhost';
    return {
      upgrade: async (raw) => {
        const socket = await tls.connect(raw, host, { timeoutMs: timeouts.handshakeMs, world });
        return { socket, facts: clientFacts(socket) };
      },
    };
  }
}

interface Turns {
  credits: readonly number[];
}

type Attempt =
  | { readonly error: null; readonly back: BackLeg }
  | { readonly error: GateError; readonly introduced: boolean };

/** A password may go in clear over loopback and Unix sockets, else only where the settings say so by name. */
export function mayCarryPassword(back: BackLeg, settings: BackendSettings): boolean {
  if (back.leg.secured || settings.allowClearBackend) return true;
  return back.endpoint.kind === 'unix' || isNear(back.endpoint.host, back.leg);
}

/** An address says it itself; for a name it is where the name led to that counts. */
function isNear(host: string, leg: Leg): boolean {
  return isLoopback(net.isIP(host) === 0 ? (leg.socket.remoteAddress ?? '') : host);
}

/** Runs `work` and fails the leg, so that whatever waits on it ends, when `ms` milliseconds are over. */
export async function within<T>(
  world: World,
  limit: { readonly leg: Leg; readonly ms: number; readonly server: string; readonly what: string },
  work: () => Promise<T>,
): Promise<T> {
  const timer = world.after(limit.ms, () => {
    limit.leg.fail(
      new GateError('BACKEND_TIMEOUT', {
        backend: limit.server,
        phase: limit.what,
        ms: Math.round(limit.ms),
      }),
    );
    limit.leg.destroy();
  });
  try {
    return await work();
  } finally {
    timer.cancel();
  }
}
