// What a worker knows of each server behind: whether connections to it succeed (policy/breaker.ts), what the prober and
// the administrator say of it, how many connections it holds. Kept by backend and server over reloads, shared by all
// that lead there. Promises: one log line when a server goes and one when it comes back, whatever the number of
// connections that meet it. Owns no socket.

import type net from 'node:net';

import type { GateError } from '../errors.ts';
import { explain, type Log } from '../log.ts';
import type { Candidate } from '../policy/balance.ts';
import { afterDial, afterOutcome, type Breaker, CLOSED, isUsable, type Outcome } from '../policy/breaker.ts';
import type { World } from '../world.ts';

/** What the prober found: 'login' is an account that was let in, the best proof there is. */
export type Mark = 'none' | 'down' | 'up' | 'login';

/** What the supervisor says of a server. */
export interface ServerNotice {
  readonly backend: string;
  readonly server: string;
  readonly drained: boolean;
  readonly mark: Mark;
}

/** A server as a worker sees it, for `sallyport status`. */
export interface ServerFacts {
  readonly backend: string;
  readonly server: string;
  readonly phase: Breaker['phase'];
  readonly open: number;
  /** Why it is not in use, where it is not. */
  readonly cause: string | null;
}

interface Outside {
  readonly world: World;
  readonly log: Log;
}

export class ServerHealth {
  readonly backend: string;
  readonly server: string;
  readonly #outside: Outside;
  #breaker: Breaker = CLOSED;
  #drained = false;
  #mark: Mark = 'none';
  #open = 0;
  #cause: string | null = null;
  readonly #closed = (): void => {
    this.#open--;
  };

  constructor(backend: string, server: string, outside: Outside) {
    this.backend = backend;
    this.server = server;
    this.#outside = outside;
  }

  get open(): number {
    return this.#open;
  }

  get state(): Candidate['state'] {
    if (this.#drained) return 'drained';
    const usable = this.#mark !== 'down' && isUsable(this.#breaker, this.#outside.world.monotonic());
    return usable ? 'up' : 'penalty';
  }

  get facts(): ServerFacts {
    const { backend, server } = this;
    return { backend, server, phase: this.#breaker.phase, open: this.#open, cause: this.#cause };
  }

  /** Failures of one that is down already are no news. */
  get isNews(): boolean {
    return this.#breaker.phase === 'closed' && this.#mark !== 'down';
  }

  /** Counts a connection until its socket closes. */
  count(socket: net.Socket): void {
    if (socket.destroyed) return;
    this.#open++;
    socket.once('close', this.#closed);
  }

  dialled(pauseMs: number): void {
    this.#breaker = afterDial(this.#breaker, { now: this.#outside.world.monotonic(), pauseMs });
  }

  note(outcome: Outcome, pauseMs: number, error: GateError | null = null): void {
    const before = this.#breaker.phase;
    const { world, log } = this.#outside;
    this.#breaker = afterOutcome(this.#breaker, outcome, { now: world.monotonic(), pauseMs });
    const { phase, because } = this.#breaker;
    const { backend, server } = this;
    if (before === 'closed' && phase === 'open') {
      const clients = because === 'clients' ? [...this.#breaker.suspects.keys()] : undefined;
      this.#cause = error === null ? null : explain(error);
      log.error('backend-down', {
        backend,
        server,
        because,
        clients,
        code: error?.code,
        cause: this.#cause,
        retryInMs: pauseMs,
      });
    } else if (before !== 'closed' && phase === 'closed') {
      this.#cause = null;
      log.info('backend-up', { backend, server, cause: WORDS[outcome.kind] });
    }
  }

  /** Experience with other settings says nothing any more. */
  startAnew(): void {
    const { phase } = this.#breaker;
    this.#breaker = CLOSED;
    this.#cause = null;
    const { backend, server } = this;
    if (phase !== 'closed')
      this.#outside.log.info('backend-up', { backend, server, cause: 'its settings are new' });
  }

  notice({ drained, mark }: ServerNotice): void {
    this.#drained = drained;
    this.#mark = mark;
    if (mark === 'up') this.note({ kind: 'greeted' }, 0);
    if (mark === 'login') this.note({ kind: 'served' }, 0);
  }
}

const WORDS: Readonly<Record<Outcome['kind'], string>> = {
  refused: '',
  failed: '',
  'client-failed': '',
  greeted: 'it greets',
  served: 'it serves clients',
};

/** The servers of all backends. */
export class HealthBoard {
  readonly #outside: Outside;
  readonly #servers = new Map<string, ServerHealth>();
  /** What was said of servers that nobody has asked for yet. */
  readonly #notices = new Map<string, ServerNotice>();

  constructor(outside: Outside) {
    this.#outside = outside;
  }

  of(backend: string, server: string): ServerHealth {
    const key = keyOf(backend, server);
    const known = this.#servers.get(key);
    if (known !== undefined) return known;
    const made = new ServerHealth(backend, server, this.#outside);
    const notice = this.#notices.get(key);
    if (notice !== undefined) made.notice(notice);
    this.#servers.set(key, made);
    return made;
  }

  notice(notices: readonly ServerNotice[]): void {
    for (const notice of notices) {
      const key = keyOf(notice.backend, notice.server);
      this.#notices.set(key, notice);
      this.#servers.get(key)?.notice(notice);
    }
  }

  /** The settings of a backend have changed: its servers are tried again. */
  startAnew(backend: string): void {
    for (const health of this.#servers.values()) if (health.backend === backend) health.startAnew();
  }

  /** Forgets servers that the settings no longer name. */
  keep(names: ReadonlySet<string>): void {
    for (const map of [this.#servers, this.#notices]) {
      for (const key of map.keys()) if (!names.has(key)) map.delete(key);
    }
  }

  forget(backend: string, server: string): void {
    for (const map of [this.#servers, this.#notices]) map.delete(keyOf(backend, server));
  }

  get facts(): readonly ServerFacts[] {
    return [...this.#servers.values()].map(({ facts }) => facts);
  }
}

export function keyOf(backend: string, server: string): string {
  return `${backend} ${server}`;
}
