// Certificate files that change are read again, without a signal: all of them, validated whole. Refused, the old ones go
// on being served, and the log says until when. A CRL that becomes stale meanwhile is told of once. Owns the file watch. Each change waits for its turn among the others.

import type { Timer, World } from '../world.ts';
import { mistakesOf, servedOn } from './changes.ts';
import type { ChangeRecord } from './changes.ts';
import type { Configuration, ConfigurationSource } from './configuration.ts';
import type { Crew } from './crew.ts';
import type { LiveLog } from './live-log.ts';
import { materialFiles } from './material.ts';
import { crlWarnings } from './revocation-lists.ts';
import { watchFiles } from './watch.ts';
import type { FileWatch } from './watch.ts';

const CRL_LOOK_MS = 600_000;

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
  #watch: FileWatch | null = null;
  #stale: Timer | null = null;

  constructor(options: CertificateWatchOptions) {
    this.#options = options;
  }

  /** Looks at the files of these settings from now on, and at no others. */
  follow({ settings, fingerprints }: Configuration): void {
    this.close();
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
    this.#watch?.close();
    this.#watch = null;
    this.#stale?.cancel();
    this.#stale = null;
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
    const { source, crew, changes, log } = this.#options;
    const before = crew.configuration;
    if (before === null || this.#watch === null) return;
    try {
      crew.configuration = await source.refresh(before.settings);
    } catch (error) {
      const mistakes = mistakesOf(error);
      changes.remember('certificates', mistakes);
      log.error('certificates-refused', { files, served: servedOn(before), mistakes });
      return;
    }
    changes.remember('certificates', []);
    this.#followCrls();
    await crew.tell();
    crew.acme.lookSoon();
    log.info('certificates-reloaded', { files });
    for (const warning of crew.configuration.warnings) log.warn('warning', { warning });
  }
}
