// The servers behind as the supervisor knows them: which are drained, what the prober says of each, who the prober is.
// Drains and marks outlive workers and reloads, as long as the settings name the server. Workers are told what changes,
// and a new one is told everything. It opens no connection itself, and of a worker's report it believes the names only
// where the settings have them.

import type { Settings } from '../../config/settings.ts';
import { serverName } from '../../connection/backend-leg.ts';
import { keyOf, type Mark, type ServerFacts, type ServerNotice } from '../../connection/server-health.ts';
import type { Log } from '../../log.ts';
import type { Timer, World } from '../../world.ts';
import type { CheckReport } from './checks.ts';
import type { ControlAnswer, ControlRequest } from '../control.ts';
import { asServerFacts } from '../messages.ts';
import type { WorkerPool } from '../worker-pool.ts';
import type { WorkerProcess } from '../worker-process.ts';

export interface FleetServerStatus {
  readonly server: string;
  /** `down`: the prober, or every worker by its own experience, leaves it alone; `shaky`: some workers do. */
  readonly state: 'up' | 'shaky' | 'down' | 'drained';
  /** Connections of all workers. */
  readonly open: number;
  readonly checked: Mark;
  readonly cause: string | null;
}

export interface BackendStatus {
  readonly name: string;
  readonly balance: string;
  readonly servers: readonly FleetServerStatus[];
}

export interface FleetOptions {
  readonly pool: WorkerPool;
  readonly world: World;
  readonly log: Log;
}

interface Entry {
  readonly backend: string;
  readonly server: string;
  drained: boolean;
  mark: Mark;
  cause: string | null;
}

const APPOINT_MS = 1000;
const FACTS_LIMIT_MS = 1000;

export class Fleet {
  readonly #options: FleetOptions;
  #entries = new Map<string, Entry>();
  #backends: Settings['backends'] = {};
  #prober: { readonly worker: WorkerProcess; readonly pid: number | null } | null = null;
  #timer: Timer | null = null;

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  /** New settings: what they no longer name is forgotten. */
  settle({ backends }: Settings): void {
    this.#backends = backends;
    const entries = new Map<string, Entry>();
    const changed: Entry[] = [];
    for (const { name, servers, check } of Object.values(backends)) {
      for (const server of servers.map(serverName)) {
        const key = keyOf(name, server);
        const entry = this.#entries.get(key) ?? fresh(name, server);
        // What nobody looks at any more is not down for ever.
        if (check.everyMs === 0 && entry.mark !== 'none') {
          Object.assign(entry, { mark: 'none', cause: null });
          changed.push(entry);
        }
        entries.set(key, entry);
      }
    }
    this.#entries = entries;
    // A mark that was told once is no news: a worker that knows better since is not to forget it.
    if (changed.length > 0) this.#tell(changed);
    this.#timer ??= this.#options.world.every(APPOINT_MS, () => this.#appoint());
    this.#appoint();
  }

  /** What the supervisor before us knew; the next settle() forgets what is not in the settings. */
  inherit(notices: readonly ServerNotice[]): void {
    for (const { backend, server, drained, mark } of notices)
      this.#entries.set(keyOf(backend, server), { ...fresh(backend, server), drained, mark });
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** All that a new worker does not know. */
  get notices(): readonly ServerNotice[] {
    return [...this.#entries.values()]
      .filter(({ drained, mark }) => drained || mark !== 'none')
      .map(noticeOf);
  }

  /** What the prober found. */
  checked(worker: WorkerProcess, report: CheckReport): void {
    const entry = this.#entries.get(keyOf(report.backend, report.server));
    if (entry === undefined || this.#prober?.worker !== worker) return;
    const { backend, server, mark: before } = entry;
    entry.mark = report.mark;
    entry.cause = report.cause;
    const { log } = this.#options;
    if (report.mark === 'down' && before !== 'down') {
      log.error('backend-down', { backend, server, because: 'check', cause: entry.cause });
    } else if (report.mark !== 'down' && before === 'down') {
      const cause = report.mark === 'login' ? 'the account of the check is let in' : 'it answers the check';
      log.info('backend-up', { backend, server, cause });
    }
    this.#tell([entry]);
  }

  /** `sallyport backend NAME [drain|up [SERVER]]` */
  async obey({ name, action, server = null }: ControlRequest): Promise<ControlAnswer> {
    const backend = Object.values(this.#backends).find((known) => known.name === name);
    if (backend === undefined) {
      return refused(`there is no such backend; there are: ${Object.keys(this.#backends).join(', ')}`);
    }
    const servers = backend.servers.map(serverName);
    if (server !== null && !servers.some((known) => known === server)) {
      return refused(`backend ${backend.name} has no such server; it has: ${servers.join(', ')}`);
    }
    if (action === 'drain' || action === 'up') this.#drain(backend.name, server, action);
    else if (action !== undefined) return refused('expected drain or up, found something else');
    const status = (await this.status()).find((found) => found.name === backend.name);
    return { ok: true, backend: status };
  }

  async status(): Promise<readonly BackendStatus[]> {
    const answers = await this.#options.pool.ask((id) => ({ kind: 'servers', id }), FACTS_LIMIT_MS);
    const workers = answers.flatMap((answer) => {
      const facts = asServerFacts(answer);
      return facts === null ? [] : [facts];
    });
    return Object.values(this.#backends).map(({ name, balance, servers }) => ({
      name,
      balance,
      servers: servers.map(serverName).map((server) => {
        const entry = this.#entries.get(keyOf(name, server)) ?? fresh(name, server);
        const seen = workers.map((facts) => facts.find((f) => f.backend === name && f.server === server));
        return serverStatus(entry, seen);
      }),
    }));
  }

  #drain(backend: string, server: unknown, action: 'drain' | 'up'): void {
    const meant = [...this.#entries.values()].filter(
      (entry) => entry.backend === backend && (server === null || entry.server === server),
    );
    for (const entry of meant) entry.drained = action === 'drain';
    const servers = meant.map((entry) => entry.server);
    this.#options.log.warn(action === 'drain' ? 'backend-drained' : 'backend-undrained', {
      backend,
      servers,
    });
    this.#tell(meant);
  }

  #tell(entries: readonly Entry[]): void {
    this.#options.pool.tell({ kind: 'notice', notices: entries.map(noticeOf) });
  }

  /** One ready worker looks at the servers; when it is gone, another does. */
  #appoint(): void {
    if (!Object.values(this.#backends).some(({ check }) => check.everyMs > 0)) return;
    const { workers } = this.#options.pool;
    const current = this.#prober;
    const stays = workers.find((worker) => worker === current?.worker);
    if (stays?.state === 'ready' && stays.pid === current?.pid) return;
    const next = workers.find(({ state }) => state === 'ready');
    this.#prober = next === undefined ? null : { worker: next, pid: next.pid };
    next?.send({ kind: 'prober' });
  }
}

function fresh(backend: string, server: string): Entry {
  return { backend, server, drained: false, mark: 'none', cause: null };
}

function noticeOf({ backend, server, drained, mark }: Entry): ServerNotice {
  return { backend, server, drained, mark };
}

function serverStatus(entry: Entry, seen: readonly (ServerFacts | undefined)[]): FleetServerStatus {
  const known = seen.filter((facts) => facts !== undefined);
  const away = known.filter(({ phase }) => phase !== 'closed');
  const down = entry.mark === 'down' || (known.length > 0 && away.length === known.length);
  return {
    server: entry.server,
    state: entry.drained ? 'drained' : down ? 'down' : away.length > 0 ? 'shaky' : 'up',
    open: known.reduce((sum, { open }) => sum + open, 0),
    checked: entry.mark,
    cause: entry.cause ?? away[0]?.cause ?? null,
  };
}

function refused(error: string): ControlAnswer {
  return { ok: false, error };
}
