// Looks at the tokens whose keys are in use, at an interval. One that is gone takes its certificates with it: their
// handshakes fail, and the log says so once; all others go on. When it is back everything is read and proven anew, and
// the workers are replaced one after another, since what OpenSSL holds of a token does not outlive its absence. Nothing
// is lost by that, and nobody need do anything. A PIN that is wrong then is tried once.
// The same where a worker says that it could not use a key although the token is there: it was away between two looks,
// or is of those that lose the thread when several processes log in at once (SoftHSM 2.6). Not again within half a minute
// of it, then within a minute, up to an hour.
// Each replacement waits for its turn among the other changes; the look itself asks the library and logs in nowhere.

import type { Log } from '../../log.ts';
import type { Timer, World } from '../../world.ts';
import { mistakesOf } from '../changes.ts';
import type { TokenKeeper } from './keeper.ts';
import type { Replacement } from '../worker-pool.ts';

export interface TokenWatchOptions {
  readonly tokens: TokenKeeper;
  /** Reads all certificates anew, as at a change of files. Throws where they are refused. */
  readonly refresh: () => Promise<void>;
  readonly replaceWorkers: () => Promise<Pick<Replacement, 'failure'>>;
  readonly world: World;
  readonly log: Log;
}

const REPAIR_FIRST_MS = 30_000;
const REPAIR_MAX_MS = 3_600_000;

export class TokenWatch {
  readonly #options: TokenWatchOptions;
  #timer: Timer | null = null;
  readonly #lost = new Set<string>();
  #refused = '';
  #isBusy = false;
  #isReported = false;
  #notBefore = -Infinity;
  #repairMs = REPAIR_FIRST_MS;

  constructor(options: TokenWatchOptions) {
    this.#options = options;
  }

  follow(everyMs: number): void {
    this.close();
    this.#timer = this.#options.world.every(everyMs, () => void this.look());
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** A worker could not use a key. */
  reported(): void {
    this.#isReported = true;
  }

  /** One look. */
  async look(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      await this.#look();
    } finally {
      this.#isBusy = false;
    }
  }

  async #look(): Promise<void> {
    const { tokens, log } = this.#options;
    for (const module of tokens.lost()) {
      if (this.#lost.has(module)) continue;
      this.#lost.add(module);
      log.error('token-lost', { module, effect: 'its certificates cannot be served until it is back' });
    }
    const lost = [...this.#lost];
    if (lost.length === 0) return this.#repair();
    if (!tokens.arePresent(lost)) return;
    if (!(await this.#refresh(lost))) return;
    this.#isReported = false;
    log.info('token-back', { modules: lost });
    const { failure } = await this.#options.replaceWorkers();
    // Else the next look tries again.
    if (failure === null) this.#lost.clear();
  }

  async #repair(): Promise<void> {
    const { world, log, replaceWorkers } = this.#options;
    const now = world.monotonic();
    if (!this.#isReported || now < this.#notBefore) return;
    this.#isReported = false;
    // A long time without reports: what was wrong then is forgotten.
    if (now > this.#notBefore + REPAIR_MAX_MS) this.#repairMs = REPAIR_FIRST_MS;
    this.#notBefore = now + this.#repairMs;
    this.#repairMs = Math.min(this.#repairMs * 2, REPAIR_MAX_MS);
    log.warn('token-unused', { effect: 'workers that could not use a key in a token are replaced' });
    // The login takes the marks of wrong PINs from the token, before which workers stop.
    if (await this.#refresh([])) await replaceWorkers();
  }

  async #refresh(modules: readonly string[]): Promise<boolean> {
    const { log, refresh } = this.#options;
    try {
      await refresh();
      this.#refused = '';
      return true;
    } catch (error) {
      const mistakes = mistakesOf(error);
      if (this.#refused !== mistakes.join('\n')) log.error('token-refused', { modules, mistakes });
      this.#refused = mistakes.join('\n');
      return false;
    }
  }
}
