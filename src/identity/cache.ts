// What is remembered for a while, and work that is done once for all who want it at the same time. Promises: no more than
// `size` entries, the longest unused go first; nothing is given out past its time; a failure is not remembered.

interface Entry<T> {
  readonly value: T;
  readonly until: number;
}

export class Cache<T> {
  readonly #size: number;
  readonly #entries = new Map<string, Entry<T>>();

  constructor(size: number) {
    this.#size = size;
  }

  get(key: string, now: number): T | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    if (now >= entry.until) return undefined;
    // Behind all others: it was used last.
    this.#entries.set(key, entry);
    return entry.value;
  }

  set(key: string, value: T, until: number): void {
    this.#entries.delete(key);
    if (this.#size === 0) return;
    this.#entries.set(key, { value, until });
    if (this.#entries.size <= this.#size) return;
    const [oldest] = this.#entries.keys();
    if (oldest !== undefined) this.#entries.delete(oldest);
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  get size(): number {
    return this.#entries.size;
  }
}

/** Runs one piece of work for each key at a time; whoever comes meanwhile has its result. */
export class Together<T> {
  readonly #running = new Map<string, Promise<T>>();

  do(key: string, work: () => Promise<T>): Promise<T> {
    const running = this.#running.get(key);
    if (running !== undefined) return running;
    const started = work().finally(() => this.#running.delete(key));
    this.#running.set(key, started);
    return started;
  }
}
