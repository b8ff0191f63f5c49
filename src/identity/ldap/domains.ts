// Hosted domains: the entry of a domain, in both of Sun's schemas. Schema 1: a tree of dc entries whose inetDomainBaseDN
// says where the users are, aliases by aliasedObjectName followed once. Schema 2: organisations found by
// sunPreferredDomain or associatedDomain, with the users below. Promises: one search for many who ask for a domain at
// once; what was found, and that nothing was, is kept for `ttlMs` and for `max` domains. On failure: as the search.

import { GateError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import { dnOfDomain, parseDn } from '../../wire/ldap-dn.ts';
import type { Filter } from '../../wire/ldap-filter.ts';
import { parseReplayTemplate, parseSearchTemplate, type Pieces } from '../../wire/login-template.ts';
import type { World } from '../../world.ts';
import { type LdapEntry, LdapFailure, type LdapSearch } from './connection.ts';

export interface Domain {
  /** The one of several names that stands for it. */
  readonly name: string;
  readonly usersBase: string;
  /** inetDomainSearchFilter; null: as the settings say. */
  readonly filter: Filter<Pieces> | null;
  /** mailAccessProxyReplay. */
  readonly replay: Pieces | null;
  /** mailAccessProxyPreAuth. */
  readonly preAuth: boolean | null;
  /** preferredMailHost. */
  readonly mailHosts: readonly string[];
  /** mailDomainAllowedServiceAccess. */
  readonly access: readonly string[];
  /** In the order in which they count. */
  readonly status: readonly (string | undefined)[];
}

interface Known {
  /** Infinity: it is being looked up. */
  untilMs: number;
  readonly domain: Promise<Domain | null>;
}

export interface LdapDomainsOptions {
  readonly search: (search: LdapSearch) => Promise<readonly LdapEntry[]>;
  readonly schema: 1 | 2;
  /** Schema 1: above the dc entries. Schema 2: above the organisations. */
  readonly base: string;
  readonly ttlMs: number;
  /** For domains that are not there. */
  readonly missTtlMs: number;
  readonly max: number;
  readonly world: World;
  readonly log: Log;
}

const ATTRIBUTES = [
  'inetDomainBaseDN',
  'inetDomainSearchFilter',
  'inetDomainStatus',
  'mailDomainStatus',
  'mailAccessProxyReplay',
  'mailAccessProxyPreAuth',
  'preferredMailHost',
  'mailDomainAllowedServiceAccess',
  'inetCanonicalDomainName',
  'aliasedObjectName',
  'sunPreferredDomain',
];

/** Longer ones are no domains (RFC 1035 2.3.4). */
const NAME_MAX = 253;

export class LdapDomains {
  readonly #options: LdapDomainsOptions;
  readonly #known = new Map<string, Known>();

  constructor(options: LdapDomainsOptions) {
    this.#options = options;
  }

  /** null: there is no such domain. */
  find(given: string): Promise<Domain | null> {
    const { world, ttlMs, missTtlMs, max } = this.#options;
    const name = given.toLowerCase();
    if (name === '' || name.length > NAME_MAX || name.split('.').includes('')) return Promise.resolve(null);
    const known = this.#known.get(name);
    if (known !== undefined && world.monotonic() < known.untilMs) return known.domain;
    const fresh: Known = { untilMs: Infinity, domain: this.#look(name) };
    this.#known.delete(name);
    this.#known.set(name, fresh);
    const [oldest] = this.#known.keys();
    if (this.#known.size > max && oldest !== undefined) this.#known.delete(oldest);
    fresh.domain.then(
      (domain) => (fresh.untilMs = world.monotonic() + (domain === null ? missTtlMs : ttlMs)),
      () => (fresh.untilMs = 0),
    );
    return fresh.domain;
  }

  async #look(name: string): Promise<Domain | null> {
    if (this.#options.schema === 2) return this.#lookForOrganisation(name);
    const found = await this.#entry(dnOfDomain(name, this.#options.base), DC_ENTRY);
    if (found === null) return null;
    const target = firstOf(found, 'aliasedObjectName');
    const isAlias = firstOf(found, 'inetDomainBaseDN') === undefined && target !== undefined;
    // Once: an alias of an alias is nobody's domain.
    const entry = isAlias ? await this.#entry(target, DC_ENTRY) : found;
    const usersBase = entry === null ? undefined : firstOf(entry, 'inetDomainBaseDN');
    if (entry === null || usersBase === undefined) {
      this.#options.log.warn('domain without users', { domain: name, entry: found.dn });
      return null;
    }
    // What the organisation itself says of its status takes precedence over the dc entry.
    const organisation = await this.#entry(usersBase, { kind: 'present', attribute: 'objectClass' });
    const status =
      (organisation && firstOf(organisation, 'inetDomainStatus')) ?? firstOf(entry, 'inetDomainStatus');
    const own = firstOf(entry, 'inetCanonicalDomainName') ?? (isAlias ? domainOfDn(entry.dn) : null) ?? name;
    return this.#domainOf(entry, { name: own.toLowerCase(), usersBase, status });
  }

  async #lookForOrganisation(name: string): Promise<Domain | null> {
    const { search, base } = this.#options;
    const entries = await search({
      base,
      scope: 'sub',
      filter: {
        kind: 'and',
        filters: [
          { kind: 'equal', attribute: 'objectClass', value: 'sunManagedOrganization' },
          {
            kind: 'or',
            filters: ['sunPreferredDomain', 'associatedDomain'].map((attribute) => ({
              kind: 'equal',
              attribute,
              value: name,
            })),
          },
        ],
      },
      attributes: ATTRIBUTES,
      sizeLimit: 2,
    });
    const [entry, another] = entries;
    if (entry === undefined) return null;
    if (another !== undefined)
      throw new GateError('DIRECTORY_AMBIGUOUS', { domain: name, entries: `${entry.dn} | ${another.dn}` });
    return this.#domainOf(entry, {
      name: (firstOf(entry, 'sunPreferredDomain') ?? name).toLowerCase(),
      usersBase: firstOf(entry, 'inetDomainBaseDN') ?? entry.dn,
      status: firstOf(entry, 'inetDomainStatus'),
    });
  }

  async #entry(base: string, filter: Filter<string>): Promise<LdapEntry | null> {
    try {
      const { search } = this.#options;
      const [entry] = await search({ base, scope: 'base', filter, attributes: ATTRIBUTES, sizeLimit: 1 });
      return entry ?? null;
    } catch (error) {
      if (error instanceof LdapFailure && error.blame === 'missing') return null;
      throw error;
    }
  }

  /** What the entry says in vain is for the administrator to mend: until then nobody of the domain is let in. */
  #domainOf(
    entry: LdapEntry,
    { name, usersBase, status }: { name: string; usersBase: string; status: string | undefined },
  ): Domain {
    const filter = firstOf(entry, 'inetDomainSearchFilter');
    const replay = firstOf(entry, 'mailAccessProxyReplay');
    const search = filter === undefined ? null : parseSearchTemplate(filter, 'inetDomainSearchFilter');
    const replayed = replay === undefined ? null : parseReplayTemplate(replay);
    for (const [attribute, read] of [
      ['inetDomainSearchFilter', search],
      ['mailAccessProxyReplay', replayed],
    ] as const) {
      if (read === null || !('problem' in read)) continue;
      throw new GateError('DIRECTORY_DOWN', {
        domain: name,
        entry: entry.dn,
        attribute,
        found: read.problem,
      });
    }
    return {
      name,
      usersBase,
      filter: search !== null && 'filter' in search ? search.filter : null,
      replay: replayed !== null && 'pieces' in replayed ? replayed.pieces : null,
      preAuth: flagOf(firstOf(entry, 'mailAccessProxyPreAuth')),
      mailHosts: entry.attributes.get('preferredmailhost') ?? [],
      access: entry.attributes.get('maildomainallowedserviceaccess') ?? [],
      status: [status, firstOf(entry, 'mailDomainStatus')],
    };
  }
}

const DC_ENTRY: Filter<string> = {
  kind: 'or',
  filters: ['inetDomain', 'inetDomainAlias'].map((value) => ({
    kind: 'equal',
    attribute: 'objectClass',
    value,
  })),
};

function firstOf({ attributes }: LdapEntry, name: string): string | undefined {
  const value = attributes.get(name.toLowerCase())?.[0]?.trim();
  return value === '' ? undefined : value;
}

/** What is no yes and no no asks for the check: an error must not open a door. */
function flagOf(word: string | undefined): boolean | null {
  if (word === undefined) return null;
  return !/^(no|false|0|off)$/i.test(word);
}

/** `dc=siroe,dc=com,o=internet` is siroe.com. */
function domainOfDn(dn: string): string | null {
  const parsed = parseDn(dn);
  if (parsed.kind === 'malformed') return null;
  const labels = parsed.parts.flatMap(([part]) => (part?.attribute === 'dc' ? [part.value] : []));
  return labels.length === 0 ? null : labels.join('.');
}
