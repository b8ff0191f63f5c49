// Certificates by ACME in the supervisor: decides when one is ordered, makes its key and request, lets a process of its
// own talk to the CA, judges what comes back and keeps it in the certificate database, where the watch finds it and the
// workers get it without losing a connection.
// One order at a time. At the start what is missing, only holds the place or is for other names; then once a day, when
// the CA is also asked whether it wants a renewal sooner (RFC 9773), and at the time of the next renewal. A failure is logged once, counted, and tried again after 15 minutes, doubling to a day,
// also over restarts; what is served goes on being served. Nothing here throws. close() ends an order that is under way.

import { createHash } from 'node:crypto';

import type { AcmeResult, RenewalAnswer, RenewalQuestion } from '../../certdb/acme.ts';
import type { AcmeSettings, Settings } from '../../config/settings.ts';
import type { Log } from '../../log.ts';
import type { Timer, World } from '../../world.ts';
import { AcmeCertificates } from './certificates.ts';
import { readAcmeFiles } from './files.ts';
import { AcmeMemory } from './memory.ts';
import { dueAt, retryWait } from './plan.ts';
import type { AcmeOrder } from './process.ts';
import { mistakesOf } from '../changes.ts';
import type { ControlAnswer } from '../control.ts';

export interface AcmeStatus {
  readonly nickname: string;
  readonly names: readonly string[];
  readonly directory: string;
  readonly isOrdering: boolean;
  /** ISO 8601; null: there is none of the CA. */
  readonly notAfter: string | null;
  /** When the next order is due. */
  readonly nextAt: string;
  /** In a row. */
  readonly failures: number;
  readonly lastFailure: { readonly at: string; readonly cause: string } | null;
}

export interface AcmeKeeperOptions {
  /** Carries out one order, in a process of its own. */
  readonly order: (order: AcmeOrder) => Promise<AcmeResult>;
  /** Asks the CA when it wants a certificate renewed. */
  readonly askRenewal: (question: RenewalQuestion, signal: AbortSignal) => Promise<RenewalAnswer>;
  readonly world: World;
  readonly log: Log;
}

const LOOK_MS = 86_400_000;
/** Before the first look, and before any other. */
const PAUSE_MS = 1000;
/** Between two certificates of one nickname, however short they live. */
const APART_MS = 3_600_000;

interface Followed {
  readonly acme: AcmeSettings;
  /** Tells these settings from others; holds no secret. */
  readonly mark: string;
  readonly certificates: AcmeCertificates;
  readonly memory: AcmeMemory;
  /** Nickname → when its last certificate came. */
  readonly issuedAt: Map<string, number>;
  /** Nickname → when its CA wants it renewed, of those where that was said, and a time chosen from it. */
  readonly suggested: Map<string, number>;
  /** When that was asked last. */
  askedAt: number;
  /** Aborted when other settings follow. */
  readonly stop: AbortController;
}

export class AcmeKeeper {
  readonly #options: AcmeKeeperOptions;
  #followed: Followed | null = null;
  #timer: Timer | null = null;
  #ordering: string | null = null;
  /** The end of the queue of orders. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: AcmeKeeperOptions) {
    this.#options = options;
  }

  /** Keeps the certificates of these settings from now on, and no others. */
  follow(settings: Settings): void {
    const { acme } = settings.certificates;
    const mark = markOf(settings);
    if (mark === this.#followed?.mark && inlineKey(acme) === inlineKey(this.#followed.acme)) return;
    this.close();
    if (acme === null) return;
    const { world } = this.#options;
    this.#followed = {
      acme,
      mark,
      certificates: new AcmeCertificates(settings, world),
      memory: new AcmeMemory(settings.dataDir),
      issuedAt: new Map(),
      suggested: new Map(),
      askedAt: -Infinity,
      stop: new AbortController(),
    };
    this.#lookIn(PAUSE_MS);
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#followed?.stop.abort();
    this.#followed = null;
  }

  /** The certificates may be others now: looks at them soon, not in a day. */
  lookSoon(): void {
    if (this.#followed !== null) this.#lookIn(PAUSE_MS);
  }

  status(): readonly AcmeStatus[] {
    const followed = this.#followed;
    if (followed === null) return [];
    const { acme, memory, mark } = followed;
    return Object.entries(acme.names).map(([nickname, names]) => {
      const failure = memory.failure(nickname, mark);
      const { notAfter } = this.#plan(followed, nickname);
      return {
        nickname,
        names,
        directory: acme.directory,
        isOrdering: this.#ordering === nickname,
        notAfter: notAfter === null ? null : timeText(notAfter),
        nextAt: timeText(Math.max(this.#nextAt(followed, nickname), this.#options.world.now())),
        failures: failure?.count ?? 0,
        lastFailure: failure === null ? null : { at: timeText(failure.at), cause: failure.cause },
      };
    });
  }

  /** Orders at once, what is due and what is not: all, or one nickname's. Answers when it is done. */
  async orderNow(nickname: string | null): Promise<ControlAnswer> {
    const followed = this.#followed;
    if (followed === null) return { ok: false, error: 'nothing is ordered by ACME (certificates.acme)' };
    const all = Object.keys(followed.acme.names);
    if (nickname !== null && !all.includes(nickname))
      return { ok: false, error: `certificates.acme.names has no ${nickname}, it has ${all.join(', ')}` };
    const mistakes: string[] = [];
    for (const one of nickname === null ? all : [nickname]) {
      const cause = await this.#inTurn(() => this.#order(followed, one));
      if (cause !== null) mistakes.push(`${one}: ${cause}`);
    }
    if (mistakes.length > 0) return { ok: false, error: 'not every certificate was issued:', mistakes };
    return { ok: true, acme: this.status() };
  }

  #lookIn(ms: number): void {
    this.#timer?.cancel();
    this.#timer = this.#options.world.after(ms, () => void this.#look());
  }

  /** Orders what is due, then waits for what is due next. */
  async #look(): Promise<void> {
    const followed = this.#followed;
    if (followed === null) return;
    const { world } = this.#options;
    await this.#inTurn(() => this.#askRenewals(followed));
    const times = Object.keys(followed.acme.names).map((nickname) => ({
      nickname,
      at: this.#nextAt(followed, nickname),
    }));
    for (const { nickname, at } of times) {
      if (at > world.now()) continue;
      await this.#inTurn(async () => {
        // Somebody may have ordered it by hand while this one waited.
        if (this.#nextAt(followed, nickname) <= world.now()) await this.#order(followed, nickname);
      });
    }
    if (this.#followed !== followed) return;
    const next = Math.min(...Object.keys(followed.acme.names).map((one) => this.#nextAt(followed, one)));
    this.#lookIn(Math.min(Math.max(next - world.now(), PAUSE_MS), LOOK_MS));
  }

  // RFC 9773 4.2: a time in the window by chance, anew each day; one that is over means now.
  async #askRenewals(followed: Followed): Promise<void> {
    const { acme, certificates, suggested, stop } = followed;
    const now = this.#options.world.now();
    if (Math.abs(now - followed.askedAt) < LOOK_MS / 2) return;
    followed.askedAt = now;
    for (const nickname of Object.keys(acme.names)) {
      if (stop.signal.aborted) return;
      try {
        const certificate = await certificates.renewalId(nickname, acme.keyType);
        suggested.delete(nickname);
        if (certificate === null) continue;
        const { ca } = readAcmeFiles(acme);
        const question = { directory: acme.directory, ca, certificate };
        const answer = await this.#options.askRenewal(question, stop.signal);
        if (answer.kind === 'none') continue;
        suggested.set(nickname, answer.start + (answer.end - answer.start) * this.#spread());
      } catch {
        // The order that follows says what is wrong.
      }
    }
  }

  /** 0 to 1. */
  #spread(): number {
    return this.#options.world.random(2).readUInt16BE() / 65_536;
  }

  #nextAt(followed: Followed, nickname: string): number {
    const now = this.#options.world.now();
    const failure = followed.memory.failure(nickname, followed.mark);
    const issuedAt = followed.issuedAt.get(nickname) ?? -Infinity;
    // What lies in the future was noted by a clock that was wrong then.
    const apart = issuedAt > now ? 0 : issuedAt + APART_MS;
    const again = failure === null || failure.at > now ? 0 : failure.nextAt;
    const due = Math.min(this.#plan(followed, nickname).dueAt, followed.suggested.get(nickname) ?? Infinity);
    return Math.max(due, again, apart);
  }

  /** A database that cannot be read is looked into again in a day, or after a change of it. */
  #plan({ acme, certificates }: Followed, nickname: string): { dueAt: number; notAfter: number | null } {
    const names = acme.names[nickname] ?? [];
    try {
      const life = certificates.life(nickname, acme.keyType);
      const notAfter = life === null || life.isSelfSigned ? null : life.notAfter;
      return { dueAt: dueAt(life, { names, renewBeforeMs: acme.renewBeforeMs }), notAfter };
    } catch {
      return { dueAt: 0, notAfter: null };
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }

  /** null, or why there is no certificate. */
  async #order(followed: Followed, nickname: string): Promise<string | null> {
    const { acme, stop } = followed;
    const { log } = this.#options;
    if (stop.signal.aborted) return STOPPED;
    const names = acme.names[nickname] ?? [];
    this.#ordering = nickname;
    log.info('acme-ordering', { nickname, names, directory: acme.directory, challenge: acme.challenge });
    try {
      const result = await this.#carryOut(followed, { nickname, names });
      if (stop.signal.aborted) return STOPPED;
      if (result.kind === 'failed') return this.#failed(followed, nickname, result);
      followed.issuedAt.set(nickname, this.#options.world.now());
      followed.suggested.delete(nickname);
      followed.memory.keepFailure(nickname, null);
      log.info('acme-issued', { nickname, names, notAfter: timeText(result.notAfter) });
      return null;
    } finally {
      this.#ordering = null;
    }
  }

  async #carryOut(
    { acme, certificates, stop }: Followed,
    { nickname, names }: { readonly nickname: string; readonly names: readonly string[] },
  ): Promise<Failure | { readonly kind: 'kept'; readonly notAfter: number }> {
    try {
      const { key, request } = await certificates.newKey(names, acme.keyType);
      const task = {
        ...readAcmeFiles(acme),
        accountKey: certificates.accountKey(acme.directory),
        directory: acme.directory,
        contact: acme.contact,
        agreeTerms: acme.agreeTerms,
        challenge: acme.challenge,
        names,
        request,
      };
      const result = await this.#options.order({ settings: acme, task, signal: stop.signal });
      if (result.kind === 'failed' || stop.signal.aborted)
        return result.kind === 'failed' ? result : { kind: 'failed', cause: STOPPED, retryAfterMs: null };
      const { notAfter } = certificates.adopt({ nickname, key, chain: result.chain, names });
      return { kind: 'kept', notAfter };
    } catch (error) {
      return { kind: 'failed', cause: mistakesOf(error).join('; '), retryAfterMs: null };
    }
  }

  #failed({ memory, mark }: Followed, nickname: string, { cause, retryAfterMs }: Failure): string {
    const { world, log } = this.#options;
    const count = (memory.failure(nickname, mark)?.count ?? 0) + 1;
    const nextAt = world.now() + retryWait(count, retryAfterMs, this.#spread());
    const lost = memory.keepFailure(nickname, { count, at: world.now(), nextAt, cause, settings: mark });
    log.error('acme-failed', { nickname, cause, failures: count, nextTry: timeText(nextAt) });
    if (lost !== null) log.warn('warning', { warning: `the failure of ${nickname} cannot be kept: ${lost}` });
    return cause;
  }
}

type Failure = Extract<AcmeResult, { kind: 'failed' }>;

const STOPPED = 'stopped: the settings changed, or the server ends';

function inlineKey(acme: AcmeSettings | null): string | null {
  return acme?.eab?.key.kind === 'inline' ? acme.eab.key.value : null;
}

/** A short digest; inline secrets show only their mask here. */
function markOf({ certificates: { database, passwordFile, acme }, dataDir }: Settings): string {
  const text = JSON.stringify([dataDir, database, passwordFile, acme]);
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** Whole seconds. */
function timeText(time: number): string {
  return new Date(time).toISOString().replace(/\.\d+Z$/, 'Z');
}
