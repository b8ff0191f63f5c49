// Which entry of the directory a certificate stands for, by the mappings of certmap.conf, as Netscape's and Sun's servers
// find it. The decision is pure, the searches are the caller's function. Promises: one entry or nobody, of several that
// fit nobody is chosen but the one that holds the certificate itself; what a certificate says gets into filters and names
// as values only; each step is told, for whoever wants to know why.
// On failure: nobody, with the reason. What the search rejects with goes through, but a question that the directory
// cannot make sense of (odd names in a certificate) is nobody.

import type { CertMapping, Component } from '../config/legacy/certmap.ts';
import { type DistinguishedName, dnText, type NamePart, sameName } from '../wire/ldap-dn.ts';
import { type Filter, filterText } from '../wire/ldap-filter.ts';
import { type LdapEntry, LdapFailure, type LdapSearch } from './ldap/connection.ts';

export interface CertificateNames {
  /** In the order of RFC 4514, the most specific part first. */
  readonly subject: DistinguishedName;
  readonly issuer: DistinguishedName;
  /** The certificate itself. */
  readonly der: Buffer;
}

export interface CertmapDirectory {
  readonly search: (search: LdapSearch) => Promise<readonly LdapEntry[]>;
  /** Users and groups: where to search for whom no place follows from the certificate. */
  readonly base: string;
}

export type Mapped =
  | {
      readonly kind: 'user';
      readonly uid: string;
      readonly entry: LdapEntry;
      readonly steps: readonly string[];
    }
  | { readonly kind: 'nobody'; readonly reason: string; readonly steps: readonly string[] };

const PARTS_MAX = 64;
const VALUE_MAX = 1024;
const ATTRIBUTES = ['uid', 'userCertificate;binary', 'userCertificate'];
/** Of several entries that fit one may hold the certificate; among more than these nobody looks for it. */
const CANDIDATES_MAX = 50;
const EVERYTHING: Filter<string> = { kind: 'present', attribute: 'objectClass' };

export function mappingFor(mappings: readonly CertMapping[], issuer: DistinguishedName): CertMapping | null {
  const own = mappings.find((mapping) => mapping.issuer !== null && sameName(mapping.issuer, issuer));
  return own ?? mappings.find((mapping) => mapping.issuer === null) ?? null;
}

export interface Plan {
  /** By CmapLdapAttr, in the whole tree; null: there is none. */
  readonly first: Filter<string> | null;
  /** null: only that. */
  readonly next: { readonly base: string; readonly filter: Filter<string> } | null;
}

/** What to search for; or why there is nothing to. */
export function planOf(
  mapping: CertMapping,
  subject: DistinguishedName,
  base: string,
): Plan | { readonly reason: string } {
  const wrong = wrongSubject(subject);
  if (wrong !== null) return { reason: wrong };
  const { dnComps, filterComps, attribute } = mapping;
  const parts = subject.flat();
  const filters = pick(parts, filterComps).map(({ attribute: name, value }): Filter<string> => ({
    kind: 'equal',
    attribute: name,
    value,
  }));
  if (filterComps.length > 0 && filters.length === 0)
    return { reason: 'the certificate has none of the components of FilterComps' };
  const place =
    dnComps === null ? subject.map((part) => part.map(asLdap)) : pick(parts, dnComps).map((part) => [part]);
  if (dnComps !== null && dnComps.length > 0 && place.length === 0)
    return { reason: 'the certificate has none of the components of DNComps' };
  const filter = filters.length > 1 ? ({ kind: 'and', filters } as const) : (filters[0] ?? null);
  const first = attribute === null ? null : bySubject(attribute, subject);
  // Everybody in the tree would fit.
  if (place.length === 0 && filter === null && attribute !== null) return { first, next: null };
  return { first, next: { base: place.length === 0 ? base : dnText(place), filter: filter ?? EVERYTHING } };
}

export async function mapCertificate(
  mappings: readonly CertMapping[],
  certificate: CertificateNames,
  directory: CertmapDirectory,
): Promise<Mapped> {
  const steps: string[] = [];
  const nobody = (reason: string): Mapped => ({
    kind: 'nobody',
    reason,
    steps: [...steps, `nobody: ${reason}`],
  });
  const mapping = mappingFor(mappings, certificate.issuer);
  if (mapping === null) return nobody('no mapping is for this issuer');
  steps.push(`the issuer ${dnText(certificate.issuer)} has the mapping ${mapping.name}`);
  const plan = planOf(mapping, certificate.subject, directory.base);
  if ('reason' in plan) return nobody(plan.reason);
  try {
    const hits = await search(plan, { directory, verify: mapping.verify, steps });
    const chosen = choose(hits, mapping, certificate.der);
    if (typeof chosen === 'string') return nobody(chosen);
    if (mapping.verify) steps.push(`${chosen.dn} holds the certificate`);
    const [uid] = chosen.attributes.get('uid') ?? [];
    if (uid === undefined || uid === '') return nobody(`${chosen.dn} has no uid`);
    steps.push(`${chosen.dn} is the user ${uid}`);
    return { kind: 'user', uid, entry: chosen, steps };
  } catch (error) {
    if (error instanceof LdapFailure && error.blame === 'question')
      return nobody(`the directory says ${error.message}`);
    throw error;
  }
}

interface Walk {
  readonly directory: CertmapDirectory;
  readonly verify: boolean;
  readonly steps: string[];
}

async function search(
  { first, next }: Plan,
  { directory, verify, steps }: Walk,
): Promise<readonly LdapEntry[]> {
  const sizeLimit = verify ? CANDIDATES_MAX + 1 : 2;
  const look = async (base: string, filter: Filter<string>): Promise<readonly LdapEntry[]> => {
    const hits = await directory
      .search({ base, scope: 'sub', filter, attributes: ATTRIBUTES, sizeLimit })
      .catch((error: unknown): readonly LdapEntry[] => {
        if (error instanceof LdapFailure && error.blame === 'missing') return [];
        throw error;
      });
    const names = hits.slice(0, 3).map(({ dn }) => ` ${dn}`);
    steps.push(
      `${filterText(filter)} under "${base}": ${hits.length}${hits.length > 0 ? ` entries:${names.join(' |')}` : ''}`,
    );
    return hits;
  };
  const byAttribute = first === null ? [] : await look(directory.base, first);
  if (byAttribute.length > 0 || next === null) return byAttribute;
  return look(next.base, next.filter);
}

function choose(hits: readonly LdapEntry[], { verify }: CertMapping, der: Buffer): LdapEntry | string {
  const [only, another] = hits;
  if (only === undefined) return 'no entry fits';
  if (hits.length > CANDIDATES_MAX) return 'too many entries fit';
  if (!verify) return another === undefined ? only : 'more than one entry fits';
  const holders = hits.filter(({ binary }) =>
    binary.get('usercertificate')?.some((held) => held.equals(der)),
  );
  const [holder, second] = holders;
  if (holder !== undefined)
    return second === undefined ? holder : 'more than one entry holds the certificate';
  return another === undefined
    ? 'the entry does not hold the certificate'
    : 'more than one entry fits, none holds the certificate';
}

/** What names of certificates are made of to be other than they look. */
function wrongSubject(subject: DistinguishedName): string | null {
  if (subject.length === 0) return 'the certificate has an empty subject';
  if (subject.length > PARTS_MAX) return `the subject has more than ${PARTS_MAX} parts`;
  for (const { attribute, value } of subject.flat()) {
    // oxlint-disable-next-line no-control-regex
    if (/[\u0000-\u001f\u007f]/.test(value))
      return `the ${attribute} of the subject has a control character in it`;
    if (value === '') return `the ${attribute} of the subject is empty`;
    if (value.length > VALUE_MAX) return `the ${attribute} of the subject is too long`;
  }
  return null;
}

/** Those of the parts that are asked for, in their own order, under the names they have in the directory. */
function pick(parts: readonly NamePart[], components: readonly Component[]): NamePart[] {
  return parts.flatMap(({ attribute, value }) =>
    components.filter(({ from }) => from === keyword(attribute)).map(({ to }) => ({ attribute: to, value })),
  );
}

function asLdap({ attribute, value }: NamePart): NamePart {
  return { attribute: keyword(attribute) === 'e' ? 'mail' : attribute, value };
}

const MAIL = new Set(['e', 'mail', 'email', 'emailaddress', '1.2.840.113549.1.9.1']);

function keyword(attribute: string): string {
  return MAIL.has(attribute) ? 'e' : attribute;
}

/** The whole name; attributes of texts, not of names, may hold it with blanks. */
function bySubject(attribute: string, subject: DistinguishedName): Filter<string> {
  const text = dnText(subject);
  const spaced = subject.map((part) => dnText([part])).join(', ');
  const equal = (value: string): Filter<string> => ({ kind: 'equal', attribute, value });
  return text === spaced ? equal(text) : { kind: 'or', filters: [equal(text), equal(spaced)] };
}
