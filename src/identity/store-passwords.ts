// Whether a password is right, asked of the stores of a backend (`verify: { store: … }`). Promises: so many logins at
// once and so many waiting, no more; one answer or failure within `budgetMs`, waiting included; a store that cannot be
// asked, or says that it cannot say, is followed by the next, one that fails once it has the password is not. A password
// that was right is taken for a while without asking, by a keyed hash under a key that only this object has; several
// logins with it at the same time are one.
// On failure: the GateError of the last store, which is a temporary one for the client.

import { createHmac } from 'node:crypto';

import type { Endpoint } from '../config/settings.ts';
import { asGateError, GateError } from '../errors.ts';
import type { World } from '../world.ts';
import { Cache, Together } from './cache.ts';
import { logInToStore, type StoreTarget } from './store-login.ts';

/** How it went with a store. */
export type Ending =
  /** Yes or no. */
  | { readonly kind: 'answered' }
  /** It says that it cannot say. */
  | { readonly kind: 'undecided' }
  /** It never got as far as the login. */
  | { readonly kind: 'unreached'; readonly error: GateError }
  /** It failed at the login. */
  | { readonly kind: 'failed'; readonly error: GateError };

/** A store, and whom to tell that it is asked and how that went. */
export interface Store {
  readonly endpoint: Endpoint;
  readonly begin: () => void;
  readonly end: (ending: Ending) => void;
}

export interface StorePasswordsOptions {
  readonly backend: string;
  readonly target: Pick<StoreTarget, 'mode' | 'tls' | 'allowClear'>;
  /** The stores in the order to ask them. */
  readonly stores: (login: Pick<PasswordLogin, 'whose' | 'address'>) => readonly Store[];
  /** What one store may take; null: an equal share of what is left. */
  readonly storeMs: number | null;
  readonly budgetMs: number;
  /** Passwords that were right; ttlMs 0: none. */
  readonly remember: { readonly size: number; readonly ttlMs: number };
  readonly world: World;
  readonly atOnceMax?: number;
  readonly waitingMax?: number;
}

const AT_ONCE_MAX = 32;
const WAITING_MAX = 512;

export interface PasswordLogin {
  /** As the store is told it. */
  readonly user: string;
  /** Whose login it is, in the one spelling that users are spread by. */
  readonly whose: string;
  readonly password: string;
  /** The client's, for who spreads users by it, and for whom a failure is counted. */
  readonly address: string;
}

export class StorePasswords {
  readonly #options: StorePasswordsOptions;
  readonly #waiting: (() => void)[] = [];
  readonly #right: Cache<true>;
  readonly #checks = new Together<'right' | 'wrong'>();
  readonly #key: Buffer;
  #busy = 0;

  constructor(options: StorePasswordsOptions) {
    this.#options = options;
    this.#right = new Cache(options.remember.size);
    this.#key = options.world.random(32);
  }

  async check(login: PasswordLogin): Promise<'right' | 'wrong'> {
    const { world, remember } = this.#options;
    if (remember.ttlMs === 0) return this.#checkNow(login);
    const key = createHmac('sha256', this.#key)
      .update(JSON.stringify([login.user, login.password]))
      .digest('base64');
    if (this.#right.get(key, world.monotonic()) === true) return 'right';
    return this.#checks.do(key, async () => {
      const proof = await this.#checkNow(login);
      if (proof === 'right') this.#right.set(key, true, world.monotonic() + remember.ttlMs);
      return proof;
    });
  }

  async #checkNow(login: PasswordLogin): Promise<'right' | 'wrong'> {
    const { world, budgetMs } = this.#options;
    const deadline = world.monotonic() + budgetMs;
    await this.#enter(budgetMs);
    try {
      return await this.#ask(login, deadline);
    } finally {
      // The place goes to who waits, or is free.
      const next = this.#waiting.shift();
      if (next === undefined) this.#busy--;
      else next();
    }
  }

  async #ask(
    { user, whose, password, address }: PasswordLogin,
    deadline: number,
  ): Promise<'right' | 'wrong'> {
    const { world, stores, storeMs, target, backend } = this.#options;
    const order = stores({ whose, address });
    let failure: GateError | null = null;
    for (const [index, { endpoint, begin, end }] of order.entries()) {
      const left = deadline - world.monotonic();
      if (left <= 0) break;
      if (endpoint.kind === 'unix') continue;
      const { host, port } = endpoint;
      const timeoutMs = Math.min(left, storeMs ?? left / (order.length - index));
      let asked = false;
      const asking = (): void => void (asked = true);
      begin();
      try {
        const store = { ...target, host, port, timeoutMs, world, asking };
        const answer = await logInToStore(store, { user, password });
        end({ kind: 'answered' });
        return answer === 'accepted' ? 'right' : 'wrong';
      } catch (cause) {
        const error = asGateError(cause);
        const undecided = error.code === 'BACKEND_REFUSED';
        end(undecided ? { kind: 'undecided' } : { kind: asked ? 'failed' : 'unreached', error });
        if (asked && !undecided) throw error;
        failure = error;
      }
    }
    throw failure ?? new GateError('BACKEND_TIMEOUT', { backend, phase: 'check of a password' });
  }

  async #enter(limitMs: number): Promise<void> {
    const { world, backend, atOnceMax = AT_ONCE_MAX, waitingMax = WAITING_MAX } = this.#options;
    if (this.#busy < atOnceMax) {
      this.#busy++;
      return;
    }
    if (this.#waiting.length >= waitingMax) {
      throw new GateError('BACKEND_TIMEOUT', { backend, phase: 'too many passwords wait to be checked' });
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    const timer = world.after(limitMs, () => {
      this.#waiting.splice(this.#waiting.indexOf(resolve), 1);
      reject(new GateError('BACKEND_TIMEOUT', { backend, phase: 'wait for the check of a password' }));
    });
    await promise;
    timer.cancel();
  }
}
