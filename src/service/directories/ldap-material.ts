// What the settings of a directory in LDAP name outside the file, for all and for the addresses of ours that have one of
// their own: the password of bindDn and the CAs. Read in the supervisor, in plain data for the workers. Mistakes go to
// `fail`; nothing here throws. The directory itself is made of it here too, in the workers and for `check --probe`.

import { resolveSecret } from '../../config/secret.ts';
import type { DomainSettings, LdapSettings, ServiceSettings, Settings } from '../../config/settings.ts';
import type { Login } from '../../identity/directory.ts';
import { LdapDirectory, type LdapSource, type SplitId } from '../../identity/ldap/directory.ts';
import { LdapPlaces } from '../../identity/ldap/places.ts';
import { placeKey } from '../../identity/login-id.ts';
import { createLog, explain, type Log } from '../../log.ts';
import { BackendTls } from '../../tls/client.ts';
import type { World } from '../../world.ts';
import { readAuthorities } from '../backends/material.ts';
import { asGateError } from '../../errors.ts';

/** Of one set of settings. Never logged. */
export interface LdapSecrets {
  readonly bindPassword: string | null;
  /** PEM. */
  readonly ca: string | null;
}

export interface LdapMaterial {
  readonly common: LdapSecrets;
  /** By placeKey(). */
  readonly places: Readonly<Record<string, LdapSecrets>>;
}

type Fail = (error: unknown, where: string) => void;

export const NO_LDAP: LdapMaterial = { common: { bindPassword: null, ca: null }, places: {} };

/** The same settings without the password. */
export function bareLdap<L extends LdapSettings | null>(ldap: L): L {
  return ldap === null ? ldap : { ...ldap, bindPassword: null };
}

export function bareDomains(domains: ServiceSettings['domains']): ServiceSettings['domains'] {
  return Object.fromEntries(Object.entries(domains).map(([address, own]) => [address, bareDomain(own)]));
}

function bareDomain(own: DomainSettings): DomainSettings {
  const { ldap, admin } = own;
  return {
    ...own,
    ldap: bareLdap(ldap),
    admin: admin === null ? null : { ...admin, password: null },
  };
}

const NOTHING: LdapSecrets = { bindPassword: null, ca: null };

/** Settings by place, those for all under ''. */
function settingsByPlace({ directory, services }: Settings): readonly (readonly [string, LdapSettings])[] {
  if (directory.type !== 'ldap') return [];
  const own = Object.entries(services).flatMap(([service, { domains }]) =>
    Object.entries(domains).flatMap(([address, { ldap }]) =>
      ldap === null ? [] : ([[placeKey(service, address), ldap]] as const),
    ),
  );
  return [['', directory.ldap], ...own];
}

export function readLdapMaterial(settings: Settings, fail: Fail): LdapMaterial {
  const places: Record<string, LdapSecrets> = {};
  let common = NOTHING;
  for (const [place, ldap] of settingsByPlace(settings)) {
    const where = place === '' ? 'directory.ldap' : `services.${place.replace(' ', '.domains.')}.ldap`;
    const secrets = readSecrets(ldap, (error) => fail(error, ` (for ${where})`));
    if (place === '') common = secrets;
    else places[place] = secrets;
  }
  return { common, places };
}

/** Files whose change changes the material. */
export function ldapFiles(settings: Settings): string[] {
  return settingsByPlace(settings).flatMap(([, { ca, bindPassword }]) => [
    ...(ca === null ? [] : [ca]),
    ...(bindPassword?.kind === 'file' ? [bindPassword.path] : []),
  ]);
}

export interface LdapMaking {
  readonly settings: Settings;
  readonly material: LdapMaterial;
  readonly split: (login: Login) => SplitId;
  readonly world: World;
  readonly log: Log;
}

export function makeLdap({ settings, material, split, world, log }: LdapMaking): LdapPlaces {
  const sources = sourcesOf(settings, material);
  const { cache, ldap } = settings.directory;
  return new LdapPlaces({
    common: sources.get('') ?? { settings: ldap, ...NOTHING },
    places: new Map([...sources].filter(([place]) => place !== '')),
    split,
    domainCache: {
      ttlMs: cache.ttlMs,
      missTtlMs: Math.min(cache.missTtlMs, cache.ttlMs),
      max: Math.max(1, cache.size),
    },
    world,
    log,
  });
}

export interface LdapProbe {
  readonly server: string;
  readonly base: string;
  /** null: it was reached, secured, took bindDn and has the base. */
  readonly error: string | null;
}

/** Asks each server of each place for the base. Never rejects. */
export async function probeLdap(
  settings: Settings,
  material: LdapMaterial,
  world: World,
): Promise<readonly LdapProbe[]> {
  const seen = new Set<string>();
  const probes: Promise<LdapProbe>[] = [];
  for (const source of sourcesOf(settings, material).values()) {
    for (const server of source.settings.servers) {
      const one: LdapSource = { ...source, settings: { ...source.settings, servers: [server] } };
      const key = JSON.stringify([server, one.settings.base, one.settings.bindDn]);
      if (seen.has(key)) continue;
      seen.add(key);
      probes.push(probe(one, world));
    }
  }
  return Promise.all(probes);
}

async function probe(source: LdapSource, world: World): Promise<LdapProbe> {
  const { base, servers } = source.settings;
  const [server] = servers;
  const name =
    server === undefined ? '' : `${server.implicitTls ? 'ldaps' : 'ldap'}://${server.host}:${server.port}`;
  const directory = new LdapDirectory({
    source,
    split: ({ id }) => ({ user: id, domain: '', delimiter: '@' }),
    domainCache: { ttlMs: 0, missTtlMs: 0, max: 1 },
    world,
    log: createLog({ level: 'error', format: 'json', write: () => undefined }),
  });
  try {
    const filter = { kind: 'present', attribute: 'objectClass' } as const;
    const found = await directory.search({ base, scope: 'base', filter, attributes: [], sizeLimit: 1 });
    const error = found.length === 0 ? `there is nothing at ${base} that may be read` : null;
    return { server: name, base, error };
  } catch (cause) {
    const error =
      cause instanceof Error && cause.name === 'LdapFailure' ? cause.message : explain(asGateError(cause));
    return { server: name, base, error };
  } finally {
    directory.close();
  }
}

function sourcesOf(settings: Settings, material: LdapMaterial): ReadonlyMap<string, LdapSource> {
  return new Map(
    settingsByPlace(settings).map(([place, ldap]) => {
      const secrets = (place === '' ? material.common : material.places[place]) ?? NOTHING;
      return [place, { settings: ldap, ...secrets }];
    }),
  );
}

function readSecrets(
  { ca, bindPassword, tlsName }: LdapSettings,
  fail: (error: unknown) => void,
): LdapSecrets {
  const attempt = <T>(read: () => T): T | null => {
    try {
      return read();
    } catch (error) {
      fail(error);
      return null;
    }
  };
  const authorities = ca === null ? null : attempt(() => readAuthorities(ca).join(''));
  attempt(
    () =>
      new BackendTls({
        mode: 'musttls',
        verify: true,
        ca: authorities,
        name: tlsName,
        minVersion: 'TLSv1.2',
        ciphers: 'default',
      }),
  );
  return {
    bindPassword: bindPassword === null ? null : attempt(() => resolveSecret(bindPassword)),
    ca: authorities,
  };
}
