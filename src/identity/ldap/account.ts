// What entries of the directory mean: status, mail host, replayed name, access rules, by the attributes of Sun's schema.
// Pure. Promises: names of attributes are compared without letter case; what is refused has a reason for the log.

import { isHostName, parseHostPort } from '../../wire/address.ts';
import type { Pieces } from '../../wire/login-template.ts';
import type { Account } from '../directory.ts';
import type { LdapEntry } from './connection.ts';
import type { Domain } from './domains.ts';
import { parseScramVerifier } from '../passwords/scram.ts';
import { fillReplay, type LoginFacts } from '../substitution.ts';

export interface AccountRules {
  readonly mailHostAttrs: readonly string[];
  readonly replayFormat: Pieces;
  /** null: users have no rules of their own. */
  readonly accessAttr: string | null;
}

const USER_STATUS = ['inetuserstatus', 'mailuserstatus'] as const;
const MAIL = ['mail', 'mailalternateaddress', 'mailequivalentaddress'] as const;
const CHANNEL = 'mailsmtpsubmitchannel';
const PASSWORD = 'userpassword';
/** RFC 3112: of its schemes only that of RFC 5803 is read, any other would look like a plain password. */
const KEYS = 'authpassword';
const PASSWORDS: readonly string[] = [PASSWORD, KEYS];

/** What to ask for. */
export function wantedAttributes(
  rules: AccountRules,
  { replay, withPasswords }: { readonly replay: readonly string[]; readonly withPasswords: boolean },
): readonly string[] {
  const { mailHostAttrs, accessAttr } = rules;
  const own = [...mailHostAttrs, ...(accessAttr === null ? [] : [accessAttr]), ...replay];
  const names = ['uid', CHANNEL, ...MAIL, ...USER_STATUS, ...own, ...(withPasswords ? PASSWORDS : [])];
  return [...new Set(names.map((name) => name.toLowerCase()))];
}

/**
 * Sun's order is domain, mail domain, user, mail user: the first that is something other than active counts. A quota that
 * is used up stops mail and no login. What nobody has heard of is inactive.
 */
export function statusOf(given: readonly (string | undefined)[]): Account['status'] {
  for (const value of given) {
    const word = value?.trim().toLowerCase() ?? 'active';
    if (word === 'active' || word === 'overquota' || word === '') continue;
    return word === 'hold' || word === 'defer' ? 'hold' : 'inactive';
  }
  return 'active';
}

export interface Found {
  readonly entry: LdapEntry;
  /** null: flat. */
  readonly domain: Domain | null;
  readonly facts: LoginFacts;
}

export function accountOf(
  { entry, domain, facts }: Found,
  rules: AccountRules,
): Account | { readonly problem: string } {
  const { attributes } = entry;
  const valuesOf = (name: string): readonly string[] => attributes.get(name.toLowerCase()) ?? [];
  const replay = fillReplay(
    domain?.replay ?? rules.replayFormat,
    asWritten(facts, valuesOf('uid')),
    attributes,
  );
  if ('problem' in replay) return { problem: `the name to replay cannot be made: ${replay.problem}` };
  const hosts = mailHosts(rules.mailHostAttrs.map(valuesOf), domain);
  const wrong = hosts.find((host) => !isHost(host));
  const channel = valuesOf(CHANNEL)[0]?.trim() ?? '';
  if (wrong !== undefined)
    return { problem: `the mail host ${JSON.stringify(wrong.slice(0, 100))} is no host` };
  return {
    user: canonicalUser(valuesOf('uid'), { domain, facts, replay: replay.name }),
    replay: replay.name,
    ...(channel === '' ? {} : { channel }),
    backend: null,
    hosts,
    preAuth: domain?.preAuth ?? null,
    access: [
      ...(domain?.access ?? []),
      ...(rules.accessAttr === null ? [] : valuesOf(rules.accessAttr)),
    ].filter((rule) => rule.trim() !== ''),
    status: statusOf([...(domain?.status ?? []), ...USER_STATUS.map((name) => valuesOf(name)[0])]),
    mail: MAIL.flatMap(valuesOf),
    attributes: Object.fromEntries([...attributes].filter(([name]) => !PASSWORDS.includes(name))),
    secrets: [...valuesOf(PASSWORD), ...valuesOf(KEYS).filter((value) => parseScramVerifier(value) !== null)],
  };
}

/**
 * A server finds entries by names that are the same in its own eyes only, with wide letters, accents or more blanks (RFC 4518
 * 2): at the store that would be another mailbox, so the name is that of the entry. Letter case stays as it was typed.
 */
function asWritten(facts: LoginFacts, uids: readonly string[]): LoginFacts {
  const typed = facts.userId.toLowerCase();
  if (uids.some((uid) => uid.toLowerCase() === typed)) return facts;
  const plain = (text: string): string =>
    text.normalize('NFKD').replaceAll(/\p{M}/gu, '').toLowerCase().trim().replaceAll(/\s+/g, ' ');
  const uid = uids.find((one) => plain(one) === plain(typed));
  return uid === undefined ? facts : { ...facts, userId: uid };
}

/** The first attribute that says anything counts, with all that it says; then the domain's. */
function mailHosts(given: readonly (readonly string[])[], domain: Domain | null): readonly string[] {
  const words = (values: readonly string[]): string[] =>
    values.map((value) => value.trim()).filter((value) => value !== '');
  return given.map(words).find((values) => values.length > 0) ?? words(domain?.mailHosts ?? []);
}

function isHost(text: string): boolean {
  return parseHostPort(text) !== null || isHostName(text) || parseHostPort(`[${text}]:1`) !== null;
}

/**
 * One name for one mailbox, whatever was typed: the uid of the entry, in the domain's own name. In one flat tree the uid
 * says all, and any domain may have been typed behind it; without a uid the name at the store does.
 */
function canonicalUser(
  uids: readonly string[],
  { domain, facts, replay }: { domain: Domain | null; facts: LoginFacts; replay: string },
): string {
  const typed = facts.userId.toLowerCase();
  const uid = uids.find((one) => one.toLowerCase() === typed) ?? uids[0];
  if (domain === null) return uid ?? replay;
  return `${uid ?? facts.userId}${facts.delimiter}${domain.name}`;
}
