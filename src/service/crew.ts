// The workers and all that they are told: settings, material, ticket keys, listeners. A worker that starts, whenever
// that is, is introduced to what holds at the moment; those that serve are told of each change. Owns the listeners, the
// pool, what all workers share, what is known of the servers behind, the certificates by ACME, and the rotation of ticket keys. When to change what is the supervisor's decision.

import type { Settings } from '../config/settings.ts';
import type { World } from '../world.ts';
import { AcmeKeeper } from './acme/keeper.ts';
import { askRenewalProcess, runAcmeProcess } from './acme/process.ts';
import type { ChangeRecord } from './changes.ts';
import { forkAcmeOrder, forkWorker } from './children.ts';
import type { Configuration } from './configuration.ts';
import { Fleet } from './backends/fleet.ts';
import { ListenerSet } from './listener-set.ts';
import type { PreparedChange } from './listener-set.ts';
import type { LiveLog } from './live-log.ts';
import { connectionsAllowed, readProcessLimits } from './machine.ts';
import type { Privileges } from './machine.ts';
import type { FrontMaterial } from './material.ts';
import { SharedState } from './shared-state.ts';
import { TicketRotation } from './certificates/ticket-rotation.ts';
import type { TicketExchange } from './certificates/ticket-rotation.ts';
import type { TicketKeys } from '../tls/tickets.ts';
import { WorkerPool } from './worker-pool.ts';
import type { Replacement } from './worker-pool.ts';
import type { Send } from './worker-process.ts';

const UPDATE_LIMIT_MS = 5000;

export interface CrewOptions {
  /** The program that a worker runs, with the arguments `worker N`. */
  readonly entry: string;
  readonly world: World;
  readonly log: LiveLog;
  readonly ticketExchange: TicketExchange | null;
  readonly onListenFailed: (key: string, code: string) => void;
  /** A worker could not use a key in a token. */
  readonly onTokenFailed: () => void;
  /** Does something when no other change is under way. */
  readonly inTurn: (change: () => Promise<void>) => Promise<void>;
}

interface Message {
  readonly settings: Settings;
  readonly material: FrontMaterial;
  readonly connectionsMax: number;
}

export class Crew {
  readonly listeners = new ListenerSet();
  readonly pool: WorkerPool;
  readonly shared: SharedState;
  readonly fleet: Fleet;
  /** Only the supervisor in charge lets it follow settings. */
  readonly acme: AcmeKeeper;
  readonly limits = readProcessLimits();
  /** Who workers become. */
  privileges: Privileges = { owner: null, mistakes: [], warnings: [] };
  /** What holds now. */
  configuration: Configuration | null = null;
  readonly #options: CrewOptions;
  #tickets: TicketRotation | null = null;
  #isTellingSoon = false;

  constructor(options: CrewOptions) {
    this.#options = options;
    const { entry, log, world, onListenFailed, onTokenFailed } = options;
    this.pool = new WorkerPool({
      fork: (index) => forkWorker({ entry, index, owner: this.privileges.owner }),
      introduce: (send) => this.#introduce(send),
      onListenFailed,
      onTokenFailed,
      onShared: (worker, note) => this.shared.hear(worker, note),
      onGone: (worker) => this.shared.gone(worker),
      onChecked: (worker, report) => this.fleet.checked(worker, report),
      log,
      world,
    });
    this.shared = new SharedState({ world, log, pool: this.pool });
    this.fleet = new Fleet({ pool: this.pool, log, world });
    this.acme = new AcmeKeeper({
      order: (acmeOrder) => {
        const { owner } = this.privileges;
        return runAcmeProcess(acmeOrder, { fork: () => forkAcmeOrder({ entry, owner }), owner, world });
      },
      askRenewal: (question, signal) => {
        const { owner } = this.privileges;
        return askRenewalProcess(question, { fork: () => forkAcmeOrder({ entry, owner }), world, signal });
      },
      world,
      log,
    });
  }

  /** The ticket keys that hold. */
  get ticketKeys(): TicketKeys | null {
    return this.#tickets?.keys ?? null;
  }

  /** `inherited` are those of the supervisor before, if there was one. */
  startTickets({ material }: Configuration, inherited: TicketKeys | null): void {
    const { world, log, ticketExchange } = this.#options;
    this.#tickets = new TicketRotation({
      first: inherited ?? { bytes: material.ticketKeys, madeAt: world.now() },
      exchange: ticketExchange ?? this.shared.tickets,
      onChange: () => this.#tellSoon(),
      world,
      log,
    });
  }

  /** Lets ticket keys change, as the settings say. Only the supervisor in charge does that. */
  rotateTickets(): void {
    if (this.configuration === null) return;
    const { settings, ticketSecret } = this.configuration;
    this.#tickets?.follow({ rotateMs: settings.tickets.rotateMs, secret: ticketSecret });
  }

  joinTickets(whose: 'theirs' | 'newest'): void {
    void this.#tickets?.join(whose);
  }

  /** The keys stay as they are from now on. */
  keepTickets(): void {
    this.#tickets?.close();
  }

  /** Tells all workers what holds now; resolves when they have it. */
  async tell(): Promise<void> {
    const message = this.#message();
    if (message === null) return;
    const services = Object.fromEntries(this.listeners.values().map(({ key, service }) => [key, service]));
    const { sharing } = this.shared;
    await this.pool.ask((id) => ({ kind: 'update', id, services, sharing, ...message }), UPDATE_LIMIT_MS);
  }

  /** A new worker in the place of each, one after another. */
  async replaceWorkers(changes: ChangeRecord): Promise<Replacement> {
    const graceMs = this.configuration?.settings.timeouts.drainMs ?? 0;
    const end = await this.pool.replaceAll(graceMs);
    const { replaced, failure } = end;
    changes.remember('workers', failure === null ? [] : [failure]);
    this.#options.log.at(failure === null ? 'info' : 'error', 'workers-replaced', { replaced, failure });
    return end;
  }

  /** Gives the workers what was opened, then takes what is to be closed. */
  tellListeners({ opens, closes }: PreparedChange): void {
    for (const { key, service, handle } of opens) this.pool.tell({ kind: 'listen', key, service }, handle);
    this.pool.tell({ kind: 'unlisten', keys: closes.map(({ key }) => key) });
  }

  /** Once, however often keys change before its turn comes. */
  #tellSoon(): void {
    if (this.#isTellingSoon) return;
    this.#isTellingSoon = true;
    void this.#options.inTurn(() => {
      this.#isTellingSoon = false;
      return this.tell();
    });
  }

  #introduce(send: Send): void {
    const message = this.#message();
    if (message === null) return;
    send({ kind: 'start', ...message, sharing: this.shared.start });
    send({ kind: 'notice', notices: this.fleet.notices });
    for (const { key, service, handle } of this.listeners.values())
      send({ kind: 'listen', key, service }, handle);
    send({ kind: 'begin' });
  }

  #message(): Message | null {
    if (this.configuration === null) return null;
    const { shared, material } = this.configuration;
    return {
      settings: shared,
      material: { ...material, ticketKeys: this.#tickets?.keys.bytes ?? material.ticketKeys },
      connectionsMax: connectionsAllowed(shared.limits.connections, this.limits),
    };
  }
}
