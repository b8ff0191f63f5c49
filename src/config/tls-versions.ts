// Which TLS versions hold where: a `tls` map's own minVersion and maxVersion, else what its preset of ciphers means, else
// the same of the map above. A plain list of ciphers, and `default`, mean no versions. Pure.

import { CIPHER_PRESETS, type CipherPreset } from '../wire/cipher-names.ts';
import type { Report } from './check.ts';
import type { GivenSettings } from './entries.ts';
import type { Path } from './lines.ts';
import { found } from './misfit.ts';
import { TLS_VERSIONS } from './schema-tls.ts';
import type { TlsVersion } from './settings.ts';

/** What one `tls` map says, null where it does not. */
export interface GivenVersions {
  readonly minVersion: TlsVersion | null;
  readonly maxVersion?: TlsVersion | null;
  readonly ciphers: string | null;
}

export interface VersionRange {
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
}

/** As in Mozilla's "Server Side TLS". */
const OLDEST: Readonly<Record<CipherPreset, TlsVersion>> = {
  modern: 'TLSv1.3',
  intermediate: 'TLSv1.2',
  old: 'TLSv1',
};
const DEFAULT_RANGE: VersionRange = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' };
const NOTHING: GivenVersions = { minVersion: null, ciphers: null };

export function versionRange(own: GivenVersions, above: GivenVersions = NOTHING): VersionRange {
  const inherited = own.ciphers === null ? oldestOf(above.ciphers) : null;
  return {
    minVersion:
      own.minVersion ?? oldestOf(own.ciphers) ?? above.minVersion ?? inherited ?? DEFAULT_RANGE.minVersion,
    maxVersion: own.maxVersion ?? above.maxVersion ?? DEFAULT_RANGE.maxVersion,
  };
}

function oldestOf(ciphers: string | null): TlsVersion | null {
  const preset = CIPHER_PRESETS.find((name) => name === ciphers);
  return preset === undefined ? null : OLDEST[preset];
}

/** A range with nothing in it, and versions for which the ciphers have no suite. */
export function checkVersions({ top, services, backends }: GivenSettings, report: Report): void {
  const above = top.values.tls;
  checkRange({ path: top.path, own: above, above: NOTHING }, report);
  for (const { path, values } of services.values()) {
    const { minVersion, maxVersion, ciphers } = values.tls;
    // What is wrong above is told there.
    if (minVersion === null && maxVersion === null && ciphers === null) continue;
    checkRange({ path, own: values.tls, above }, report);
  }
  for (const { path, values } of backends.values()) {
    checkRange({ path, own: values.tls, above: NOTHING }, report);
  }
}

interface Place {
  readonly path: Path;
  readonly own: GivenVersions;
  readonly above: GivenVersions;
}

function checkRange({ path, own, above }: Place, report: Report): void {
  const { minVersion, maxVersion } = versionRange(own, above);
  const ciphers = own.ciphers ?? above.ciphers;
  const isOlder = (one: string, other: string): boolean =>
    TLS_VERSIONS.findIndex((version) => version === one) <
    TLS_VERSIONS.findIndex((version) => version === other);
  const needed = oldestOf(ciphers);
  if (ciphers === 'modern' && needed !== null) {
    for (const [key, version] of Object.entries({ minVersion, maxVersion })) {
      if (!isOlder(version, needed)) continue;
      report.add(
        [...path, 'tls', key],
        `expected ${needed} with ciphers: modern, which has no suite for an older one, found ${found(version)}`,
      );
      return;
    }
  }
  if (!isOlder(maxVersion, minVersion)) return;
  report.add(
    [...path, 'tls', 'minVersion'],
    `expected ${maxVersion} (maxVersion) or older, found ${found(minVersion)}`,
  );
}
