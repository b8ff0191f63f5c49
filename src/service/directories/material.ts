// What the directory's settings name, read for the workers: the file of users, CAs, the secret header. The supervisor
// reads it with the other material; every mistake is told by `fail`.

import { readUserMap, type UserMap } from '../../config/user-map.ts';
import { resolveSecret } from '../../config/secret.ts';
import type { DirectorySettings, Protocol, Settings } from '../../config/settings.ts';
import { SettingsError } from '../../errors.ts';
import { isKnownScheme } from '../../identity/passwords/password.ts';
import { readAuthorities } from '../backends/material.ts';
import { bareLdap, ldapFiles, type LdapMaterial, NO_LDAP, readLdapMaterial } from './ldap-material.ts';
import { bareSql, NO_SQL, readSqlMaterial, sqlFiles, type SqlMaterial } from './sql-material.ts';

export interface DirectoryMaterial {
  readonly users: UserMap;
  /** PEM; null: the system's. */
  readonly ca: string | null;
  /** One more header for the script. Never logged. */
  readonly header: string | null;
  readonly ldap: LdapMaterial;
  readonly sql: SqlMaterial;
}

export const NO_DIRECTORY: DirectoryMaterial = {
  users: [],
  ca: null,
  header: null,
  ldap: NO_LDAP,
  sql: NO_SQL,
};

export function readDirectoryMaterial(
  settings: Settings,
  fail: (error: unknown, where: string) => void,
): DirectoryMaterial {
  const { type, file, http } = settings.directory;
  const attempt = <T>(key: string, read: () => T): T | null => {
    try {
      return read();
    } catch (error) {
      fail(error, ` (for directory.${key})`);
      return null;
    }
  };
  const [backends, channels] = [Object.keys(settings.backends), Object.keys(settings.channels)];
  const users =
    type === 'file' && file !== null
      ? attempt('file', () => readUserMap(file, { backends, channels, isKnownScheme }))
      : null;
  const { ca, header } = http;
  return {
    users: users ?? [],
    ca: ca === null ? null : attempt('http.ca', () => readAuthorities(ca).join('')),
    header: header === null ? null : attempt('http.header', () => headerOf(resolveSecret(header))),
    ldap: readLdapMaterial(settings, fail),
    sql: readSqlMaterial(settings, fail),
  };
}

/** Backends that the directory may lead users of a protocol to, besides the service's own. */
export function namedBackends(
  { directory }: Settings,
  users: UserMap,
  protocol: Protocol,
): ReadonlySet<string> {
  if (protocol === 'smtp') return new Set();
  const ofRows = directory.type === 'sql' ? directory.sql.backends : [];
  return new Set([...ofRows, ...backendsOfUsers(users, protocol)]);
}

/** Those that the file of users names for a protocol. */
export function backendsOfUsers(users: UserMap, protocol: Protocol): string[] {
  return users.flatMap(({ backend }) =>
    typeof backend === 'string' ? [backend] : (backend?.[protocol] ?? []),
  );
}

/** Every file whose change changes it. */
export function directoryFiles(settings: Settings): string[] {
  const { type, file, http } = settings.directory;
  return [
    ...ldapFiles(settings),
    ...sqlFiles(settings),
    ...(type === 'file' && file !== null ? [file] : []),
    ...(http.ca === null ? [] : [http.ca]),
    ...(http.header?.kind === 'file' ? [http.header.path] : []),
  ];
}

/** The same settings without secrets. */
export function bareDirectory(directory: DirectorySettings): DirectorySettings {
  return {
    ...directory,
    http: { ...directory.http, header: null },
    ldap: bareLdap(directory.ldap),
    sql: bareSql(directory.sql),
  };
}

/** RFC 9110 5.5: a name, a colon, visible characters. */
function headerOf(text: string): string {
  if (/^[\w!#$%&'*+.^`|~-]{1,64}:[ \t]*[\x20-\x7e\x80-\xff]{1,1000}$/.test(text)) return text;
  throw new SettingsError(['expected a header, `Name: value`, found something else']);
}
