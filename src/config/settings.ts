// What sallyport.yaml means once it is read, checked and completed: the types that the rest of the code takes.
// Plain data only, so that a whole Settings can be sent to a worker. Times are milliseconds here, seconds in the file.
// File names are absolute. Nothing here is read from disk yet: that is the supervisor's duty.

import type { Network } from '../wire/network.ts';
import type { ChannelMatch } from '../wire/channel-match.ts';
import type { DirectorySettings, DomainSettings } from './settings-directory.ts';

export type {
  DirectoryCacheSettings,
  DirectorySettings,
  DirectoryType,
  DomainSettings,
  LdapServerSettings,
  LdapSettings,
  SqlSettings,
} from './settings-directory.ts';

export type Protocol = 'imap' | 'pop3' | 'smtp';
export type TlsMode = 'notls' | 'maytls' | 'musttls' | 'implicit';
export type TlsVersion = 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';
export type Mechanism =
  | 'PLAIN'
  | 'LOGIN'
  | 'XOAUTH2'
  | 'OAUTHBEARER'
  | 'EXTERNAL'
  | 'CRAM-MD5'
  | 'SCRAM-SHA-256'
  | 'SCRAM-SHA-256-PLUS'
  | 'APOP';

export type Endpoint =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** A server of a backend; without a priority its place in the list is it. */
export type Server = Endpoint & { readonly weight?: number; readonly priority?: number };

export type Balance = 'roundRobin' | 'priority' | 'leastConnections' | 'hash';

/** Who checks a password: the backend when it is replayed; or, before, the directory or the store of that name. */
export type Verify =
  | { readonly kind: 'backend' }
  | { readonly kind: 'directory' }
  | { readonly kind: 'store'; readonly store: string };

/** A secret as the file gives it: in place, in a file, or as a systemd credential's name. Never logged. */
export type Secret =
  | { readonly kind: 'inline'; readonly value: string }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'credential'; readonly name: string };

/** A certificate by nickname in the certificate database or in a token, or by its PEM files. */
export type CertificateRef =
  | { readonly kind: 'nickname'; readonly nickname: string }
  | { readonly kind: 'token'; readonly module: string; readonly nickname: string }
  | {
      readonly kind: 'files';
      readonly cert: string;
      readonly key: string;
      readonly passphrase: Secret | null;
    };

export interface ServerTlsSettings {
  /** One per key type (RSA, ECDSA). */
  readonly certificates: readonly CertificateRef[];
  /** Host name or `*.domain` → certificates; exact names win over wildcards. */
  readonly sni: Readonly<Record<string, readonly CertificateRef[]>>;
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
  /** OpenSSL cipher list (TLS 1.3 suites may be among them), or 'default'. */
  readonly ciphers: string;
  /** Colon list of groups, or 'default'. */
  readonly groups: string;
  /** Give clients the OCSP status of certificates that name a responder. */
  readonly stapling: boolean;
  /** Whether clients are asked for certificates. */
  readonly clientCertificates: 'off' | 'auto' | 'require';
  /** PEM files of CAs trusted for clients, besides those of the database. */
  readonly clientCa: readonly string[];
  /** Files and folders of CRLs. */
  readonly crl: readonly string[];
  /** Whether responders are asked about certificates of clients. */
  readonly clientOcsp: 'off' | 'try' | 'require';
}

/** A network, or whoever may connect to a Unix socket of the service. */
export type TrustedPeer = Network | 'unix';

/** Balancers whose PROXY header is believed. */
export interface ProxyProtocolSettings {
  readonly from: readonly TrustedPeer[];
  readonly mode: 'optional' | 'require';
}

/** Proxies of ours in front, and what they show in XPEHLO. */
export interface FrontTierSettings {
  readonly from: readonly Network[];
  readonly password: Secret | null;
}

/** Who may ask who has a grant. */
export interface AuthServiceSettings {
  readonly from: readonly Network[];
}

export interface ServiceSettings {
  readonly name: string;
  readonly protocol: Protocol;
  readonly listen: readonly Endpoint[];
  /** For smtp only 'implicit' or null: the channel's keywords decide. */
  readonly tlsMode: TlsMode | null;
  readonly tls: ServerTlsSettings;
  /** null: no peer may speak for another. */
  readonly proxyProtocol: ProxyProtocolSettings | null;
  /** Name in `backends`; imap and pop3 only. */
  readonly backend: string | null;
  /** Name in `channels`; smtp only. */
  readonly channel: string | null;
  /** Rules as written, its own or the file's; parsed by wire/access-rules.ts. null: everybody. */
  readonly access: string | null;
  /** Replaces the greeting text behind the host name. */
  readonly banner: string | null;
  /** imap only: what the user is shown when the store is away; null: nothing. */
  readonly serverDownAlert: string | null;
  readonly verify: Verify;
  /** Who may log in for somebody else; imap and pop3 only. */
  readonly adminPolicy: 'none' | 'simple' | 'group';
  /** By address of ours, as the system writes it. */
  readonly domains: Readonly<Record<string, DomainSettings>>;
  /** certmap.conf; null: certificates stand for whoever has their mail address. */
  readonly certmap: string | null;
  /** null: probed from the backends. Never holds STARTTLS, AUTH or SASL lines, those are ours. */
  readonly capabilities: readonly string[] | null;
  /** smtp: EHLO keywords of the relay to let through besides the known ones. */
  readonly ehloKeywords: readonly string[];
  readonly mechanisms: readonly Mechanism[];
  /** Passwords and tokens are taken over TLS only. */
  readonly restrictPlainPasswords: boolean;
  /** smtp: what happens to bare CR, bare LF and NUL. */
  readonly lineEndings: 'refuse' | 'normalise';
  /** smtp: look up the client's name for XCLIENT NAME. */
  readonly clientLookup: boolean;
  /** Takes part in popBeforeSmtp. */
  readonly grants: boolean;
  /** null: as those of popBeforeSmtp. */
  readonly grantTtlMs: number | null;
  /** pop3 only. */
  readonly authService: AuthServiceSettings;
  /** pop3 only. */
  readonly spoof: SpoofSettings;
  /** Peers that may say who their client is. */
  readonly frontTier: FrontTierSettings;
}

export interface SpoofSettings {
  /** File; null: the mailbox is empty. */
  readonly message: string | null;
  /** Empty: never. */
  readonly when: readonly ('unreachable' | 'tempfail')[];
}

/** Hosts that a directory may name: addresses, networks and names in which `*` stands for anything. */
export type HostPattern = Network | { readonly name: string };

export interface ChannelSettings {
  readonly name: string;
  /** As written; parsed by wire/channel-keywords.ts. */
  readonly keywords: string;
  /** Clients that a channel with switchchannel sends here. */
  readonly match: readonly ChannelMatch[];
  /** Name in `backends`. */
  readonly relay: string;
}

export interface BackendTlsSettings {
  readonly mode: TlsMode;
  readonly verify: boolean;
  /** PEM file with the CAs trusted for this backend, or the word `database`; null: the database's and the system's. */
  readonly ca: string | null;
  /** Files and folders of CRLs: those at the top of the file. */
  readonly crl: readonly string[];
  /** Host name that the certificate must show; null: the name in `servers`. */
  readonly name: string | null;
  /** SHA-256 of certificates or of their public keys, lower-case hex; where there are any, one must match. */
  readonly pin: readonly string[];
  /** Shown to the servers; one per key type. */
  readonly certificates: readonly CertificateRef[];
  readonly minVersion: TlsVersion;
  readonly ciphers: string;
}

export interface ClientInfo {
  readonly method: 'id' | 'xclient' | 'xpehlo' | 'proxy-v1' | 'proxy-v2';
  /** `xclient` is required, `xclient?` is not; a PROXY header always is. */
  readonly required: boolean;
}

/** Somebody who logs in on our behalf. */
export interface Account {
  readonly user: string;
  /** null in workers. */
  readonly password: Secret | null;
}

export interface CheckSettings {
  /** 0: servers are not looked at. */
  readonly everyMs: number;
  readonly timeoutMs: number;
  readonly user: string | null;
  /** null in workers. */
  readonly password: Secret | null;
}

export interface BackendSettings {
  readonly name: string;
  /** None where the directory names them. */
  readonly servers: readonly Server[];
  /** What the directory may name besides them. */
  readonly hosts: readonly HostPattern[];
  /** Of hosts that the directory names without one; null: the protocol's own. */
  readonly port: number | null;
  readonly balance: Balance;
  /** What one server may take to be reached; null: an equal share. */
  readonly failoverTimeoutMs: number | null;
  /** How long a server that failed is left alone. */
  readonly failoverMs: number;
  readonly check: CheckSettings;
  readonly tls: BackendTlsSettings;
  /** Of all workers together; 0: no limit. */
  readonly connections: number;
  readonly login: 'replay' | 'proxy';
  /** Whose password is in the material, never in a worker's settings; null: none is given. */
  readonly admin: Account | null;
  readonly allowClearBackend: boolean;
  readonly client: readonly ClientInfo[];
  /** What XPEHLO shows. */
  readonly xpehloPassword: Secret | null;
}

/** So many in so many seconds. */
export interface Rate {
  /** 0: no limit. */
  readonly count: number;
  readonly seconds: number;
}

export interface Limits {
  /** Connections a worker holds at once; 0: what the open-file limit allows. */
  readonly connections: number;
  /** For each address of a network, most specific first; 0: no limit. */
  readonly perAddress: readonly (readonly [Network, number])[];
  readonly perUser: number;
  /** What one sender may send by SMTP. */
  readonly messagesPerUser: Rate;
  readonly recipientsPerUser: Rate;
  /** Of all workers together. */
  readonly total: number;
  /** Full handshakes of an address in a minute. */
  readonly newTlsSessions: number;
  readonly prefix6: number;
  readonly authAttempts: number;
  readonly badCommands: number;
  /** One command with its literals, before login and in SMTP. */
  readonly commandBytes: number;
  /** One reply of a backend before the relay. */
  readonly replyBytes: number;
  /** SMTP commands on their way to the relay at once. */
  readonly pipelined: number;
}

/** What failed logins cost; policy/penalties.ts. */
export interface PenaltySettings {
  readonly stepMs: number;
  readonly maxMs: number;
  readonly decayMs: number;
  readonly linear: boolean;
  readonly excluded: readonly Network[];
  /** 0: no penalties. */
  readonly remembered: number;
}

/** What a login at a mailbox is worth to SMTP sessions from its address; policy/grants.ts. */
export interface PopBeforeSmtpSettings {
  /** Name in `channels`. */
  readonly channel: string;
  readonly ttlMs: number;
  readonly protocols: readonly ('pop3' | 'imap')[];
  readonly prefix6: number;
  /** What the relay of the channel is told. */
  readonly tell: readonly ('login' | 'channel')[];
  readonly excluded: readonly Network[];
}

/** A PKCS#11 module, and the one token of it that its name stands for. */
export interface TokenModuleSettings {
  readonly name: string;
  /** Shared library; null: that of NSS, wherever it is. */
  readonly library: string | null;
  /** Folder of an NSS database (cert9.db, key4.db) that the module opens. */
  readonly nss: string | null;
  /** Label of the token; null: the only one there is. */
  readonly token: string | null;
  readonly slot: number | null;
}

/** Certificates ordered by RFC 8555. */
export interface AcmeSettings {
  /** URL. */
  readonly directory: string;
  readonly contact: readonly string[];
  /** To the terms of service; without it the settings are wrong. */
  readonly agreeTerms: boolean;
  /** Nickname → host names, lower case. */
  readonly names: Readonly<Record<string, readonly string[]>>;
  readonly challenge: 'http-01' | 'tls-alpn-01';
  /** null: every address, with the port that the challenge goes to. */
  readonly listen: readonly Endpoint[] | null;
  readonly keyType: 'ec' | 'rsa';
  /** null: a third of the certificate's life. */
  readonly renewBeforeMs: number | null;
  /** File with CAs; null: the runtime's. */
  readonly ca: string | null;
  readonly eab: { readonly kid: string; readonly key: Secret } | null;
}

export interface CertificateSettings {
  /** Folder. */
  readonly database: string;
  /** sslpassword.conf. */
  readonly passwordFile: string;
  readonly modules: Readonly<Record<string, TokenModuleSettings>>;
  /** Id or file of an OpenSSL engine that computes for the workers. */
  readonly engine: string | null;
  /** How often certificate files are looked at for a change. */
  readonly watchMs: number;
  /** Stays in the supervisor. */
  readonly acme: AcmeSettings | null;
}

export interface TicketSettings {
  /** How long ticket keys are used; 0: until the end of the run. */
  readonly rotateMs: number;
  /** Seals the keys for other nodes; null: they stay here. */
  readonly secret: Secret | null;
}

export interface Timeouts {
  readonly proxyHeaderMs: number;
  readonly handshakeMs: number;
  readonly loginMs: number;
  readonly connectMs: number;
  readonly replyMs: number;
  readonly imapMs: number;
  /** While the client is in IDLE (RFC 2177). */
  readonly imapIdleMs: number;
  readonly pop3Ms: number;
  readonly smtpMs: number;
  /** The relay's answer to the end of a message (RFC 5321 4.5.3.2.6). */
  readonly dataMs: number;
  readonly closeMs: number;
  readonly drainMs: number;
}

export interface Settings {
  /** The file they came from; null: the defaults. */
  readonly file: string | null;
  readonly hostname: string;
  readonly dataDir: string;
  readonly workers: number;
  readonly user: string | null;
  /** Stays in the supervisor. */
  readonly redis: Secret | null;
  readonly pidFile: string | null;
  readonly log: { readonly level: 'debug' | 'info' | 'warn' | 'error'; readonly format: 'json' | 'text' };
  readonly certificates: CertificateSettings;
  readonly tickets: TicketSettings;
  readonly services: Readonly<Record<string, ServiceSettings>>;
  readonly channels: Readonly<Record<string, ChannelSettings>>;
  readonly backends: Readonly<Record<string, BackendSettings>>;
  readonly directory: DirectorySettings;
  readonly limits: Limits;
  readonly penalties: PenaltySettings;
  /** null: there are no grants. */
  readonly popBeforeSmtp: PopBeforeSmtpSettings | null;
  readonly timeouts: Timeouts;
  /** How long a backend's probed capabilities are believed. */
  readonly probeMs: number;
}
