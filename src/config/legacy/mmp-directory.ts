// The options of the MMP about users and domains in LDAP, as settings of the directory or of one address (vdmap). Pure.

import { isLoopback, parseEndpoint } from '../../wire/address.ts';
import { isAttributeName } from '../../wire/ldap-filter.ts';
import { isHostName } from '../items.ts';
import { nameProblem, replayProblem, searchProblem } from '../ldap-texts.ts';
import { type Migration, sourced, sourceOf } from './mmp-files.ts';
import { Everywhere, type Scope, within } from './mmp-scope.ts';
import type { Line } from './option-table.ts';
import { Commented, type SettingsMap, Sourced } from './yaml-text.ts';

const DAY_SECONDS = 86_400;
const USUAL_BASE = 'o=internet';
const USUAL_SEARCH = /^\(?uid=%[sU]\)?$/i;

/** `directory` as a whole. */
export function directoryOf(
  everywhere: Everywhere,
  migration: Migration,
  { compare, isClear }: { readonly compare: Line | null; readonly isClear: boolean },
): SettingsMap {
  const canonical = everywhere.take('CanonicalVirtualDomainDelim');
  return {
    type: 'ldap',
    ...namesOf(everywhere),
    ...(canonical === null ? {} : oneCharacter(everywhere, canonical)),
    ldap: {
      ...ldapOf(everywhere, migration, 'ldap'),
      // Of all servers; an address has no such setting of its own.
      ...(isClear || goesInClear(everywhere.take('LdapUrl')) ? { allowClear: true } : {}),
      ...(compare === null ? {} : { passwords: sourced(compare, 'compare') }),
      ...userGroupOf(everywhere),
      ...refreshOf(everywhere),
    },
    ...cacheOf(everywhere),
  };
}

function oneCharacter({ table }: Scope, line: Line): SettingsMap {
  if (line.value.length === 1) return { canonicalDelimiter: sourced(line, line.value) };
  table.note(line, 'expected one character; @ is taken');
  return {};
}

/** How ids are read; of the directory, and of one address. */
export function namesOf(scope: Scope): SettingsMap {
  const settings: SettingsMap = {};
  const domain = scope.take('DefaultDomain');
  if (domain !== null && domain.value !== '') {
    if (isHostName(domain.value)) settings['defaultDomain'] = sourced(domain, domain.value);
    else scope.table.note(domain, 'expected the name of a domain; logins without one have none');
  }
  const delimiters = scope.take('VirtualDomainDelim');
  if (delimiters !== null) {
    const { value } = delimiters;
    if (value.length > 0 && value.length <= 16) settings['domainDelimiters'] = sourced(delimiters, value);
    else scope.table.note(delimiters, 'expected 1 to 16 characters; @ is taken');
  }
  return settings;
}

/** The settings of LDAP that an address may have of its own. `secret` is the name of the file of its password. */
export function ldapOf(scope: Scope, migration: Migration, secret: string): SettingsMap {
  const url = scope.take('LdapUrl');
  const isDirectory = secret === 'ldap';
  const hosted = scope.take('HostedDomains');
  const isHosted = hosted === null ? null : scope.table.flagOf(hosted);
  return {
    ...(url === null
      ? isDirectory
        ? { urls: ['ldap://localhost'], base: USUAL_BASE }
        : {}
      : urlOf(scope, url)),
    ...bindOf(scope instanceof Everywhere ? scope.like('LdapUrl') : scope, migration, secret),
    ...(hosted === null || isHosted === null ? {} : { hostedDomains: sourced(hosted, isHosted) }),
    ...checked(scope, 'SearchFormat', { key: 'searchFormat', problemOf: searchProblem }),
    ...domainSearchOf(scope, isDirectory ? 'directory' : 'address'),
    ...attributesOf(scope),
    ...checked(scope, 'ReplayFormat', { key: 'replayFormat', problemOf: replayProblem }),
    ...accessAttrOf(scope),
  };
}

const URL_FORM = /^(ldaps?):\/\/([^/]*)(?:\/([^?]*))?/i;

interface LdapPlace {
  readonly urls: readonly string[];
  readonly base: string;
}

/** Several servers stand in the place of the host, with blanks between. null: it is no such URL. */
function placeOf(text: string): LdapPlace | null {
  const [, scheme = '', hosts = '', path] = URL_FORM.exec(text) ?? [];
  const words = hosts.split(/\s+/).filter((word) => word !== '');
  const port = scheme.toLowerCase() === 'ldaps' ? 636 : 389;
  const servers = (words.length === 0 ? ['localhost'] : words).map((word) =>
    parseEndpoint(/:\d+$/.test(word) ? word : `${word}:${port}`) === null ? null : word,
  );
  const base = decoded(path ?? '');
  if (scheme === '' || base === null || nameProblem(base) !== null || servers.includes(null)) return null;
  const urls = servers.flatMap((server) => (server === null ? [] : [`${scheme.toLowerCase()}://${server}`]));
  return { urls, base };
}

/** Whether passwords go there without TLS, by a network. */
export function goesInClear(line: Line | null): boolean {
  return (line === null ? null : placeOf(line.value))?.urls.some((url) => !isNear(url)) === true;
}

function urlOf({ table }: Scope, line: Line): SettingsMap {
  const place = placeOf(line.value);
  if (place === null) {
    table.note(line, 'expected ldap://HOST[:PORT] …/BASE; the directory is taken to be at localhost');
    return { urls: ['ldap://localhost'], base: USUAL_BASE };
  }
  const { urls, base } = place;
  if (goesInClear(line))
    table.note(
      line,
      'carried with allowClear: true, since passwords go to it without TLS as before; use ldaps:// or startTls where it has them',
    );
  if (base === '') table.note(line, 'names no base: the whole directory is searched');
  return {
    urls: sourced(line, urls),
    base: sourced(line, base),
  };
}

/** Where no network in between sees what goes there. */
function isNear(url: string): boolean {
  if (url.startsWith('ldaps:')) return true;
  const host = url.replace(/^ldaps?:\/\//, '').replace(/:\d+$/, '');
  return host === 'localhost' || isLoopback(host.replace(/^\[(.*)\]$/, '$1'));
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

function bindOf(scope: Scope, migration: Migration, secret: string): SettingsMap {
  const name = scope.take('BindDN');
  const password = scope.take('BindPass');
  if (name === null || name.value === '') {
    if (password !== null && password.value !== '')
      scope.table.note(password, 'there is no BindDN that it could be of');
    return {};
  }
  const problem = nameProblem(name.value);
  if (problem !== null) {
    scope.table.note(name, `${problem}; left out, so searches are anonymous`);
    return {};
  }
  if (password === null || password.value === '') {
    scope.table.note(name, 'without BindPass a bind is anonymous; left out');
    return {};
  }
  return {
    bindDn: sourced(name, name.value),
    bindPassword: { file: sourced(password, migration.secret(password, secret)) },
  };
}

function checked(
  scope: Scope,
  name: string,
  { key, problemOf }: { readonly key: string; readonly problemOf: (text: string) => string | null },
): SettingsMap {
  const line = scope.take(name);
  if (line === null || line.value === '') {
    if (line !== null) scope.table.note(line, 'it is empty; the default is taken');
    return {};
  }
  const problem = problemOf(line.value);
  if (problem === null) return { [key]: sourced(line, line.value) };
  scope.table.note(line, `${problem}; the default is taken`);
  return {};
}

/** Empty, it is SearchFormat that counts; which of them does where it is not there depends on the release. */
function domainSearchOf(scope: Scope, of: 'directory' | 'address'): SettingsMap {
  const line = scope.take('domainsearchformat');
  const search = scope.take('SearchFormat');
  if (line?.value === '' && of === 'directory') return { domainSearchFormat: sourced(line, null) };
  if (line === null && search !== null && !USUAL_SEARCH.test(search.value))
    scope.table.note(
      search,
      'carried; with HostedDomains it is (uid=%U) that counts here, or what inetDomainSearchFilter says: where users were found by SearchFormat then too, set domainSearchFormat to null',
    );
  return checked(scope, 'domainsearchformat', { key: 'domainSearchFormat', problemOf: searchProblem });
}

function attributesOf(scope: Scope): SettingsMap {
  const line = scope.take('MailHostAttrs');
  if (line === null) return {};
  const names = line.value.split(/[\s,]+/).filter((name) => name !== '');
  if (names.length > 0 && names.length <= 16 && names.every(isAttributeName))
    return { mailHostAttrs: sourced(line, names) };
  scope.table.note(line, 'expected names of attributes; mailHost is taken');
  return {};
}

function accessAttrOf(scope: Scope): SettingsMap {
  const line = scope.take('TCPAccessAttr');
  if (line === null) return {};
  if (isAttributeName(line.value)) return { accessAttr: sourced(line, line.value) };
  scope.table.note(line, 'expected a name of an attribute; mailAllowedServiceAccess is taken');
  return {};
}

/** UserGroupDN took the place of CertmapDN. */
function userGroupOf(scope: Scope): SettingsMap {
  const group = scope.take('UserGroupDN');
  const certmap = scope.take('CertmapDN');
  const line = group ?? certmap;
  if (line === null || line.value === '') return {};
  if (group !== null && certmap !== null && certmap.value !== group.value)
    scope.table.note(certmap, `it is the same setting as UserGroupDN, and carried as in ${sourceOf(group)}`);
  const problem = nameProblem(line.value);
  if (problem !== null) {
    scope.table.note(line, problem);
    return {};
  }
  scope.table.note(
    line,
    'carried; where the directory keeps its domains by Schema 2 (local.imta.schematag) set directory.ldap.schema: 2, which no file of the MMP tells',
  );
  return { userGroupBase: sourced(line, line.value) };
}

function refreshOf(scope: Scope): SettingsMap {
  const line = scope.take('LdapRefreshInterval');
  const seconds = line === null ? null : within(scope, line, { min: 0, max: DAY_SECONDS });
  return line === null || seconds === null ? {} : { refresh: sourced(line, seconds) };
}

/** Of the directory, and of one address. */
export function cacheOf(scope: Scope): SettingsMap {
  const cache: Record<string, Sourced> = {};
  for (const [name, key, max] of [
    ['LdapCacheSize', 'size', 1_000_000],
    ['LdapCacheTTL', 'ttl', DAY_SECONDS],
    ['AuthCacheTTL', 'passwordTtl', DAY_SECONDS],
  ] as const) {
    const line = scope.take(name);
    const value = line === null ? null : within(scope, line, { min: 0, max });
    if (line !== null && value !== null) cache[key] = sourced(line, value);
  }
  return Object.keys(cache).length === 0 ? {} : { cache };
}

/** Words that stand before the directory. */
export function withDirectoryWords(directory: SettingsMap): Commented {
  return new Commented(
    ['Who says where mail is; `sallyport check --probe` asks whether it answers.'],
    directory,
  );
}
