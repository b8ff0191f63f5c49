// What changes in the life of a supervisor: how the last of each kind ended, for `status`, and what one cannot change.

import type { Settings } from '../config/settings.ts';
import { SettingsError } from '../errors.ts';
import { explain } from '../log.ts';
import type { World } from '../world.ts';
import type { Configuration } from './configuration.ts';
import { sameStore } from './shared-state.ts';
import type { ChangeStatus } from './status.ts';

export class ChangeRecord {
  readonly #world: World;
  readonly #last = new Map<ChangeStatus['what'], ChangeStatus>();

  constructor(world: World) {
    this.#world = world;
  }

  /** Without mistakes it was done. */
  remember(what: ChangeStatus['what'], mistakes: readonly string[]): void {
    const at = new Date(this.#world.now()).toISOString();
    this.#last.set(what, { what, at, ok: mistakes.length === 0, mistakes });
  }

  values(): Iterable<ChangeStatus> {
    return this.#last.values();
  }
}

export function mistakesOf(error: unknown): readonly string[] {
  return error instanceof SettingsError ? error.mistakes : [explain(error)];
}

/** What goes on being shown where new files are refused. */
export function servedOn({ certificates }: Configuration): string[] {
  return certificates.map(({ source, notAfter }) => `${source} until ${new Date(notAfter).toISOString()}`);
}

/** Keys whose new value a running supervisor cannot take, but its successor can. */
export function needRestart(start: Settings, after: Settings): string[] {
  const keys: string[] = (['dataDir', 'user'] as const).filter((key) => start[key] !== after[key]);
  return sameStore(start.redis, after.redis) ? keys : [...keys, 'redis'];
}
