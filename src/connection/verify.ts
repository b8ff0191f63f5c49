// Part of step 7: where a service checks passwords itself, that (`verify: { store: … }`; the directory has done so in
// route.ts), and what a server is logged in with afterwards. Promises: nobody is logged in by proxy whose password was not found right here; the administrator's
// password goes into the login at the server and nowhere else; a failure to ask is never a wrong password.

import type { Refusal as SpokenRefusal } from '../identity/directory.ts';
import type { PasswordLogin } from '../identity/store-passwords.ts';
import type { Credentials, Replayable, Verdict } from '../protocol/dialect.ts';
import type { ClientInfo } from '../config/settings.ts';
import { formatReply } from '../wire/smtp.ts';
import type { AdminLogin, Backend } from './backend-leg.ts';
import type { Client } from './client.ts';
import type { Target } from './route.ts';

/** Asks somebody whether a password is right. Rejects with GateError where that cannot be told. */
export interface PasswordCheck {
  check(login: PasswordLogin): Promise<'right' | 'wrong'>;
}

/** What was found out about a login already: it is asked once, whatever the number of backends. */
export interface Passport {
  proof: 'right' | 'wrong' | null;
}

/** Why a login goes no further, for the log. */
export type Refusal = keyof typeof WORDS;

/** What a server is to be logged in with, or why not. */
export async function proveLogin(
  client: Client,
  backend: Backend,
  {
    credentials,
    passport,
    target,
  }: { readonly credentials: Credentials; readonly passport: Passport; readonly target: Target },
): Promise<Replayable | Told | Refusal> {
  const { passwordCheck } = client.gate;
  const { settings } = backend;
  const admin = client.gate.admin ?? backend.admin;
  if (credentials.kind === 'external' || credentials.kind === 'challenge')
    return forProven(client, backend, { target });
  const byProxy = settings.login === 'proxy';
  if (credentials.kind !== 'password') {
    // A token means something to its issuer only; the backend, if it is given it, asks there, unless the directory has.
    const proven = target.proof === 'right' ? forProven(client, backend, { target }) : null;
    if (proven !== null && proven !== 'cannot be checked here') return proven;
    return byProxy ? 'cannot be checked here' : credentials;
  }
  const { password, authzid } = credentials;
  const isOwn = authzid === '' || authzid === credentials.user;
  const mailbox = target.replay ?? (isOwn ? credentials.user : authzid);
  if (target.actor !== null) {
    // Where nobody logs in for all, whoever was proven here does so under its own name, and the store judges too.
    return admin === null && !byProxy
      ? { ...credentials, user: target.actor.replay, authzid: mailbox }
      : byAdmin(admin, mailbox);
  }
  // Whom else to act as is for administrators to say, and nobody was found to be one.
  if ((byProxy || target.checked) && !isOwn) return 'for somebody else';
  const user = isOwn ? mailbox : credentials.user;
  if (target.checked) passport.proof ??= 'wrong';
  else if (passwordCheck === null) return byProxy ? 'cannot be checked here' : renamed(credentials, target);
  else {
    const whose = isOwn ? (target.user ?? user) : user;
    const { address } = client.remote;
    passport.proof ??= await passwordCheck.check({ user, whose, password, address });
  }
  if (passport.proof !== 'right') return 'wrong password';
  if (!byProxy) return renamed(credentials, target);
  return byAdmin(admin, mailbox);
}

/** The administrator's login for somebody who was proven here. */
export function byAdmin(admin: AdminLogin | null, mailbox: string): Replayable | Refusal {
  if (admin === null) return 'cannot be checked here';
  // RFC 4616 2: the user is the identity to act as, the administrator the one that is proven.
  return {
    kind: 'password',
    mechanism: 'PLAIN',
    authzid: mailbox,
    user: admin.user,
    password: admin.password,
  };
}

/** The administrator by whom it is logged in; null: by the client's own password. */
export function adminOf({ gate }: Client, { admin }: Backend, credentials: Replayable): string | null {
  const { user, password } = gate.admin ?? admin ?? {};
  if (user === undefined || credentials.kind !== 'password' || credentials.authzid === '') return null;
  return credentials.user === user && credentials.password === password ? user : null;
}

/** The relay is not logged in to: it is told who it is, and believes us. */
export interface Told {
  readonly kind: 'told';
  readonly user: string;
}

/**
 * Proven by route.ts, or by nobody. A password that the directory has for the store is as good as an administrator; one
 * that a client has proven to know stands in where there is none.
 */
function forProven(
  client: Client,
  backend: Backend,
  { target }: { readonly target: Target },
): Replayable | Told | Refusal {
  const { settings } = backend;
  const admin = client.gate.admin ?? backend.admin;
  const mailbox = target.replay ?? target.user ?? '';
  if (!target.checked || target.proof !== 'right' || mailbox === '') return 'cannot be checked here';
  const { protocol } = client.gate.dialect;
  if (admin === null && takesProven({ admin, settings }, protocol)) return { kind: 'told', user: mailbox };
  const password = target.replayPassword ?? (admin === null ? target.provenPassword : null);
  return password === null
    ? byAdmin(admin, mailbox)
    : { kind: 'password', mechanism: 'PLAIN', authzid: '', user: mailbox, password };
}

/** Whether somebody who has shown no password can be brought there. */
export function takesProven(
  { admin, settings }: { readonly admin: AdminLogin | null; readonly settings: Backend['settings'] },
  protocol: string,
): boolean {
  return admin !== null || (protocol === 'smtp' && settings.client.some(tellsLogin));
}

/** Where it is optional it may be passed over, and the mail would come from nobody. */
export function tellsLogin({ method, required }: ClientInfo): boolean {
  return required && (method === 'xclient' || method === 'xpehlo');
}

/** As the store knows the mailbox. Another password is the directory's only for whom has shown it one. */
function renamed(credentials: PasswordLike, { replay, replayPassword }: Target): Replayable {
  if (replay === null) return credentials;
  const { user, authzid, password } = credentials;
  if (authzid !== '' && authzid !== user) return { ...credentials, authzid: replay };
  return {
    ...credentials,
    user: replay,
    authzid: authzid === '' ? '' : replay,
    password: replayPassword ?? password,
  };
}

type PasswordLike = Extract<Replayable, { kind: 'password' }>;

/** The directory's own words, in those of the client's protocol. */
export function spokenVerdict({ gate }: Client, { temporary, text, smtpCode }: SpokenRefusal): Verdict {
  const [code = '', enhanced] = (smtpCode ?? (temporary ? '454 4.7.0' : '535 5.7.0')).split(' ');
  const words = {
    imap: `[${temporary ? 'UNAVAILABLE' : 'AUTHENTICATIONFAILED'}] ${text}`,
    pop3: `[${temporary ? 'SYS/TEMP' : 'AUTH'}] ${text}`,
    smtp: formatReply(Number(code), enhanced ?? (code.startsWith('4') ? '4.7.0' : '5.7.0'), text),
  };
  return { accepted: false, temporary, words: words[gate.dialect.protocol], extra: [] };
}

/** A refusal of our own in the words of the client's protocol. */
export function refusalVerdict({ gate }: Client, refusal: Refusal): Verdict {
  const { code, text } = WORDS[refusal];
  const words = {
    // RFC 5530 3, RFC 3206 5, RFC 4954 6.
    imap: `[${code}] ${text}`,
    pop3: `[AUTH] ${text}`,
    smtp: formatReply(535, '5.7.8', text),
  };
  return { accepted: false, temporary: false, words: words[gate.dialect.protocol], extra: [] };
}

const WORDS = {
  'wrong password': { code: 'AUTHENTICATIONFAILED', text: 'Wrong user name or password' },
  'cannot be checked here': {
    code: 'AUTHORIZATIONFAILED',
    text: 'This kind of login is not possible here, log in with a password',
  },
  inactive: { code: 'AUTHORIZATIONFAILED', text: 'This account is not active' },
  'access denied': { code: 'AUTHORIZATIONFAILED', text: 'Access denied for this account from where you are' },
  'for somebody else': { code: 'AUTHORIZATIONFAILED', text: 'Nobody may log in for somebody else here' },
} as const;
