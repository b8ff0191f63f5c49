// The supervisor's table of grants (POP before SMTP): what its workers' logins earn, what other machines say, and the
// store in which it all outlives a restart. Order of an earned grant: the store, then all workers, then the answer to
// the worker whose client waits for its +OK; so the very next connection finds it, at whatever worker, and at whatever
// machine, since a machine that does not know a grant yet asks the store (find).
// On failure: a store that is down or fails gives no grant. Logins go on, one warning says so until a grant is kept
// again; grants that were given before hold until their end. A revocation holds here at once, and is written when the
// store is back.

import type { PopBeforeSmtpSettings } from '../../config/settings.ts';
import { explain, type Log } from '../../log.ts';
import {
  endOf,
  formatGrant,
  type Grant,
  type GrantChange,
  type GrantFilter,
  isMeant,
  parseGrant,
} from '../../policy/grants.ts';
import type { Entry, Store } from '../../state/store.ts';
import type { World } from '../../world.ts';
import { GrantTable } from './table.ts';

export const GRANT_TABLE = 'grants';

export interface GrantBookOptions {
  readonly world: World;
  readonly log: Log;
  /** Tells the workers; resolves when they know. */
  readonly announce: (changes: readonly GrantChange[]) => Promise<unknown>;
}

export interface Revocation {
  readonly revoked: number;
  /** The store has not heard of it yet. */
  readonly isPending: boolean;
}

export class GrantBook {
  readonly #options: GrantBookOptions;
  readonly #table: GrantTable;
  /** Revoked, and the store does not know. */
  readonly #unwritten = new Set<string>();
  #failing = false;

  constructor(options: GrantBookOptions) {
    this.#options = options;
    this.#table = new GrantTable(options.world);
  }

  update(rules: PopBeforeSmtpSettings | null): void {
    this.#table.rules = rules;
  }

  get rules(): PopBeforeSmtpSettings | null {
    return this.#table.rules;
  }

  /** Those that hold. */
  get all(): readonly (readonly [string, Grant])[] {
    return this.#table.all;
  }

  /** There are revocations to write. */
  get isDirty(): boolean {
    return this.#unwritten.size > 0;
  }

  /** A login was accepted, as a worker says, which cannot make it longer than it is. Never rejects. */
  async earn(store: Store | null, key: string, earned: Grant): Promise<void> {
    const rules = this.rules;
    if (rules === null) return;
    const grant: Grant = { ...earned, at: Math.min(earned.at, this.#options.world.now()) };
    try {
      if (store === null || store.state === 'down') throw new Error('the store is not reached');
      await store.put(GRANT_TABLE, [{ key, value: formatGrant(grant), expiresAt: endOf(grant, rules) }]);
    } catch (error) {
      return this.#notKept(store, error);
    }
    this.#failing = false;
    this.#unwritten.delete(key);
    this.#table.set(key, grant);
    await this.#options.announce([[key, grant]]);
  }

  /** What is known here, or to another machine. Never rejects. */
  async find(store: Store | null, key: string): Promise<Grant | null> {
    const known = this.#table.find(key);
    if (known !== null || store === null || store.state === 'down' || this.#unwritten.has(key)) return known;
    const entry = await store.get(GRANT_TABLE, key).catch(() => null);
    if (entry !== null) this.#adopt(entry);
    return this.#table.find(key);
  }

  /** What another machine has changed. */
  hearOther(key: string, entry: Entry | null): void {
    // The block was granted anew there, after whatever was revoked here.
    this.#unwritten.delete(key);
    if (entry !== null) return this.#adopt(entry);
    this.#table.set(key, null);
    void this.#options.announce([[key, null]]);
  }

  /** Takes over what the store holds, and drops what it does not: others may have revoked it unheard. */
  async load(store: Store): Promise<void> {
    await this.write(store);
    const startedAt = this.#options.world.now();
    const entries = await store.load(GRANT_TABLE);
    const held = new Set(entries.map(({ key }) => key));
    const now = this.#options.world.now();
    const changes = entries.flatMap(({ key, value }): GrantChange[] => {
      const grant = parseGrant(value, now);
      const known = this.#table.find(key);
      return grant === null || (known !== null && known.at >= grant.at) ? [] : [[key, grant]];
    });
    const gone = this.#table.all.flatMap(([key, { at }]): GrantChange[] =>
      held.has(key) || at >= startedAt ? [] : [[key, null]],
    );
    const all = [...changes.toSorted(([, a], [, b]) => (a?.at ?? 0) - (b?.at ?? 0)), ...gone];
    for (const [key, grant] of all) this.#table.set(key, grant);
    if (all.length > 0) void this.#options.announce(all);
  }

  /** Tells the store of revocations that it has not heard of. Rejects where it fails. */
  async write(store: Store): Promise<void> {
    const keys = [...this.#unwritten];
    if (keys.length === 0) return;
    await store.remove(GRANT_TABLE, keys);
    for (const key of keys) this.#unwritten.delete(key);
  }

  list(filter: GrantFilter): readonly (readonly [string, Grant])[] {
    return this.#table.all.filter((one) => isMeant(one, filter));
  }

  /** Takes grants away; resolves when the workers know. */
  async revoke(store: Store | null, filter: GrantFilter): Promise<Revocation> {
    const keys = this.list(filter).map(([key]) => key);
    for (const key of keys) {
      this.#table.set(key, null);
      this.#unwritten.add(key);
    }
    if (keys.length > 0) await this.#options.announce(keys.map((key) => [key, null]));
    const isUp = store !== null && store.state === 'up';
    const written = isUp ? await this.write(store).then(...ENDS) : false;
    return { revoked: keys.length, isPending: keys.length > 0 && !written };
  }

  #adopt({ key, value }: Entry): void {
    const grant = parseGrant(value, this.#options.world.now());
    const known = this.#table.find(key);
    if (grant === null || (known !== null && known.at >= grant.at)) return;
    this.#table.set(key, grant);
    void this.#options.announce([[key, grant]]);
  }

  #notKept(store: Store | null, error: unknown): void {
    if (this.#failing) return;
    this.#failing = true;
    this.#options.log.warn('grant-not-kept', {
      store: store?.home ?? 'memory',
      cause: explain(error),
      consequence: 'logins go on, and earn no grants until the store is back',
    });
  }
}

const ENDS = [() => true, () => false] as const;
