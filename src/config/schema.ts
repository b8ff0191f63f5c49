// Every setting once: its meaning, format and default. convict checks these schemas (check.ts), the reference page is
// written from them (scripts/reference.ts), and the values that come out have the types at the end.
// What lives in a map with free names (services, channels, backends, certificates) has a schema of its own, used once
// per entry: schema-service.ts, schema-backend.ts, schema-tls.ts. A setting that no code reads does not belong here.

import type { FormatValues, Group, Leaf } from './formats.ts';
import { acmeSchema } from './schema-acme.ts';
import { backendSchema, channelSchema } from './schema-backend.ts';
import { directorySchema } from './schema-directory.ts';
import { domainSchema } from './schema-domain.ts';
import { serviceSchema } from './schema-service.ts';
import { certificateSchema, serverTlsLeaves } from './schema-tls.ts';
import { tokenModuleSchema } from './schema-token.ts';

/** Times from a millisecond, so that tests are fast, to a day. */
const TIME = { format: 'seconds', min: 0.001, max: 86_400 } as const;
const RATE_SECONDS = {
  doc: 'The time of that rate, in seconds; it slides.',
  format: 'count',
  default: 3600,
  min: 1,
  max: 86_400,
} as const;

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
  pidFile: {
    doc:
      'File with the process number of the supervisor in charge: written when it is ready, anew by each one that a ' +
      'restart puts in charge, removed at the end; empty: none.',
    format: 'path',
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
  redis: {
    doc:
      'Redis that several machines share (`redis://` or `rediss://`, password in the URL): limits per user and ' +
      'address, penalties and grants then hold over all of them; empty: this machine alone, in dataDir.',
    format: 'redis',
    default: null,
    nullable: true,
    sensitive: true,
  },
  access: {
    doc: "Who may use which service, in Sun's TCPAccess form; empty: everybody. A service may have rules of its own.",
    format: 'accessRules',
    default: null,
    nullable: true,
  },
  certmap: {
    doc:
      "A certmap.conf as Sun's servers have it: which entry in LDAP the certificate of a client stands for (SASL EXTERNAL). Empty: " +
      'whoever has its mail address, in LDAP, in a file of users or by the word of a script. A service may have its own.',
    format: 'path',
    default: null,
    nullable: true,
  },
  certificates: {
    database: {
      doc: 'Folder of the certificate database, managed by `sallyport cert`; made at the first start.',
      format: 'path',
      default: './certs',
    },
    passwordFile: {
      doc:
        'File with a line `moduleName:password` for the certificate database, whose module is called ' +
        "`Internal (Software) Token`, and for each token; its owner's only.",
      format: 'path',
      default: './sslpassword.conf',
    },
    watch: {
      doc: 'Seconds between looks at the certificate files, and at tokens whose keys are in use.',
      ...TIME,
      default: 10,
    },
    modules: {
      doc:
        'PKCS#11 modules: name → library, or a map as below; `name:nickname` is then a certificate whose key is in the ' +
        'token, and never leaves it. The PIN is a line of `passwordFile`, by the name of the module or the label of the ' +
        'token. The token signs every full handshake while its worker waits, so a slow one slows everybody down.',
      format: 'entries',
      default: {},
    },
    engine: {
      doc:
        'An OpenSSL engine that computes in place of the processor (an accelerator; keys stay in the certificate ' +
        'database): its id, as in `padlock`, or its file; empty: none. For keys in a token see `modules`.',
      format: 'path',
      default: null,
      nullable: true,
    },
    acme: {
      doc: "Certificates ordered and renewed by ACME, as from Let's Encrypt, see below; empty: none.",
      format: 'acme',
      default: null,
      nullable: true,
    },
  },
  tls: serverTlsLeaves,
  tickets: {
    rotate: {
      doc:
        'Seconds that the keys of TLS session tickets are used; then new ones are made, in memory only, and a session ' +
        'made under the old ones costs one full handshake. 0: never new ones before the next start.',
      format: 'seconds',
      min: 0,
      max: 604_800,
      default: 43_200,
    },
    secret: {
      doc:
        'Seals the ticket keys where they travel to other nodes, the same on all of them, 16 characters or more ' +
        '(`openssl rand -base64 32`); empty: each node has keys of its own.',
      format: 'secret',
      default: null,
      nullable: true,
      sensitive: true,
    },
  },
  services: { doc: 'What is listened on: name → service, see below.', format: 'entries', default: {} },
  channels: { doc: 'Rules for SMTP: name → channel, see below.', format: 'entries', default: {} },
  backends: { doc: 'The servers behind: name → backend, see below.', format: 'entries', default: {} },
  directory: directorySchema,
  limits: {
    connections: {
      doc: 'Connections that one worker holds at once; 0: as many as its open-file limit allows.',
      format: 'count',
      default: 0,
      min: 0,
      max: 1_000_000,
    },
    perAddress: {
      doc:
        'Connections of one client address over all workers; 0: no limit. A number, or a map of networks to numbers ' +
        'of which the most specific counts; what no network covers has 20.',
      format: 'networkLimits',
      default: 20,
      min: 0,
      max: 1_000_000,
    },
    perUser: {
      doc: 'Connections that one user is logged in on, in all protocols together; 0: no limit.',
      format: 'count',
      default: 50,
      min: 0,
      max: 1_000_000,
    },
    messagesPerUser: {
      count: {
        doc:
          'Messages that one user may send by SMTP in so many `seconds`, over all workers; who has logged in counts, ' +
          'and by address who has a grant (popBeforeSmtp). 0: no limit.',
        format: 'count',
        default: 0,
        min: 0,
        max: 1_000_000,
      },
      seconds: RATE_SECONDS,
    },
    recipientsPerUser: {
      count: {
        doc: 'Recipients that one user may send to in so many `seconds`, counted likewise. 0: no limit.',
        format: 'count',
        default: 0,
        min: 0,
        max: 1_000_000,
      },
      seconds: RATE_SECONDS,
    },
    total: {
      doc: 'Connections of all clients over all workers; 0: no limit.',
      format: 'count',
      default: 0,
      min: 0,
      max: 100_000_000,
    },
    newTlsSessions: {
      doc:
        'Full TLS handshakes of one client address in a minute (each worker takes its share); once they are used up ' +
        'its TLS is refused until the minute is over; 0: no limit.',
      format: 'count',
      default: 0,
      min: 0,
      max: 1_000_000,
    },
    prefix6: {
      doc: 'Length of the block that IPv6 addresses are counted by, in limits and penalties.',
      format: 'count',
      default: 64,
      min: 16,
      max: 128,
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
  penalties: {
    step: {
      doc: 'What each failed login adds to the wait of the next one from its address.',
      ...TIME,
      default: 2,
    },
    max: { doc: 'The longest wait.', ...TIME, default: 60 },
    decay: { doc: 'After so long without a failure the address is forgiven.', ...TIME, default: 900 },
    linear: {
      doc: 'The wait fades over that time; otherwise it stays whole until the end.',
      format: 'flag',
      default: false,
    },
    excluded: { doc: 'Networks that are never penalised.', format: 'networks', default: [] },
    remembered: {
      doc: 'Addresses with failures that are remembered, the latest ones; 0: no penalties at all.',
      format: 'count',
      default: 10_000,
      min: 0,
      max: 100_000,
    },
  },
  popBeforeSmtp: {
    channel: {
      doc:
        'Name of the channel on which an SMTP session starts whose address has a grant: a login at a mailbox came ' +
        'from there not long ago. Empty: there are no grants.',
      format: 'name',
      default: null,
      nullable: true,
    },
    ttl: { doc: 'How long a grant holds; each further login begins it anew.', ...TIME, default: 900 },
    protocols: {
      doc: 'Logins in these protocols earn a grant.',
      format: 'choices',
      choices: ['pop3', 'imap'],
      default: ['pop3'],
      min: 1,
    },
    prefix6: {
      doc: 'Length of the block around an IPv6 address that a grant is for; 128: that address only.',
      format: 'count',
      default: 64,
      min: 48,
      max: 128,
    },
    tell: {
      doc:
        "What the relay of that channel is told of a grant. `login`: XCLIENT LOGIN (or XPEHLO's) with the user who " +
        'earned it, whom the relay then takes for authenticated; `channel`: XPEHLO CHANNEL with the name of the ' +
        'channel. Empty: nothing, its relay is a port that trusts us.',
      format: 'choices',
      choices: ['login', 'channel'],
      default: [],
    },
    excluded: {
      doc:
        'Networks that never have a grant: where many people share an address. Balancers and front tiers of the ' +
        'services never have one either.',
      format: 'networks',
      default: [],
    },
  },
  timeouts: {
    proxyHeader: { doc: 'For a balancer to send its PROXY header.', ...TIME, default: 3 },
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

/** The schemas with the place of each in the file. */
export const SCHEMAS = [
  { place: '', title: 'The file', schema: settingsSchema },
  { place: 'services.NAME', title: 'A service', schema: serviceSchema },
  { place: 'services.NAME.domains.ADDRESS', title: 'An address of a service', schema: domainSchema },
  { place: 'channels.NAME', title: 'A channel', schema: channelSchema },
  { place: 'backends.NAME', title: 'A backend', schema: backendSchema },
  { place: 'certificates.modules.NAME', title: 'A PKCS#11 module', schema: tokenModuleSchema },
  { place: 'certificates.acme', title: 'Certificates by ACME', schema: acmeSchema },
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
