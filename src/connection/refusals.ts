// Everybody who is turned away: told why where that can be said in clear text and soon read, counted by reason, and
// logged without a flood: one line for an address and reason at once, then one with the count for each LOG_EVERY_MS.
// Promises: those who are being told hold TOLD_MAX descriptors at most, for TOLD_MS at most.

import { type ErrorCode, GateError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { World } from '../world.ts';
import type { Client } from './client.ts';

/** Well below the descriptors that machine.ts keeps free. */
const TOLD_MAX = 40;
/** Who finds no room gets this long to read it. */
const TOLD_MS = 500;
const LOG_EVERY_MS = 10_000;
/** Address and reason pairs that are kept apart; of further ones only the reason is. */
const APART_MAX = 1000;

const REASONS: ReadonlySet<ErrorCode> = new Set([
  'ACCESS_DENIED',
  'ADDRESS_LIMIT',
  'TOTAL_LIMIT',
  'BACKEND_LIMIT',
  'TLS_LIMIT',
  'SERVER_FULL',
]);

/** Failures that say nothing of the connection, only that it is not wanted. */
export function isRefusal(error: GateError): boolean {
  return REASONS.has(error.code);
}

interface Silence {
  readonly until: number;
  readonly error: GateError;
  readonly client: string;
  readonly service: string;
  /** Refusals that nothing was written of. */
  count: number;
}

export class Refusals {
  readonly #world: World;
  readonly #log: Log;
  readonly #counts = new Map<ErrorCode, number>();
  /** In the order of their ends. */
  readonly #silences = new Map<string, Silence>();
  #told = 0;

  constructor({ world, log }: { readonly world: World; readonly log: Log }) {
    this.#world = world;
    this.#log = log;
  }

  /** Ends a connection that is not wanted. */
  turnAway(client: Client, error: GateError): void {
    const { leg, gate } = client;
    const { socket } = leg;
    const mute = gate.implicitTls && leg.facts === null;
    if (mute || this.#told >= TOLD_MAX || !socket.writable) leg.destroy();
    else {
      leg.finish(client.session.wordsFor(error));
      leg.destroySoon(gate.world, Math.min(gate.timeouts.closeMs, TOLD_MS));
      if (!socket.destroyed) {
        this.#told++;
        socket.once('close', () => this.#told--);
      }
    }
    this.note(client, error);
  }

  /** Counts and logs a refusal that does not end the connection. */
  note(client: Client, error: GateError): void {
    this.#counts.set(error.code, (this.#counts.get(error.code) ?? 0) + 1);
    const now = this.#world.monotonic();
    const exact = `${error.code} ${client.remote.address}`;
    const apart = this.#silences.has(exact) || this.#silences.size < APART_MAX;
    const key = apart ? exact : error.code;
    const silence = this.#silences.get(key);
    if (silence !== undefined && now < silence.until) {
      silence.count++;
      return;
    }
    const address = apart ? client.remote.address : 'many';
    this.#silences.delete(key);
    this.#write({ error, client: address, service: client.gate.name, count: (silence?.count ?? 0) + 1 });
    this.#silences.set(key, {
      until: now + LOG_EVERY_MS,
      error,
      client: address,
      service: client.gate.name,
      count: 0,
    });
  }

  /** Writes what was held back and is due; called now and then. */
  sweep(now: number): void {
    for (const [key, silence] of this.#silences) {
      if (now < silence.until) return;
      this.#silences.delete(key);
      if (silence.count > 0) this.#write(silence);
    }
  }

  /** By reason, for the status. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  #write({ error, client, service, count }: Omit<Silence, 'until'>): void {
    this.#log.at(error.row.level, 'refused', { service, client, code: error.code, count, ...error.context });
  }
}
