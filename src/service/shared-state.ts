// What the supervisor keeps for all workers, and with Redis for all machines: the count of places, the penalties and the
// grants. It owns the store. Workers wait for nothing here but the answer to a question about a place or a grant; a store that fails holds
// up nobody: what is in memory goes on, a line in the log says so once, and the store is caught up with later.

import { join } from 'node:path';
import { resolveRedisUrl } from '../config/secret.ts';
import type { PopBeforeSmtpSettings, Secret, Settings } from '../config/settings.ts';
import { explain, type Log } from '../log.ts';
import type { Grant, GrantFilter } from '../policy/grants.ts';
import { openEmbedded } from '../state/embedded.ts';
import type { Store } from '../state/store.ts';
import type { Timer, World } from '../world.ts';
import { Census } from './limits/census.ts';
import { GRANT_TABLE, GrantBook, type Revocation } from './grants/book.ts';
import { type MoveOrder, moveUser } from './placements/move.ts';
import { PENALTY_TABLE, PenaltyBook } from './limits/penalty-book.ts';
import { DONE_TABLE, NODE_TABLE, PLACEMENT_TABLE, PlacementBook, type Residents } from './placements/book.ts';
import { asFromGuard, type Sharing, type SharingStart } from './limits/sharing.ts';
import { ticketExchangeOf } from './certificates/ticket-exchange.ts';
import type { TicketExchange } from './certificates/ticket-rotation.ts';
import type { WorkerPool } from './worker-pool.ts';

const SAVE_EVERY_MS = 100;
const LEASE_RENEWED_EVERY_MS = 10_000;
/** Counts are told anew so often, whatever went wrong meanwhile. */
const SYNC_EVERY_RENEWALS = 60;
/** How long workers are waited for that are told to ask; one that is silent is dying or busy. */
const ESCORT_LIMIT_MS = 500;
/** The same for those that are told of a grant. */
const GRANT_LIMIT_MS = 500;

export interface SharedStateOptions {
  readonly world: World;
  readonly log: Log;
  readonly pool: Pick<WorkerPool, 'askAll' | 'tellAll' | 'tellOne'>;
}

export interface SharedStatus {
  /** Where state is kept: a file, `memory`, or a Redis without its password. */
  readonly store: string;
  readonly storeState: 'up' | 'down';
  readonly penalised: number;
  /** Addresses that have a grant (POP before SMTP). */
  readonly granted: number;
  /** Users that were put on a server by hand (sallyport move). */
  readonly moved: readonly Residents[];
}

export class SharedState {
  readonly #options: SharedStateOptions;
  readonly #census: Census;
  readonly #penalties: PenaltyBook;
  readonly #grants: GrantBook;
  readonly placements: PlacementBook;
  readonly #timers: Timer[] = [];
  #store: Store | null = null;
  /** Where the nodes' ticket keys meet; null: there is only this one. */
  tickets: TicketExchange | null = null;
  #workers = 1;
  #saving: Promise<void> | null = null;
  #failing = false;
  #renewals = 0;

  constructor(options: SharedStateOptions) {
    const { world, log, pool } = options;
    this.#options = options;
    this.#census = new Census({
      escort: (keys) => pool.askAll((id) => ({ kind: 'escort', id, keys }), ESCORT_LIMIT_MS),
      relax: (keys) => pool.tellAll({ kind: 'shared', note: { what: 'relax', keys } }),
    });
    this.#penalties = new PenaltyBook({
      world,
      announce: (changes) => pool.tellAll({ kind: 'shared', note: { what: 'penalties', changes } }),
    });
    this.placements = new PlacementBook({ world, log, pool });
    this.#grants = new GrantBook({
      world,
      log,
      announce: (changes) => pool.askAll((id) => ({ kind: 'grants', id, changes }), GRANT_LIMIT_MS),
    });
  }

  /** Opens the store and takes over what it holds. Throws only for settings that are wrong. */
  async open(settings: Settings, workers: number): Promise<void> {
    const { world, log } = this.#options;
    const store =
      settings.redis === null
        ? openEmbedded({ file: join(settings.dataDir, 'state.db'), world, log })
        : await openShared(settings.redis, { world, log });
    this.#store = store;
    this.placements.use(store);
    this.tickets = ticketExchangeOf(store, world);
    this.update(settings, workers);
    store.watch(PENALTY_TABLE, (key, entry) => this.#penalties.hearOther(key, entry));
    store.watch(GRANT_TABLE, (key, entry) => this.#grants.hearOther(key, entry));
    store.watch(PLACEMENT_TABLE, (key, entry) => this.placements.hearOther(key, entry));
    // So that what has expired of them is swept.
    for (const table of [NODE_TABLE, DONE_TABLE]) store.watch(table, () => undefined);
    store.onState((state) => this.#stateChanged(state));
    if (store.state === 'up') {
      await this.#catchUp();
      await this.placements.signOn().catch(() => undefined);
    }
    this.#timers.push(
      world.every(SAVE_EVERY_MS, () => this.#save()),
      world.every(LEASE_RENEWED_EVERY_MS, () => this.#renew()),
    );
  }

  update(settings: Settings, workers: number): void {
    this.#workers = workers;
    this.#census.workers = this.#isShared ? 1 : workers;
    this.#penalties.update(settings.penalties);
    this.#grants.update(settings.popBeforeSmtp);
    this.placements.update(settings);
  }

  get sharing(): Sharing {
    return { workers: this.#workers, nodes: this.#isShared };
  }

  /** For a worker that starts. */
  get start(): SharingStart {
    return {
      ...this.sharing,
      escorted: this.#census.escorted,
      penalties: this.#penalties.all,
      grants: this.#grants.all,
      placements: this.placements.all,
    };
  }

  get status(): SharedStatus {
    return {
      store: this.#store?.home ?? 'memory',
      storeState: this.#store?.state ?? 'down',
      penalised: this.#penalties.size,
      granted: this.#grants.all.length,
      moved: this.placements.residents,
    };
  }

  hear(worker: object, value: unknown): void {
    const note = asFromGuard(value);
    switch (note?.what) {
      case 'ask': {
        const { question, claims } = note;
        void this.#census.ask(worker, claims).then((full) => {
          const keys = claims.map(({ key }) => key);
          this.#options.pool.tellOne(worker, {
            kind: 'shared',
            note: { what: 'answer', question, full, keys },
          });
        });
        return;
      }
      case 'counts':
        return this.#census.report(worker, note.changes);
      case 'misdeeds':
        return this.#penalties.hear(note.misdeeds);
      case 'earned': {
        const { question, key, grant } = note;
        const earned = this.#grants.earn(this.#store, key, grant).then(() => grant);
        return this.#answer(worker, question, earned);
      }
      case 'find grant':
        return this.#answer(worker, note.question, this.#grants.find(this.#store, note.key));
      default:
    }
  }

  /** null: there are no grants. */
  get grantRules(): PopBeforeSmtpSettings | null {
    return this.#grants.rules;
  }

  get now(): number {
    return this.#options.world.now();
  }

  /** The grants that fit, as all machines know them where the store is reached. */
  async listGrants(filter: GrantFilter): Promise<readonly (readonly [string, Grant])[]> {
    await this.#hearGrants();
    return this.#grants.list(filter);
  }

  async revokeGrants(filter: GrantFilter): Promise<Revocation> {
    await this.#hearGrants();
    return this.#grants.revoke(this.#store, filter);
  }

  /** null: done; else why the user is where it was. */
  move(order: MoveOrder): Promise<string | null> {
    const { world, log } = this.#options;
    return moveUser({ book: this.placements, store: this.#store, world, log }, order);
  }

  /** A worker has ended, however. */
  gone(worker: object): void {
    this.#census.drop(worker);
  }

  /** Writes what is left to write. */
  async close(): Promise<void> {
    for (const timer of this.#timers.splice(0)) timer.cancel();
    const store = this.#store;
    if (store === null) return;
    this.#store = null;
    await this.placements.signOff();
    await this.#saving;
    await this.#penalties.save(store).catch(() => undefined);
    const untold = this.#census.takeUntold();
    if (untold.length > 0) await this.#census.shared?.add(untold).catch(() => undefined);
    await store.close();
  }

  #answer(worker: object, question: number, answer: Promise<Grant | null>): void {
    void answer.then((grant) =>
      this.#options.pool.tellOne(worker, { kind: 'shared', note: { what: 'grant', question, grant } }),
    );
  }

  async #hearGrants(): Promise<void> {
    const store = this.#store;
    if (this.#isShared && store?.state === 'up') await this.#grants.load(store).catch(() => undefined);
  }

  get #isShared(): boolean {
    return this.#store?.counts != null;
  }

  #stateChanged(state: 'up' | 'down'): void {
    if (state === 'down') this.#census.shared = null;
    else {
      this.#catchUp().catch(() => undefined);
      // Two processes at one file would wake each other for ever.
      if (this.#isShared) this.placements.signOn().catch(() => undefined);
    }
  }

  async #catchUp(): Promise<void> {
    const store = this.#store;
    if (store === null) return;
    try {
      if (store.counts !== null) {
        this.#census.shared = store.counts;
        await store.counts.sync(() => this.#census.snapshot());
      }
      await this.#penalties.load(store);
      await this.#grants.load(store);
      await this.placements.load(store);
    } catch (error) {
      this.#failed(error);
    }
  }

  #save(): void {
    const store = this.#store;
    if (store === null || store.state === 'down' || this.#saving !== null) return;
    const untold = this.#census.takeUntold();
    if (untold.length === 0 && !this.#penalties.isDirty && !this.#grants.isDirty) return;
    this.#saving = this.#write(store, untold).finally(() => (this.#saving = null));
  }

  async #write(store: Store, untold: readonly (readonly [string, number])[]): Promise<void> {
    try {
      if (untold.length > 0) await store.counts?.add(untold);
      await this.#penalties.save(store);
      await this.#grants.write(store);
      this.#failing = false;
    } catch (error) {
      this.#failed(error);
      // What was told halfway is told anew, all of it.
      if (store.state === 'up')
        await store.counts?.sync(() => this.#census.snapshot()).catch(() => undefined);
    }
  }

  #renew(): void {
    const store = this.#store;
    if (store?.state === 'up') this.placements.signOn().catch(() => undefined);
    const counts = store?.counts ?? null;
    if (counts === null || store?.state !== 'up') return;
    const anew = ++this.#renewals % SYNC_EVERY_RENEWALS === 0;
    counts
      .renew()
      .then((kept) => (kept && !anew ? undefined : counts.sync(() => this.#census.snapshot())))
      .catch(() => undefined);
  }

  /** A store that is lost has said so itself; this is one that answers and fails. */
  #failed(error: unknown): void {
    const { log } = this.#options;
    if (this.#failing || this.#store?.state !== 'up') return;
    this.#failing = true;
    log.error('state-not-written', { store: this.#store.home, cause: explain(error) });
  }
}

/** The client library is loaded only where it is used. */
async function openShared(redis: Secret, parts: Pick<SharedStateOptions, 'world' | 'log'>): Promise<Store> {
  const { openRedis } = await import('../state/redis.ts');
  return openRedis({ url: resolveRedisUrl(redis), ...parts });
}

/** Whether a reload names another store, which this run cannot take. */
export function sameStore(a: Secret | null, b: Secret | null): boolean {
  const nameOf = (secret: Secret | null): string => {
    if (secret === null) return '';
    return secret.kind === 'inline' ? secret.value : secret.kind === 'file' ? secret.path : secret.name;
  };
  return a?.kind === b?.kind && nameOf(a) === nameOf(b);
}
