// The store of several machines: Redis, by `ioredis`, which is used nowhere else. Owns two connections, one of them only
// hears changes. Tables are a hash each, with a sorted set of ends beside it; counts are a hash for each key, node by
// node, and a node's counts are worth as much as its lease. Every change is one Lua script, so it is atomic.
// On failure: nothing waits. A command that is not answered within COMMAND_LIMIT_MS rejects, and so does everything
// until the connection is back; it comes back quietly, however long that takes. One log line when it is lost, one when
// it is back. The URL holds a password, so it is shown nowhere; the log gets host and port.

import { Redis } from 'ioredis';
import type { Log } from '../log.ts';
import type { Timer, World } from '../world.ts';
import { ADD, CHANGE, PURGE, PUT, REMOVE, TAKE } from './redis-scripts.ts';
import type { CountClaim, Entry, EntryChange, HearChange, SharedCounts, Store } from './store.ts';

const COMMAND_LIMIT_MS = 500;
const CONNECT_LIMIT_MS = 2000;
const RETRY_MAX_MS = 2000;
const LEASE_MS = 30_000;
/** Counts that nobody has touched for so long are of a dead node. */
const COUNT_LIFE_MS = 86_400_000;
const PURGE_EVERY_MS = 60_000;
const BATCH = 500;
const CHANNEL = 'sallyport:changes';

export interface RedisOptions {
  /** redis:// or rediss://, with the password in it. */
  readonly url: string;
  readonly world: World;
  readonly log: Log;
}

/** Waits for the first connection, CONNECT_LIMIT_MS at most; a store that is down is given all the same. */
export async function openRedis(options: RedisOptions): Promise<Store> {
  const store = new RedisStore(options);
  await store.opened;
  return store;
}

class RedisStore implements Store {
  readonly home: string;
  readonly opened: Promise<void>;
  readonly counts: SharedCounts;
  readonly #options: RedisOptions;
  readonly #origin: string;
  readonly #commands: Redis;
  readonly #ear: Redis;
  readonly #watched = new Map<string, HearChange>();
  readonly #hearers: ((state: 'up' | 'down') => void)[] = [];
  readonly #purging: Timer;
  #state: 'up' | 'down' = 'down';
  #told: 'up' | 'down' | null = null;
  #cause = '';

  constructor(options: RedisOptions) {
    const { url, world } = options;
    this.#options = options;
    this.#origin = world.random(8).toString('hex');
    this.home = homeOf(url);
    const common = {
      lazyConnect: true,
      enableOfflineQueue: false,
      autoResubscribe: false,
      connectTimeout: CONNECT_LIMIT_MS,
      maxRetriesPerRequest: 0,
      retryStrategy: (times: number) => Math.min(times * 100, RETRY_MAX_MS),
    };
    this.#commands = new Redis(url, { ...common, commandTimeout: COMMAND_LIMIT_MS });
    this.#ear = new Redis(url, common);
    this.counts = new RedisCounts((command) => this.run(command), world);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.opened = promise;
    const late = world.after(CONNECT_LIMIT_MS, () => {
      this.#tell('down');
      resolve();
    });
    this.#commands.on('ready', () => {
      this.#tell('up');
      late.cancel();
      resolve();
    });
    this.#commands.on('close', () => {
      this.#state = 'down';
      // The first connection may still come.
      if (this.#told !== null) this.#tell('down');
    });
    for (const redis of [this.#commands, this.#ear]) {
      redis.on('error', (error: Error) => (this.#cause = error.message));
      redis.connect().catch(() => undefined);
    }
    let wasHeard = false;
    this.#ear.on('ready', () => {
      const again = wasHeard;
      wasHeard = true;
      this.#ear.subscribe(CHANNEL).then(
        () => again && this.#retell(),
        () => this.#ear.disconnect(true),
      );
    });
    this.#ear.on('message', (_channel: string, text: string) => this.#hear(text));
    this.#purging = world.every(PURGE_EVERY_MS, () => this.#purge());
  }

  get state(): 'up' | 'down' {
    return this.#state;
  }

  /** Runs a command on a connection that is there; one that does not answer is dropped and made anew. */
  async run<T>(command: (redis: Redis) => Promise<T>): Promise<T> {
    if (this.#state === 'down') throw new Error(`Redis ${this.home} is not connected`);
    try {
      return await command(this.#commands);
    } catch (error) {
      const isAnswer = error instanceof Error && error.name === 'ReplyError';
      if (!isAnswer && this.#state === 'up') {
        this.#cause = error instanceof Error ? error.message : '';
        this.#tell('down');
        this.#commands.disconnect(true);
      }
      throw error;
    }
  }

  async load(table: string): Promise<readonly Entry[]> {
    const all = await this.run((redis) => redis.hgetall(hashOf(table)));
    const now = this.#options.world.now();
    return Object.entries(all)
      .map(([key, text]) => entryOf(key, text))
      .filter(({ expiresAt }) => expiresAt > now);
  }

  async get(table: string, key: string): Promise<Entry | null> {
    const text = await this.run((redis) => redis.hget(hashOf(table), key));
    const entry = text === null ? null : entryOf(key, text);
    return entry === null || entry.expiresAt <= this.#options.world.now() ? null : entry;
  }

  async put(table: string, entries: readonly Entry[]): Promise<void> {
    for (const part of batches(entries)) {
      const words = part.flatMap(({ key, value, expiresAt }) => [key, Math.ceil(expiresAt), value]);
      await this.#eval(PUT, table, words);
    }
  }

  async remove(table: string, keys: readonly string[]): Promise<void> {
    for (const part of batches(keys)) await this.#eval(REMOVE, table, part);
  }

  async change(table: string, { key, from, to }: EntryChange): Promise<boolean> {
    const before = from === null ? ['absent', ''] : ['present', from];
    const after = to === null ? ['absent', '', ''] : ['present', Math.ceil(to.expiresAt), to.value];
    const done = await this.#eval(CHANGE, table, [this.#options.world.now(), key, ...before, ...after]);
    return done === 1;
  }

  watch(table: string, hear: HearChange): void {
    this.#watched.set(table, hear);
  }

  onState(hear: (state: 'up' | 'down') => void): void {
    this.#hearers.push(hear);
  }

  async close(): Promise<void> {
    this.#told = 'down';
    this.#state = 'down';
    this.#purging.cancel();
    this.#commands.disconnect();
    this.#ear.disconnect();
  }

  #eval(script: string, table: string, words: readonly (string | number)[]): Promise<unknown> {
    const keys = [hashOf(table), `sallyport:ends:${table}`];
    return this.run((redis) => redis.eval(script, 2, ...keys, CHANNEL, this.#origin, table, ...words));
  }

  #tell(state: 'up' | 'down'): void {
    this.#state = state;
    if (this.#told === state) return;
    const first = this.#told === null;
    this.#told = state;
    const { log } = this.#options;
    if (state === 'down') log.warn('redis-lost', { redis: this.home, cause: this.#cause || 'closed' });
    else log.at(first ? 'debug' : 'info', 'redis-back', { redis: this.home });
    for (const hear of this.#hearers) hear(state);
  }

  /** Changes were missed while nobody listened, though commands may have gone on. */
  #retell(): void {
    if (this.#state === 'up') for (const hear of this.#hearers) hear('up');
  }

  #hear(text: string): void {
    const change = readChange(text);
    if (change === null || change.origin === this.#origin) return;
    this.#watched.get(change.table)?.(change.key, change.entry);
  }

  #purge(): void {
    for (const table of this.#watched.keys()) {
      this.#eval(PURGE, table, [this.#options.world.now()]).catch(() => undefined);
    }
  }
}

type Run = <T>(command: (redis: Redis) => Promise<T>) => Promise<T>;

/** The name under which a node counts changes with each sync(), so that nothing of what was before is left. */
class RedisCounts implements SharedCounts {
  readonly #run: Run;
  readonly #world: World;
  readonly #pending = new Set<Promise<unknown>>();
  #name: string;
  #syncing: Promise<void> | null = null;

  constructor(run: Run, world: World) {
    this.#run = run;
    this.#world = world;
    this.#name = world.random(8).toString('hex');
  }

  async take(claims: readonly CountClaim[]): Promise<string | null> {
    const keys = claims.map(({ key }) => countOf(key));
    const limits = claims.map(({ limit }) => limit);
    const full = await this.#inOrder((redis) =>
      redis.eval(TAKE, keys.length, ...keys, this.#name, leaseOf(''), COUNT_LIFE_MS, ...limits),
    );
    return claims[Number(full) - 1]?.key ?? null;
  }

  async add(changes: readonly (readonly [string, number])[]): Promise<void> {
    for (const part of batches(changes)) {
      await this.#inOrder((redis) => this.#write(redis, part));
    }
  }

  sync(counts: () => Iterable<readonly [string, number]>): Promise<void> {
    this.#syncing ??= this.#sync(counts).finally(() => (this.#syncing = null));
    return this.#syncing;
  }

  async renew(): Promise<boolean> {
    const kept = await this.#run((redis) => redis.pexpire(leaseOf(this.#name), LEASE_MS));
    return kept === 1;
  }

  async #sync(counts: () => Iterable<readonly [string, number]>): Promise<void> {
    await Promise.allSettled(this.#pending);
    // Whoever was answered just now has counted it when the others had their turn.
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
    const all = [...counts()];
    const old = this.#name;
    this.#name = this.#world.random(8).toString('hex');
    await this.#run(async (redis) => {
      await redis.del(leaseOf(old));
      await redis.set(leaseOf(this.#name), '1', 'PX', LEASE_MS);
    });
    for (const part of batches(all)) await this.#run((redis) => this.#write(redis, part));
  }

  #write(redis: Redis, part: readonly (readonly [string, number])[]): Promise<unknown> {
    const keys = part.map(([key]) => countOf(key));
    return redis.eval(ADD, keys.length, ...keys, this.#name, COUNT_LIFE_MS, ...part.map(([, by]) => by));
  }

  /** Not while the counts are being told anew. */
  async #inOrder<T>(command: (redis: Redis) => Promise<T>): Promise<T> {
    while (this.#syncing !== null) await this.#syncing.catch(() => undefined);
    const running = this.#run(command);
    this.#pending.add(running);
    try {
      return await running;
    } finally {
      this.#pending.delete(running);
    }
  }
}

const hashOf = (table: string): string => `sallyport:table:${table}`;
const countOf = (key: string): string => `sallyport:count:${key}`;
const leaseOf = (node: string): string => `sallyport:node:${node}`;

/** Host, port and number of the database, and nothing of user and password. */
function homeOf(url: string): string {
  const parsed = URL.parse(url);
  return parsed === null ? 'redis' : `${parsed.protocol}//${parsed.host}${parsed.pathname}`;
}

/** In the hash an entry is its end, a blank, its value. */
function entryOf(key: string, text: string): Entry {
  const blank = text.indexOf(' ');
  return { key, value: text.slice(blank + 1), expiresAt: Number(text.slice(0, blank)) };
}

interface HeardChange {
  readonly origin: string;
  readonly table: string;
  readonly key: string;
  readonly entry: Entry | null;
}

/** Scripts publish [origin, table, key] or [origin, table, key, text]. */
function readChange(text: string): HeardChange | null {
  try {
    const parts: unknown = JSON.parse(text);
    if (!Array.isArray(parts) || !parts.every((part) => typeof part === 'string')) return null;
    const [origin, table, key, entry] = parts as (string | undefined)[];
    if (origin === undefined || table === undefined || key === undefined) return null;
    return { origin, table, key, entry: entry === undefined ? null : entryOf(key, entry) };
  } catch {
    return null;
  }
}

function* batches<T>(all: readonly T[]): Generator<readonly T[]> {
  for (let start = 0; start < all.length; start += BATCH) yield all.slice(start, start + BATCH);
}
