// The interface of directories: who is this, where is their mail, may they in. Promises of every directory: it answers
// within its own time limit; it never says 'nobody' when it could not look; secrets go nowhere but into an Account.
// On failure: find() rejects with GateError DIRECTORY_DOWN (nobody could be asked) or DIRECTORY_AMBIGUOUS (two entries
// for one user), both temporary for the client, so that no client forgets a good password.

import type { CertMapping } from '../config/legacy/certmap.ts';
import type { CertificateNames } from '../tls/certificate-names.ts';

/** Somebody who wants to log in. */
export interface Login {
  /** As the client sent it. */
  readonly id: string;
  readonly service: string;
  readonly protocol: 'imap' | 'pop3' | 'smtp';
  readonly tls: boolean;
  /** The real client, also behind a balancer or a front tier; address '' on Unix sockets. */
  readonly client: { readonly address: string; readonly port: number };
  /** Where it connected to. */
  readonly server: { readonly address: string; readonly port: number };
  /** RFC 4514 text; null: it showed no certificate, or none that is believed and its own. */
  readonly certificateSubject: string | null;
  /** The certificate is the proof of who it is, and there is no password. */
  readonly byCertificate?: true;
  /** More of the same certificate. */
  readonly certificate?: ShownCertificate;
  /** What came of asking for one on the client's own TLS; not there: it was not asked for, or somebody in front was. */
  readonly certificateWord?: 'none' | 'good' | { readonly fault: string };
  /** A token is the proof, and find() is not given it. */
  readonly byToken?: 'XOAUTH2' | 'OAUTHBEARER';
  /** What is known of the client's TLS. */
  readonly tlsFacts?: { readonly version: string | null; readonly cipher: string | null };
  /** As a balancer's PROXY header has it. */
  readonly proxied?: { readonly source: Place; readonly destination: Place };
  /** SMTP: its forward-confirmed name. */
  readonly clientName?: string | null;
  /** Which attempt of this connection it is; 1 where it is not said. */
  readonly attempt?: number;
}

interface Place {
  readonly address: string;
  readonly port: number;
}

/** What a client has shown in place of a password. */
export type Shown =
  | {
      readonly kind: 'digest';
      readonly mechanism: 'APOP' | 'CRAM-MD5';
      readonly challenge: string;
      readonly digest: string;
    }
  | { readonly kind: 'token'; readonly mechanism: 'XOAUTH2' | 'OAUTHBEARER'; readonly token: string };

export interface ShownCertificate {
  readonly issuer: string;
  /** Hexadecimal. */
  readonly serial: string;
  readonly der: Buffer;
}

export interface Account {
  /** Canonical: `userid@domain` with the canonical delimiter, or the bare id. Limits, logs and sessions go by it. */
  readonly user: string;
  /** What the store is logged in with. */
  readonly replay: string;
  /** Name in `backends`; null: the service's own. */
  readonly backend: string | null;
  /** Mail hosts in order, `host` or `host:port`; empty: the backend's own servers. */
  readonly hosts: readonly string[];
  /** The domain's override of whether passwords are checked here; null: as the service says. */
  readonly preAuth: boolean | null;
  /** Rules in Sun's TCPAccess form, each of which this client must pass. */
  readonly access: readonly string[];
  /** hold: a temporary refusal. */
  readonly status: 'active' | 'hold' | 'inactive';
  /** Addresses, for certificates. */
  readonly mail: readonly string[];
  readonly attributes: Readonly<Record<string, readonly string[]>>;
  /** Stored passwords, `{SSHA}…` or plain. Never logged, never cached for longer than the account. */
  readonly secrets: readonly string[];
  /** What the store is given in place of what the client has (http's Auth-Pass). Never logged. */
  readonly replayPassword?: string;
  /** smtp: the channel that a login leads to, in place of saslswitchchannel (Sun's mailSMTPSubmitChannel). */
  readonly channel?: string;
}

/** What a directory says in its own words. */
export interface Refusal {
  readonly kind: 'refused';
  /** Another time it may be let in. */
  readonly temporary: boolean;
  /** For the client. */
  readonly text: string;
  /** SMTP: reply code, and enhanced code, as in `535 5.7.0`. */
  readonly smtpCode?: string;
  /** What the next attempt has to wait; null: there is none on this connection. */
  readonly waitMs?: number | null;
  /** For a token: what is wrong with it, in base64, to be told before the refusal (RFC 7628 3.2.2). */
  readonly saslError?: string;
}

export type Answer =
  /** proof: whether the directory itself found the password right; null: it does not say, `secrets` may. */
  | { readonly kind: 'account'; readonly account: Account; readonly proof: 'right' | 'wrong' | null }
  | { readonly kind: 'nobody' }
  | Refusal;

/** Whom a certificate stands for, and how that was found. */
export type CertificateAnswer = (
  | {
      readonly kind: 'account';
      readonly account: Account;
      /** Whom the login asks to be was judged with it. */
      readonly isAsked?: true;
    }
  | { readonly kind: 'nobody'; readonly reason: string }
  | Refusal
) & {
  /** For whoever wants to know why. */
  readonly steps: readonly string[];
};

/** Of accounts that find() gave. */
export interface ActingQuestion {
  readonly login: Login;
  readonly account: Account;
  readonly target: Account | null;
}

export interface Directory {
  /** What is stored for each user, where that is known without asking. */
  readonly secrets?: readonly (readonly string[])[];
  /** find() has to be given the password whoever checks it. */
  readonly needsPassword?: true;
  /** With a password: also whether it is right, as far as this directory can tell. */
  find(login: Login, password: string | null): Promise<Answer>;
  /**
   * One text for all spellings of a name that find() takes for one and the same, whether somebody has it or not; not
   * there: there is one spelling.
   */
  spelling?(login: Login): string;
  /** What find() depends on but for the password; what is not there: what commonKey() says. */
  keyOf?(login: Login): string;
  /**
   * Whether a password is right for an account that find(login, null) gave, so that one search is enough for many logins
   * of one user.
   */
  prove?(login: Login, account: Account, password: string): Promise<'right' | 'wrong'>;
  /** What judge() is for: nothing here could judge it. */
  readonly judges?: ReadonlySet<Shown['kind']>;
  /** Whether what was shown is right; an account is, if its proof is. Nothing of it may be remembered. */
  judge?(login: Login, shown: Shown): Promise<Answer>;
  /**
   * Whether the certificate is that of whom the login asks to be ('': of anybody). Nobody: it does not say, and the rest
   * is asked.
   */
  judgeCertificate?(login: Login): Promise<CertificateAnswer>;
  /**
   * Whose mail addresses these are: the one account that has one of them, or several of them. Of two accounts neither is
   * taken. Not there: nobody here knows which addresses there are.
   */
  byMail?(login: Login, addresses: readonly string[]): Promise<CertificateAnswer>;
  /** By certmap.conf. Not there: that is about entries, of which there are none. */
  byCertmap?(
    login: Login,
    certificate: CertificateNames,
    mappings: readonly CertMapping[],
  ): Promise<CertificateAnswer>;
  /** Whether somebody may log in for somebody else; `target` null: for anybody. Not there: nobody may. */
  isAdministrator?(question: ActingQuestion): Promise<boolean>;
  /** Nobody new will ask. Whoever still does is answered, by connections that are not kept. */
  close(): void;
}

export function commonKey({ id, service, protocol, tls, server }: Login): string {
  return JSON.stringify([id, service, protocol, tls, server.address]);
}
