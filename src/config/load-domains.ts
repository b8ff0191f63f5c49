// What the settings say of one address of a service, completed.

import { isDeepStrictEqual } from 'node:util';

import type { GivenDomain, GivenService, GivenSettings } from './entries.ts';
import { completeCache } from './load-directory.ts';
import { completeLdapOf, locatedSecret } from './load-ldap.ts';
import type { Account, DomainSettings, ServiceSettings } from './settings.ts';
import { variantOf } from './variants.ts';

interface Surroundings {
  readonly directory: GivenSettings['top']['values']['directory'];
  readonly locate: (name: string) => string;
  /** What is said of a service, completed. */
  readonly complete: (service: GivenService) => ServiceSettings;
}

export function completeDomain(
  service: GivenService,
  domain: GivenDomain,
  { directory, locate, complete }: Surroundings,
): DomainSettings {
  const { defaultDomain, domainDelimiters, ldap, cache, admin } = domain.values;
  const common = new Map<string, unknown>(Object.entries(complete({ ...service, domains: new Map() })));
  const variant = complete(variantOf(service, domain));
  return {
    defaultDomain,
    domainDelimiters,
    ldap: completeLdapOf(ldap, directory.ldap, locate),
    cache: completeCacheOf(cache, directory),
    admin: completeAdmin(admin, locate),
    overrides: Object.fromEntries(
      Object.entries(variant).filter(([key, value]) => !isDeepStrictEqual(value, common.get(key))),
    ) as DomainSettings['overrides'],
  };
}

/** null: the address has nothing of its own. */
function completeCacheOf(
  own: GivenDomain['values']['cache'],
  directory: Surroundings['directory'],
): DomainSettings['cache'] {
  const given = Object.entries(own).filter(([, value]) => value !== null);
  if (given.length === 0) return null;
  return completeCache({ ...directory, cache: { ...directory.cache, ...Object.fromEntries(given) } });
}

/** Somebody who logs in for others; null: nobody is named. */
export function completeAdmin(
  { user, password, passwordFile }: GivenDomain['values']['admin'],
  locate: Surroundings['locate'],
): Account | null {
  if (user === null) return null;
  const given = passwordFile === null ? password : ({ kind: 'file', path: passwordFile } as const);
  return { user, password: locatedSecret(given, locate) };
}
