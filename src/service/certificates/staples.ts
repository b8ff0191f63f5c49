// The OCSP statuses of the certificates that a worker serves: fetched from their responders, verified, kept until they
// are no longer current, fetched anew at half of their life. Only one that is good is ever given out.
// A failure leaves what is there until it expires, and is tried again after a minute, then two, up to an hour; GET and
// POST take turns. An answer `revoked` is taken at its word: nothing is stapled any more, and the log says so loudly.
// One log line when the state of a certificate changes: ocsp-stapled, ocsp-failed, ocsp-revoked.
// A certificate that stays over a reload keeps what is known of it. At most FETCHES_MAX requests are under way; a
// certificate without a responder costs one look at each reload. Every worker asks for itself.

import { X509Certificate } from 'node:crypto';
import { encodeOcspRequest, ocspSubject, readOcspResponse } from '../../certdb/ocsp.ts';
import type { OcspAnswer, OcspSubject } from '../../certdb/ocsp.ts';
import { explain, type Log } from '../../log.ts';
import { stapleKey, type Staples } from '../../tls/stapling.ts';
import type { Timer, World } from '../../world.ts';
import { askResponder } from './responder.ts';

const FETCHES_MAX = 4;
const RETRY_FIRST_MS = 60_000;
const RETRY_MAX_MS = 3_600_000;
const REFRESH_MIN_MS = 30_000;
const REFRESH_MAX_MS = 7 * 86_400_000;
/** Part of a wait by which workers and servers are spread. */
const JITTER = 0.1;

interface Watched {
  readonly key: string;
  readonly subject: OcspSubject;
  readonly stop: AbortController;
  staple: { readonly bytes: Buffer; readonly nextUpdate: number } | null;
  failures: number;
  /** What the log said last. */
  state: string;
  timer: Timer | null;
}

export interface StapleKeeperOptions {
  readonly world: World;
  readonly log: Log;
}

export class StapleKeeper implements Staples {
  readonly #world: World;
  readonly #log: Log;
  /** By chain, as it was given; null where there is nobody to ask. */
  #chains = new Map<string, Watched | null>();
  readonly #byKey = new Map<string, Watched>();
  readonly #queue: Watched[] = [];
  #fetching = 0;
  /** Whether any certificate has a staple: asked by every handshake. */
  #holds = false;

  constructor({ world, log }: StapleKeeperOptions) {
    this.#world = world;
    this.#log = log;
  }

  get hasAny(): boolean {
    return this.#holds;
  }

  response(key: string): Buffer | null {
    const staple = this.#byKey.get(key)?.staple ?? null;
    return staple !== null && staple.nextUpdate > this.#world.now() ? staple.bytes : null;
  }

  /** Whether the status of this chain's first certificate is asked for. */
  isWatched(chain: string): boolean {
    return (this.#chains.get(chain) ?? null) !== null;
  }

  /** From now on these and no others; PEM chains. */
  update(chains: readonly string[]): void {
    const before = this.#chains;
    this.#chains = new Map(
      chains.map((chain) => {
        const known = before.get(chain);
        return [chain, known === undefined ? this.#watch(chain) : known];
      }),
    );
    const stay = new Set(this.#chains.values());
    for (const watched of before.values()) {
      if (watched !== null && !stay.has(watched)) this.#forget(watched);
    }
  }

  close(): void {
    this.update([]);
  }

  #watch(chain: string): Watched | null {
    const subject = ocspSubject(chain);
    if (subject === null) return null;
    if (subject === 'no-issuer') {
      const name = nameOf(new X509Certificate(chain));
      const detail = 'the certificate names a responder, but its issuer is not in the chain';
      this.#log.warn('ocsp-failed', { ...name, cause: 'no-issuer', detail });
      return null;
    }
    const key = stapleKey(subject.certificate.raw);
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    const watched: Watched = {
      key,
      subject,
      stop: new AbortController(),
      staple: null,
      failures: 0,
      state: '',
      timer: null,
    };
    this.#byKey.set(key, watched);
    this.#ask(watched);
    return watched;
  }

  #forget(watched: Watched): void {
    watched.timer?.cancel();
    watched.stop.abort();
    this.#byKey.delete(watched.key);
    this.#count();
  }

  #hold(watched: Watched, staple: Watched['staple']): void {
    watched.staple = staple;
    watched.failures = 0;
    this.#count();
  }

  #count(): void {
    this.#holds = this.#byKey.values().some(({ staple }) => staple !== null);
  }

  #ask(watched: Watched): void {
    watched.timer = null;
    this.#queue.push(watched);
    this.#next();
  }

  #next(): void {
    while (this.#fetching < FETCHES_MAX) {
      const watched = this.#queue.shift();
      if (watched === undefined) return;
      if (watched.stop.signal.aborted) continue;
      this.#fetching++;
      void this.#fetch(watched).then(() => {
        this.#fetching--;
        this.#next();
      });
    }
  }

  async #fetch(watched: Watched): Promise<void> {
    const { subject, stop, failures } = watched;
    let waitMs: number;
    try {
      const request = await encodeOcspRequest(subject);
      const asked = {
        url: subject.responder,
        request,
        prefer: failures % 2 === 0 ? 'GET' : 'POST',
        signal: stop.signal,
      } as const;
      const answer = await askResponder(asked, this.#world);
      if (stop.signal.aborted) return;
      if (answer.kind === 'none') waitMs = this.#failed(watched, 'unreachable', answer.detail);
      else {
        const now = this.#world.now();
        waitMs = this.#take(watched, await readOcspResponse(answer.bytes, subject, now));
      }
    } catch (error) {
      waitMs = this.#failed(watched, 'defect', explain(error));
    }
    if (stop.signal.aborted) return;
    watched.timer = this.#world.after(waitMs, () => this.#ask(watched));
  }

  /** Gives the wait until the next question. */
  #take(watched: Watched, answer: OcspAnswer): number {
    if (answer.kind === 'refused') return this.#failed(watched, answer.cause, answer.detail);
    if (answer.kind === 'revoked') {
      this.#hold(watched, null);
      this.#tell(watched, 'ocsp-revoked', { revokedAt: timeText(answer.at) });
      return RETRY_MAX_MS;
    }
    const { staple, thisUpdate, nextUpdate } = answer;
    this.#hold(watched, { bytes: staple, nextUpdate });
    this.#tell(watched, 'ocsp-stapled', {
      thisUpdate: timeText(thisUpdate),
      nextUpdate: timeText(nextUpdate),
    });
    return refreshWait(answer, this.#world.now(), this.#spread());
  }

  #failed(watched: Watched, cause: string, detail: string): number {
    const wait = Math.min(RETRY_FIRST_MS * 2 ** watched.failures, RETRY_MAX_MS);
    watched.failures++;
    const until = watched.staple?.nextUpdate ?? 0;
    const stapledUntil = until > this.#world.now() ? timeText(until) : null;
    this.#tell(watched, 'ocsp-failed', { cause, detail, stapledUntil });
    return wait * (1 + JITTER * this.#spread());
  }

  #tell(watched: Watched, event: string, fields: Readonly<Record<string, unknown>>): void {
    const state = JSON.stringify([event, fields['cause'], fields['stapledUntil'] === null]);
    if (watched.state === state) return;
    watched.state = state;
    const { certificate, responder } = watched.subject;
    const level = event === 'ocsp-stapled' ? 'info' : event === 'ocsp-failed' ? 'warn' : 'error';
    this.#log.at(level, event, { ...nameOf(certificate), responder, ...fields });
  }

  /** 0 to 1. */
  #spread(): number {
    return this.#world.random(2).readUInt16BE() / 65_536;
  }
}

/** Half of the life; where that is over (a cached answer), half of what is left. */
export function refreshWait(
  life: { readonly thisUpdate: number; readonly nextUpdate: number },
  now: number,
  spread: number,
): number {
  const { thisUpdate, nextUpdate } = life;
  const half = (nextUpdate - thisUpdate) / 2;
  const toHalf = thisUpdate + half - now;
  const wait = (toHalf > 0 ? toHalf : (nextUpdate - now) / 2) + half * JITTER * spread;
  return Math.min(Math.max(wait, REFRESH_MIN_MS), REFRESH_MAX_MS);
}

function nameOf({ subject, serialNumber }: X509Certificate): { certificate: string; serial: string } {
  return { certificate: subject.replaceAll('\n', ', '), serial: serialNumber };
}

function timeText(time: number): string {
  return Number.isFinite(time) ? new Date(time).toISOString() : 'unknown';
}
