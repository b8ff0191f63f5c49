// Connections to several directory servers, all alike: the first one that is up is asked. Promises: so many connections,
// so many questions waiting for one, no more; each question has an answer or has failed within `timeoutMs`, waiting and
// all servers included; a server that fails is left alone for `retryMs`, then tried beside the questions, and asked again
// once it is back; a connection older than `refreshMs` is made anew. What changes is logged once.
// A server is not blamed for what there was no time left to answer.
// On failure: the ServerFailure of the question, or GateError DIRECTORY_DOWN when no server could be asked.

import { GateError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { World } from '../world.ts';

/** `server`: another one may do better. `question`: none will. `missing`: what was asked about is not there. */
export type Blame = 'server' | 'question' | 'missing';

export class ServerFailure extends Error {
  readonly blame: Blame;

  constructor(blame: Blame, text: string, cause?: unknown) {
    super(text, cause === undefined ? undefined : { cause });
    this.name = 'ServerFailure';
    this.blame = blame;
  }
}

/** What is kept here. */
export interface Pooled {
  readonly isOpen: boolean;
  readonly openedMs: number;
  close(): void;
}

export interface ServerPoolOptions<S, C extends Pooled> {
  /** In the order of preference. */
  readonly servers: readonly S[];
  /** For the log. */
  readonly nameOf: (server: S) => string;
  /** A connection that questions can be asked on: open, secure, signed on. Rejects with ServerFailure. */
  readonly connect: (server: S, timeoutMs: number) => Promise<C>;
  readonly connectionsMax: number;
  readonly waitingMax: number;
  readonly timeoutMs: number;
  readonly refreshMs: number;
  readonly retryMs: number;
  readonly world: World;
  readonly log: Log;
}

/** A question; how long it may take is told it. */
export type Question<C, T> = (connection: C, timeoutMs: number) => Promise<T>;

interface Member<S, C> {
  readonly server: S;
  readonly idle: C[];
  /** null: it is up, as far as is known. Otherwise when it may be tried again. */
  downUntilMs: number | null;
  isTried: boolean;
}

export class ServerPool<S, C extends Pooled> {
  readonly #options: ServerPoolOptions<S, C>;
  readonly #members: readonly Member<S, C>[];
  readonly #waiting: (() => void)[] = [];
  #busy = 0;
  #isClosed = false;

  constructor(options: ServerPoolOptions<S, C>) {
    this.#options = options;
    this.#members = options.servers.map((server) => ({
      server,
      idle: [],
      downUntilMs: null,
      isTried: false,
    }));
  }

  async ask<T>(question: Question<C, T>): Promise<T> {
    const { world, timeoutMs } = this.#options;
    const end = world.monotonic() + timeoutMs;
    await this.#enter(timeoutMs);
    try {
      return await this.#askServers(question, end);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#busy--;
      else next();
    }
  }

  /** Whoever still asks is answered, by connections that are not kept. */
  close(): void {
    this.#isClosed = true;
    for (const { idle } of this.#members) for (const connection of idle.splice(0)) connection.close();
  }

  async #askServers<T>(question: Question<C, T>, end: number): Promise<T> {
    const { world, timeoutMs } = this.#options;
    const order = this.#order();
    let failure: ServerFailure | null = null;
    for (const [place, member] of order.entries()) {
      const startedAt = world.monotonic();
      const left = end - startedAt;
      if (left <= 0) break;
      const share = left / (order.length - place);
      try {
        return await this.#askServer(member, question, share);
      } catch (error) {
        if (!(error instanceof ServerFailure) || error.blame !== 'server') throw error;
        // Where waiting for a connection has used up the time, silence says nothing of the server.
        const isRushed = share < timeoutMs / order.length / 2;
        const isSilent = world.monotonic() - startedAt > share / 2;
        if (!isRushed || !isSilent) this.#down(member, error);
        failure = error;
      }
    }
    const servers = this.#members.map(({ server }) => this.#options.nameOf(server)).join(' ');
    throw new GateError('DIRECTORY_DOWN', { servers, found: failure?.message ?? 'no time left' }, failure);
  }

  async #askServer<T>(member: Member<S, C>, question: Question<C, T>, timeoutMs: number): Promise<T> {
    const { world, connect } = this.#options;
    const end = world.monotonic() + timeoutMs;
    const left = (): number => Math.max(1, end - world.monotonic());
    const kept = this.#takeIdle(member);
    if (kept !== null) {
      try {
        return await this.#use(member, kept, () => question(kept, left()));
      } catch (error) {
        // A server may have closed what lay idle: that says nothing of a new connection. Silence does.
        const isSilent = end - world.monotonic() < timeoutMs / 2;
        const isClosed = error instanceof ServerFailure && error.blame === 'server' && !kept.isOpen;
        if (!isClosed || isSilent) throw error;
      }
    }
    const made = await connect(member.server, left());
    this.#up(member);
    return this.#use(member, made, () => question(made, left()));
  }

  async #use<T>(member: Member<S, C>, connection: C, question: () => Promise<T>): Promise<T> {
    try {
      const answer = await question();
      this.#keep(member, connection);
      return answer;
    } catch (error) {
      if (error instanceof ServerFailure && error.blame !== 'server') this.#keep(member, connection);
      else connection.close();
      throw error;
    }
  }

  #keep(member: Member<S, C>, connection: C): void {
    const room = this.#options.connectionsMax - this.#members.reduce((sum, { idle }) => sum + idle.length, 0);
    if (this.#isClosed || !connection.isOpen || room <= 0) connection.close();
    else member.idle.push(connection);
  }

  #takeIdle(member: Member<S, C>): C | null {
    const { world, refreshMs } = this.#options;
    for (let kept = member.idle.pop(); kept !== undefined; kept = member.idle.pop()) {
      const isFresh = refreshMs === 0 || world.monotonic() - kept.openedMs < refreshMs;
      if (kept.isOpen && isFresh) return kept;
      kept.close();
    }
    return null;
  }

  /** Those that are up first; the others are better than nothing. */
  #order(): readonly Member<S, C>[] {
    const { world } = this.#options;
    const up = this.#members.filter(({ downUntilMs }) => downUntilMs === null);
    const down = this.#members.filter(({ downUntilMs }) => downUntilMs !== null);
    if (up.length > 0) {
      for (const member of down) {
        if (world.monotonic() >= (member.downUntilMs ?? 0)) void this.#try(member);
      }
    }
    return [...up, ...down];
  }

  /** Beside the questions, so that none waits for a server that is still dead. */
  async #try(member: Member<S, C>): Promise<void> {
    const { connect, timeoutMs, retryMs, world } = this.#options;
    if (member.isTried) return;
    member.isTried = true;
    try {
      const connection = await connect(member.server, timeoutMs);
      this.#up(member);
      this.#keep(member, connection);
    } catch {
      member.downUntilMs = world.monotonic() + retryMs;
    } finally {
      member.isTried = false;
    }
  }

  #down(member: Member<S, C>, failure: ServerFailure): void {
    const { world, log, retryMs } = this.#options;
    for (const connection of member.idle.splice(0)) connection.close();
    if (member.downUntilMs === null)
      log.warn('directory server down', {
        server: this.#options.nameOf(member.server),
        reason: failure.message,
      });
    member.downUntilMs = world.monotonic() + retryMs;
  }

  #up(member: Member<S, C>): void {
    if (member.downUntilMs === null) return;
    member.downUntilMs = null;
    this.#options.log.info('directory server up', { server: this.#options.nameOf(member.server) });
    // What was asked instead of it is left to it again.
    const place = this.#members.indexOf(member);
    for (const { idle } of this.#members.slice(place + 1))
      for (const connection of idle.splice(0)) connection.close();
  }

  async #enter(limitMs: number): Promise<void> {
    const { world, connectionsMax, waitingMax } = this.#options;
    if (this.#busy < connectionsMax) {
      this.#busy++;
      return;
    }
    if (this.#waiting.length >= waitingMax)
      throw new GateError('DIRECTORY_DOWN', { found: 'too many questions wait' });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    const timer = world.after(limitMs, () => {
      this.#waiting.splice(this.#waiting.indexOf(resolve), 1);
      reject(new GateError('DIRECTORY_DOWN', { found: 'the wait for a connection was too long' }));
    });
    await promise;
    timer.cancel();
  }
}
