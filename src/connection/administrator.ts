// Logins for somebody else (RFC 4616 2: an identity to act as, another than the one that is proven), where passwords are
// checked here: who may (`adminPolicy`). Promises: the password of whoever asks is checked before anything is said of the
// user it asks for, and whether there is such a user or not, the same is asked of the directory; the comparison with the
// administrator of the store takes the same time whatever is shown; an administrator whose own account may not log in
// from here, or not now, does not either. Whose mailbox may be entered, and where it is, is not decided here.
// On failure: the GateError of the directory, or of the store that checks passwords.

import { GateError } from '../errors.ts';
import type { Account, Login } from '../identity/directory.ts';
import type { Ruling } from '../identity/reception.ts';
import { passwordCheck as digestCheck } from '../policy/front-tier.ts';
import type { Credentials } from '../protocol/dialect.ts';
import { passesRules } from './admit.ts';
import type { AdminLogin, Backend } from './backend-leg.ts';
import type { Client } from './client.ts';
import type { Refusal } from './verify.ts';

/** A login by which somebody acts for somebody else. */
export type ActingCredentials = Extract<Credentials, { kind: 'password' }>;

/** Who has proven to be allowed to act for a user. */
export interface Actor {
  /** In the one spelling that logs go by. */
  readonly user: string;
  /** The login at a store that nobody else logs in to for others. */
  readonly replay: string;
}

export type ActorRuling =
  | { readonly kind: 'actor'; readonly actor: Actor }
  /** `words`: what the client is told. */
  | { readonly kind: 'no'; readonly words: Refusal; readonly reason: string }
  /** What the directory says of whoever asks. */
  | Exclude<Ruling, { kind: 'account' }>;

export interface ActorQuestion {
  readonly acting: ActingCredentials;
  /** Of whoever asks. */
  readonly login: Login;
  /** Where the user's mail is, or anybody's, where there is no such user. */
  readonly backend: Backend;
  /** null: there is no directory, or nobody of that name in it. */
  readonly target: Account | null;
}

/** null: it is a login for oneself. */
export function actingFor(credentials: Credentials): ActingCredentials | null {
  if (credentials.kind !== 'password') return null;
  return credentials.authzid === '' || credentials.authzid === credentials.user ? null : credentials;
}

/**
 * `here`; `by nobody`, so it is refused, whoever it is for; or `by the store` of the user, which is given the password.
 * null in place of what the directory found: it was not asked.
 */
export function judgeOf(
  { gate }: Client,
  found: Ruling | null,
  { settings: { login } }: Backend,
): 'here' | 'by nobody' | 'by the store' {
  const { settings, passwordCheck, dialect } = gate;
  const isOurs = found?.kind === 'account' ? found.checked : settings.verify.kind === 'directory';
  const isChecked = isOurs || passwordCheck !== null;
  if (settings.adminPolicy !== 'none') return isChecked ? 'here' : 'by the store';
  // A relay has rules of its own for who sends as whom.
  const isJudgedHere = dialect.protocol === 'smtp' ? isOurs : isChecked;
  return isJudgedHere || login === 'proxy' ? 'by nobody' : 'by the store';
}

export async function judgeActor(client: Client, question: ActorQuestion): Promise<ActorRuling> {
  const { acting, backend } = question;
  const { gate } = client;
  const { user } = acting;
  if (isStoreAdmin(gate.admin ?? backend.admin, acting))
    return { kind: 'actor', actor: { user, replay: user } };
  if (gate.settings.adminPolicy !== 'group' || gate.reception === null)
    return wrong('it is not the administrator of the store, or not its password');
  return judgeMember(client, question);
}

function isStoreAdmin(admin: AdminLogin | null, { user, password }: ActingCredentials): boolean {
  const isUser = digestCheck(admin?.user ?? null)?.(user) === true;
  const isPassword = digestCheck(admin?.password ?? null)?.(password) === true;
  return isUser && isPassword;
}

/** Somebody of the directory, whose password is checked like anybody's. */
async function judgeMember(client: Client, { acting, login, target }: ActorQuestion): Promise<ActorRuling> {
  const { reception, passwordCheck } = client.gate;
  const { password } = acting;
  const found = await reception?.ask({
    login,
    password,
    checker: passwordCheck === null ? 'directory' : 'others',
  });
  if (found === undefined || reception === null) return wrong('there is no directory');
  if (found.kind === 'nobody') return { ...found, reason: 'the administrator is not in the directory' };
  if (found.kind !== 'account') return found;
  const { account } = found;
  const { user, replay } = account;
  const proof = found.checked ? found.proof : await askStore(client, { account, password });
  // Said in other words it would tell who is in the directory.
  if (proof === null) return wrong('nobody here checks the password of the administrator');
  if (proof === 'wrong') return wrong('wrong password of the administrator');
  if (account.status === 'inactive')
    return { kind: 'no', words: 'inactive', reason: `the account of ${user} is inactive` };
  if (account.status === 'hold') throw new GateError('USER_ON_HOLD', { user });
  for (const rules of account.access) {
    if (await passesRules(client, rules)) continue;
    return { kind: 'no', words: 'access denied', reason: `access rules of ${user}: ${rules}` };
  }
  if (await reception.mayActFor({ login, account, target }))
    return { kind: 'actor', actor: { user, replay } };
  return { kind: 'no', words: 'for somebody else', reason: `${user} is no administrator here` };
}

/** null: nobody is asked. */
async function askStore(
  { gate, remote }: Client,
  { account, password }: { readonly account: Account; readonly password: string },
): Promise<'right' | 'wrong' | null> {
  if (gate.passwordCheck === null) return null;
  if (password === '') return 'wrong';
  const { replay: user, user: whose } = account;
  return gate.passwordCheck.check({ user, whose, password, address: remote.address });
}

function wrong(reason: string): ActorRuling {
  return { kind: 'no', words: 'wrong password', reason };
}
