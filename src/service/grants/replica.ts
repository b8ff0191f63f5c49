// A worker's view of the grants of POP before SMTP: the supervisor's table, told to all workers. What is earned here
// goes to the supervisor first and comes back with its table, so a grant is known to everybody or to nobody. With
// Redis, what this machine does not know is asked for, since a login on another one may be a moment old.
// Promises: nothing waits longer than ANSWER_LIMIT_MS; without an answer a login goes on, and there is no grant.
// Without a supervisor it keeps the table itself. Bounded: the latest GRANTS_MAX.

import type { PopBeforeSmtpSettings } from '../../config/settings.ts';
import type { Grants } from '../../connection/grants.ts';
import { type Grant, type GrantChange, isAsGood } from '../../policy/grants.ts';
import { blockOf } from '../../wire/network.ts';
import type { Timer, World } from '../../world.ts';
import { GrantTable } from './table.ts';
import type { FromGuard, Sharing } from '../limits/sharing.ts';

/** The supervisor itself gives the store and the other workers 500 ms each. */
export const ANSWER_LIMIT_MS = 1500;

interface Question {
  readonly answer: (grant: Grant | null) => void;
  readonly late: Timer;
}

export class GrantReplica implements Grants {
  readonly #world: World;
  readonly #send: ((note: FromGuard) => void) | null;
  readonly #table: GrantTable;
  readonly #questions = new Map<number, Question>();
  #nodes = false;
  #count = 0;

  constructor(options: {
    readonly rules: PopBeforeSmtpSettings | null;
    readonly world: World;
    readonly send: ((note: FromGuard) => void) | null;
  }) {
    this.#world = options.world;
    this.#send = options.send;
    this.#table = new GrantTable(options.world);
    this.#table.rules = options.rules;
  }

  update(rules: PopBeforeSmtpSettings | null): void {
    this.#table.rules = rules;
  }

  join({ nodes }: Sharing): void {
    this.#nodes = nodes;
  }

  hear(changes: readonly GrantChange[]): void {
    for (const [key, grant] of changes) this.#table.set(key, grant);
  }

  answer(question: number, grant: Grant | null): void {
    this.#questions.get(question)?.answer(grant);
  }

  async earn(address: string, grant: Grant): Promise<void> {
    const { rules } = this.#table;
    if (rules === null) return;
    const key = blockOf(address, rules.prefix6);
    if (isAsGood(this.#table.find(key), grant, rules)) return;
    if (this.#send === null) this.#table.set(key, grant);
    else await this.#ask((question) => ({ what: 'earned', question, key, grant }));
  }

  find(address: string): Grant | null | Promise<Grant | null> {
    const { rules } = this.#table;
    if (rules === null) return null;
    const key = blockOf(address, rules.prefix6);
    const known = this.#table.find(key);
    if (known !== null || !this.#nodes || this.#send === null) return known;
    return this.#ask((question) => ({ what: 'find grant', question, key }));
  }

  #ask(note: (question: number) => FromGuard): Promise<Grant | null> {
    const id = ++this.#count;
    const { promise, resolve } = Promise.withResolvers<Grant | null>();
    const answer = (grant: Grant | null): void => {
      this.#questions.delete(id);
      late.cancel();
      resolve(grant);
    };
    const late = this.#world.after(ANSWER_LIMIT_MS, () => answer(null));
    this.#questions.set(id, { answer, late });
    this.#send?.(note(id));
    return promise;
  }
}
