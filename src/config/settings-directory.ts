// What the settings say of the directory: who logs in, and where their mail is. Part of settings.ts, whose word holds
// here too.

import type { SqlUrl } from '../wire/sql-url.ts';
import type { Account, Secret, ServiceSettings } from './settings.ts';

/** What differs at one address of a service. */
export interface DomainSettings {
  /** How ids are read; null: as the directory's settings say. */
  readonly defaultDomain: string | null;
  readonly domainDelimiters: string | null;
  /** The directory as it is for clients that have connected there; null: as for all. */
  readonly ldap: LdapSettings | null;
  /** null: what is found is remembered with that for all. */
  readonly cache: DirectoryCacheSettings | null;
  /** Who logs in for others at the backends; null: the admin of the backend. */
  readonly admin: Account | null;
  /** What is another than that of the service; see variants.ts. */
  readonly overrides: Partial<Omit<ServiceSettings, 'name' | 'domains'>>;
}

export interface DirectoryCacheSettings {
  readonly size: number;
  readonly ttlMs: number;
  readonly missTtlMs: number;
  readonly passwordTtlMs: number;
}

export type LdapServerSettings = {
  readonly host: string;
  readonly port: number;
  readonly implicitTls: boolean;
};

export interface LdapSettings {
  /** In the order of preference; none: the directory is not in LDAP. */
  readonly servers: readonly LdapServerSettings[];
  readonly base: string;
  readonly userGroupBase: string | null;
  /** null: there is none. */
  readonly adminGroup: string | null;
  readonly bindDn: string | null;
  /** null in workers, which have it in their material. */
  readonly bindPassword: Secret | null;
  readonly startTls: boolean;
  readonly verifyCertificate: boolean;
  /** PEM file; null: the system's. */
  readonly ca: string | null;
  readonly tlsName: string | null;
  readonly allowClear: boolean;
  readonly hostedDomains: boolean;
  readonly schema: 1 | 2;
  /** Templates, see wire/login-template.ts. */
  readonly searchFormat: string;
  readonly domainSearchFormat: string | null;
  readonly replayFormat: string;
  readonly mailHostAttrs: readonly string[];
  readonly accessAttr: string | null;
  readonly passwords: 'bind' | 'compare';
  readonly connections: number;
  readonly timeoutMs: number;
  readonly retryMs: number;
  readonly refreshMs: number;
}

export interface SqlSettings {
  /** null: the directory is not in a database. */
  readonly url: SqlUrl | null;
  /** null in workers, which have it in their material. */
  readonly password: Secret | null;
  /** As written, see wire/sql-template.ts. */
  readonly userQuery: string | null;
  readonly domainQuery: string | null;
  readonly mailQuery: string | null;
  /** Those that a row may name. */
  readonly backends: readonly string[];
  /** A template, see wire/login-template.ts; null: the user. */
  readonly replayFormat: string | null;
  /** null: required, but for loopback and Unix sockets. */
  readonly tls: 'required' | 'off' | null;
  readonly verifyCertificate: boolean;
  /** PEM file; null: the system's. */
  readonly ca: string | null;
  readonly tlsName: string | null;
  readonly allowClear: boolean;
  readonly connections: number;
  readonly timeoutMs: number;
  readonly retryMs: number;
  readonly refreshMs: number;
}

export type DirectoryType = 'none' | 'file' | 'ldap' | 'http' | 'sql';

export interface DirectorySettings {
  readonly type: DirectoryType;
  readonly defaultDomain: string | null;
  readonly domainDelimiters: string;
  readonly canonicalDelimiter: string;
  /** Who may log in for others. */
  readonly admins: readonly string[];
  readonly file: string | null;
  readonly http: {
    readonly url: string | null;
    readonly ca: string | null;
    /** null in workers, which have it in their material. */
    readonly header: Secret | null;
    readonly timeoutMs: number;
    readonly connections: number;
    readonly passTokens: boolean;
    readonly passClientCert: boolean;
  };
  readonly ldap: LdapSettings;
  readonly sql: SqlSettings;
  readonly cache: DirectoryCacheSettings;
}
