// The Guard of a worker: its count of places (tally.ts), its view of penalties (penalty-replica.ts) and of grants
// (grants/replica.ts), and the rate of TLS handshakes, which is its own affair. Owns no socket. Without a supervisor it is the only one who counts.

import { createHash } from 'node:crypto';
import type { Settings } from '../../config/settings.ts';
import type { Guard } from '../../connection/guard.ts';
import type { Sender, Sent } from '../../connection/rates.ts';
import { addressTable, type Claim } from '../../policy/limits.ts';
import { blockOf, contains } from '../../wire/network.ts';
import type { World } from '../../world.ts';
import { GrantReplica } from '../grants/replica.ts';
import { PlacementReplica } from '../placements/replica.ts';
import { PenaltyReplica } from './penalty-replica.ts';
import { Rates } from './rates.ts';
import { ALONE, type FromGuard, KEY_MAX, type Sharing, type SharingStart, type ToGuard } from './sharing.ts';
import { Tally } from './tally.ts';

export interface GuardOptions {
  readonly settings: Settings;
  readonly world: World;
  /** What the supervisor says at the start; default: nobody else counts. */
  readonly sharing?: SharingStart;
  readonly send?: (note: FromGuard) => void;
}

const MINUTE_MS = 60_000;
const HANDSHAKERS_MAX = 10_000;
const TOTAL_KEY = 't';

export class WorkerGuard implements Guard {
  readonly grants: GrantReplica;
  readonly placements: PlacementReplica;
  readonly #world: World;
  readonly #tally: Tally;
  readonly #rates: Rates;
  readonly #penalties: PenaltyReplica;
  /** Full handshakes by address, since `#minute`. */
  readonly #handshakes = new Map<string, number>();
  #minute = 0;
  #settings: Settings;
  #perAddress: (address: string) => number;
  #workers = 1;

  constructor({ settings, world, sharing = ALONE, send: supervisor }: GuardOptions) {
    const send = supervisor ?? ((): void => undefined);
    this.#settings = settings;
    this.#world = world;
    this.#perAddress = addressTable(settings.limits.perAddress);
    this.#tally = new Tally({ world, send });
    this.#rates = new Rates({ world, tally: this.#tally });
    this.#penalties = new PenaltyReplica({ rules: settings.penalties, world, send });
    this.grants = new GrantReplica({ rules: settings.popBeforeSmtp, world, send: supervisor ?? null });
    this.placements = new PlacementReplica(world);
    this.join(sharing);
    this.#tally.escort(sharing.escorted);
    this.#penalties.hear(sharing.penalties);
    this.grants.hear(sharing.grants);
    this.placements.hear(sharing.placements);
  }

  update(settings: Settings): void {
    this.#settings = settings;
    this.#perAddress = addressTable(settings.limits.perAddress);
    this.#penalties.update(settings.penalties);
    this.grants.update(settings.popBeforeSmtp);
  }

  join(sharing: Sharing): void {
    this.#workers = sharing.workers;
    this.#tally.join(sharing);
    this.grants.join(sharing);
  }

  escort(keys: readonly string[]): void {
    this.#tally.escort(keys);
  }

  hear(note: ToGuard): void {
    switch (note.what) {
      case 'penalties':
        return this.#penalties.hear(note.changes);
      case 'grants':
        return this.grants.hear(note.changes);
      case 'placements':
        return this.placements.hear(note.changes);
      case 'grant':
        return this.grants.answer(note.question, note.grant);
      default:
        return this.#tally.hear(note);
    }
  }

  take(claims: readonly Claim[]): Claim | null | Promise<Claim | null> {
    return this.#tally.take(claims);
  }

  give(key: string): void {
    this.#tally.give(key);
  }

  get totalClaim(): Claim | null {
    return claim(TOTAL_KEY, this.#settings.limits.total);
  }

  addressClaim(address: string): Claim | null {
    if (address === '') return null;
    const limit = this.#perAddress(address);
    return limit === 0 ? null : claim(`a:${this.#block(address)}`, limit);
  }

  userClaim(user: string): Claim | null {
    const { perUser } = this.#settings.limits;
    return perUser === 0 ? null : claim(`u:${user.toLowerCase()}`, perUser);
  }

  backendClaim(name: string, limit: number): Claim | null {
    return claim(`b:${name}`, limit);
  }

  spend(what: Sent, sender: Sender): Claim | null | Promise<Claim | null> {
    const { messagesPerUser, recipientsPerUser } = this.#settings.limits;
    const rate = what === 'message' ? messagesPerUser : recipientsPerUser;
    const owner = 'user' in sender ? `u:${sender.user.toLowerCase()}` : `a:${this.#block(sender.address)}`;
    const wanted = claim(`${what === 'message' ? 'm' : 'r'}:${owner}`, rate.count);
    return wanted === null ? null : this.#rates.take(wanted, rate);
  }

  delayOf(address: string): number {
    if (this.#penalties.size === 0 || this.#isExcluded(address)) return 0;
    return this.#penalties.delayOf(this.#block(address));
  }

  failed(address: string): void {
    if (address !== '' && !this.#isExcluded(address)) this.#penalties.failed(this.#block(address));
  }

  proved(address: string): void {
    if (this.#penalties.size > 0) this.#penalties.forgive(this.#block(address));
  }

  mayHandshake(address: string): boolean {
    const { newTlsSessions } = this.#settings.limits;
    if (newTlsSessions === 0 || address === '') return true;
    const now = this.#world.monotonic();
    if (now - this.#minute >= MINUTE_MS) {
      this.#minute = now;
      this.#handshakes.clear();
    }
    const share = Math.ceil(newTlsSessions / this.#workers);
    return (this.#handshakes.get(this.#block(address)) ?? 0) < share;
  }

  handshook(address: string): void {
    const key = this.#block(address);
    const count = this.#handshakes.get(key);
    if (count === undefined && this.#handshakes.size >= HANDSHAKERS_MAX) return;
    this.#handshakes.set(key, (count ?? 0) + 1);
  }

  #block(address: string): string {
    return blockOf(address, this.#settings.limits.prefix6);
  }

  #isExcluded(address: string): boolean {
    const { excluded, remembered } = this.#settings.penalties;
    return remembered === 0 || excluded.some((network) => contains(network, address));
  }
}

/** Null where there is no limit. Long names keep apart by their hash. */
function claim(key: string, limit: number): Claim | null {
  if (limit === 0) return null;
  if (key.length < KEY_MAX) return { key, limit };
  const hash = createHash('sha256').update(key).digest('hex');
  return { key: `${key.slice(0, 2)}${hash}`, limit };
}
