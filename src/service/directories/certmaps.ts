// The files of `certmap`: read and parsed in the supervisor, plain data for the workers, by the name of the file. Every
// mistake in them goes to `fail`, with file and line.

import { readFileSync, statSync } from 'node:fs';

import { type CertMapping, parseCertmap } from '../../config/legacy/certmap.ts';
import type { ServiceSettings, Settings } from '../../config/settings.ts';
import { facesOf } from '../../config/variants.ts';
import { SettingsError } from '../../errors.ts';
import { explain } from '../../log.ts';

export type Certmaps = Readonly<Record<string, readonly CertMapping[]>>;

const FILE_BYTES_MAX = 1_048_576;

/** Every file that any service has its mappings from. */
export function certmapFiles({ services }: Settings): string[] {
  const files = Object.values(services).flatMap((service) => facesOf(service).map(({ certmap }) => certmap));
  return [...new Set(files.flatMap((file) => file ?? []))];
}

export function readCertmaps(settings: Settings, fail: (error: unknown, where: string) => void): Certmaps {
  return Object.fromEntries(
    certmapFiles(settings).map((file): [string, readonly CertMapping[]] => {
      try {
        return [file, readOne(file)];
      } catch (error) {
        fail(error, ' (for certmap)');
        return [file, []];
      }
    }),
  );
}

/** null: there is no certmap.conf. A file that is named and not there maps nobody. */
export function certmapOf(
  { certmap }: Pick<ServiceSettings, 'certmap'>,
  certmaps: Certmaps,
): readonly CertMapping[] | null {
  return certmap === null ? null : (certmaps[certmap] ?? []);
}

function readOne(file: string): readonly CertMapping[] {
  const parsed = parseCertmap(readText(file));
  if (parsed.kind === 'certmap') return parsed.mappings;
  throw new SettingsError(parsed.mistakes.map(({ line, text }) => `${file}:${line}: ${text}`));
}

function readText(file: string): string {
  try {
    const stats = statSync(file);
    if (!stats.isFile() || stats.size > FILE_BYTES_MAX)
      throw new SettingsError([`${file}: expected a file of at most ${FILE_BYTES_MAX} bytes`]);
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file));
  } catch (error) {
    if (error instanceof SettingsError) throw error;
    throw new SettingsError([`${file}: certmap.conf cannot be read (${explain(error)})`]);
  }
}
