// The way to a backend: dial one of its servers, secure the leg by the backend's rule, greet. Also what is known of its
// capabilities, probed and believed for a while. Promises: one server after another is tried within the connect
// budget; a leg that fails is destroyed here; a leg that is returned belongs to the caller.

import net from 'node:net';
import type { BackendSettings, Endpoint, Limits, Timeouts } from '../config/settings.ts';
import { asGateError, GateError } from '../errors.ts';
import { explain, type Log } from '../log.ts';
import type { BackSession, Dialect } from '../protocol/dialect.ts';
import type { BackendTls } from '../tls/client.ts';
import { clientFacts } from '../tls/facts.ts';
import { formatHostPort } from '../wire/address.ts';
import type { Proxied } from '../wire/proxy-header.ts';
import type { World } from '../world.ts';
import { BACKEND_ROLE, Leg, type Upgrader } from './leg.ts';
import { headerFor } from './proxy-header.ts';

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
  /** For the PROXY header, where the backend gets one; null: nobody but ourselves. */
  readonly proxied: Proxied | null;
}

/** What all servers of a backend have in common. */
export interface Knowledge {
  readonly capabilities: readonly string[];
  readonly mechanisms: readonly string[];
}

export interface BackendOptions {
  readonly settings: BackendSettings;
  readonly dialect: Dialect;
  readonly tls: BackendTls;
  readonly hostname: string;
  /** What XPEHLO shows, where that is used. */
  readonly xpehloPassword?: string | null;
  readonly limits: Limits;
  readonly timeouts: Timeouts;
  readonly probeMs: number;
  readonly world: World;
  readonly log: Log;
}

/** After a failed probe the next one waits this long, so that a dead backend is not dialled for each client twice. */
const PROBE_PAUSE_MS = 1000;
/** What a slow server may add to the probe of its quicker neighbours. */
const PROBE_LAG_MS = 500;

export class Backend {
  readonly #options: BackendOptions;
  #next = 0;
  #knowledge: Knowledge | null = null;
  #probedAt = 0;
  #probe: Promise<Knowledge> | null = null;
  #failure: { readonly error: GateError; readonly until: number } | null = null;

  constructor(options: BackendOptions) {
    this.#options = options;
  }

  get settings(): BackendSettings {
    return this.#options.settings;
  }

  /** Opens a leg to one of the servers, round robin; the next is tried where one cannot be had. */
  async connect(visit: Visit): Promise<BackLeg> {
    const { servers } = this.#options.settings;
    const first = this.#next++ % servers.length;
    const deadline = this.#options.world.monotonic() + this.#options.timeouts.connectMs;
    let failure: GateError | null = null;
    for (let i = 0; i < servers.length; i++) {
      const server = servers[(first + i) % servers.length];
      const left = deadline - this.#options.world.monotonic();
      if (server === undefined || left <= 0) break;
      try {
        // One that is silent must leave time for those behind it.
        return await this.open(server, left / (servers.length - i), visit.proxied);
      } catch (error) {
        failure = asGateError(error);
        this.#options.log.warn('backend-failed', {
          backend: this.#options.settings.name,
          server: serverName(server),
          code: failure.code,
          cause: explain(failure),
        });
      }
    }
    throw failure ?? new GateError('BACKEND_UNREACHABLE', { backend: this.#options.settings.name });
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

  /** What the servers can do: probed when first asked, then renewed behind the scenes when it has aged. */
  async knowledge(): Promise<Knowledge> {
    const { world, probeMs } = this.#options;
    const now = world.monotonic();
    if (this.#knowledge !== null) {
      if (now - this.#probedAt > probeMs) this.#renew().catch(() => undefined);
      return this.#knowledge;
    }
    if (this.#failure !== null && now < this.#failure.until) throw this.#failure.error;
    return this.#renew();
  }

  #renew(): Promise<Knowledge> {
    this.#probe ??= this.#probeServers()
      .then((knowledge) => {
        const changed = JSON.stringify(knowledge) !== JSON.stringify(this.#knowledge);
        if (changed) this.#knowledge = knowledge;
        this.#failure = null;
        return this.#knowledge ?? knowledge;
      })
      .catch((error: unknown) => {
        this.#failure = {
          error: asGateError(error),
          until: this.#options.world.monotonic() + PROBE_PAUSE_MS,
        };
        throw error;
      })
      .finally(() => {
        this.#probedAt = this.#options.world.monotonic();
        this.#probe = null;
      });
    return this.#probe;
  }

  /** The intersection over the servers that answer; an error where none does. */
  async #probeServers(): Promise<Knowledge> {
    const found = await settledSoon(
      this.#options.world,
      this.#options.settings.servers.map(async (server) => {
        const { leg, session } = await this.open(server);
        session.quit();
        leg.finish('');
        leg.destroySoon(this.#options.world, this.#options.timeouts.closeMs);
        return { capabilities: session.capabilities, mechanisms: session.mechanisms };
      }),
    );
    const known = found.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const [first, ...others] = known;
    if (first === undefined) {
      const rejected = found.find((result) => result.status === 'rejected');
      throw (
        rejected?.reason ?? new GateError('BACKEND_UNREACHABLE', { backend: this.#options.settings.name })
      );
    }
    const common = (pick: (k: Knowledge) => readonly string[]): readonly string[] =>
      pick(first).filter((item) => others.every((other) => pick(other).includes(item)));
    return { capabilities: common((k) => k.capabilities), mechanisms: common((k) => k.mechanisms) };
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

export function serverName(server: Endpoint): string {
  return server.kind === 'unix' ? server.path : formatHostPort(server.host, server.port);
}

/** Waits for all, but once one has succeeded no longer than PROBE_LAG_MS for the others. */
async function settledSoon<T>(
  world: World,
  probes: readonly Promise<T>[],
): Promise<readonly PromiseSettledResult<T>[]> {
  const settled: PromiseSettledResult<T>[] = [];
  const each = probes.map(async (probe) => {
    const [result] = await Promise.allSettled([probe]);
    settled.push(result);
    if (result.status === 'rejected') throw result.reason;
  });
  await Promise.any(each).catch(() => undefined);
  const late = Promise.withResolvers<void>();
  const timer = world.after(PROBE_LAG_MS, late.resolve);
  await Promise.race([Promise.allSettled(each), late.promise]);
  timer.cancel();
  return [...settled];
}

/** A password may go in clear over loopback and Unix sockets, else only where the settings say so by name. */
export function mayCarryPassword(back: BackLeg, settings: BackendSettings): boolean {
  if (back.leg.secured || settings.allowClearBackend) return true;
  return back.endpoint.kind === 'unix' || isLoopback(back.endpoint.host, back.leg);
}

const LOOPBACK = /^(::1|(::ffff:)?127\.\d+\.\d+\.\d+)$/;

/** An address says it itself; for a name it is where the name led to that counts. */
function isLoopback(host: string, leg: Leg): boolean {
  return LOOPBACK.test(net.isIP(host) === 0 ? (leg.socket.remoteAddress ?? '') : host);
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

function dial(
  world: World,
  options: { readonly server: Endpoint; readonly connectMs: number },
): Promise<net.Socket> {
  const socket = world.dial(options.server);
  const backend = serverName(options.server);
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      timer.cancel();
      socket.off('connect', onConnect).off('error', onError);
    };
    const onConnect = (): void => {
      stop();
      resolve(socket);
    };
    const onError = (error: Error): void => {
      stop();
      socket.destroy();
      reject(new GateError('BACKEND_UNREACHABLE', { backend }, error));
    };
    const timer = world.after(options.connectMs, () =>
      onError(new Error(`no answer in ${options.connectMs} ms`)),
    );
    socket.on('connect', onConnect).on('error', onError);
  });
}
