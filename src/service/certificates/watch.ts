// Certificate files that change are read again, without a signal: all of them, validated whole. Refused, the old ones go
// on being served, and the log says until when. The same when a token that was gone is back. A CRL that becomes stale
// meanwhile is told of once. Owns the file watch and the token watch. Each change waits for its turn among the others.

import type { Timer, World } from '../../world.ts';
import { mistakesOf, servedOn } from '../changes.ts';
import type { ChangeRecord } from '../changes.ts';
import type { Configuration, ConfigurationSource } from '../configuration.ts';
import type { Crew } from '../crew.ts';
import type { LiveLog } from '../live-log.ts';
import { materialFiles } from '../material.ts';
import { crlWarnings } from './revocation-lists.ts';
import { watchFiles } from '../watch.ts';
import type { FileWatch } from '../watch.ts';
import { loadedWith, needsNewWorkers, NOTHING_LOADED } from '../tokens/keeper.ts';
import { TokenWatch } from '../tokens/watch.ts';

const CRL_LOOK_MS = 600_000;
const REPLACE_AGAIN_MS = 30_000;

export interface CertificateWatchOptions {
  readonly source: ConfigurationSource;
  readonly crew: Crew;
  readonly changes: ChangeRecord;
  readonly inTurn: (change: () => Promise<void>) => Promise<void>;
  readonly world: World;
  readonly log: LiveLog;
}

export class CertificateWatch {
  readonly #options: CertificateWatchOptions;
  readonly #tokens: TokenWatch | null;
  #watch: FileWatch | null = null;
  #loaded = NOTHING_LOADED;
  #stale: Timer | null = null;
  #again: Timer | null = null;

  constructor(options: CertificateWatchOptions) {
    this.#options = options;
    const { source, crew, changes, inTurn, world, log } = options;
    this.#tokens =
      source.tokens === undefined
        ? null
        : new TokenWatch({
            tokens: source.tokens,
            refresh: () => inTurn(() => this.#refresh([])),
            replaceWorkers: () => crew.replaceWorkers(changes),
            world,
            log,
          });
  }

  /** Looks at the files and tokens of these settings from now on, and at no others. */
  follow(configuration: Configuration): void {
    const { settings, fingerprints } = configuration;
    this.#unfollow();
    this.#replaceIfNeeded(configuration);
    this.#tokens?.follow(settings.certificates.watchMs);
    const { world, inTurn } = this.#options;
    this.#watch = watchFiles({
      everyMs: settings.certificates.watchMs,
      world,
      known: fingerprints,
      files: () => materialFiles(settings),
      onChange: (files) => void inTurn(() => this.#changed(files)),
    });
    this.#followCrls();
  }

  close(): void {
    this.#unfollow();
    this.#again?.cancel();
    this.#again = null;
  }

  #unfollow(): void {
    this.#watch?.close();
    this.#watch = null;
    this.#tokens?.close();
    this.#stale?.cancel();
    this.#stale = null;
  }

  /** A worker could not use a key in a token. */
  tokenFailed(): void {
    this.#tokens?.reported();
  }

  /** What OpenSSL has loaded once stays in a worker. */
  #replaceIfNeeded(next: Configuration): void {
    const before = this.#loaded;
    this.#loaded = loadedWith(before, next);
    if (needsNewWorkers(before, this.#loaded)) void this.#replace();
  }

  /** Until it is done: workers that cannot take up new settings go on by the old ones. */
  async #replace(): Promise<void> {
    const { crew, changes, world } = this.#options;
    this.#again?.cancel();
    this.#again = null;
    const { failure } = await crew.replaceWorkers(changes);
    if (failure === null || this.#watch === null) return;
    this.#again = world.after(REPLACE_AGAIN_MS, () => void this.#replace());
  }

  /** What was known when they were read, the log has already. */
  #followCrls(): void {
    const { crew, world, log } = this.#options;
    let told = new Set(crlWarnings(crew.configuration?.trust.crls ?? [], world.now()));
    this.#stale?.cancel();
    this.#stale = world.every(CRL_LOOK_MS, () => {
      const warnings = crlWarnings(crew.configuration?.trust.crls ?? [], world.now());
      for (const warning of warnings) if (!told.has(warning)) log.warn('warning', { warning });
      told = new Set(warnings);
    });
  }

  async #changed(files: readonly string[]): Promise<void> {
    const { crew, changes, log } = this.#options;
    const before = crew.configuration;
    if (before === null || this.#watch === null) return;
    try {
      await this.#refresh(files);
    } catch (error) {
      const mistakes = mistakesOf(error);
      changes.remember('certificates', mistakes);
      log.error('certificates-refused', { files, served: servedOn(before), mistakes });
    }
  }

  async #refresh(files: readonly string[]): Promise<void> {
    const { source, crew, changes, log } = this.#options;
    const before = crew.configuration;
    if (before === null || this.#watch === null) return;
    const next = await source.refresh(before.settings);
    crew.configuration = next;
    changes.remember('certificates', []);
    this.#followCrls();
    await crew.tell();
    this.#replaceIfNeeded(next);
    crew.acme.lookSoon();
    log.info('certificates-reloaded', { files });
    for (const warning of next.warnings) log.warn('warning', { warning });
  }
}
