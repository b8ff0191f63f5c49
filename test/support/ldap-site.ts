// A directory for tests: hosted domains of both schemas, their users, and a way to ask for one of them.

import type { LdapSettings } from '../../src/config/settings.ts';
import type { Login } from '../../src/identity/directory.ts';
import { LdapDirectory, type LdapSource } from '../../src/identity/ldap/directory.ts';
import { splitLoginId } from '../../src/identity/login-id.ts';
import { createLog, type Log } from '../../src/log.ts';
import { realWorld } from '../../src/world.ts';

export const PASSWORD = 'a secret of joe';

export function entry(
  dn: string,
  classes: readonly string[],
  attributes: Readonly<Record<string, string | readonly string[]>>,
): string {
  const lines = Object.entries(attributes).flatMap(([name, given]) =>
    (typeof given === 'string' ? [given] : given).map(
      (value) => `${name}:: ${Buffer.from(value).toString('base64')}`,
    ),
  );
  return [
    `dn:: ${Buffer.from(dn).toString('base64')}`,
    ...classes.map((name) => `objectClass: ${name}`),
    ...lines,
    '',
    '',
  ].join('\n');
}

/** A mail user under `base`. */
export function user(
  uid: string,
  base: string,
  more: Readonly<Record<string, string | readonly string[]>> = {},
): string {
  const attributes = { cn: uid, sn: uid, uid, userPassword: PASSWORD, mailHost: 'store1.siroe.com', ...more };
  const rdn = uid.replaceAll(/[,+"\\<>;=#]/g, String.raw`\$&`);
  return entry(`uid=${rdn},${base}`, ['inetOrgPerson', 'inetMailUser', 'inetUser'], attributes);
}

/** An organisation with a place for its users; gives the base of these. */
export function organisation(name: string, more: Readonly<Record<string, string>> = {}): string {
  const classes = ['organization', 'sunManagedOrganization', 'mailDomain', 'inetDomainAuthInfo'];
  return (
    entry(
      `o=${name},o=internet`,
      Object.keys(more).length > 0 ? [...classes, 'domainRelatedObject'] : classes,
      {
        o: name,
        ...more,
      },
    ) + entry(`ou=People,o=${name},o=internet`, ['organizationalUnit'], { ou: 'People' })
  );
}

/** The dc entry of a domain, whose users are in the organisation of that name. */
export function dcDomain(name: string, more: Readonly<Record<string, string>> = {}): string {
  const [first = ''] = name.split('.');
  return entry(
    `${name
      .split('.')
      .map((label) => `dc=${label}`)
      .join(',')},o=internet`,
    ['domain', 'inetDomain', 'mailDomain', 'inetDomainAuthInfo'],
    { dc: first, inetDomainBaseDN: `o=${name},o=internet`, ...more },
  );
}

export const COM = entry('dc=com,o=internet', ['domain'], { dc: 'com' });
export const PROXY = entry('cn=proxy,o=internet', ['organizationalRole', 'simpleSecurityObject'], {
  cn: 'proxy',
  userPassword: 'of the proxy',
});

export function ldapSettings(changes: Partial<LdapSettings>): LdapSettings {
  return {
    servers: [],
    base: 'o=internet',
    userGroupBase: null,
    adminGroup: null,
    bindDn: null,
    bindPassword: null,
    startTls: false,
    verifyCertificate: true,
    ca: null,
    tlsName: null,
    allowClear: false,
    hostedDomains: true,
    schema: 1,
    searchFormat: '(uid=%s)',
    domainSearchFormat: '(uid=%U)',
    replayFormat: '%U',
    mailHostAttrs: ['mailHost'],
    accessAttr: 'mailAllowedServiceAccess',
    passwords: 'bind',
    connections: 4,
    timeoutMs: 5000,
    retryMs: 30_000,
    refreshMs: 2_100_000,
    ...changes,
  };
}

export function server(port: number, implicitTls?: 'ldaps'): LdapSettings['servers'][number] {
  return { host: '127.0.0.1', port, implicitTls: implicitTls !== undefined };
}

export function loginOf(id: string, changes: Partial<Login> = {}): Login {
  return {
    id,
    service: 'imap',
    protocol: 'imap',
    tls: true,
    client: { address: '203.0.113.9', port: 40_000 },
    server: { address: '192.0.2.10', port: 143 },
    certificateSubject: null,
    ...changes,
  };
}

export interface LdapRig {
  readonly directory: LdapDirectory;
  /** Events of the log, with what they hold. */
  readonly events: string[];
}

export interface RigOptions {
  readonly settings: Partial<LdapSettings>;
  readonly source?: Partial<LdapSource>;
  readonly defaultDomain?: string;
  readonly delimiters?: string;
  readonly canonicalDelimiter?: string;
}

export function openDirectory(options: RigOptions): LdapRig {
  const { settings, source, defaultDomain = null, delimiters = '@', canonicalDelimiter = '@' } = options;
  const events: string[] = [];
  const log: Log = createLog({ level: 'debug', format: 'text', write: (line) => void events.push(line) });
  const directory = new LdapDirectory({
    source: { settings: ldapSettings(settings), bindPassword: null, ca: null, ...source },
    split: ({ id }) => {
      const { user: name, domain } = splitLoginId(id, { defaultDomain, delimiters, canonicalDelimiter });
      return { user: name, domain, delimiter: canonicalDelimiter };
    },
    domainCache: { ttlMs: 900_000, missTtlMs: 60_000, max: 1000 },
    world: realWorld,
    log,
  });
  return { directory, events };
}
