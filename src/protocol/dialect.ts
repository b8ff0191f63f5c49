// What the three protocols have in common: the conversation a dialect is held over, what it must be able to say on
// the client leg (FrontSession) and on the backend leg (BackSession), and what passes between the two.
// Dialects know no socket, no clock and no settings file; a Talk ends them by throwing GateError.

import type { Limits, Mechanism } from '../config/settings.ts';
import type { GateError } from '../errors.ts';

/** One leg as a dialect sees it. Every wait is limited by its owner; what fails throws GateError. */
export interface Talk {
  readonly secured: boolean;
  /** The next line without CRLF. Too long, bare CR or LF, NUL: GateError. */
  line(): Promise<Buffer>;
  /** Like line(), at a point where nothing is under way: a drain may end the talk here. */
  command(): Promise<Buffer>;
  /** Exactly `count` bytes. */
  bytes(count: number): Promise<Buffer>;
  /** What has arrived, at least one byte and at most `countMax`. */
  chunk(countMax?: number): Promise<Buffer>;
  /** Puts bytes back that belong to what comes next. */
  putBack(bytes: Buffer): void;
  /** Bytes that have arrived and were not taken yet. */
  readonly pendingBytes: number;
  /** A whole line has arrived and waits to be taken. */
  readonly lineReady: boolean;
  readonly ended: boolean;
  send(data: string | Buffer): void;
  /** What was sent does not fit the socket's buffer. */
  readonly congested: boolean;
  /** Resolves when what was sent fits the socket's buffer again. */
  flushed(): Promise<void>;
  /**
   * Sends `go`, then secures the leg. Bytes that came in clear behind the command end it: STARTTLS_INJECTION,
   * BACKEND_INJECTION (RFC 3207 6, RFC 9051 6.2.1).
   */
  startTls(go: string): Promise<void>;
}

/** Asks the client the next SASL question (base64 or empty) and returns its answer (base64). */
export type Ask = (challenge: string) => Promise<string>;

export type Credentials =
  | {
      readonly kind: 'password';
      readonly mechanism: 'PLAIN' | 'LOGIN' | 'USER';
      readonly authzid: string;
      readonly user: string;
      readonly password: string;
    }
  | {
      readonly kind: 'bearer';
      readonly mechanism: 'XOAUTH2' | 'OAUTHBEARER';
      readonly user: string;
      /** The client's message as it came, base64: passed on unread but for the user's name. */
      readonly message: string;
      readonly ask: Ask;
    }
  | { readonly kind: 'external'; readonly mechanism: 'EXTERNAL'; readonly user: string }
  | ChallengeCredentials;

/** A secret that the client has, or has not, without having sent it. */
export interface ChallengeCredentials {
  readonly kind: 'challenge';
  readonly mechanism: 'APOP' | 'CRAM-MD5' | 'SCRAM-SHA-256' | 'SCRAM-SHA-256-PLUS';
  /** As the client sent it; nobody has proven anything yet. */
  readonly user: string;
  /** '' is the same. */
  readonly authzid: string;
  readonly ask: Ask;
  /**
   * Carries the rest of the exchange, by `ask`. Once only. told: the client broke off or sent nonsense, and has its
   * answer already.
   */
  prove(judge: ChallengeJudge, ask: Ask): Promise<Proof | NoProof>;
}

/**
 * unbound: the secret is right, but not for this TLS connection. downgraded: the client thinks that nothing could be
 * bound here.
 */
export interface NoProof {
  readonly proof: 'told' | 'unbound' | 'downgraded';
  readonly password: null;
}

/** What the secrets of an account make of a client's answer. */
export interface Proof {
  readonly proof: 'right' | 'wrong';
  /** The password itself, where the directory has it; null where it is wrong, or the directory has less. */
  readonly password: string | null;
}

/** Knows the secrets of one account, or makes up what nobody's would look like. Crypto stands behind it. */
export interface ChallengeJudge {
  /** Data that bind a login to the client's TLS (RFC 5056); null: there are none of that type. */
  binding(type: string): Buffer | null;
  digest(kind: 'APOP' | 'CRAM-MD5', challenge: string, digest: string): Promise<Proof>;
  /** RFC 5802 5.1: `s` and `i` of the server's first message. */
  readonly scram: { readonly salt: Buffer; readonly iterations: number };
  /** RFC 5802 3: whether ClientProof is right, and ServerSignature if so. */
  scramProof(authMessage: string, clientProof: Buffer): Promise<Proof & { readonly signature: Buffer }>;
}

/** What can be repeated to a backend. A certificate's proof, or an answer to our own challenge, cannot. */
export type Replayable = Exclude<Credentials, { readonly kind: 'external' | 'challenge' }>;

/** What a backend's login ended with, in the words of its own protocol. */
export interface Verdict {
  readonly accepted: boolean;
  /** Refused for a reason that is not the credentials (RFC 5530 UNAVAILABLE, RFC 3206 SYS/, SMTP 4xx). */
  readonly temporary: boolean;
  /** IMAP: behind the status; POP3: behind +OK or -ERR; SMTP: the reply's lines as they came. */
  readonly words: string;
  /** IMAP: untagged lines that the client must see first. */
  readonly extra: readonly string[];
}

/** What the backends behind a service can do, without what is Sallyport's own. */
export interface Offer {
  readonly capabilities: readonly string[];
  /** Mechanisms that the client may be offered. */
  readonly mechanisms: readonly Mechanism[];
}

/** The rules of a service for its clients, made once, shared by all connections. */
export interface FrontRules {
  /** XPEHLO: whether a front tier's password is right; null: XPEHLO is not known here. */
  readonly isTierPassword: ((password: string) => boolean) | null;
  readonly hostname: string;
  readonly banner: string;
  /** imap: shown to the user when the store is away; null: nothing. */
  readonly serverDownAlert: string | null;
  /** STARTTLS in clear text: not known, offered, or needed before anything else. */
  readonly tls: 'notls' | 'maytls' | 'musttls';
  readonly sasl: 'nosasl' | 'maysasl' | 'mustsasl';
  readonly limits: Limits;
  readonly lineEndings: 'refuse' | 'normalise';
  /** Passwords and tokens are taken over TLS only. */
  readonly restricted: boolean;
  /** POP3: APOP is among the mechanisms. */
  readonly apop: boolean;
  /** What nobody can guess and nobody gets twice. */
  readonly fresh: Fresh;
  offer(): Promise<Offer>;
}

export interface Fresh {
  /** RFC 5802 5.1: printable, no comma. */
  nonce(): string;
  /** RFC 1939 7, RFC 2195 2: in the form of a message-id. */
  stamp(): string;
}

/** Who a trusted peer (a balancer, a front tier) says that the client is. What it did not say is undefined. */
export interface Introduction {
  /** '': it has none, or nobody knows it. */
  readonly address?: string | undefined;
  readonly port?: number | undefined;
  /** Where the client had connected to. */
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  /** How the client's own leg is secured; null: in clear text. */
  readonly tls?: OuterTls | null | undefined;
  /** Further proxies that the connection may pass (Dovecot's x-proxy-ttl). */
  readonly ttl?: number | undefined;
  readonly sessionId?: string | undefined;
  /** Host name; null: it has none. */
  readonly name?: string | null | undefined;
  /** SMTP: how the client greeted. */
  readonly helo?: string | null | undefined;
  readonly esmtp?: boolean | undefined;
  /** Who has logged in at the tier and is not logged in here once more; null: nobody. */
  readonly login?: string | null | undefined;
}

/** TLS that somebody in front has ended. */
export interface OuterTls {
  readonly version: string | null;
  readonly cipher: string | null;
  /** The name the client asked for. */
  readonly sni: string | null;
  /** Common name of the client's certificate, where one was shown and verified. */
  readonly clientName: string | null;
}

/** The connection as its front session sees it. */
export interface Visitor {
  /** The client's own TLS ends here, nobody in front has ended it, and it is of a version that logins can be bound to. */
  readonly bindable: boolean;
  /**
   * The peer belongs to a front tier of ours: it may say who the client is. Asked before every introduction; what
   * counts is the peer as it is when this is asked for the first time.
   */
  readonly isFrontTier: boolean;
  /**
   * Takes over what the peer says; once more: all that it has said by then. Throws GateError where the client so
   * introduced is not wanted.
   */
  introduce(introduction: Introduction): void;
  /** It has shown a certificate of its own that is believed, on this leg. */
  readonly certified: boolean;
  /** Its way through the channels; null: the service has none. */
  readonly course: Course | null;
  /** XPEHLO: changes to another channel; false: it cannot be, or there is none of that name. */
  askChannel(name: string): boolean;
  /** XQUERYAUTH: gives who has a grant for an address; null: there is no such command for this peer. */
  readonly authService: AuthService | null;
}

export type AuthService = (address: string) => Promise<string | null>;

/** An SMTP connection's way through the channels. Where it leads, the front session is given the rules that hold. */
export interface Course {
  /** A name is being looked up that may decide: to be waited for before a rule is asked. */
  readonly settling: Promise<void> | null;
  /** Who has logged in at a front tier, where the channel takes a login; null: nobody. */
  readonly login: string | null;
  /** STARTTLS has succeeded. */
  secured(): void;
  /** A rule of the channel, named by its keyword, has refused a command. */
  refused(rule: string): void;
  /**
   * A trusted peer names the channel (XPEHLO CHANNEL=), and the rule in whose name it does. Not held back by
   * noswitchchannel. False: there is no such channel, or the connection cannot be taken there.
   */
  switchChannel(name: string, rule: string): boolean;
}

/** What the client asked for: to log in, to send mail as it is (SMTP), or to leave. */
export type Wish =
  | {
      readonly kind: 'login';
      readonly credentials: Credentials;
      /** POP3: the client switched to UTF8 before login (RFC 6856 2.1), so the backend must too. */
      readonly utf8?: boolean;
    }
  | { readonly kind: 'mail' }
  | { readonly kind: 'quit' };

export interface FrontSession {
  /** Other rules hold from here on: of another channel, or of another address that the client has connected to. */
  govern(rules: FrontRules): void;
  greet(): Promise<void>;
  /** Answers commands until the client has a wish that needs a backend, or leaves. */
  nextWish(): Promise<Wish>;
  /** The login was accepted. */
  admit(verdict: Verdict): void;
  /** The login was refused by the backend; the client may try again. */
  refuse(verdict: Verdict): void;
  /** The login cannot be decided, or the connection ends: what to say, '' where nothing can be said. */
  wordsFor(error: GateError): string;
  /** True when those words end the connection. */
  ends(error: GateError): boolean;
}

/** How a backend leg is opened. */
export interface BackPlan {
  /** What we show in XPEHLO, where that is used. */
  readonly xpehloPassword?: string | null;
  readonly tls: 'notls' | 'maytls' | 'musttls';
  readonly limits: Pick<Limits, 'replyBytes'>;
  /** For log contexts: host and port. */
  readonly host: string;
  /** Our own name, for EHLO. */
  readonly hostname: string;
}

/** Who the client is, for ID, XCLIENT and XPEHLO. */
export interface ClientFacts {
  readonly sessionId: string;
  /** Further proxies that the connection may pass. */
  readonly ttl: number;
  readonly address: string;
  readonly port: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** Forward-confirmed host name, if it was looked up and found. */
  readonly name: string | null;
  /** SMTP: what the client said in HELO or EHLO, and which of the two. */
  readonly helo: string | null;
  readonly esmtp: boolean;
  readonly secured: boolean;
  readonly tlsVersion: string | null;
  readonly tlsCipher: string | null;
  /** Proven without the backend's help (EXTERNAL, a front tier's word, a grant); a replayed login is not told. */
  readonly login: string | null;
  /** A relay that cannot be told the login is of no use. */
  readonly isLoginNeeded?: boolean;
  /** XPEHLO: the channel that it is to be on there; null: none is asked for. */
  readonly channel?: string | null;
}

/** Ways to tell a backend inside its own protocol. */
export type IntroductionMethod = 'id' | 'xclient' | 'xpehlo';

export interface BackSession {
  /** Greeting, capabilities, STARTTLS by the plan. */
  open(plan: BackPlan): Promise<void>;
  /** The backend's capabilities as they stand. */
  readonly capabilities: readonly string[];
  /** SASL mechanisms among them. */
  readonly mechanisms: readonly string[];
  /** Tells the backend who the client is; true when it took it, false when it does not offer the way. */
  introduce(method: IntroductionMethod, client: ClientFacts): Promise<boolean>;
  /** `utf8`: POP3's UTF8 command goes first (RFC 6856 2.1). */
  login(credentials: Replayable, options?: { readonly utf8?: boolean }): Promise<Verdict>;
  /** A command that changes nothing, and its answer: the server works as far as that. */
  ping(): Promise<void>;
  /** Says goodbye; no answer is awaited. */
  quit(): void;
}

export interface Dialect {
  readonly protocol: 'imap' | 'pop3' | 'smtp';
  /** ALPN protocol ids (IANA). */
  readonly alpn: readonly string[];
  front(talk: Talk, rules: FrontRules, visitor: Visitor): FrontSession;
  back(talk: Talk): BackSession;
  /** Those capabilities of a backend that a client may be shown; SMTP: `extra` keywords besides the known ones. */
  shown(capabilities: readonly string[], extra: readonly string[]): readonly string[];
}
