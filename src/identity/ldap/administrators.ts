// Who may log in for others, as the directory in LDAP has it: the members of one group, for everybody; and of a domain's own
// groups of administrators (Sun's inetMailAdministrator with mailAdminRole: storeAdmin, below the domain's base), for the
// users of that domain; a group of another organisation below that base is that one's. Members are named by the group (uniqueMember, member) or by a URL in it (memberURL), which is asked
// of the entry of whoever it is about, and of no other. Groups in groups do not count.
// On failure: as the search; a URL that cannot be read names nobody.

import { isBelow, parseDn, sameName } from '../../wire/ldap-dn.ts';
import { type Filter, mapValues, parseFilter, unescapeFilterValue } from '../../wire/ldap-filter.ts';
import { type LdapEntry, LdapFailure, type LdapSearch } from './connection.ts';

export interface AdminSearch {
  readonly search: (search: LdapSearch) => Promise<readonly LdapEntry[]>;
  /** null: there is no group for everybody. */
  readonly group: string | null;
  /** Of the user's domain; null: users have none. */
  readonly domainBase: string | null;
}

/** Groups of administrators in one domain that are looked at, and URLs of one group. */
const GROUPS_MAX = 20;
const URLS_MAX = 20;

/** `dn`: of whoever wants to log in for somebody else. */
export async function isAdministrator(dn: string, question: AdminSearch): Promise<boolean> {
  const { group, domainBase } = question;
  if (group !== null && (await isMember(dn, { base: group, scope: 'base', filter: EVERYTHING }, question)))
    return true;
  if (domainBase === null) return false;
  return isMember(dn, { base: domainBase, scope: 'sub', filter: DOMAIN_ADMINS }, question);
}

type Groups = Pick<LdapSearch, 'base' | 'scope' | 'filter'>;

const EVERYTHING: Filter<string> = { kind: 'present', attribute: 'objectClass' };
const DOMAIN_ADMINS: Filter<string> = {
  kind: 'and',
  filters: [
    { kind: 'equal', attribute: 'objectClass', value: 'inetMailAdministrator' },
    { kind: 'equal', attribute: 'mailAdminRole', value: 'storeAdmin' },
  ],
};

/** A large group does not send its members: the server is asked for the one. */
async function isMember(dn: string, groups: Groups, { search }: AdminSearch): Promise<boolean> {
  const named: Filter<string> = {
    kind: 'or',
    filters: ['uniqueMember', 'member'].map((attribute) => ({ kind: 'equal', attribute, value: dn })),
  };
  const narrowed = (filter: Filter<string>): Groups => ({
    ...groups,
    filter: { kind: 'and', filters: [groups.filter, filter] },
  });
  try {
    const naming = await search({ ...narrowed(named), attributes: [], sizeLimit: GROUPS_MAX });
    if (naming.some((group) => isGroupOf(group.dn, groups.base))) return true;
    const dynamic = await search({
      ...narrowed({ kind: 'present', attribute: 'memberURL' }),
      attributes: ['memberURL'],
      sizeLimit: GROUPS_MAX,
    });
    for (const { attributes } of dynamic.filter((group) => isGroupOf(group.dn, groups.base))) {
      for (const url of (attributes.get('memberurl') ?? []).slice(0, URLS_MAX)) {
        const filter = filterFor(dn, url);
        if (filter === null) continue;
        const own = { base: dn, scope: 'base', filter, attributes: [], sizeLimit: 1 } as const;
        if ((await search(own)).length > 0) return true;
      }
    }
    return false;
  } catch (error) {
    if (error instanceof LdapFailure && error.blame === 'missing') return false;
    throw error;
  }
}

const UNITS: ReadonlySet<string> = new Set(['ou', 'organizationalunitname', '2.5.4.11', 'oid.2.5.4.11']);

/** Between a domain and its groups are units at most; what is more than that may be another domain in this one. */
export function isGroupOf(group: string, base: string): boolean {
  const [own, above] = [parseDn(group), parseDn(base)];
  if (own.kind === 'malformed' || above.kind === 'malformed') return false;
  const between = own.parts.slice(1, own.parts.length - above.parts.length);
  return between.every((rdn) => rdn.every(({ attribute }) => UNITS.has(attribute)));
}

/** RFC 4516 2: what an entry must be for a URL to mean it; null: it does not, wherever the entry is. */
export function filterFor(dn: string, url: string): Filter<string> | null {
  const [, path = ''] = /^ldaps?:\/\/[^/]*\/(.*)$/is.exec(url.trim()) ?? [];
  const [base, , scope, filter] = path.split('?').map(decoded);
  if (base === undefined || base === null || base === '' || scope === null || filter === null) return null;
  if (!isInScope(dn, base, scope ?? '')) return null;
  const parsed = parseFilter(filter === undefined || filter === '' ? '(objectClass=*)' : filter);
  if (parsed.kind === 'malformed') return null;
  let isReadable = true;
  const plain = mapValues(parsed.filter, (written) => {
    const value = unescapeFilterValue(written);
    isReadable &&= value !== null;
    return value ?? '';
  });
  return isReadable ? plain : null;
}

/** null: it is no text. */
function decoded(part: string): string | null {
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}

function isInScope(dn: string, base: string, scope: string): boolean {
  if (!isBelow(dn, base)) return false;
  const [own, above] = [parseDn(dn), parseDn(base)];
  if (own.kind === 'malformed' || above.kind === 'malformed') return false;
  switch (scope.toLowerCase()) {
    case 'sub':
      return true;
    case 'one':
      return own.parts.length === above.parts.length + 1;
    case '':
    case 'base':
      return sameName(own.parts, above.parts);
    default:
      return false;
  }
}
