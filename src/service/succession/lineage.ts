// Who was before this supervisor and who comes after it: whom it takes over from and whom it hands over to, one of each
// at most, so that supervisors that drain do not pile up. Owns the succession. See handover.ts for what is said.

import type { ChildProcess } from 'node:child_process';

import type { ServiceManager } from '../../config/environment.ts';
import type { TicketKeys } from '../../tls/tickets.ts';
import type { World } from '../../world.ts';
import type { Crew } from '../crew.ts';
import { PROTOCOL } from './handover.ts';
import type { Predecessor } from './predecessor.ts';
import { Succession } from './succession.ts';
import type { SuccessionEnd } from './succession.ts';

export interface LineageOptions {
  /** Who started us, where it says more than a command line. */
  readonly manager?: ServiceManager;
  /** Whom this one takes over from. */
  readonly predecessor?: Predecessor;
  /** Starts the program anew, for it to take over. */
  readonly forkSuccessor?: () => ChildProcess;
  readonly world: World;
}

export class Lineage {
  /** Its process, while it is there. */
  predecessorPid: number | null;
  isInCharge = false;
  /** A successor is in charge. */
  isHandedOver = false;
  readonly #options: LineageOptions;
  #succession: Succession | null = null;

  constructor(options: LineageOptions) {
    this.#options = options;
    this.predecessorPid = options.predecessor?.pid ?? null;
    void options.predecessor?.gone.then(() => (this.predecessorPid = null));
  }

  /** Where the service manager wants to hear who is in charge. */
  get notifySocket(): string | null {
    const { predecessor, manager } = this.#options;
    return predecessor === undefined ? (manager?.notifySocket ?? null) : predecessor.notifySocket;
  }

  /** Who else goes on with the listeners when this one ends. */
  get shareOfListeners(): 'for good' | 'to the successor' | 'back to the predecessor' {
    if (this.isHandedOver) return 'to the successor';
    const isBorrowing = this.#options.predecessor !== undefined && !this.isInCharge;
    return isBorrowing ? 'back to the predecessor' : 'for good';
  }

  /** Hands over, if it can be; `ticketKeys` are the ones to go on with. */
  async handOver(crew: Crew, dataDir: string, ticketKeys: TicketKeys): Promise<SuccessionEnd> {
    const { manager, forkSuccessor, world } = this.#options;
    const { predecessorPid } = this;
    const obstacle = restartObstacle({ pid: process.pid, manager, predecessorPid });
    if (forkSuccessor === undefined || obstacle !== null)
      return { ok: false, error: obstacle ?? 'this supervisor cannot start another one' };
    this.#succession = new Succession({
      fork: forkSuccessor,
      listeners: [...crew.listeners.values(), ...crew.listeners.spare],
      inheritance: {
        protocol: PROTOCOL,
        pid: process.pid,
        dataDir,
        notifySocket: this.notifySocket,
        ticketKeys: ticketKeys.bytes.toString('base64'),
        ticketKeysMadeAt: ticketKeys.madeAt,
        notices: crew.fleet.notices,
      },
      world,
    });
    const end = await this.#succession.end;
    this.isHandedOver = end.ok;
    return end;
  }

  /** A successor that is not in charge drains and ends. */
  abandon(): void {
    if (!this.isHandedOver) this.#succession?.abandon();
  }

  kill(): void {
    if (!this.isHandedOver) this.#succession?.kill();
  }

  /**
   * Resolves when those are gone that must not outlive us, but after `limitMs` anyway: a service manager may end all
   * that is left of a service when the process in charge is gone.
   */
  async othersGone(limitMs: number): Promise<void> {
    const { predecessor, world } = this.#options;
    const others: Promise<void>[] = [];
    if (this.#succession !== null && !this.isHandedOver) others.push(this.#succession.gone);
    if (predecessor !== undefined && this.isInCharge) others.push(predecessor.gone);
    if (others.length === 0) return;
    const limit = Promise.withResolvers<void>();
    const timer = world.after(limitMs, limit.resolve);
    await Promise.race([Promise.all(others), limit.promise]);
    timer.cancel();
  }
}

export interface RestartFacts {
  readonly pid: number;
  readonly manager: ServiceManager | undefined;
  /** The supervisor that this one took over from, if it is still there. */
  readonly predecessorPid: number | null;
}

/** Why this process cannot hand over to another one; null: it can. */
export function restartObstacle({ pid, manager, predecessorPid }: RestartFacts): string | null {
  if (predecessorPid !== null)
    return `the supervisor before this one still drains (process ${predecessorPid})`;
  if (pid === 1)
    return 'this is process 1 of its container, with which the container ends; restart the container';
  if (manager?.isMainProcess === true && manager.notifySocket === null)
    return (
      'systemd would take the end of this process for the end of the service; the unit needs Type=notify and ' +
      'NotifyAccess=all (config/sallyport.service), or use systemctl restart'
    );
  return null;
}
