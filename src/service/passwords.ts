// Passwords between tiers: what front tiers must show in XPEHLO, what we show. The supervisor reads them; workers get
// them in their material and nowhere else, so no settings that are logged or printed hold one.

import { resolveSecret } from '../config/secret.ts';
import type { Secret, Settings } from '../config/settings.ts';
import { SettingsError } from '../errors.ts';

export interface TierPasswords {
  /** By service name; null: XPEHLO is not known there. */
  readonly services: Readonly<Record<string, string | null>>;
  /** By backend name; null: XPEHLO is not used there. */
  readonly backends: Readonly<Record<string, string | null>>;
}

export const NO_TIER_PASSWORDS: TierPasswords = { services: {}, backends: {} };

/** So that it fits into a command with all that stands beside it. */
const PASSWORD_BYTES_MAX = 256;

interface Place {
  readonly name: string;
  readonly setting: string;
  readonly secret: Secret | null;
}

/** Calls `fail` for each password that cannot be had. */
export function readTierPasswords(
  settings: Settings,
  fail: (error: unknown, where: string) => void,
): TierPasswords {
  const read = ({ name, setting, secret }: Place): [string, string | null] => {
    try {
      return [name, secret === null ? null : bounded(resolveSecret(secret))];
    } catch (error) {
      fail(error, ` (for ${setting})`);
      return [name, null];
    }
  };
  const { services, backends } = places(settings);
  return {
    services: Object.fromEntries(services.map(read)),
    backends: Object.fromEntries(backends.map(read)),
  };
}

/** Files whose change changes a password. */
export function tierPasswordFiles(settings: Settings): string[] {
  return Object.values(places(settings))
    .flat()
    .flatMap(({ secret }) => (secret?.kind === 'file' ? [secret.path] : []));
}

/** The same settings without them. */
export function withoutTierPasswords(settings: Settings): Settings {
  const services = Object.entries(settings.services).map(
    ([name, service]) => [name, { ...service, frontTier: { ...service.frontTier, password: null } }] as const,
  );
  const backends = Object.entries(settings.backends).map(
    ([name, backend]) => [name, { ...backend, xpehloPassword: null }] as const,
  );
  return {
    ...settings,
    services: Object.fromEntries(services),
    backends: Object.fromEntries(backends),
  };
}

function places(settings: Settings): { readonly services: Place[]; readonly backends: Place[] } {
  return {
    services: Object.values(settings.services).map(({ name, frontTier: { password: secret } }) => ({
      name,
      setting: `services.${name}.frontTier.password`,
      secret,
    })),
    backends: Object.values(settings.backends).map(({ name, xpehloPassword: secret }) => ({
      name,
      setting: `backends.${name}.xpehloPassword`,
      secret,
    })),
  };
}

function bounded(password: string): string {
  if (Buffer.byteLength(password) <= PASSWORD_BYTES_MAX) return password;
  throw new SettingsError([`expected a password of at most ${PASSWORD_BYTES_MAX} bytes, found a longer one`]);
}
