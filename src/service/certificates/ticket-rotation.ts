// The ticket keys of this node over time: how long they serve, and which ones all nodes use where there are several.
// Keys are made here, in memory, every `rotate` ms; whoever must know is called with each new ones. With an exchange
// and a secret the node that rotates first publishes, sealed, and the others adopt. All nodes come to the same keys,
// whatever order messages arrive in: of two keys compareTicketKeys() prefers the same everywhere, a node that hears of
// better ones adopts them, one that hears of worse ones publishes its own again.
// On failure of the exchange: one warning, and the node goes on with the keys that it has, and by its own clock.

import { explain } from '../../log.ts';
import type { Log } from '../../log.ts';
import { compareTicketKeys, makeTicketKeys, openTicketKeys, sealTicketKeys } from '../../tls/tickets.ts';
import type { TicketKeys } from '../../tls/tickets.ts';
import type { Timer, World } from '../../world.ts';

/** Where sealed keys of all nodes meet. What comes out of it is not trusted. */
export interface TicketExchange {
  /** Keeps it as the current one, and tells the other nodes. */
  publish(sealed: string): Promise<void>;
  /** Calls `hear` with whatever a node publishes from now on, our own too, until it is closed. */
  subscribe(hear: (sealed: string) => void): { close(): void };
  /** What was published last; null: nothing yet. */
  current(): Promise<string | null>;
}

export interface TicketRules {
  /** 0: no rotation. */
  readonly rotateMs: number;
  /** null: the exchange is not used. */
  readonly secret: string | null;
}

export interface TicketRotationOptions {
  readonly first: TicketKeys;
  readonly exchange: TicketExchange | null;
  readonly onChange: (keys: TicketKeys) => void;
  readonly world: World;
  readonly log: Log;
}

/** A message may be lost; what is kept is looked at now and then. */
const LOOK_EVERY_MS = 60_000;
/** Nodes whose keys are of one age do not all rotate at the same moment. */
const SPREAD_MAX_MS = 60_000;

export class TicketRotation {
  readonly #options: TicketRotationOptions;
  #keys: TicketKeys;
  #rules: TicketRules = { rotateMs: 0, secret: null };
  #due: Timer | null = null;
  #look: Timer | null = null;
  #subscription: { close(): void } | null = null;
  #failing = false;

  constructor(options: TicketRotationOptions) {
    this.#options = options;
    this.#keys = options.first;
  }

  get keys(): TicketKeys {
    return this.#keys;
  }

  /** Begins, or goes on by other rules. */
  follow(rules: TicketRules): void {
    this.close();
    this.#rules = rules;
    this.#schedule();
    const { exchange, world } = this.#options;
    if (exchange === null || rules.secret === null) return;
    this.#subscription = exchange.subscribe((sealed) => this.#hear(sealed));
    this.#look = world.every(LOOK_EVERY_MS, () => void this.#meet('newest'));
  }

  /**
   * Takes the keys that the nodes use already, or lets them know ours. A node that has just started has the youngest
   * keys of all and yet no reason to make everybody change: `theirs` takes what is there, if it is not overdue.
   */
  async join(whose: 'theirs' | 'newest'): Promise<void> {
    if (this.#options.exchange !== null && this.#rules.secret !== null) await this.#meet(whose);
  }

  close(): void {
    this.#due?.cancel();
    this.#look?.cancel();
    this.#subscription?.close();
    this.#due = this.#look = this.#subscription = null;
  }

  #schedule(): void {
    this.#due?.cancel();
    const { rotateMs } = this.#rules;
    const { world } = this.#options;
    if (rotateMs === 0) return;
    const left = this.#keys.madeAt + rotateMs - world.now();
    // A clock that was set, here or on the node that made the keys, neither hurries this nor holds it up.
    this.#due = world.after(Math.min(Math.max(left, 0), rotateMs) + this.#spread(), () => this.#rotate());
  }

  #spread(): number {
    const { exchange, world } = this.#options;
    if (exchange === null || this.#rules.secret === null) return 0;
    const max = Math.min(SPREAD_MAX_MS, this.#rules.rotateMs / 10);
    return Math.floor((world.random(4).readUInt32BE() / 2 ** 32) * max);
  }

  #rotate(): void {
    const { world } = this.#options;
    // Never older than what they replace, or other nodes would not take them.
    const madeAt = Math.max(world.now(), this.#keys.madeAt + 1);
    this.#use({ bytes: makeTicketKeys(world), madeAt }, 'rotated');
    void this.#publish();
  }

  #use(keys: TicketKeys, how: 'rotated' | 'adopted'): void {
    this.#keys = keys;
    this.#schedule();
    this.#options.log.info('ticket-keys', { how, madeAt: new Date(keys.madeAt).toISOString() });
    this.#options.onChange(keys);
  }

  async #meet(whose: 'theirs' | 'newest'): Promise<void> {
    const sealed = await this.#try(async (exchange) => exchange.current());
    if (sealed === undefined) return;
    const { secret, rotateMs } = this.#rules;
    const theirs = sealed === null || secret === null ? null : openTicketKeys(sealed, secret);
    if (theirs === null) {
      if (sealed !== null) this.#refused();
      await this.#publish();
      return;
    }
    const overdue = rotateMs > 0 && this.#options.world.now() - theirs.madeAt > rotateMs;
    if (whose === 'theirs' && !overdue) {
      if (compareTicketKeys(theirs, this.#keys) !== 0) this.#use(theirs, 'adopted');
    } else this.#weigh(theirs);
  }

  #hear(sealed: string): void {
    const { secret } = this.#rules;
    const theirs = secret === null ? null : openTicketKeys(sealed, secret);
    if (theirs === null) this.#refused();
    else this.#weigh(theirs);
  }

  #weigh(theirs: TicketKeys): void {
    const order = compareTicketKeys(this.#keys, theirs);
    if (order > 0) this.#use(theirs, 'adopted');
    else if (order < 0) void this.#publish();
  }

  async #publish(): Promise<void> {
    const { secret } = this.#rules;
    if (secret === null) return;
    const sealed = sealTicketKeys(this.#keys, secret);
    await this.#try((exchange) => exchange.publish(sealed));
  }

  /** undefined where it failed, or there is nobody to ask. */
  async #try<T>(ask: (exchange: TicketExchange) => Promise<T>): Promise<T | undefined> {
    const { exchange, log } = this.#options;
    if (exchange === null) return undefined;
    try {
      const answer = await ask(exchange);
      this.#failing = false;
      return answer;
    } catch (error) {
      if (!this.#failing) log.warn('ticket-exchange-failed', { cause: explain(error) });
      this.#failing = true;
      return undefined;
    }
  }

  #refused(): void {
    this.#options.log.warn('ticket-keys-refused', {
      cause: 'what another node published was not sealed with our tickets.secret, or is damaged',
    });
  }
}
