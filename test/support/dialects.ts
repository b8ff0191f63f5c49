// The same errands in three protocols, as transcripts of a client, so that a path test can be written once and played
// in each. The user is anna, her password 'secret'.

import type { StoreOptions, Login } from './stores.ts';
import { imapStore, pop3Store } from './stores.ts';
import { mta, type MtaOptions } from './mta.ts';
import type { BackendScript, Proto } from './gateway.ts';

export interface Errands {
  readonly protocol: Proto;
  readonly greeting: string;
  /** Everything up to an accepted login. */
  readonly login: string;
  /** The login's own lines, without the answer. */
  readonly tries: string;
  /** How the backend's refusal of a wrong password looks. */
  readonly refused: string;
  readonly logout: string;
  /** The answer to a login where the backend is not to be had; SMTP closes. */
  readonly unavailable: string;
  readonly starttls: string;
  /** A polite backend. */
  store(options?: StoreOptions & MtaOptions): { readonly script: BackendScript; readonly logins: Login[] };
}

export function plain(user: string, password: string, authzid = ''): string {
  return Buffer.from(`${authzid}\0${user}\0${password}`).toString('base64');
}

export const IMAP: Errands = {
  protocol: 'imap',
  greeting: 'S: * OK [CAPABILITY *] mail.test *',
  tries: 'C: a1 LOGIN anna secret',
  login: `
    C: a1 LOGIN anna secret
    S: a1 OK *Welcome anna`,
  refused: 'S: a1 NO [AUTHENTICATIONFAILED] Wrong',
  logout: `
    C: z1 LOGOUT
    S: * BYE*
    S: z1 OK *
    -- eof
    -- end`,
  unavailable: 'S: a1 NO [UNAVAILABLE] The mail server behind is out of service *',
  starttls: `
    C: t1 STARTTLS
    S: t1 OK *
    -- tls`,
  store: imapStore,
};

export const POP3: Errands = {
  protocol: 'pop3',
  greeting: 'S: +OK mail.test *',
  tries: `
    C: USER anna
    S: +OK *
    C: PASS secret`,
  login: `
    C: USER anna
    S: +OK *
    C: PASS secret
    S: +OK Welcome anna`,
  refused: 'S: -ERR [AUTH] Wrong',
  logout: `
    C: QUIT
    S: +OK *
    -- eof
    -- end`,
  unavailable: 'S: -ERR [SYS/TEMP] The mail server behind is out of service *',
  starttls: `
    C: STLS
    S: +OK *
    -- tls`,
  store: pop3Store,
};

export const SMTP: Errands = {
  protocol: 'smtp',
  greeting: 'S: 220 mail.test ESMTP *',
  tries: `
    C: EHLO client.test
    S> 250 *
    C: AUTH PLAIN ${plain('anna', 'secret')}`,
  login: `
    C: EHLO client.test
    S> 250 *
    C: AUTH PLAIN ${plain('anna', 'secret')}
    S: 235 2.7.0 Welcome`,
  refused: 'S: 535 5.7.8 Wrong',
  logout: `
    C: QUIT
    S: 221 2.0.0 *
    -- eof
    -- end`,
  unavailable: `
    S: 421 4.4.1 mail.test The mail server behind is out of service *
    -- eof
    -- end`,
  starttls: `
    C: STARTTLS
    S: 220 2.0.0 *
    -- tls`,
  store: mta,
};

export const ALL = [IMAP, POP3, SMTP] as const;

/** A message in SMTP, from EHLO to the answer behind its end. */
export const SEND = `
  C: EHLO client.test
  S> 250 *
  C: MAIL FROM:<anna@example.org>
  S: 250 2.1.0 *
  C: RCPT TO:<bert@example.com>
  S: 250 2.1.5 *
  C: DATA
  S: 354 *
  C: Subject: hello
  C:
  C: ..a line that begins with a dot
  C: .
  S: 250 2.0.0 Queued as *`;

export const SENT = 'Subject: hello\r\n\r\n..a line that begins with a dot\r\n';
