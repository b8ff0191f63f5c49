// Keys and computing that a worker takes from elsewhere: keys in tokens, and an OpenSSL engine as accelerator. What
// cannot be had is logged, once for each cause, and the certificates that need it are not served; the others are. A key
// that could not be had is asked for again, after a second, then two, up to a minute: a token may be busy. (A PIN that
// was wrong is not, token.ts sees to that; a token that was away needs a new worker, token-watch.ts sees to that.)

import { setVariable } from '../../config/environment.ts';
import type { Settings } from '../../config/settings.ts';
import type { Log } from '../../log.ts';
import { accelerate, EngineKeys } from '../../tls/engine.ts';
import type { Timer, World } from '../../world.ts';

const RETRY_FIRST_MS = 1000;
const RETRY_MAX_MS = 60_000;

export interface WorkerKeysOptions {
  readonly log: Log;
  readonly world: World;
  readonly onTokenFailed?: () => void;
}

export class WorkerKeys {
  readonly tokens: EngineKeys;
  readonly #log: Log;
  readonly #told = new Set<string>();
  readonly #world: World;
  readonly #onTokenFailed: () => void;
  #engine: string | null = null;
  #hasFailed = false;
  #retryMs = RETRY_FIRST_MS;
  #retry: Timer | null = null;

  constructor({ log, world, onTokenFailed = () => {} }: WorkerKeysOptions) {
    this.#log = log;
    this.#world = world;
    this.#onTokenFailed = onTokenFailed;
    this.tokens = new EngineKeys({
      setVariable,
      random: (bytes) => world.random(bytes),
      failed: ({ module, label, id }, cause) => {
        this.#hasFailed = true;
        // Whether this user can reach the token is the first question.
        this.#tell('token-key-unusable', { module, token: label, id, uid: process.getuid?.() ?? -1, cause });
      },
    });
  }

  /** Makes all that needs keys; again later where one of them could not be had. */
  use(make: () => void): void {
    this.#retry?.cancel();
    this.#retry = null;
    this.#hasFailed = false;
    make();
    if (!this.#hasFailed) {
      this.#retryMs = RETRY_FIRST_MS;
      return;
    }
    // The first failure may be a moment's; the second is told.
    if (this.#retryMs > RETRY_FIRST_MS) this.failed();
    this.#retry = this.#world.after(this.#retryMs, () => this.use(make));
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MAX_MS);
  }

  /** A key failed in use. */
  failed(): void {
    this.#onTokenFailed();
  }

  close(): void {
    this.#retry?.cancel();
  }

  /** An engine stays for the life of a process; another one waits for the next. */
  accelerate({ certificates: { engine } }: Settings): void {
    if (engine === null || this.#engine !== null) return;
    this.#engine = engine;
    const cause = accelerate(engine, { setVariable, use: 'all' });
    if (cause !== null) this.#tell('engine-unusable', { engine, cause });
  }

  #tell(event: string, facts: Readonly<Record<string, string | number>>): void {
    const line = JSON.stringify([event, facts]);
    if (this.#told.has(line)) return;
    this.#told.add(line);
    this.#log.error(event, facts);
  }
}
