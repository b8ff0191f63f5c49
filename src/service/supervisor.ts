// The supervisor: reads settings and keys, binds, starts workers and hands both to them, reloads, drains, answers on
// the control socket. The only process that may be root; it accepts no connection and parses nothing that a stranger
// sent. It owns the listening handles, the workers, the control socket and the file watch.
// Start, reload and certificate change run one after another, never at once. A change is validated whole before
// anything happens; if it is refused, everything goes on as it was, and the log and the asker get every mistake.
// Order of a reload: bind what is new, tell the workers the settings, give them the new listeners, then close the old.
// Order of a drain: workers are told, our handles close (nothing can be handed out any more), each worker accepts what
// the kernel has queued, closes its listeners, says goodbye, ends; then the control socket goes and run() resolves.

import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { availableParallelism } from 'node:os';

import type { Settings } from '../config/settings.ts';
import { SettingsError } from '../errors.ts';
import { explain } from '../log.ts';
import type { World } from '../world.ts';
import type { Configuration, ConfigurationSource } from './configuration.ts';
import { openControl } from './control.ts';
import type { Control, ControlAnswer, ControlCommands, ControlRequest } from './control.ts';
import { Fleet } from './fleet.ts';
import { bindCause, bindListeners, diffListeners, wantedListeners } from './handles.ts';
import type { BoundListener } from './handles.ts';
import type { LiveLog } from './live-log.ts';
import { asCounters } from './messages.ts';
import { connectionsAllowed, decidePrivileges, limitWarnings, readProcessLimits } from './machine.ts';
import type { Privileges } from './machine.ts';
import { askKick, askSessions } from './session-answers.ts';
import { addressesByService, createStatus } from './status.ts';
import type { ChangeStatus, Status } from './status.ts';
import { watchFiles } from './watch.ts';
import type { FileWatch } from './watch.ts';
import { WorkerPool } from './worker-pool.ts';
import type { Send } from './worker-process.ts';

const UPDATE_LIMIT_MS = 5000;
const COUNTERS_LIMIT_MS = 1000;

export interface SupervisorOptions {
  readonly source: ConfigurationSource;
  /** The program that a worker runs, with the arguments `worker N`. */
  readonly entry: string;
  readonly version: string;
  readonly world: World;
  readonly log: LiveLog;
}

/** How a run ended: 0 drained, 1 killed, or a worker was lost while draining. */
export type ExitCode = 0 | 1;

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #limits = readProcessLimits();
  readonly #startFailed = Promise.withResolvers<never>();
  readonly #finished = Promise.withResolvers<ExitCode>();
  readonly #startedAt: number;
  readonly #pool: WorkerPool;
  readonly #fleet: Fleet;
  #configuration: Configuration | null = null;
  /** What this run was started with, of which some holds until its end. */
  #startedWith: Settings | null = null;
  #privileges: Privileges = { owner: null, mistakes: [], warnings: [] };
  #listeners = new Map<string, BoundListener>();
  #control: Control | null = null;
  #watch: FileWatch | null = null;
  #state: Status['state'] = 'starting';
  readonly #changes = new Map<ChangeStatus['what'], ChangeStatus>();
  /** The end of the queue of changes. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: SupervisorOptions) {
    const { log, world } = options;
    this.#options = options;
    this.#startedAt = world.monotonic();
    this.#startFailed.promise.catch(() => {});
    this.#pool = new WorkerPool({
      fork: (index) => this.#fork(index),
      introduce: (send) => this.#introduce(send),
      onListenFailed: (key, code) => this.#listenFailed(key, code),
      onChecked: (worker, report) => this.#fleet.checked(worker, report),
      log,
      world,
    });
    this.#fleet = new Fleet({ pool: this.#pool, log, world });
  }

  /** Starts, and resolves at the end. Throws SettingsError for wrong settings, Error where the start failed. */
  async run(): Promise<ExitCode> {
    const start = this.#inTurn(() => this.#start());
    try {
      await Promise.race([start, this.#startFailed.promise, this.#finished.promise]);
    } catch (error) {
      this.#close();
      await this.#pool.kill();
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

  /** Begins to drain; a second call changes nothing. */
  drain(): ControlAnswer {
    const graceMs = this.#configuration?.settings.timeouts.drainMs ?? 0;
    const already = this.draining;
    if (!already) void this.#drain(graceMs);
    return { ok: true, already, graceMs, pid: process.pid };
  }

  /** Ends at once, with all connections. */
  async kill(): Promise<void> {
    this.#options.log.warn('killed', { workers: this.#pool.workers.length });
    this.#state = 'draining';
    await this.#pool.kill();
    this.#close();
    this.#finished.resolve(1);
  }

  async status(): Promise<Status> {
    const { world, version } = this.#options;
    const workers = [...this.#pool.workers];
    const counters = await this.#pool.ask((id) => ({ kind: 'counters', id }), COUNTERS_LIMIT_MS);
    return createStatus({
      version,
      state: this.#state,
      uptimeMs: world.monotonic() - this.#startedAt,
      now: world.now(),
      configuration: this.#configuration,
      listeners: [...this.#listeners.values()],
      workers: workers.map((worker, place) => ({
        worker,
        counters: asCounters(counters[place]),
      })),
      changes: this.#changes.values(),
      backends: await this.#fleet.status(),
    });
  }

  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(change);
    this.#turn = result.catch(() => {});
    return result;
  }

  async #start(): Promise<void> {
    const { source, world, log } = this.#options;
    const configuration = await source.load();
    const { settings } = configuration;
    this.#configuration = configuration;
    this.#startedWith = settings;
    log.change(settings.log);
    this.#privileges = decidePrivileges(settings.user, process.geteuid?.() ?? -1);
    if (this.#privileges.mistakes.length > 0) throw new SettingsError(this.#privileges.mistakes);
    this.#control = await this.#openControl(settings.dataDir);
    const wanted = wantedListeners(settings.services);
    const { bound, failures } = await bindListeners(wanted, this.#privileges.owner, world);
    if (failures.length > 0) throw new Error(failures.join('\n'));
    this.#listeners = new Map(bound.map((listener) => [listener.key, listener]));
    this.#warn(configuration, this.#privileges.warnings);
    if (this.draining) return;
    this.#pool.resize(workerCount(settings), 0);
    await this.#pool.ready;
    this.#fleet.settle(settings);
    this.#watchFiles(configuration);
    if (this.draining) return;
    this.#state = 'running';
    log.info('ready', {
      version: this.#options.version,
      pid: process.pid,
      file: settings.file,
      workers: this.#pool.workers.length,
      services: addressesByService(this.#listeners.values()),
    });
  }

  async #openControl(dataDir: string): Promise<Control> {
    const commands: ControlCommands = {
      status: async (): Promise<ControlAnswer> => ({ ok: true, status: await this.status() }),
      reload: () => this.reload(),
      drain: () => Promise.resolve(this.drain()),
      backend: (request) => this.#fleet.obey(request),
      sessions: (request: ControlRequest) => askSessions(this.#pool, request),
      kick: (request: ControlRequest) => askKick(this.#pool, request),
    };
    const control = await openControl(dataDir, commands, this.#options.world);
    if (typeof control === 'string') throw new Error(control);
    return control;
  }

  #warn({ settings, warnings }: Configuration, more: readonly string[] = []): void {
    const all = [...warnings, ...more, ...limitWarnings(settings.limits.connections, this.#limits)];
    for (const warning of all) this.#options.log.warn('warning', { warning });
  }

  #fork(index: number): ChildProcess {
    const { uid, gid } = this.#privileges.owner ?? {};
    return fork(this.#options.entry, ['worker', String(index)], {
      cwd: '/',
      execArgv: ['--disable-sigusr1'],
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      // With a uid or gid the runtime drops all supplementary groups as well.
      ...(uid === undefined || gid === undefined ? {} : { uid, gid }),
    });
  }

  #introduce(send: Send): void {
    if (this.#configuration === null) return;
    const { shared, material } = this.#configuration;
    const { limits } = this.#startedWith ?? shared;
    const connectionsMax = connectionsAllowed(limits.connections, this.#limits);
    send({ kind: 'start', settings: shared, material, connectionsMax });
    send({ kind: 'notice', notices: this.#fleet.notices });
    for (const { key, service, handle } of this.#listeners.values())
      send({ kind: 'listen', key, service }, handle);
    send({ kind: 'begin' });
  }

  #listenFailed(key: string, code: string): void {
    const listener = this.#listeners.get(key);
    if (listener === undefined) return;
    const cause = bindCause(code, listener.endpoint);
    const sentence = `service ${listener.service}: cannot listen on ${listener.address}: ${cause}`;
    if (this.#state === 'starting') this.#startFailed.reject(new Error(sentence));
    else this.#options.log.error('listen-failed', { service: listener.service, cause: sentence });
  }

  #watchFiles({ settings, fingerprints }: Configuration): void {
    this.#watch?.close();
    this.#watch = watchFiles({
      everyMs: settings.certificateWatchMs,
      world: this.#options.world,
      known: fingerprints,
      onChange: (files) => void this.#inTurn(() => this.#certificatesChanged(files)),
    });
  }

  async #certificatesChanged(files: readonly string[]): Promise<void> {
    const { source, log } = this.#options;
    if (this.#configuration === null || this.draining) return;
    try {
      this.#configuration = await source.refresh(this.#configuration.settings);
    } catch (error) {
      const mistakes = mistakesOf(error);
      this.#remember('certificates', mistakes);
      log.error('certificates-refused', { files, served: servedOn(this.#configuration), mistakes });
      return;
    }
    this.#remember('certificates', []);
    await this.#tellConfiguration(this.#configuration);
    log.info('certificates-reloaded', { files });
    for (const warning of this.#configuration.warnings) log.warn('warning', { warning });
  }

  async #reload(): Promise<ControlAnswer> {
    const { source, world, log } = this.#options;
    const before = this.#configuration?.settings;
    if (before === undefined || this.draining) return { ok: false, error: 'the supervisor is shutting down' };
    const refuse = (refused: 'settings' | 'machine', mistakes: readonly string[]): ControlAnswer => {
      this.#remember('reload', mistakes);
      log.error('reload-refused', { file: before.file, refused, mistakes });
      return { ok: false, error: 'refused, the old settings go on:', mistakes, refused };
    };
    let next: Configuration;
    try {
      next = await source.load();
    } catch (error) {
      return refuse('settings', mistakesOf(error));
    }
    const change = diffListeners(this.#listeners, wantedListeners(next.settings.services));
    const { bound, failures } = await bindListeners(change.opens, this.#privileges.owner, world);
    if (failures.length > 0) return refuse('machine', failures);
    if (this.draining) {
      for (const { handle } of bound) handle.close();
      return { ok: false, error: 'the supervisor is shutting down' };
    }
    this.#configuration = next;
    this.#listeners = new Map([...change.stays, ...bound].map((listener) => [listener.key, listener]));
    log.change(next.settings.log);
    await this.#tellConfiguration(next);
    this.#fleet.settle(next.settings);
    if (!this.draining) {
      for (const { key, service, handle } of bound) this.#pool.tell({ kind: 'listen', key, service }, handle);
      this.#pool.tell({ kind: 'unlisten', keys: change.closes.map(({ key }) => key) });
      this.#pool.resize(workerCount(next.settings), next.settings.timeouts.drainMs);
      this.#watchFiles(next);
    }
    for (const listener of change.closes) listener.handle.close();
    this.#warn(next);
    const restart = needRestart(this.#startedWith ?? before, next.settings);
    if (restart.length > 0) log.warn('reload-needs-restart', { keys: restart });
    const services = addressesByService(this.#listeners.values());
    this.#remember('reload', []);
    log.info('reloaded', {
      file: next.settings.file,
      opened: bound.length,
      closed: change.closes.length,
      services,
    });
    return { ok: true, services, opened: bound.length, closed: change.closes.length, needRestart: restart };
  }

  /** Without mistakes it was done. */
  #remember(what: ChangeStatus['what'], mistakes: readonly string[]): void {
    const at = new Date(this.#options.world.now()).toISOString();
    this.#changes.set(what, { what, at, ok: mistakes.length === 0, mistakes });
  }

  async #tellConfiguration({ shared, material }: Configuration): Promise<void> {
    const services = Object.fromEntries(
      [...this.#listeners.values()].map(({ key, service }) => [key, service]),
    );
    await this.#pool.ask(
      (id) => ({ kind: 'update', id, settings: shared, material, services }),
      UPDATE_LIMIT_MS,
    );
  }

  async #drain(graceMs: number): Promise<void> {
    const { log } = this.#options;
    this.#state = 'draining';
    log.info('draining', { graceMs });
    const draining = this.#pool.drain(graceMs);
    this.#closeListeners();
    const ends = await draining;
    const lost = ends.filter(({ cut }) => cut === null).length;
    const cut = ends.reduce((sum, end) => sum + (end.cut ?? 0), 0);
    this.#close();
    log.info('stopped', { cut, workersLost: lost });
    this.#finished.resolve(lost === 0 ? 0 : 1);
  }

  #closeListeners(): void {
    for (const { handle } of this.#listeners.values()) handle.close();
    this.#listeners.clear();
  }

  #close(): void {
    this.#watch?.close();
    this.#fleet.close();
    this.#control?.close();
    this.#closeListeners();
  }
}

function workerCount(settings: Settings): number {
  return settings.workers === 0 ? availableParallelism() : settings.workers;
}

function mistakesOf(error: unknown): readonly string[] {
  return error instanceof SettingsError ? error.mistakes : [explain(error)];
}

/** What goes on being shown where new files are refused. */
function servedOn({ certificates }: Configuration): string[] {
  return certificates.map(({ source, notAfter }) => `${source} until ${new Date(notAfter).toISOString()}`);
}

/** Keys whose new value this run cannot take. */
function needRestart(start: Settings, after: Settings): string[] {
  const keys: string[] = (['dataDir', 'user'] as const).filter((key) => start[key] !== after[key]);
  return start.limits.connections === after.limits.connections ? keys : [...keys, 'limits.connections'];
}
