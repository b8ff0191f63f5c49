// What a setting of the schema is, and what the values of each format become.

import type { ChannelMatch } from '../wire/channel-match.ts';
import type { Network } from '../wire/network.ts';
import type { SqlUrl } from '../wire/sql-url.ts';
import type {
  ClientInfo,
  Endpoint,
  HostPattern,
  LdapServerSettings,
  Secret,
  Server,
  TrustedPeer,
  Verify,
} from './settings.ts';

/** One setting of the schema. */
export interface Leaf {
  readonly doc: string;
  readonly format: FormatName;
  readonly default: unknown;
  /** No default: whoever writes the entry gives it. */
  readonly required?: true;
  /** May be left empty; the doc says what that means. */
  readonly nullable?: true;
  /** Never printed. */
  readonly sensitive?: true;
  readonly choices?: readonly string[];
  readonly min?: number;
  readonly max?: number;
}

export interface Group {
  readonly [key: string]: Leaf | Group;
}

/** A map of the file, not looked into yet. */
export type Given = ReadonlyMap<unknown, unknown>;

/** What each format's values become. */
export interface FormatValues {
  text: string;
  name: string;
  path: string;
  paths: string[];
  hostname: string;
  ciphers: string;
  groups: string;
  count: number;
  /** Milliseconds. */
  seconds: number;
  flag: boolean;
  choice: string;
  choices: string[];
  words: string[];
  /** null: probe. */
  capabilities: string[] | null;
  listeners: Endpoint[];
  servers: Server[];
  /** SHA-256 in lower-case hex. */
  pins: string[];
  verify: Verify;
  clientInfo: ClientInfo[];
  networks: Network[];
  hostPatterns: HostPattern[];
  ldapUrls: LdapServerSettings[];
  ldapName: string;
  ldapAttribute: string;
  ldapAttributes: string[];
  searchFormat: string;
  replayFormat: string;
  sqlUrl: SqlUrl;
  /** As written; what it means depends on the database. */
  sqlQuery: string;
  webAddress: string;
  networkLimits: [Network, number][];
  /** As written. */
  accessRules: string;
  redis: Secret;
  trustedPeers: TrustedPeer[];
  channelKeywords: string;
  channelMatch: ChannelMatch[];
  /** Nicknames, and maps of files that have a schema of their own. */
  certificates: (string | Given)[];
  secret: Secret;
  sni: Given;
  entries: Given;
  /** A map that has a schema of its own. */
  acme: Given;
  httpsUrl: string;
  emails: string[];
  /** Nickname → host names, lower case. */
  hostNames: [string, string[]][];
}

export type FormatName = keyof FormatValues;

export interface Format<T> {
  /** The words behind "expected". */
  expected(leaf: Leaf): string;
  read(value: unknown, leaf: Leaf): T;
  /** A map may be given; it arrives as a list of one, since convict would take it apart. */
  readonly takesMap?: true;
  /** What can be looked into further although the value is wrong; items keep their places. */
  salvage?(value: unknown): T;
}
