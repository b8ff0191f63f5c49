// Keys and computing that a worker takes from elsewhere: keys in tokens, and an OpenSSL engine as accelerator. What
// cannot be had is logged, once for each cause, and the certificates that need it are not served; the others are.

import { setVariable } from '../config/environment.ts';
import type { Settings } from '../config/settings.ts';
import type { Log } from '../log.ts';
import { accelerate, EngineKeys } from '../tls/engine.ts';

export class WorkerKeys {
  readonly tokens: EngineKeys;
  readonly #log: Log;
  readonly #told = new Set<string>();
  #engine: string | null = null;

  constructor(log: Log) {
    this.#log = log;
    this.tokens = new EngineKeys({
      setVariable,
      failed: ({ module, label, id }, cause) =>
        this.#tell('token-key-unusable', { module, token: label, id, cause }),
    });
  }

  /** An engine stays for the life of a process; another one waits for the next. */
  accelerate({ certificates: { engine } }: Settings): void {
    if (engine === null || this.#engine !== null) return;
    this.#engine = engine;
    const cause = accelerate(engine, { setVariable, use: 'all' });
    if (cause !== null) this.#tell('engine-unusable', { engine, cause });
  }

  #tell(event: string, facts: Readonly<Record<string, string>>): void {
    const line = JSON.stringify([event, facts]);
    if (this.#told.has(line)) return;
    this.#told.add(line);
    this.#log.error(event, facts);
  }
}
