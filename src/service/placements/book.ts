// The supervisor's placements (sallyport move): which users were put on which server by hand, and who is being moved.
// They live in the store, so they hold over restarts and machines; workers have a copy. A supervisor that hears of a hold
// (its own, another machine's, or that of the one before it in a restart) tells its workers, ends whatever leads to the
// mailbox until nothing does, and says so in the store; whoever moves waits for that word of every supervisor that has
// signed on. One that missed a move ends, once it hears of it, what leads to another server than the new one.
// On failure: a hold ends by its own clock; a store that is away leaves what is known in force.

import type { BackendSettings, DirectorySettings, Settings } from '../../config/settings.ts';
import { identitiesOf, serverName } from '../../connection/backend-servers.ts';
import type { Log } from '../../log.ts';
import {
  endOf,
  formatPlacement,
  type Hold,
  isEmpty,
  isHeld,
  isSame,
  parsePlacement,
  type Placement,
  type PlacementChange,
  readPlacementKey,
} from '../../policy/placements.ts';
import type { Entry, Store } from '../../state/store.ts';
import type { World } from '../../world.ts';
import type { WorkerPool } from '../worker-pool.ts';

export const PLACEMENT_TABLE = 'placements';
/** Who has signed on: every supervisor that serves with this store. */
export const NODE_TABLE = 'nodes';
/** Who has nobody left at a mailbox. */
export const DONE_TABLE = 'moves';

/** A supervisor that died is waited for so long. */
const LEASE_MS = 25_000;
const EVICT_LIMIT_MS = 2000;
export const EVICT_EVERY_MS = 100;

export interface PlacementBookOptions {
  readonly world: World;
  readonly log: Log;
  readonly pool: Pick<WorkerPool, 'askAll' | 'tellAll'>;
}

type PlacementSettings = Pick<Settings, 'backends'> & { readonly directory: Pick<DirectorySettings, 'type'> };

/** Users that were put on one server. */
export interface Residents {
  readonly backend: string;
  /** Its identity. */
  readonly server: string;
  /** host:port; null: the settings do not have it, so hashing decides. */
  readonly address: string | null;
  readonly users: number;
}

export class PlacementBook {
  /** This supervisor's name among those that have signed on. */
  readonly node: string;
  readonly #options: PlacementBookOptions;
  readonly #table = new Map<string, Placement>();
  /** Heard of while the store was read: newer than what was read. */
  readonly #heard = new Set<string>();
  #loads = 0;
  #backends: Settings['backends'] = {};
  #directoryNamesHosts = false;
  #store: Store | null = null;
  #said = '';

  constructor(options: PlacementBookOptions) {
    this.#options = options;
    this.node = options.world.random(8).toString('hex');
  }

  use(store: Store): void {
    this.#store = store;
  }

  update({ backends, directory }: PlacementSettings): void {
    this.#backends = backends;
    this.#directoryNamesHosts = directory.type !== 'none';
    this.#warnOfStranded();
  }

  get backends(): Settings['backends'] {
    return this.#backends;
  }

  /** There may be users whose host the directory names; they are moved there. */
  get directoryNamesHosts(): boolean {
    return this.#directoryNamesHosts;
  }

  /** Those that say something. */
  get all(): readonly (readonly [string, Placement])[] {
    const now = this.#options.world.now();
    return [...this.#table].filter(([, placement]) => !isEmpty(placement, now));
  }

  get count(): number {
    return this.#table
      .values()
      .filter(({ server }) => server !== null)
      .toArray().length;
  }

  find(key: string): Placement | null {
    return this.#table.get(key) ?? null;
  }

  get residents(): readonly Residents[] {
    const found = new Map<string, Residents>();
    for (const [key, { server }] of this.#table) {
      if (server === null) continue;
      const { backend } = readPlacementKey(key);
      const name = `${backend} ${server}`;
      const users = (found.get(name)?.users ?? 0) + 1;
      found.set(name, { backend, server, address: serverOf(this.#backends[backend], server), users });
    }
    return [...found.values()];
  }

  /** Signs on, or keeps it so, and forgets holds that nobody has ended. */
  async signOn(): Promise<void> {
    const { world } = this.#options;
    const now = world.now();
    for (const [key, placement] of this.#table) if (isEmpty(placement, now)) this.#table.delete(key);
    await this.#store?.put(NODE_TABLE, [{ key: this.node, value: '', expiresAt: now + LEASE_MS }]);
  }

  /** It takes part no more. */
  async signOff(): Promise<void> {
    const store = this.#store;
    this.#store = null;
    await store?.remove(NODE_TABLE, [this.node]).catch(() => undefined);
  }

  /** What another supervisor has changed. */
  hearOther(key: string, entry: Entry | null): void {
    this.adopt(key, entry === null ? null : parsePlacement(entry.value));
  }

  /** Takes over what the store holds. */
  async load(store: Store): Promise<void> {
    this.#loads++;
    try {
      const held = new Map((await store.load(PLACEMENT_TABLE)).map(({ key, value }) => [key, value]));
      const gone = [...this.#table.keys()].filter((key) => !held.has(key) && !this.#heard.has(key));
      const news = [...held].filter(([key]) => !this.#heard.has(key));
      for (const key of gone) this.adopt(key, null);
      for (const [key, value] of news) this.adopt(key, parsePlacement(value));
    } finally {
      if (--this.#loads === 0) this.#heard.clear();
    }
    this.#warnOfStranded();
  }

  /** Takes over a change that is in the store. */
  adopt(key: string, change: Placement | null): void {
    const now = this.#options.world.now();
    const placement = change === null || isEmpty(change, now) ? null : change;
    if (this.#loads > 0) this.#heard.add(key);
    const before = this.find(key);
    if (isSame(before, placement)) return;
    if (placement === null) this.#table.delete(key);
    else this.#table.set(key, placement);
    this.#tell([[key, placement]]);
    const hold = placement?.hold ?? null;
    if (hold !== null) void this.#evacuate(key, hold);
    else if (!isHeld(before, now) && before?.server !== placement?.server) this.#correct(key, placement);
  }

  /** Until nothing leads to the mailbox, or the hold is over. */
  async #evacuate(key: string, hold: Hold): Promise<void> {
    const { world } = this.#options;
    while (this.find(key)?.hold?.id === hold.id && isHeld(this.find(key), world.now())) {
      if ((await this.#evict(key, null)) === 0 && (await this.#sayDone(key, hold))) return;
      await new Promise<void>((resolve) => void world.after(EVICT_EVERY_MS, resolve));
    }
  }

  async #sayDone(key: string, hold: Hold): Promise<boolean> {
    const done: Entry = { key: doneKey(hold.id, this.node, key), value: '', expiresAt: hold.until };
    try {
      await this.#store?.put(DONE_TABLE, [done]);
      return true;
    } catch {
      // The next round says it again.
      return false;
    }
  }

  /** The move itself was missed here. */
  #correct(key: string, placement: Placement | null): void {
    const { backend } = readPlacementKey(key);
    const server = placement?.server ?? null;
    const except = server === null ? null : serverOf(this.#backends[backend], server);
    // A server that nobody knows here: hashing decides as before.
    if (server === null || except !== null) void this.#evict(key, except);
  }

  /** How many connections are left; of a worker that does not answer, one. */
  async #evict(key: string, except: string | null): Promise<number> {
    const eviction = { key, except };
    const answers = await this.#options.pool.askAll(
      (id) => ({ kind: 'evict', id, eviction }),
      EVICT_LIMIT_MS,
    );
    return answers.reduce<number>((sum, left) => sum + (typeof left === 'number' ? left : 1), 0);
  }

  #tell(changes: readonly PlacementChange[]): void {
    this.#options.pool.tellAll({ kind: 'shared', note: { what: 'placements', changes } });
  }

  /** Once for each new state of affairs. */
  #warnOfStranded(): void {
    const stranded = this.residents.filter(({ address }) => address === null);
    const said = JSON.stringify(stranded);
    if (said === this.#said) return;
    this.#said = said;
    for (const { backend, server, users } of stranded) {
      const consequence = 'hashing decides for them (sallyport move --list)';
      this.#options.log.warn('moved-users-stranded', { backend, server, users, consequence });
    }
  }
}

export function doneKey(move: string, node: string, key: string): string {
  return `${move} ${node} ${key}`;
}

export function entryOf(key: string, placement: Placement): Entry {
  return { key, value: formatPlacement(placement), expiresAt: endOf(placement) };
}

/** host:port of the server with an identity, where the backend keeps users on one. */
export function serverOf(backend: BackendSettings | undefined, identity: string): string | null {
  if (backend?.balance !== 'hash') return null;
  const server = backend.servers[identitiesOf(backend).indexOf(identity)];
  return server === undefined ? null : serverName(server);
}
