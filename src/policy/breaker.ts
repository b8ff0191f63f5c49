// Whether a server is to be used, from what connections to it ended in. Pure: a state and an event in, a state out.
// It tells "the host is down" from "this client is refused". What fails before anything was said about the client is
// the host's failure. What fails once the server knows who the client is may be meant for the client (a ban), so it
// counts only when clients of several addresses met it with nobody served in between.
// closed: in use. open: left alone. trial: left alone long enough, one connection finds out.

export interface Breaker {
  readonly phase: 'closed' | 'open' | 'trial';
  /** What opened it: the host, or what clients met. Says which kind of success closes it. */
  readonly because: 'host' | 'clients';
  /** When the host failed, within the window. */
  readonly failures: readonly number[];
  /** Clients that were turned away since anybody was served: address block → when. */
  readonly suspects: ReadonlyMap<string, number>;
  /** When an open one is tried again. */
  readonly retryAt: number;
}

/** How a connection to a server ended, or how far it came. */
export type Outcome =
  /** The host refuses or cannot be reached: no need to see it thrice. */
  | { readonly kind: 'refused' }
  /** Silent, no TLS, a greeting that is none or a refusal: nothing was said about the client. */
  | { readonly kind: 'failed' }
  /** Failed after the client was introduced. */
  | { readonly kind: 'client-failed'; readonly client: string }
  /** Greeted and secured. */
  | { readonly kind: 'greeted' }
  /** A client was introduced and its login answered, with yes or no. */
  | { readonly kind: 'served' };

export const FAILURES_MAX = 3;
export const SUSPECTS_MAX = 3;
export const WINDOW_MS = 60_000;

export const CLOSED: Breaker = {
  phase: 'closed',
  because: 'host',
  failures: [],
  suspects: new Map(),
  retryAt: 0,
};

export interface Moment {
  readonly now: number;
  /** How long an open one is left alone. */
  readonly pauseMs: number;
}

export function afterOutcome(breaker: Breaker, outcome: Outcome, moment: Moment): Breaker {
  switch (outcome.kind) {
    case 'served':
      return breaker === CLOSED ? breaker : CLOSED;
    case 'greeted':
      return afterGreeting(breaker);
    case 'refused':
      return open(breaker, 'host', moment);
    case 'failed': {
      const failures = [...breaker.failures.filter((at) => moment.now - at < WINDOW_MS), moment.now];
      const enough = breaker.phase === 'trial' || failures.length >= FAILURES_MAX;
      const next = { ...breaker, failures: failures.slice(-FAILURES_MAX) };
      return enough ? open(next, 'host', moment) : next;
    }
    case 'client-failed': {
      const recent = [...breaker.suspects].filter(([, at]) => moment.now - at < WINDOW_MS);
      const known = recent.some(([client]) => client === outcome.client);
      const suspects = new Map([...recent.slice(-SUSPECTS_MAX), [outcome.client, moment.now]]);
      const retried = breaker.phase === 'trial' && breaker.because === 'clients';
      const next = { ...breaker, suspects };
      // One that was turned away before proves nothing: the next client is the trial, or the banned keep others out.
      if (retried && known) return { ...next, phase: 'open', retryAt: moment.now };
      return retried || suspects.size >= SUSPECTS_MAX ? open(next, 'clients', moment) : next;
    }
  }
}

/** Whether a server may be used: one that was left alone long enough may, until somebody does. */
export function isUsable(breaker: Breaker, now: number): boolean {
  return breaker.phase === 'closed' || now >= breaker.retryAt;
}

/** A connection to it begins: to one that was left alone long enough that is the trial. */
export function afterDial(breaker: Breaker, { now, pauseMs }: Moment): Breaker {
  if (breaker.phase === 'closed' || now < breaker.retryAt) return breaker;
  // A trial that never ends in anything is one more pause, not for ever.
  return { ...breaker, phase: 'trial', retryAt: now + pauseMs };
}

/** A host that greets is up; whether it serves clients is another question. */
function afterGreeting(breaker: Breaker): Breaker {
  if (breaker.failures.length === 0 && breaker.phase === 'closed') return breaker;
  const stays = breaker.phase !== 'closed' && breaker.because === 'clients';
  return { ...breaker, failures: [], phase: stays ? breaker.phase : 'closed' };
}

function open(breaker: Breaker, because: Breaker['because'], { now, pauseMs }: Moment): Breaker {
  // Who tries an open one for want of another does not make its penalty longer.
  if (breaker.phase === 'open') return breaker;
  return { ...breaker, phase: 'open', because, retryAt: now + pauseMs };
}
