// Looks at the servers behind from time to time, in the one worker that is the prober: a real login where the settings
// give an account (IMAP), else greeting, TLS and a command that changes nothing. Reports when a server has failed FALL
// times in a row, when it has answered RISE times after a failure or at the start, and when it answers otherwise. Promises: one look at a server at
// a time, each bounded by check.timeout; every leg is closed again; nothing throws. What is no longer looked at is
// forgotten, so that it is news again when it comes back.

import type { Endpoint } from '../../config/settings.ts';
import { type Backend, serverName, within } from '../../connection/backend-leg.ts';
import { serverKeys } from '../../connection/backend-servers.ts';
import { keyOf, type Mark } from '../../connection/server-health.ts';
import { asGateError } from '../../errors.ts';
import { logInToStore } from '../../identity/store-login.ts';
import { explain, type Log } from '../../log.ts';
import type { BackendTls } from '../../tls/client.ts';
import type { Timer, World } from '../../world.ts';

export interface CheckReport {
  readonly backend: string;
  readonly server: string;
  readonly mark: Exclude<Mark, 'none'>;
  readonly cause: string | null;
}

export interface CheckTarget {
  readonly backend: Backend;
  readonly tls: BackendTls;
  /** null: without a login. */
  readonly account: { readonly user: string; readonly password: string } | null;
}

export interface ChecksOptions {
  readonly world: World;
  readonly log: Log;
  readonly closeMs: () => number;
}

export const RISE = 2;
export const FALL = 3;

interface Record {
  good: number;
  bad: number;
  busy: boolean;
  /** The account was refused, and that was said. */
  refused: boolean;
  /** What was reported last. */
  told: CheckReport['mark'] | null;
}

export class Checks {
  readonly #options: ChecksOptions;
  readonly #records = new Map<string, Record>();
  #targets: readonly CheckTarget[] = [];
  #timers: Timer[] = [];
  #report: ((report: CheckReport) => void) | null = null;

  constructor(options: ChecksOptions) {
    this.#options = options;
  }

  /** What is to be looked at, from now on. */
  update(targets: readonly CheckTarget[]): void {
    this.#targets = targets.filter(({ backend }) => backend.settings.check.everyMs > 0);
    const names = new Set(this.#targets.flatMap(({ backend }) => serverKeys(backend.settings)));
    for (const key of this.#records.keys()) if (!names.has(key)) this.#records.delete(key);
    if (this.#report !== null) this.begin(this.#report);
  }

  begin(report: (report: CheckReport) => void): void {
    this.end();
    this.#report = report;
    for (const target of this.#targets) {
      const look = (): void => {
        for (const server of target.backend.settings.servers) void this.#look(target, server);
      };
      look();
      this.#timers.push(this.#options.world.every(target.backend.settings.check.everyMs, look));
    }
  }

  end(): void {
    for (const timer of this.#timers) timer.cancel();
    this.#timers = [];
    this.#report = null;
  }

  async #look(target: CheckTarget, server: Endpoint): Promise<void> {
    const backend = target.backend.settings.name;
    const name = serverName(server);
    const key = keyOf(backend, name);
    const record = this.#records.get(key) ?? fresh();
    this.#records.set(key, record);
    if (record.busy) return;
    record.busy = true;
    try {
      const mark = await this.#ask(target, server, record);
      record.bad = 0;
      record.good++;
      const isNews = record.good === RISE || (record.good > RISE && mark !== record.told);
      if (isNews) this.#tell(record, { backend, server: name, mark, cause: null });
    } catch (cause) {
      const error = asGateError(cause);
      record.good = 0;
      record.bad++;
      const told = `${error.code}: ${explain(error)}`;
      this.#options.log.debug('check-failed', { backend, server: name, times: record.bad, cause: told });
      if (record.bad === FALL) this.#tell(record, { backend, server: name, mark: 'down', cause: told });
    } finally {
      record.busy = false;
    }
  }

  #tell(record: Record, report: CheckReport): void {
    // It may have been taken from the settings meanwhile.
    if (this.#records.get(keyOf(report.backend, report.server)) !== record) return;
    record.told = report.mark;
    this.#report?.(report);
  }

  async #ask(target: CheckTarget, server: Endpoint, record: Record): Promise<'up' | 'login'> {
    const { backend, tls, account } = target;
    const { tls: rules, check, allowClearBackend: allowClear, name } = backend.settings;
    const { world, log } = this.#options;
    if (account === null || server.kind === 'unix') {
      await this.#greet(backend, server);
      return 'up';
    }
    const { host, port } = server;
    const answer = await logInToStore(
      { host, port, mode: rules.mode, tls, allowClear, timeoutMs: check.timeoutMs, world },
      account,
    );
    // A store that says no to a password works; it is the account that does not.
    if (answer === 'refused' && !record.refused) {
      log.warn('check-account-refused', { backend: name, server: serverName(server), user: account.user });
    }
    record.refused = answer === 'refused';
    return answer === 'accepted' ? 'login' : 'up';
  }

  async #greet(backend: Backend, server: Endpoint): Promise<void> {
    const { world, closeMs } = this.#options;
    const { timeoutMs } = backend.settings.check;
    const startedAt = world.monotonic();
    const { leg, session } = await backend.open(server, timeoutMs);
    try {
      const ms = Math.max(1, timeoutMs - (world.monotonic() - startedAt));
      await within(world, { leg, ms, server: serverName(server), what: 'check' }, () => session.ping());
      session.quit();
      leg.finish('');
      leg.destroySoon(world, closeMs());
    } catch (error) {
      leg.destroy();
      throw error;
    }
  }
}

function fresh(): Record {
  return { good: 0, bad: 0, busy: false, refused: false, told: null };
}
