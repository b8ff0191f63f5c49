// The settings of the directory, completed, whatever its type.

import type { GivenSettings } from './entries.ts';
import { completeLdap, locatedSecret } from './load-ldap.ts';
import type { DirectoryCacheSettings, DirectorySettings, SqlSettings } from './settings.ts';

type Locate = (name: string) => string;

/** How long users are believed where nothing is said; a script of nginx is asked each time. */
const CACHE_MS = 900_000;

export function completeDirectory(
  { file, http, ldap, sql, cache, ...values }: GivenSettings['top']['values']['directory'],
  locate: Locate,
): DirectorySettings {
  return {
    ...values,
    file: file === null ? null : locate(file),
    http: {
      url: http.url,
      ca: http.ca === null ? null : locate(http.ca),
      header: locatedSecret(http.header, locate),
      timeoutMs: http.timeout,
      connections: http.connections,
      passTokens: http.passTokens,
      passClientCert: http.passClientCert,
    },
    ldap: completeLdap(ldap, locate),
    sql: completeSql(sql, locate),
    cache: completeCache({ cache, type: values.type }),
  };
}

export function completeCache({
  cache,
  type,
}: Pick<GivenSettings['top']['values']['directory'], 'cache' | 'type'>): DirectoryCacheSettings {
  return {
    size: cache.size,
    ttlMs: cache.ttl ?? (type === 'http' ? 0 : CACHE_MS),
    missTtlMs: cache.missTtl,
    passwordTtlMs: cache.passwordTtl,
  };
}

function completeSql(given: GivenSettings['top']['values']['directory']['sql'], locate: Locate): SqlSettings {
  const { url, password, tls, ca, timeout, retry, refresh, ...values } = given;
  return {
    ...values,
    url: url?.dialect === 'sqlite' ? { ...url, file: locate(url.file) } : url,
    password: locatedSecret(password, locate),
    tls: tls === 'required' || tls === 'off' ? tls : null,
    ca: ca === null ? null : locate(ca),
    timeoutMs: timeout,
    retryMs: retry,
    refreshMs: refresh,
  };
}
