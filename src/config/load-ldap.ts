// The settings of a directory in LDAP, completed: for all, and for one address of a service that has its own.

import type { GivenDomain, GivenSettings } from './entries.ts';
import type { LdapSettings, Secret } from './settings.ts';

type Given = GivenSettings['top']['values']['directory']['ldap'];
type Locate = (name: string) => string;

export function completeLdap(given: Given, locate: Locate): LdapSettings {
  const { urls, base, schema, ca, bindDn, bindPassword, timeout, retry, refresh, ...values } = given;
  return {
    ...values,
    servers: urls,
    base,
    schema: schema === 2 ? 2 : 1,
    ca: ca === null ? null : locate(ca),
    bindDn: bindDn === '' ? null : bindDn,
    bindPassword: locatedSecret(bindPassword, locate),
    timeoutMs: timeout,
    retryMs: retry,
    refreshMs: refresh,
  };
}

/** null: the address has nothing of its own. */
export function completeLdapOf(
  own: GivenDomain['values']['ldap'],
  above: Given,
  locate: Locate,
): LdapSettings | null {
  const given = Object.entries(own).filter(([, value]) => value !== null);
  if (given.length === 0) return null;
  return completeLdap({ ...above, ...Object.fromEntries(given) }, locate);
}

/** Resolves the name of a file that it is in. */
export function locatedSecret(secret: Secret | null, locate: Locate): Secret | null {
  return secret?.kind === 'file' ? { kind: 'file', path: locate(secret.path) } : secret;
}
