// The directory in a file: who is found under a name. The file is read elsewhere (config/user-map.ts); this is the search.
// Promises: an entry for the very name wins, then of `@domain` and patterns the one that stands first; upper and lower
// case are the same; no entry, nobody. A mail address is that of the entry that lists it, of one without a list that is
// called by it, and else of whom `@domain` stands for; a pattern says where mail is, and of no address whose it is.
// It never fails.

import type { UserEntry, UserMap } from '../config/user-map.ts';
import { matchesGlob } from '../wire/glob.ts';
import { onlyOne } from './certificate-answer.ts';
import type { Account, Directory, Login } from './directory.ts';
import { plainAccount } from './everyone.ts';
import { fillReplay, type LoginId, type NameBook } from './login-id.ts';

interface Placed {
  readonly place: number;
  readonly entry: UserEntry;
}

export function fileDirectory(map: UserMap, names: NameBook): Directory {
  const exact = new Map<string, UserEntry>();
  const owners = new Map<string, UserEntry[]>();
  const domains = new Map<string, Placed>();
  const patterns: (Placed & { readonly fits: (name: string) => boolean })[] = [];
  for (const [place, entry] of map.entries()) {
    const who = entry.who.toLowerCase();
    if (/[*?]/.test(who)) patterns.push({ place, entry, fits: (name) => matchesGlob(who, name) });
    else if (who.startsWith('@')) domains.set(who.slice(1), { place, entry });
    else {
      exact.set(who, entry);
      for (const address of entry.mail) {
        const key = address.toLowerCase();
        owners.set(key, [...(owners.get(key) ?? []), entry]);
      }
    }
  }
  const lookUp = ({ canonical, domain }: LoginId): UserEntry | null => {
    const name = canonical.toLowerCase();
    const own = exact.get(name);
    if (own !== undefined) return own;
    const ofDomain = domains.get(domain);
    const pattern = patterns.find(({ fits }) => fits(name));
    if (ofDomain === undefined || pattern === undefined) return (ofDomain ?? pattern)?.entry ?? null;
    return (ofDomain.place < pattern.place ? ofDomain : pattern).entry;
  };
  const ownersOf = (address: string, login: Login): readonly Account[] => {
    const named = (entry: UserEntry): Account => accountOf(entry, names.canonical(entry.who), login);
    const listed = (owners.get(address.toLowerCase()) ?? []).map(named);
    const id = names.ofAddress(address);
    const found = lookUp(id);
    if (found === null || found.mail.length > 0 || /[*?]/.test(found.who)) return listed;
    if (!found.who.startsWith('@')) return [...listed, named(found)];
    return listed.length > 0 ? listed : [accountOf(found, id, login)];
  };
  return {
    secrets: map.map(({ passwords }) => passwords),
    byMail: async (login, addresses) => {
      const found = addresses.map((address) => ({ address, accounts: ownersOf(address, login) }));
      const steps = found.map(({ address, accounts }) => {
        const users = accounts.map(({ user }) => user).join(' and ');
        return `${address} in the file of users: ${users === '' ? 'nobody' : users}`;
      });
      return onlyOne(
        found.flatMap(({ accounts }) => accounts),
        steps,
      );
    },
    find: async (login) => {
      const id = names.split(login.id, { service: login.service, address: login.server.address });
      const entry = lookUp(id);
      if (entry === null) return { kind: 'nobody' };
      return { kind: 'account', account: accountOf(entry, id, login), proof: null };
    },
    spelling: ({ id, service, server }) => names.split(id, { service, address: server.address }).canonical,
    // What the file says is at hand; only the comparison of passwords is worth remembering.
    keyOf: ({ id, service, protocol, server }) => JSON.stringify([id, service, protocol, server.address]),
    close: () => undefined,
  };
}

function accountOf(entry: UserEntry, id: LoginId, { protocol }: Login): Account {
  const isOwn = entry.who.toLowerCase() === id.canonical.toLowerCase();
  const user = isOwn ? entry.who : id.canonical;
  return {
    ...plainAccount(id),
    user,
    replay: entry.login === null ? user : fillReplay(entry.login, id),
    backend: typeof entry.backend === 'string' ? entry.backend : (entry.backend?.[protocol] ?? null),
    ...(entry.channel === null ? {} : { channel: entry.channel }),
    hosts: entry.servers,
    access: entry.access === null ? [] : [entry.access],
    status: entry.status,
    mail: entry.mail.length > 0 || !isOwn || id.domain === '' ? entry.mail : [user],
    secrets: entry.passwords,
  };
}
