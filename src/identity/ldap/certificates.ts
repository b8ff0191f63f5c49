// Users of certificates in a directory in LDAP: by certmap.conf, or by the mail attribute. Both find an entry by search in
// the tree of users, and the entry by its name is the account, with the domain that it is of. Promises: addresses are
// values of a filter and nothing else; of two entries neither is taken; what the server cannot make sense of is nobody.
// On failure: GateError DIRECTORY_DOWN.

import type { CertMapping } from '../../config/legacy/certmap.ts';
import type { CertificateNames } from '../../tls/certificate-names.ts';
import { type Filter, filterText } from '../../wire/ldap-filter.ts';
import { nobody } from '../certificate-answer.ts';
import { mapCertificate } from '../certmap.ts';
import type { Answer, CertificateAnswer, Login } from '../directory.ts';
import { type LdapEntry, LdapFailure, type LdapSearch } from './connection.ts';

/** What is needed of LdapDirectory. */
export interface EntryBook {
  readonly userBase: string;
  search(search: LdapSearch): Promise<readonly LdapEntry[]>;
  accountAt(login: Login, dn: string): Promise<Answer>;
}

/** One more than the one that there must be. */
const ENTRIES_MAX = 2;

export async function findByMail(
  book: EntryBook,
  login: Login,
  addresses: readonly string[],
): Promise<CertificateAnswer> {
  const filters = addresses.map((value): Filter<string> => ({ kind: 'equal', attribute: 'mail', value }));
  const [only, another] = filters;
  const filter: Filter<string> = only !== undefined && another === undefined ? only : { kind: 'or', filters };
  const base = book.userBase;
  const asked = `${filterText(filter)} under "${base}"`;
  const search = { base, scope: 'sub', filter, attributes: ['mail'], sizeLimit: ENTRIES_MAX } as const;
  const hits = await book.search(search).catch((error: unknown) => {
    if (error instanceof LdapFailure && error.blame === 'question') return error.message;
    throw error;
  });
  if (typeof hits === 'string') return nobody(`the directory says ${hits}`, [asked]);
  const steps = [`${asked}: ${hits.length === 0 ? 'no entry' : hits.map(({ dn }) => dn).join(' | ')}`];
  const [entry, second] = hits;
  if (entry === undefined) return nobody('no entry has its mail address', steps);
  if (second !== undefined) return nobody('more than one entry has its mail address', steps);
  return accountOfEntry(book, login, { dn: entry.dn, steps });
}

export async function findByCertmap(
  book: EntryBook,
  login: Login,
  {
    certificate,
    mappings,
  }: { readonly certificate: CertificateNames; readonly mappings: readonly CertMapping[] },
): Promise<CertificateAnswer> {
  const mapped = await mapCertificate(mappings, certificate, {
    search: (search) => book.search(search),
    base: book.userBase,
  });
  if (mapped.kind === 'nobody') return mapped;
  return accountOfEntry(book, login, { dn: mapped.entry.dn, steps: mapped.steps });
}

async function accountOfEntry(
  book: EntryBook,
  login: Login,
  { dn, steps }: { readonly dn: string; readonly steps: readonly string[] },
): Promise<CertificateAnswer> {
  const answer = await book.accountAt(login, dn);
  switch (answer.kind) {
    case 'account':
      return { kind: 'account', account: answer.account, steps };
    case 'nobody':
      return nobody(`${dn} has no uid, or is below no domain of its addresses`, steps);
    case 'refused':
      return { ...answer, steps };
  }
}
