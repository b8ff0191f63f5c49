// What must be remembered beyond a process, or known to several machines: tables of short texts that expire, and counts
// that vanish with whoever holds them. Two homes: a file (embedded.ts) and Redis (redis.ts), under one contract suite.
// Promises of both: a change is atomic; an entry that has expired is not there; what was written before close() is
// kept. On failure a method rejects with an Error that holds no secret; the caller goes on with what it has in memory.

export interface Entry {
  readonly key: string;
  readonly value: string;
  /** Milliseconds of the wall clock. */
  readonly expiresAt: number;
}

export interface EntryChange {
  readonly key: string;
  /** What must be there for the change to happen; null: nothing. */
  readonly from: string | null;
  /** What is there afterwards; null: nothing. */
  readonly to: Omit<Entry, 'key'> | null;
}

/** Somebody else's change; null: the entry is gone. */
export type HearChange = (key: string, entry: Entry | null) => void;

export interface Store {
  /** Where it is, for people; without secrets. */
  readonly home: string;
  readonly state: 'up' | 'down';
  /** All entries of a table. */
  load(table: string): Promise<readonly Entry[]>;
  get(table: string, key: string): Promise<Entry | null>;
  put(table: string, entries: readonly Entry[]): Promise<void>;
  remove(table: string, keys: readonly string[]): Promise<void>;
  /** Changes one entry if it is as expected; false where it is not. */
  change(table: string, change: EntryChange): Promise<boolean>;
  /** Tells of changes that other nodes make from now on. */
  watch(table: string, hear: HearChange): void;
  /**
   * Tells when the store is lost and when it is back; while it was lost, changes may have been missed. `up` again: so
   * they may have been meanwhile, though it was there.
   */
  onState(hear: (state: 'up' | 'down') => void): void;
  /** Counts over all nodes; null where there is only this one. */
  readonly counts: SharedCounts | null;
  close(): Promise<void>;
}

export interface CountClaim {
  readonly key: string;
  readonly limit: number;
}

/** Counts that a node holds on lease: when it dies, they end with the lease. */
export interface SharedCounts {
  /** Takes one under each key, or none of them; gives the key whose limit is reached over all nodes, or null. */
  take(claims: readonly CountClaim[]): Promise<string | null>;
  /** Adds to the node's own counts, mostly less than nothing. */
  add(changes: readonly (readonly [key: string, by: number])[]): Promise<void>;
  /** Says what the node's counts are, all of them; asks for them when no other command is on its way. */
  sync(counts: () => Iterable<readonly [key: string, count: number]>): Promise<void>;
  /** Keeps the lease; false where it had ended, so that sync() is needed. */
  renew(): Promise<boolean>;
}
