// What the servers of a backend can do: probed when first asked, believed for a while, then renewed behind the scenes.
// Promises: one probe at a time; an answer that says the same is the same object; a server that is slow delays the
// answer of its neighbours by PROBE_LAG_MS at most. On failure: the error of one server, for PROBE_PAUSE_MS.

import { asGateError, GateError } from '../errors.ts';
import type { World } from '../world.ts';

/** What all servers of a backend have in common. */
export interface Knowledge {
  readonly capabilities: readonly string[];
  readonly mechanisms: readonly string[];
}

export interface KnowledgeOptions {
  readonly backend: string;
  readonly probeMs: number;
  readonly world: World;
  /** Asks each server that is in use. */
  readonly ask: () => readonly Promise<Knowledge>[];
}

/** After a failed probe the next one waits this long, so that a dead backend is not dialled for each client twice. */
const PROBE_PAUSE_MS = 1000;
/** What a slow server may add to the probe of its quicker neighbours. */
const PROBE_LAG_MS = 500;

export class BackendKnowledge {
  readonly #options: KnowledgeOptions;
  #knowledge: Knowledge | null = null;
  #probedAt = 0;
  #probe: Promise<Knowledge> | null = null;
  #failure: { readonly error: GateError; readonly until: number } | null = null;

  constructor(options: KnowledgeOptions) {
    this.#options = options;
  }

  async get(): Promise<Knowledge> {
    const { world, probeMs } = this.#options;
    const now = world.monotonic();
    if (this.#knowledge !== null) {
      if (now - this.#probedAt > probeMs) this.#renew().catch(() => undefined);
      return this.#knowledge;
    }
    if (this.#failure !== null && now < this.#failure.until) throw this.#failure.error;
    return this.#renew();
  }

  #renew(): Promise<Knowledge> {
    this.#probe ??= this.#probeServers()
      .then((knowledge) => {
        const changed = JSON.stringify(knowledge) !== JSON.stringify(this.#knowledge);
        if (changed) this.#knowledge = knowledge;
        this.#failure = null;
        return this.#knowledge ?? knowledge;
      })
      .catch((error: unknown) => {
        this.#failure = {
          error: asGateError(error),
          until: this.#options.world.monotonic() + PROBE_PAUSE_MS,
        };
        throw error;
      })
      .finally(() => {
        this.#probedAt = this.#options.world.monotonic();
        this.#probe = null;
      });
    return this.#probe;
  }

  /** The intersection over the servers that answer; an error where none does. */
  async #probeServers(): Promise<Knowledge> {
    const found = await settledSoon(this.#options.world, this.#options.ask());
    const known = found.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const [first, ...others] = known;
    if (first === undefined) {
      const rejected = found.find((result) => result.status === 'rejected');
      throw rejected?.reason ?? new GateError('BACKEND_UNREACHABLE', { backend: this.#options.backend });
    }
    const common = (pick: (k: Knowledge) => readonly string[]): readonly string[] =>
      pick(first).filter((item) => others.every((other) => pick(other).includes(item)));
    return { capabilities: common((k) => k.capabilities), mechanisms: common((k) => k.mechanisms) };
  }
}

/** Waits for all, but once one has succeeded no longer than PROBE_LAG_MS for the others. */
async function settledSoon<T>(
  world: World,
  probes: readonly Promise<T>[],
): Promise<readonly PromiseSettledResult<T>[]> {
  const settled: PromiseSettledResult<T>[] = [];
  const each = probes.map(async (probe) => {
    const [result] = await Promise.allSettled([probe]);
    settled.push(result);
    if (result.status === 'rejected') throw result.reason;
  });
  await Promise.any(each).catch(() => undefined);
  const late = Promise.withResolvers<void>();
  const timer = world.after(PROBE_LAG_MS, late.resolve);
  await Promise.race([Promise.allSettled(each), late.promise]);
  timer.cancel();
  return [...settled];
}
