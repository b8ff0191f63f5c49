// A World whose clock stands still until `advance` moves it. Timers fire in order, inside `advance`; what they set
// going on sockets still needs the event loop. Randomness and dialling are real unless replaced; no look-up finds
// a name. `pending` counts waiting timers, so that a test can show that none was left behind.

import { realWorld, type Timer, type World } from '../../src/world.ts';

export interface ManualWorld extends World {
  /** Moves both clocks and fires what falls due. */
  advance(ms: number): void;
  /** Timers that are waiting. */
  readonly pending: number;
}

interface Waiting {
  due: number;
  readonly everyMs: number | null;
  readonly fire: () => void;
}

/** The wall clock starts at 2030-01-01 unless `startMs` says otherwise. */
export function manualWorld(replaced: Partial<World> = {}, startMs = Date.UTC(2030, 0, 1)): ManualWorld {
  let elapsed = 0;
  const waiting = new Set<Waiting>();
  const add = (ms: number, everyMs: number | null, fire: () => void): Timer => {
    const entry: Waiting = { due: elapsed + Math.max(ms, 1), everyMs, fire };
    waiting.add(entry);
    return { cancel: () => void waiting.delete(entry) };
  };
  return {
    now: () => startMs + elapsed,
    monotonic: () => elapsed,
    after: (ms, fire) => add(ms, null, fire),
    every: (ms, fire) => add(ms, Math.max(ms, 1), fire),
    random: (bytes) => realWorld.random(bytes),
    dial: (target) => realWorld.dial(target),
    confirmedNames: () => Promise.resolve([]),
    namesOf: () => Promise.resolve({ claimed: [], confirmed: [] }),
    ...replaced,
    get pending() {
      return waiting.size;
    },
    advance(ms) {
      const end = elapsed + ms;
      for (let next = earliest(waiting, end); next !== null; next = earliest(waiting, end)) {
        elapsed = Math.max(elapsed, next.due);
        if (next.everyMs === null) waiting.delete(next);
        else next.due += next.everyMs;
        next.fire();
      }
      elapsed = end;
    },
  };
}

function earliest(waiting: ReadonlySet<Waiting>, limit: number): Waiting | null {
  let found: Waiting | null = null;
  for (const entry of waiting) {
    if (entry.due <= limit && (found === null || entry.due < found.due)) found = entry;
  }
  return found;
}
