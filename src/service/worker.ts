// A front worker: takes listening handles, settings and keys from the supervisor, accepts, and hands each socket to the
// front. Reads no key file and binds nothing. It owns its servers; an accepted socket belongs to the front.
// A listener closes only when its backlog is empty: first every connection that the kernel has queued is accepted,
// then the handle goes. So nobody who got through before the close is reset.
// When the supervisor is gone (the channel closes) or SIGTERM comes, the worker drains by itself and ends.

import net from 'node:net';

import { explain } from '../log.ts';
import { OtherLibrary } from '../tls/engine.ts';
import type { World } from '../world.ts';
import type { createFront, Front } from './front.ts';
import type { ListeningHandle } from './handles.ts';
import { createLiveLog } from './live-log.ts';
import type { LiveLog } from './live-log.ts';
import type { FromWorker, ToWorker } from './messages.ts';
import { WorkerGuard } from './limits/worker-guard.ts';

/** The kernel cuts it down to net.core.somaxconn. */
const BACKLOG = 65_535;
/** Turns of the event loop without a new connection after which the backlog counts as empty. */
const QUIET_TURNS = 2;
const EMPTYING_LIMIT_MS = 1000;
const ACCEPT_LOG_EVERY_MS = 1000;
/** Grace when the supervisor dies before it said anything. */
const GRACE_DEFAULT_MS = 30_000;

/** The supervisor's end of the line; in a real worker this is `process`. */
export interface WorkerPort {
  send(message: FromWorker, sent: () => void): void;
  on(event: 'message', hear: (message: ToWorker, handle?: ListeningHandle) => void): void;
  on(event: 'disconnect', hear: () => void): void;
  on(event: 'SIGTERM', hear: () => void): void;
}

export interface WorkerOptions {
  readonly index: number;
  readonly port: WorkerPort;
  readonly createFront: typeof createFront;
  readonly world: World;
  /** Default: a log to standard error. */
  readonly log?: LiveLog;
}

/** Works until it is told to drain, or the supervisor is gone; resolves when the last connection is closed. */
export function runWorker(options: WorkerOptions): Promise<void> {
  const worker = new Worker(options);
  return worker.finished;
}

interface Listener {
  readonly server: net.Server;
  service: string;
}

class Worker {
  readonly #options: WorkerOptions;
  readonly #log: LiveLog;
  readonly #listeners = new Map<string, Listener>();
  readonly #pending: Promise<void>[] = [];
  readonly #done = Promise.withResolvers<void>();
  #front: Front | null = null;
  #guard: WorkerGuard | null = null;
  #graceMs = GRACE_DEFAULT_MS;
  #accepted = 0;
  #draining = false;
  #lastAcceptLog = -Infinity;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#log =
      options.log ?? createLiveLog({ level: 'info', format: 'json', base: { worker: options.index } });
    options.port.on('message', (message, handle) => this.#hear(message, handle));
    options.port.on('disconnect', () => void this.#drain(this.#graceMs));
    options.port.on('SIGTERM', () => void this.#drain(this.#graceMs));
  }

  get finished(): Promise<void> {
    return this.#done.promise;
  }

  #send(message: FromWorker): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#options.port.send(message, resolve);
    return promise;
  }

  #reply(id: number, answer: unknown): Promise<void> {
    return this.#send({ kind: 'reply', id, answer });
  }

  #hear(message: ToWorker, handle: ListeningHandle | undefined): void {
    switch (message.kind) {
      case 'start':
        return this.#start(message);
      case 'listen':
        if (handle === undefined) return;
        if (this.#draining) handle.close();
        else this.#listen(message.key, message.service, handle);
        return;
      case 'begin':
        void Promise.all(this.#pending).then(() => this.#send({ kind: 'ready' }));
        return;
      case 'update':
        return this.#update(message);
      case 'unlisten':
        void this.#closeListeners(message.keys);
        return;
      case 'counters':
        void this.#reply(message.id, this.#front?.counters() ?? {});
        return;
      case 'sessions':
        void this.#reply(message.id, this.#front?.sessions(message.filter) ?? null);
        return;
      case 'kick':
        void this.#reply(message.id, this.#front?.kick(message.filter) ?? 0);
        return;
      case 'evict':
        void this.#reply(message.id, this.#front?.evict(message.eviction) ?? 0);
        return;
      case 'escort':
        this.#guard?.escort(message.keys);
        void this.#send({ kind: 'reply', id: message.id, answer: null });
        return;
      case 'grants':
        this.#guard?.hear({ what: 'grants', changes: message.changes });
        void this.#reply(message.id, null);
        return;
      case 'shared':
        this.#guard?.hear(message.note);
        return;
      case 'notice':
        this.#front?.notice(message.notices);
        return;
      case 'servers':
        void this.#send({ kind: 'reply', id: message.id, answer: this.#front?.servers() ?? [] });
        return;
      case 'prober':
        this.#front?.probe((report) => void this.#send({ kind: 'checked', report }));
        return;
      case 'drain':
        void this.#drain(message.graceMs, message.newcomersMs);
        return;
    }
  }

  #start({ settings, material, connectionsMax, sharing }: Extract<ToWorker, { kind: 'start' }>): void {
    const { world } = this.#options;
    const guard = new WorkerGuard({
      settings,
      world,
      ...(sharing === undefined ? {} : { sharing }),
      send: (note) => void this.#send({ kind: 'shared', note }),
    });
    this.#guard = guard;
    this.#log.change(settings.log);
    this.#graceMs = settings.timeouts.drainMs;
    this.#front = this.#options.createFront({
      settings,
      material,
      world,
      log: this.#log,
      connectionsMax,
      onTokenFailed: () => void this.#send({ kind: 'token-failed' }),
      guard,
    });
  }

  #update(message: Extract<ToWorker, { kind: 'update' }>): void {
    const { id, settings, material, services, connectionsMax, sharing } = message;
    this.#log.change(settings.log);
    this.#graceMs = settings.timeouts.drainMs;
    if (sharing !== undefined) this.#guard?.join(sharing);
    try {
      this.#front?.update(settings, material, connectionsMax);
    } catch (error) {
      // The supervisor has validated them, so this is a defect; better the old settings than no worker.
      if (!(error instanceof OtherLibrary)) this.#log.error('update-failed', { cause: explain(error) });
      // What the old settings serve goes on until the supervisor puts a new worker in this place.
      else this.#log.info('update-left', { cause: explain(error) });
    }
    for (const [key, service] of Object.entries(services)) {
      const listener = this.#listeners.get(key);
      if (listener !== undefined) listener.service = service;
    }
    void this.#reply(id, null);
  }

  #listen(key: string, service: string, handle: ListeningHandle): void {
    // A worker that starts in the middle of a reload is told of a new listener twice.
    if (this.#listeners.has(key)) return handle.close();
    const server = net.createServer({ allowHalfOpen: true, noDelay: true });
    const listener: Listener = { server, service };
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#pending.push(promise);
    server.on('connection', (socket) => {
      this.#accepted++;
      this.#front?.serve(listener.service, socket);
    });
    server.on('listening', resolve);
    server.on('error', (error: NodeJS.ErrnoException) => {
      if (server.listening) return this.#acceptFailed(listener.service, error);
      this.#listeners.delete(key);
      handle.close();
      void this.#send({ kind: 'listen-failed', key, code: error.code ?? error.message }).then(resolve);
    });
    this.#listeners.set(key, listener);
    server.listen(handle, BACKLOG);
  }

  // Out of descriptors or memory: the server stays, the next connection is tried again.
  #acceptFailed(service: string, error: Error): void {
    const now = this.#options.world.monotonic();
    if (now - this.#lastAcceptLog < ACCEPT_LOG_EVERY_MS) return;
    this.#lastAcceptLog = now;
    this.#log.error('accept-failed', { service, cause: explain(error) });
  }

  async #closeListeners(keys: readonly string[]): Promise<void> {
    // Forgotten at once, so that the same address may be listened on anew meanwhile.
    const leaving = [...keys].flatMap((key) => this.#listeners.get(key) ?? []);
    for (const key of keys) this.#listeners.delete(key);
    await this.#emptyBacklog();
    for (const { server } of leaving) server.close();
  }

  // Each turn of the event loop polls the listeners once, and a poll with a queued connection accepts it. So turns
  // without one mean that nothing is queued. Under a storm the queue is never empty, hence the limit.
  async #emptyBacklog(): Promise<void> {
    const { world } = this.#options;
    const end = world.monotonic() + EMPTYING_LIMIT_MS;
    for (let quiet = 0; quiet < QUIET_TURNS && world.monotonic() < end;) {
      const before = this.#accepted;
      await nextTurn();
      quiet = this.#accepted === before ? quiet + 1 : 0;
    }
  }

  async #drain(graceMs: number, newcomersMs = 0): Promise<void> {
    if (this.#draining) return;
    this.#draining = true;
    await Promise.all(this.#pending);
    await this.#closeListeners([...this.#listeners.keys()]);
    const cutBefore = this.#front?.counters()['cut'] ?? 0;
    await this.#front?.drain(graceMs, newcomersMs);
    const cut = (this.#front?.counters()['cut'] ?? 0) - cutBefore;
    await this.#send({ kind: 'drained', cut });
    this.#done.resolve();
  }
}

function nextTurn(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setImmediate(resolve);
  return promise;
}
