// Every setting once: its meaning, format and default. convict checks these schemas (check.ts), the reference page is
// written from them (scripts/reference.ts), and the values that come out have the types at the end.
// What lives in a map with free names (services, channels, backends, certificates) has a schema of its own, used once
// per entry. A setting that no code reads does not belong here.

import type { FormatValues, Leaf } from './formats.ts';

export interface Group {
  readonly [key: string]: Leaf | Group;
}

const TLS_MODES = ['notls', 'maytls', 'musttls', 'implicit'] as const;
const TLS_VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const;
const MECHANISMS = ['PLAIN', 'LOGIN', 'XOAUTH2', 'OAUTHBEARER'] as const;

/** Times from a millisecond, so that tests are fast, to a day. */
const TIME = { format: 'seconds', min: 0.001, max: 86_400 } as const;

/** One certificate given by its PEM files. */
export const certificateSchema = {
  cert: {
    doc: 'PEM file with the certificate and its chain.',
    format: 'path',
    default: null,
    required: true,
  },
  key: { doc: 'PEM file with the private key.', format: 'path', default: null, required: true },
  passphrase: {
    doc: 'Passphrase of the key file; empty: the key is not encrypted.',
    format: 'secret',
    default: null,
    nullable: true,
    sensitive: true,
  },
} as const satisfies Group;

const serverTlsLeaves = {
  certificate: {
    doc:
      'What this server shows: a nickname of the certificate database, or PEM files as `{ cert, key, passphrase }`, ' +
      'or a list of these, one per key type (RSA and ECDSA).',
    format: 'certificates',
    default: 'Server-Cert',
    min: 1,
  },
  sni: {
    doc:
      'Host name or `*.domain` that a client asks for → certificates, written as in `certificate`. An exact name wins ' +
      'over a wildcard; a name that is not here gets `certificate`.',
    format: 'sni',
    default: {},
  },
  minVersion: { doc: 'Oldest TLS version.', format: 'choice', choices: TLS_VERSIONS, default: 'TLSv1.2' },
  maxVersion: { doc: 'Newest TLS version.', format: 'choice', choices: TLS_VERSIONS, default: 'TLSv1.3' },
  ciphers: {
    doc: 'OpenSSL cipher list; TLS 1.3 suites may be among them.',
    format: 'ciphers',
    default: 'default',
  },
  groups: {
    doc: 'Key exchange groups, separated by colons, best first; `default` begins with X25519MLKEM768.',
    format: 'groups',
    default: 'default',
  },
} as const satisfies Group;

/** The same settings one level down, where an empty one means: as above. */
type Inherited<S> = { readonly [K in keyof S]: Omit<S[K], 'default'> & { default: null; nullable: true } };

function inherit<const S extends Readonly<Record<string, Leaf>>>(leaves: S): Inherited<S> {
  const entries = Object.entries(leaves).map(([key, leaf]) => [
    key,
    { ...leaf, doc: `${leaf.doc} Empty: as in the \`tls\` map at the top.`, default: null, nullable: true },
  ]);
  return Object.fromEntries(entries) as Inherited<S>;
}

export const settingsSchema = {
  hostname: {
    doc: 'The name this server greets with; empty: the host name of the machine.',
    format: 'hostname',
    default: null,
    nullable: true,
  },
  dataDir: {
    doc: 'Folder for what must outlive a restart, and for the control socket.',
    format: 'path',
    default: '/var/lib/sallyport',
  },
  workers: { doc: 'Worker processes; 0: one per core.', format: 'count', default: 0, min: 0, max: 1024 },
  user: {
    doc: 'User to become once the listeners are bound; empty: stay who started it.',
    format: 'name',
    default: null,
    nullable: true,
  },
  log: {
    level: {
      doc: 'The quietest events that are written.',
      format: 'choice',
      choices: ['debug', 'info', 'warn', 'error'],
      default: 'info',
    },
    format: {
      doc: 'One JSON object a line, or text for reading.',
      format: 'choice',
      choices: ['json', 'text'],
      default: 'json',
    },
  },
  certificates: {
    database: { doc: 'Folder of the certificate database.', format: 'path', default: './certs' },
    watch: { doc: 'Seconds between looks at the certificate files.', ...TIME, default: 10 },
  },
  tls: serverTlsLeaves,
  services: { doc: 'What is listened on: name → service, see below.', format: 'entries', default: {} },
  channels: { doc: 'Rules for SMTP: name → channel, see below.', format: 'entries', default: {} },
  backends: { doc: 'The servers behind: name → backend, see below.', format: 'entries', default: {} },
  limits: {
    connections: {
      doc: 'Connections that one worker holds at once; 0: as many as its open-file limit allows.',
      format: 'count',
      default: 0,
      min: 0,
      max: 1_000_000,
    },
    authAttempts: {
      doc: 'Failed logins on one connection before it is closed.',
      format: 'count',
      default: 3,
      min: 1,
      max: 100,
    },
    badCommands: {
      doc: 'Wrong commands on one connection before it is closed.',
      format: 'count',
      default: 10,
      min: 1,
      max: 1000,
    },
    commandBytes: {
      doc:
        'Bytes of one command: before login with its literals, in SMTP always. ' +
        'An AUTH message (SASL) is such a command, a token in it too.',
      format: 'count',
      default: 16_384,
      min: 512,
      max: 16_777_216,
    },
    replyBytes: {
      doc: 'Bytes of one reply of a backend before the relay.',
      format: 'count',
      default: 65_536,
      min: 512,
      max: 16_777_216,
    },
    pipelined: {
      doc: 'SMTP commands that are on their way to the relay at once.',
      format: 'count',
      default: 100,
      min: 1,
      max: 10_000,
    },
  },
  timeouts: {
    handshake: { doc: 'For the TLS handshake with a client.', ...TIME, default: 15 },
    login: { doc: 'From the greeting to the login (SMTP: to the first transaction).', ...TIME, default: 60 },
    connect: {
      doc:
        'To reach one backend and be greeted by it, TLS included; ' +
        'where a backend has several servers, they share it.',
      ...TIME,
      default: 20,
    },
    reply: { doc: 'For the answer of a backend to a command.', ...TIME, default: 60 },
    imap: {
      doc: 'Silence on a logged-in IMAP connection (RFC 3501 5.4: 1800 or more).',
      ...TIME,
      default: 1800,
    },
    imapIdle: { doc: 'The same while the client is in IDLE (RFC 2177).', ...TIME, default: 2100 },
    pop3: { doc: 'Silence on a logged-in POP3 connection (RFC 1939 3: 600 or more).', ...TIME, default: 600 },
    smtp: { doc: 'Silence of an SMTP client (RFC 5321 4.5.3.2.7: 300 or more).', ...TIME, default: 300 },
    data: {
      doc: 'The answer of a relay to the end of a message (RFC 5321 4.5.3.2.6: 600).',
      ...TIME,
      default: 600,
    },
    close: { doc: 'For the other side to close, once goodbye is said.', ...TIME, default: 5 },
    drain: { doc: 'For transactions in flight to finish when the server stops.', ...TIME, default: 30 },
  },
  probe: { doc: 'Seconds that the probed capabilities of a backend are believed.', ...TIME, default: 300 },
} as const satisfies Group;

export const serviceSchema = {
  protocol: {
    doc: 'What is spoken.',
    format: 'choice',
    choices: ['imap', 'pop3', 'smtp'],
    default: null,
    required: true,
  },
  listen: {
    doc: 'Where: a port alone is every IPv4 and IPv6 address; `address:port`, `[v6 address]:port`, `unix:/path`.',
    format: 'listeners',
    default: null,
    required: true,
    min: 1,
  },
  tls: {
    mode: {
      doc:
        'TLS with the client; a word in place of the map is this. Empty: musttls for imap and pop3. ' +
        'For smtp only `implicit` may be said here, STARTTLS is the business of the channel.',
      format: 'choice',
      choices: TLS_MODES,
      default: null,
      nullable: true,
    },
    ...inherit(serverTlsLeaves),
  },
  backend: {
    doc: 'Name of the backend; imap and pop3 need it.',
    format: 'name',
    default: null,
    nullable: true,
  },
  channel: { doc: 'Name of the channel; smtp needs it.', format: 'name', default: null, nullable: true },
  banner: {
    doc: 'Greeting text behind the host name; empty: the protocol and "ready".',
    format: 'text',
    default: null,
    nullable: true,
    max: 200,
  },
  capabilities: {
    doc:
      'What is offered: `probe` (what all the servers behind offer), or a list. ' +
      'STARTTLS, STLS, AUTH, SASL and LOGINDISABLED in a list are left out, Sallyport says them itself.',
    format: 'capabilities',
    default: 'probe',
  },
  ehloKeywords: {
    doc: 'EHLO keywords of the relay to pass on besides the known ones; smtp only.',
    format: 'words',
    default: [],
  },
  mechanisms: {
    doc: 'SASL mechanisms that are offered.',
    format: 'choices',
    choices: MECHANISMS,
    default: MECHANISMS,
  },
  lineEndings: {
    doc: 'Bare CR, bare LF and NUL: refuse them, or normalise them to CRLF and drop NUL; smtp only.',
    format: 'choice',
    choices: ['refuse', 'normalise'],
    default: 'refuse',
  },
  clientLookup: {
    doc: 'Look up the name of the client (forward-confirmed) for XCLIENT NAME; smtp only.',
    format: 'flag',
    default: false,
  },
} as const satisfies Group;

export const channelSchema = {
  keywords: {
    doc: 'Keywords as in a Sun channel block.',
    format: 'channelKeywords',
    default: null,
    required: true,
  },
  relay: { doc: 'Name of the backend that gets the mail.', format: 'name', default: null, required: true },
} as const satisfies Group;

export const backendSchema = {
  servers: {
    doc: 'The servers, all alike: `host:port`, `[v6 address]:port` or `unix:/path`.',
    format: 'servers',
    default: null,
    required: true,
    min: 1,
  },
  tls: {
    mode: {
      doc: 'TLS with the servers; a word in place of the map is this.',
      format: 'choice',
      choices: TLS_MODES,
      default: 'maytls',
    },
    verify: {
      doc: 'Refuse a server whose certificate cannot be verified.',
      format: 'flag',
      default: true,
    },
    ca: {
      doc: 'PEM file with the CAs to trust; empty: those of the system.',
      format: 'path',
      default: null,
      nullable: true,
    },
    name: {
      doc: 'Host name that the certificate must show; empty: the host in `servers`.',
      format: 'hostname',
      default: null,
      nullable: true,
    },
    minVersion: { doc: 'Oldest TLS version.', format: 'choice', choices: TLS_VERSIONS, default: 'TLSv1.2' },
    ciphers: { doc: 'OpenSSL cipher list.', format: 'ciphers', default: 'default' },
  },
  login: {
    doc: 'How users are logged in: `replay` gives the server what the client gave.',
    format: 'choice',
    choices: ['replay'],
    default: 'replay',
  },
  allowClearBackend: {
    doc: 'A password may go to these servers without TLS (to loopback and Unix sockets it always may).',
    format: 'flag',
    default: false,
  },
  client: {
    doc:
      'How the servers are told who the client is: `none`, or a list of `id` and `xclient`. ' +
      'A server that does not take what is listed gets nothing from us; a question mark makes it optional.',
    format: 'clientInfo',
    default: 'none',
  },
} as const satisfies Group;

/** Certificates of one name in an `sni` map. */
export const sniSchema = {
  certificate: { ...serverTlsLeaves.certificate, default: null, required: true },
} as const satisfies Group;

/** The schemas with the place of each in the file. */
export const SCHEMAS = [
  { place: '', title: 'The file', schema: settingsSchema },
  { place: 'services.NAME', title: 'A service', schema: serviceSchema },
  { place: 'channels.NAME', title: 'A channel', schema: channelSchema },
  { place: 'backends.NAME', title: 'A backend', schema: backendSchema },
  { place: 'certificate', title: 'A certificate by its files', schema: certificateSchema },
] as const satisfies readonly { place: string; title: string; schema: Group }[];

export function isLeaf(node: Leaf | Group): node is Leaf {
  return typeof node['doc'] === 'string';
}

/** Every setting of a schema with its path in it. */
export function* leavesOf(group: Group, above: readonly string[] = []): Generator<[string[], Leaf]> {
  for (const [key, node] of Object.entries(group)) {
    if (isLeaf(node)) yield [[...above, key], node];
    else yield* leavesOf(node, [...above, key]);
  }
}

/** What a checked map of a schema holds; a required setting is null only where a mistake was reported. */
export type Values<S> = {
  readonly [K in keyof S]: S[K] extends { format: infer F extends keyof FormatValues; doc: string }
    ? ValueOf<S[K], F> | (S[K] extends { nullable: true } | { required: true } ? null : never)
    : Values<S[K]>;
};

type ValueOf<L, F extends keyof FormatValues> = L extends { choices: readonly (infer Choice)[] }
  ? F extends 'choices'
    ? Choice[]
    : Choice
  : FormatValues[F];
