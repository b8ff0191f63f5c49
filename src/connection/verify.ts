// Part of step 7: where a service checks passwords itself (`verify: { store: … }`), that, and what a server is logged in
// with afterwards. Promises: nobody is logged in by proxy whose password was not found right here; the administrator's
// password goes into the login at the server and nowhere else; a failure to ask is never a wrong password.

import type { PasswordLogin } from '../identity/store-passwords.ts';
import type { Replayable, Verdict } from '../protocol/dialect.ts';
import { formatReply } from '../wire/smtp.ts';
import type { Backend } from './backend-leg.ts';
import type { Client } from './client.ts';

/** Asks somebody whether a password is right. Rejects with GateError where that cannot be told. */
export interface PasswordCheck {
  check(login: PasswordLogin): Promise<'right' | 'wrong'>;
}

/** What was found out about a login already: it is asked once, whatever the number of backends. */
export interface Passport {
  proof: 'right' | 'wrong' | null;
}

/** Why a login goes no further, for the log. */
type Refusal = keyof typeof WORDS;

/** What a server is to be logged in with, or why not. */
export async function proveLogin(
  client: Client,
  backend: Backend,
  { credentials, passport }: { readonly credentials: Replayable; readonly passport: Passport },
): Promise<Replayable | Refusal> {
  const { passwordCheck } = client.gate;
  const { settings, admin } = backend;
  const byProxy = settings.login === 'proxy';
  if (credentials.kind !== 'password') {
    // A token means something to its issuer only; the backend, if it is given it, asks there.
    return byProxy ? 'cannot be checked here' : credentials;
  }
  const { user, password, authzid } = credentials;
  // Whom else to act as is for administrators to say, and nobody is known here as one.
  if (byProxy && authzid !== '' && authzid !== user) return 'for somebody else';
  if (passwordCheck === null) return byProxy ? 'cannot be checked here' : credentials;
  passport.proof ??= await passwordCheck.check({ user, password, address: client.remote.address });
  if (passport.proof !== 'right') return 'wrong password';
  if (!byProxy) return credentials;
  if (admin === null) return 'cannot be checked here';
  // RFC 4616 2: the user is the identity to act as, the administrator the one that is proven.
  return { kind: 'password', mechanism: 'PLAIN', authzid: user, user: admin.user, password: admin.password };
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
  'for somebody else': { code: 'AUTHORIZATIONFAILED', text: 'Nobody may log in for somebody else here' },
} as const;
