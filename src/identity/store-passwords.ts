// Whether a password is right, asked of the stores of a backend (`verify: { store: … }`). Promises: so many logins at
// once and so many waiting, no more; one answer or failure within `budgetMs`; a store that cannot be asked is followed by
// the next. On failure: the GateError of the last store, which is a temporary one for the client.

import type { Endpoint } from '../config/settings.ts';
import { asGateError, GateError } from '../errors.ts';
import type { World } from '../world.ts';
import { logInToStore, type StoreTarget } from './store-login.ts';

/** A store, and whom to tell that it is asked and how that went. */
export interface Store {
  readonly endpoint: Endpoint;
  readonly begin: () => void;
  readonly end: (error: GateError | null) => void;
}

export interface StorePasswordsOptions {
  readonly backend: string;
  readonly target: Pick<StoreTarget, 'mode' | 'tls' | 'allowClear'>;
  /** The stores in the order to ask them. */
  readonly stores: (login: { readonly user: string; readonly address: string }) => readonly Store[];
  /** What one store may take; null: an equal share of what is left. */
  readonly storeMs: number | null;
  readonly budgetMs: number;
  readonly world: World;
  readonly atOnceMax?: number;
  readonly waitingMax?: number;
}

const AT_ONCE_MAX = 32;
const WAITING_MAX = 512;

export interface PasswordLogin {
  readonly user: string;
  readonly password: string;
  readonly address: string;
}

export class StorePasswords {
  readonly #options: StorePasswordsOptions;
  readonly #waiting: (() => void)[] = [];
  #busy = 0;

  constructor(options: StorePasswordsOptions) {
    this.#options = options;
  }

  async check(login: PasswordLogin): Promise<'right' | 'wrong'> {
    const { world, budgetMs } = this.#options;
    const deadline = world.monotonic() + budgetMs;
    await this.#enter();
    try {
      return await this.#ask(login, deadline);
    } finally {
      // The place goes to who waits, or is free.
      const next = this.#waiting.shift();
      if (next === undefined) this.#busy--;
      else next();
    }
  }

  async #ask({ user, password, address }: PasswordLogin, deadline: number): Promise<'right' | 'wrong'> {
    const { world, stores, storeMs, target, backend } = this.#options;
    const order = stores({ user, address });
    let failure: GateError | null = null;
    for (const [index, { endpoint, begin, end }] of order.entries()) {
      const left = deadline - world.monotonic();
      if (left <= 0) break;
      if (endpoint.kind === 'unix') continue;
      const { host, port } = endpoint;
      const timeoutMs = Math.min(left, storeMs ?? left / (order.length - index));
      begin();
      try {
        const answer = await logInToStore({ ...target, host, port, timeoutMs, world }, { user, password });
        end(null);
        return answer === 'accepted' ? 'right' : 'wrong';
      } catch (error) {
        failure = asGateError(error);
        // A store that says why it cannot say works.
        end(failure.code === 'BACKEND_REFUSED' ? null : failure);
      }
    }
    throw failure ?? new GateError('BACKEND_TIMEOUT', { backend, phase: 'check of a password' });
  }

  async #enter(): Promise<void> {
    const { backend, atOnceMax = AT_ONCE_MAX, waitingMax = WAITING_MAX } = this.#options;
    if (this.#busy < atOnceMax) {
      this.#busy++;
      return;
    }
    if (this.#waiting.length >= waitingMax) {
      throw new GateError('BACKEND_TIMEOUT', { backend, phase: 'too many passwords wait to be checked' });
    }
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
    });
  }
}
