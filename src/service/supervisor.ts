// The supervisor: reads settings and keys, binds, starts workers and hands both to them, reloads, drains, answers on
// the control socket, hands over to a successor. The only process that may be root; it accepts no connection and parses
// nothing that a stranger sent. It owns its crew (listeners, workers, ticket keys), its charge and the file watch.
// Start, reload, restart and certificate change run one after another, never at once. A change is validated whole before
// anything happens; if it is refused, everything goes on as it was, and the log and the asker get every mistake.
// Order of a reload: bind what is new, tell the workers the settings, give them the new listeners, then close the old.
// Order of a drain: workers are told, our handles close (nothing can be handed out any more), each worker accepts what
// the kernel has queued, closes its listeners, says goodbye, ends; then the control socket goes and run() resolves.
// Order of a restart: as in handover.ts. Until the successor is in charge everything goes on here; then this one drains.

import { availableParallelism } from 'node:os';

import type { Settings } from '../config/settings.ts';
import { SettingsError } from '../errors.ts';
import { CertificateWatch } from './certificates/watch.ts';
import { ChangeRecord, mistakesOf, needRestart } from './changes.ts';
import { Charge } from './succession/charge.ts';
import type { Configuration, ConfigurationSource } from './configuration.ts';
import { controlCommands } from './commands.ts';
import type { ControlAnswer } from './control.ts';
import { Crew } from './crew.ts';
import { takeGivenSockets } from './given-sockets.ts';
import { bindCause } from './handles.ts';
import { Lineage } from './succession/lineage.ts';
import type { LineageOptions } from './succession/lineage.ts';
import type { LiveLog } from './live-log.ts';
import { asCounters } from './messages.ts';
import { decidePrivileges, limitWarnings } from './machine.ts';
import { addressesByService, createStatus } from './status.ts';
import type { Status } from './status.ts';
import type { TicketExchange } from './certificates/ticket-rotation.ts';
import type { WorkerPool } from './worker-pool.ts';

const COUNTERS_LIMIT_MS = 1000;
const ENDING = { ok: false, error: 'the supervisor is shutting down' } as const;

export interface SupervisorOptions extends LineageOptions {
  readonly source: ConfigurationSource;
  /** The program that a worker runs, with the arguments `worker N`. */
  readonly entry: string;
  readonly version: string;
  readonly log: LiveLog;
  /** Where ticket keys meet those of other nodes. */
  readonly ticketExchange?: TicketExchange;
}

/** How a run ended: 0 drained, 1 killed, or a worker was lost while draining. */
export type ExitCode = 0 | 1;

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #startFailed = Promise.withResolvers<never>();
  readonly #finished = Promise.withResolvers<ExitCode>();
  readonly #startedAt: number;
  readonly #crew: Crew;
  readonly #pool: WorkerPool;
  readonly #charge: Charge;
  readonly #changes: ChangeRecord;
  /** What this run was started with, of which some holds until its end. */
  #startedWith: Settings | null = null;
  readonly #lineage: Lineage;
  #isSignalled = false;
  readonly #watch: CertificateWatch;
  #state: Status['state'] = 'starting';
  /** The end of the queue of changes. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: SupervisorOptions) {
    const { entry, log, world, predecessor } = options;
    this.#options = options;
    this.#startedAt = world.monotonic();
    this.#startFailed.promise.catch(() => {});
    this.#changes = new ChangeRecord(world);
    this.#crew = new Crew({
      entry,
      log,
      world,
      ticketExchange: options.ticketExchange ?? null,
      onListenFailed: (key, code) => this.#listenFailed(key, code),
      onTokenFailed: () => this.#watch.tokenFailed(),
      inTurn: (change) => this.#inTurn(change),
    });
    this.#pool = this.#crew.pool;
    this.#charge = new Charge(controlCommands(this, this.#crew), world, log);
    this.#watch = new CertificateWatch({
      source: options.source,
      crew: this.#crew,
      changes: this.#changes,
      inTurn: (change) => this.#inTurn(change),
      world,
      log,
    });
    this.#lineage = new Lineage(options);
    void predecessor?.abandoned.then(() => this.drain());
  }

  /** Starts, and resolves at the end. Throws SettingsError for wrong settings, Error where the start failed. */
  async run(): Promise<ExitCode> {
    const start = this.#inTurn(() => this.#start());
    try {
      await Promise.race([start, this.#startFailed.promise, this.#finished.promise]);
    } catch (error) {
      await this.#giveUp(error);
      throw error;
    }
    return this.#finished.promise;
  }

  get draining(): boolean {
    return this.#state === 'draining';
  }

  reload(): Promise<ControlAnswer> {
    return this.#inTurn(() => this.#reload());
  }

  /** Lets a successor take over; this one ends when it is in charge, and goes on in every other case. */
  restart(): Promise<ControlAnswer> {
    return this.#inTurn(() => this.#restart());
  }

  /** Reloads, then puts a new worker in the place of each, one after another. Other changes need not wait for it. */
  async replaceWorkers(): Promise<ControlAnswer> {
    if (this.#pool.isReplacing) return { ok: false, error: 'the workers are being replaced already' };
    const reloaded = await this.reload();
    if (!reloaded.ok || this.draining) return reloaded;
    const { replaced, failure } = await this.#crew.replaceWorkers(this.#changes);
    if (failure === null) return { ...reloaded, replaced };
    return { ok: false, error: `${failure}; replaced before that: ${replaced}` };
  }

  /** Begins to drain; a second call changes nothing. */
  drain(): ControlAnswer {
    const graceMs = this.#graceMs;
    const already = this.draining;
    if (!already) void this.#drain(graceMs);
    return { ok: true, already, graceMs, pid: process.pid };
  }

  /** A signal to end: drain, if it does not yet. A second one: end at once. */
  end(): void {
    if (this.#isSignalled) void this.kill();
    else this.drain();
    this.#isSignalled = true;
  }

  /** Ends at once, with all connections. */
  async kill(): Promise<void> {
    this.#options.log.warn('killed', { workers: this.#pool.workers.length });
    this.#state = 'draining';
    this.#lineage.kill();
    await this.#pool.kill();
    await this.#close();
    this.#finished.resolve(1);
  }

  async status(): Promise<Status> {
    const { world, version } = this.#options;
    const workers = [...this.#pool.all];
    const [counters, backends] = await Promise.all([
      this.#pool.askAll((id) => ({ kind: 'counters', id }), COUNTERS_LIMIT_MS),
      this.#crew.fleet.status(),
    ]);
    return createStatus({
      version,
      state: this.#state,
      uptimeMs: world.monotonic() - this.#startedAt,
      now: world.now(),
      predecessor: this.#lineage.predecessorPid,
      configuration: this.#crew.configuration,
      listeners: this.#crew.listeners.values(),
      workers: workers
        .map((worker, place) => ({ worker, counters: asCounters(counters[place]) }))
        .filter(({ worker }) => worker.state !== 'ended'),
      changes: this.#changes.values(),
      shared: this.#crew.shared.status,
      backends,
      acme: this.#crew.acme.status(),
    });
  }

  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(change);
    this.#turn = result.catch(() => {});
    return result;
  }

  get #graceMs(): number {
    return this.#crew.configuration?.settings.timeouts.drainMs ?? 0;
  }

  async #start(): Promise<void> {
    const { source, world, log, predecessor, manager } = this.#options;
    const crew = this.#crew;
    const given = takeGivenSockets(manager?.descriptors ?? []);
    crew.listeners.give(predecessor?.listeners ?? given.listeners);
    const configuration = await source.load();
    const { settings } = configuration;
    crew.configuration = configuration;
    this.#startedWith = settings;
    log.change(settings.log);
    crew.fleet.inherit(predecessor?.notices ?? []);
    crew.privileges = decidePrivileges(settings.user, process.geteuid?.() ?? -1);
    const { owner, mistakes, warnings } = crew.privileges;
    if (mistakes.length > 0) throw new SettingsError(mistakes);
    const isHeld = predecessor?.dataDir === settings.dataDir;
    if (!isHeld) await this.#charge.open(settings.dataDir);
    await crew.shared.open(settings, workerCount(settings));
    crew.startTickets(configuration, predecessor?.ticketKeys ?? null);
    const change = await crew.listeners.prepare(settings.services, owner, world);
    if (change.failures.length > 0) throw new Error(change.failures.join('\n'));
    crew.listeners.make(change);
    this.#warn(configuration, [...warnings, ...given.warnings]);
    if (this.draining) return this.#crew.listeners.close(this.#lineage.shareOfListeners);
    this.#pool.resize(workerCount(settings), 0);
    await (predecessor === undefined
      ? this.#pool.ready
      : Promise.race([this.#pool.ready, this.#pool.failed]));
    if (predecessor !== undefined && !(await predecessor.prepared(this.#options.version))) return;
    if (this.draining) return;
    if (isHeld) await this.#charge.takeOver(settings.dataDir);
    await this.#charge.announce(settings.pidFile, this.#lineage.notifySocket);
    this.#lineage.isInCharge = true;
    await predecessor?.inCharge();
    this.#begin(configuration);
  }

  /** Begins with what only the supervisor in charge does. */
  #begin(configuration: Configuration): void {
    const { settings } = configuration;
    const { log, predecessor, version } = this.#options;
    for (const address of this.#crew.listeners.dropSpare()) {
      if (predecessor !== undefined) continue;
      const warning = `${address} came from the service manager, and no service listens on it: closed`;
      log.warn('warning', { warning });
    }
    if (this.draining) return;
    this.#crew.fleet.settle(settings);
    this.#watch.follow(configuration);
    this.#crew.acme.follow(settings);
    this.#crew.rotateTickets();
    this.#crew.joinTickets(predecessor === undefined ? 'theirs' : 'newest');
    this.#state = 'running';
    log.info('ready', {
      version,
      pid: process.pid,
      file: settings.file,
      workers: this.#pool.workers.length,
      services: addressesByService(this.#crew.listeners.values()),
      ...(predecessor === undefined ? {} : { predecessor: predecessor.pid }),
    });
  }

  /** A start that failed leaves nothing behind, and to a predecessor what is its own. */
  async #giveUp(error: unknown): Promise<void> {
    const { predecessor } = this.#options;
    if (predecessor !== undefined && !this.#lineage.isInCharge) {
      const refused = error instanceof SettingsError ? 'settings' : 'machine';
      const words = {
        error: 'refused, the old supervisor goes on:',
        mistakes: mistakesOf(error),
        refused,
      } as const;
      await predecessor.failed({ ok: false, ...words });
      // Its workers may have accepted connections by now.
      await this.#pool.drain(this.#graceMs, 'taken');
    }
    await this.#pool.kill();
    await this.#close();
  }

  #warn({ settings, warnings }: Configuration, more: readonly string[] = []): void {
    const all = [...warnings, ...more, ...limitWarnings(settings.limits.connections, this.#crew.limits)];
    for (const warning of all) this.#options.log.warn('warning', { warning });
  }

  #listenFailed(key: string, code: string): void {
    const listener = this.#crew.listeners.get(key);
    if (listener === undefined) return;
    const cause = bindCause(code, listener.endpoint);
    const sentence = `service ${listener.service}: cannot listen on ${listener.address}: ${cause}`;
    if (this.#state === 'starting') this.#startFailed.reject(new Error(sentence));
    else this.#options.log.error('listen-failed', { service: listener.service, cause: sentence });
  }

  async #reload(): Promise<ControlAnswer> {
    const { source, world, log } = this.#options;
    const crew = this.#crew;
    const before = crew.configuration?.settings;
    if (before === undefined || this.draining) return ENDING;
    const refuse = (refused: 'settings' | 'machine', mistakes: readonly string[]): ControlAnswer => {
      this.#changes.remember('reload', mistakes);
      log.error('reload-refused', { file: before.file, refused, mistakes });
      return { ok: false, error: 'refused, the old settings go on:', mistakes, refused };
    };
    let next: Configuration;
    try {
      next = await source.load();
    } catch (error) {
      return refuse('settings', mistakesOf(error));
    }
    const change = await crew.listeners.prepare(next.settings.services, crew.privileges.owner, world);
    if (change.failures.length > 0) return refuse('machine', change.failures);
    if (this.draining) {
      crew.listeners.giveUp(change);
      return ENDING;
    }
    crew.configuration = next;
    crew.listeners.make(change);
    log.change(next.settings.log);
    crew.shared.update(next.settings, workerCount(next.settings));
    await crew.tell();
    crew.fleet.settle(next.settings);
    if (!this.draining) {
      crew.tellListeners(change);
      this.#pool.resize(workerCount(next.settings), next.settings.timeouts.drainMs);
      this.#watch.follow(next);
      crew.acme.follow(next.settings);
      crew.rotateTickets();
      this.#charge.changePidFile(next.settings.pidFile);
    }
    crew.listeners.drop(change.closes);
    this.#warn(next);
    const restart = needRestart(this.#startedWith ?? before, next.settings);
    if (restart.length > 0) log.warn('reload-needs-restart', { keys: restart });
    const services = addressesByService(crew.listeners.values());
    const [opened, closed] = [change.opens.length, change.closes.length];
    this.#changes.remember('reload', []);
    log.info('reloaded', { file: next.settings.file, opened, closed, services });
    return { ok: true, services, opened, closed, needRestart: restart };
  }

  async #restart(): Promise<ControlAnswer> {
    const { log } = this.#options;
    const crew = this.#crew;
    const before = crew.configuration?.settings;
    if (before === undefined || crew.ticketKeys === null || this.draining) return ENDING;
    log.info('restarting', { file: before.file });
    this.#pool.stopReplacing('a restart replaces the workers');
    // Both shall have the same keys, so nobody rotates meanwhile.
    crew.keepTickets();
    const end = await this.#lineage.handOver(crew, before.dataDir, crew.ticketKeys);
    if (!end.ok) {
      const mistakes = end.mistakes ?? [];
      this.#changes.remember('restart', [end.error, ...mistakes]);
      log.error('restart-refused', { cause: end.error, mistakes });
      if (this.draining) return end;
      await this.#charge.regain(before.dataDir);
      crew.rotateTickets();
      return end;
    }
    const graceMs = this.#graceMs;
    log.info('handed-over', { successor: end.pid, version: end.version });
    if (!this.draining) void this.#drain(graceMs);
    return { ...end, before: process.pid, graceMs };
  }

  async #drain(graceMs: number): Promise<void> {
    const { log } = this.#options;
    this.#state = 'draining';
    log.info('draining', { graceMs });
    this.#crew.acme.close();
    this.#pool.stopReplacing('the supervisor is shutting down');
    this.#lineage.abandon();
    const draining = this.#pool.drain(graceMs, this.#lineage.isHandedOver ? 'taken' : 'given up');
    this.#crew.listeners.close(this.#lineage.shareOfListeners);
    const ends = await draining;
    await this.#lineage.othersGone(graceMs);
    const lost = ends.filter(({ cut }) => cut === null).length;
    const cut = ends.reduce((sum, end) => sum + (end.cut ?? 0), 0);
    log.info('stopped', { cut, workersLost: lost });
    await this.#close();
    this.#finished.resolve(lost === 0 ? 0 : 1);
  }

  async #close(): Promise<void> {
    this.#watch.close();
    this.#crew.acme.close();
    this.#crew.fleet.close();
    this.#crew.keepTickets();
    this.#crew.listeners.close(this.#lineage.shareOfListeners);
    await this.#crew.shared.close();
    await this.#charge.close();
  }
}

function workerCount(settings: Settings): number {
  return settings.workers === 0 ? availableParallelism() : settings.workers;
}
