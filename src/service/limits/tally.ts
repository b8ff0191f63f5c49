// A worker's own count of places. Alone it decides by it. With others it takes few places of each key by itself and
// tells the supervisor a moment later; beyond that, for keys near their limit, and where other machines count too, it
// asks and waits. An answer that does not come in ANSWER_LIMIT_MS is not waited for: then its own count decides, and
// what is granted later all the same is given back.

import { type Claim, ownAllowance } from '../../policy/limits.ts';
import type { Timer, World } from '../../world.ts';
import type { FromGuard, Sharing, ToGuard } from './sharing.ts';

const REPORT_EVERY_MS = 50;
const ANSWER_LIMIT_MS = 1000;

interface Question {
  readonly claims: readonly Claim[];
  readonly limit: Timer;
  readonly answer: (full: Claim | null) => void;
}

export class Tally {
  readonly #world: World;
  readonly #send: (note: FromGuard) => void;
  readonly #own = new Map<string, number>();
  readonly #escorted = new Set<string>();
  readonly #questions = new Map<number, Question>();
  #sharing: Sharing = { workers: 1, nodes: false };
  /** null as long as nobody else counts. */
  #unreported: Map<string, number> | null = null;
  #reporting: Timer | null = null;
  #lastQuestion = 0;

  constructor({ world, send }: { readonly world: World; readonly send: (note: FromGuard) => void }) {
    this.#world = world;
    this.#send = send;
  }

  /** How many share the limits from now on. */
  join(sharing: Sharing): void {
    this.#sharing = sharing;
    if (this.#unreported !== null || !this.#isShared) return;
    this.#unreported = new Map(this.#own);
    this.#reportSoon();
  }

  /** From now on each place of these keys is asked for; what is not reported yet is. */
  escort(keys: readonly string[]): void {
    for (const key of keys) this.#escorted.add(key);
    this.#report();
  }

  hear(note: Extract<ToGuard, { readonly what: 'answer' | 'relax' }>): void {
    if (note.what === 'relax') {
      for (const key of note.keys) this.#escorted.delete(key);
      return;
    }
    const question = this.#questions.get(note.question);
    if (question === undefined) {
      if (note.full === null) for (const key of note.keys) this.#tell(key, -1);
      return;
    }
    this.#questions.delete(note.question);
    question.limit.cancel();
    const full = note.full === null ? null : question.claims.find(({ key }) => key === note.full);
    if (full === null) for (const { key } of question.claims) this.#count(key, 1);
    question.answer(full ?? null);
  }

  take(claims: readonly Claim[]): Claim | null | Promise<Claim | null> {
    const { workers, nodes } = this.#sharing;
    if (!this.#isShared) return this.#takeOwn(claims);
    const asks =
      nodes ||
      claims.some(
        ({ key, limit }) => this.#escorted.has(key) || this.countOf(key) >= ownAllowance(limit, workers),
      );
    return asks ? this.#ask(claims) : this.#takeOwn(claims);
  }

  give(key: string): void {
    this.#count(key, -1);
    this.#tell(key, -1);
  }

  countOf(key: string): number {
    return this.#own.get(key) ?? 0;
  }

  get #isShared(): boolean {
    return this.#sharing.nodes || this.#sharing.workers > 1;
  }

  #takeOwn(claims: readonly Claim[]): Claim | null {
    const full = claims.find(({ key, limit }) => this.countOf(key) >= limit);
    if (full !== undefined) return full;
    for (const { key } of claims) {
      this.#count(key, 1);
      this.#tell(key, 1);
    }
    return null;
  }

  #ask(claims: readonly Claim[]): Promise<Claim | null> {
    const { promise, resolve } = Promise.withResolvers<Claim | null>();
    const question = ++this.#lastQuestion;
    const limit = this.#world.after(ANSWER_LIMIT_MS, () => {
      this.#questions.delete(question);
      resolve(this.#takeOwn(claims));
    });
    this.#questions.set(question, { claims, limit, answer: resolve });
    // Whoever comes back must find his old place given back.
    this.#report();
    this.#send({ what: 'ask', question, claims });
    return promise;
  }

  #count(key: string, by: number): void {
    const count = this.countOf(key) + by;
    if (count > 0) this.#own.set(key, count);
    else this.#own.delete(key);
  }

  #tell(key: string, by: number): void {
    const changes = this.#unreported;
    if (changes === null) return;
    const sum = (changes.get(key) ?? 0) + by;
    if (sum === 0) changes.delete(key);
    else changes.set(key, sum);
    if (this.#escorted.has(key)) this.#report();
    else this.#reportSoon();
  }

  #reportSoon(): void {
    this.#reporting ??= this.#world.after(REPORT_EVERY_MS, () => this.#report());
  }

  #report(): void {
    this.#reporting?.cancel();
    this.#reporting = null;
    const changes = this.#unreported;
    if (changes === null || changes.size === 0) return;
    this.#unreported = new Map();
    this.#send({ what: 'counts', changes: [...changes] });
  }
}
