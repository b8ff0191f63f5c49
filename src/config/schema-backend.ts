// The settings of one entry in `channels` and of one in `backends`.

import type { Group } from './formats.ts';
import { serverTlsLeaves, TLS_MODES, TLS_VERSIONS } from './schema-tls.ts';

const BALANCES = ['roundRobin', 'priority', 'leastConnections', 'hash'] as const;

export const channelSchema = {
  keywords: {
    doc: 'Keywords as in a Sun channel block.',
    format: 'channelKeywords',
    default: null,
    required: true,
  },
  match: {
    doc:
      'Clients that a channel with `switchchannel` sends here: addresses and networks, and names that their address ' +
      'resolves to and that resolve to it, as in `mail.example.com` or `.example.com` for all below.',
    format: 'channelMatch',
    default: [],
  },
  relay: { doc: 'Name of the backend that gets the mail.', format: 'name', default: null, required: true },
} as const satisfies Group;

export const backendSchema = {
  servers: {
    doc:
      'The servers, all alike: `host:port`, `[v6 address]:port`, `unix:/path`, or such a one as ' +
      '`{ server, weight, priority }`. `weight` (1 to 100, default 1) is the share of it; `priority` (default: the ' +
      'place in the list) orders `balance: priority`, the lowest first. Needed where no directory names `hosts`.',
    format: 'servers',
    default: null,
    nullable: true,
    min: 1,
  },
  hosts: {
    doc:
      'Hosts that the directory may name for a user besides these servers: names in which `*` stands for anything ' +
      '(`*.internal`), addresses, networks. Any other is refused.',
    format: 'hostPatterns',
    default: [],
  },
  port: {
    doc: 'Port of hosts that the directory names without one; empty: that of the protocol, with or without `implicit`.',
    format: 'count',
    default: null,
    nullable: true,
    min: 1,
    max: 65_535,
  },
  balance: {
    doc:
      'Who is tried first: `roundRobin` in turn, `priority` the first that is up, `leastConnections` the one with ' +
      'the fewest connections of this worker, `hash` always the same one for a user (SMTP without a login: for a ' +
      'client address). With `hash` the host of a server counts, so that IMAP and POP3 of a user meet on one host.',
    format: 'choice',
    choices: BALANCES,
    default: 'roundRobin',
  },
  failoverTimeout: {
    doc:
      'Seconds that one server may take to be reached and to greet, before the next is tried; ' +
      'empty: an equal share of `timeouts.connect`.',
    format: 'seconds',
    default: null,
    nullable: true,
    min: 0.001,
    max: 3600,
  },
  failover: {
    doc:
      'Seconds that a server that has failed is left alone before it is tried again, while there are others. ' +
      "Empty: as many minutes as `failoverTimeout` has seconds (Sun's FailoverTimeout), without it 30 seconds.",
    format: 'seconds',
    default: null,
    nullable: true,
    min: 0.001,
    max: 86_400,
  },
  check: {
    every: {
      doc: 'Seconds between looks at each server, done by one worker for all; 0: none is looked at.',
      format: 'seconds',
      default: 0,
      min: 0,
      max: 86_400,
    },
    user: {
      doc: 'Account that logs in for the check, imap only; empty: a greeting and NOOP are enough.',
      format: 'text',
      default: null,
      nullable: true,
      max: 200,
    },
    password: {
      doc: 'Its password.',
      format: 'secret',
      default: null,
      nullable: true,
      sensitive: true,
    },
    timeout: {
      doc: 'Seconds that one look may take.',
      format: 'seconds',
      default: 10,
      min: 0.001,
      max: 3600,
    },
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
      doc:
        'PEM file with the CAs to trust; `database`: those that the certificate database trusts for servers (trust ' +
        '`C`) and no others; empty: these, and those of the system.',
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
    pin: {
      doc:
        'SHA-256 of the certificate, or of its public key (SPKI), as hex or base64, with or without `sha256:`; ' +
        'one or several. One that matches is enough and takes the place of `verify`, `ca` and `name`.',
      format: 'pins',
      default: [],
    },
    certificate: {
      doc: 'What is shown to the servers (mTLS), written as in the `tls` map at the top; empty: nothing.',
      format: serverTlsLeaves.certificate.format,
      default: null,
      nullable: true,
      min: 1,
    },
    minVersion: {
      doc: 'Oldest TLS version. Empty: what a preset in `ciphers` means, or TLSv1.2.',
      format: 'choice',
      choices: TLS_VERSIONS,
      default: null,
      nullable: true,
    },
    ciphers: {
      doc: 'A preset (`modern`, `intermediate`, `old`) or an OpenSSL cipher list, as in the `tls` map at the top.',
      format: 'ciphers',
      default: 'default',
    },
  },
  connections: {
    doc: 'Connections to these servers in all, over all workers, without probes; 0: no limit.',
    format: 'count',
    default: 0,
    min: 0,
    max: 1_000_000,
  },
  login: {
    doc:
      'How users are logged in: `replay` gives the server what the client gave; `proxy` logs in as `admin` for the ' +
      'user (SASL PLAIN with an authorization identity), which needs `verify` in each service that leads here.',
    format: 'choice',
    choices: ['replay', 'proxy'],
    default: 'replay',
  },
  admin: {
    user: {
      doc:
        'Store administrator who logs in for the user (SASL PLAIN with an authorization identity): with `login: proxy` ' +
        'for everybody, with `login: replay` for those whose password is not at hand, as with EXTERNAL and `adminPolicy`.',
      format: 'text',
      default: null,
      nullable: true,
      max: 200,
    },
    password: {
      doc: 'Its password.',
      format: 'secret',
      default: null,
      nullable: true,
      sensitive: true,
    },
    passwordFile: {
      doc: 'File with its password, which only its owner may read; the same as `password: { file: NAME }`.',
      format: 'path',
      default: null,
      nullable: true,
    },
  },
  allowClearBackend: {
    doc: 'A password may go to these servers without TLS (to loopback and Unix sockets it always may).',
    format: 'flag',
    default: false,
  },
  client: {
    doc:
      'How the servers are told who the client is: `none`, or a list of `id` (imap), `xclient` (pop3, smtp), `xpehlo` ' +
      '(smtp) and, in front of the protocol, `proxy-v1` or `proxy-v2`. A server that does not take what is listed gets ' +
      'nothing from us; a question mark makes id, xclient and xpehlo optional. A PROXY header must be what the server ' +
      'expects.',
    format: 'clientInfo',
    default: 'none',
  },
  xpehloPassword: {
    doc:
      'What `client: [xpehlo]` shows: the `frontTier.password` of the Sallyport behind. It goes where a password ' +
      'may go, see `allowClearBackend`.',
    format: 'secret',
    default: null,
    nullable: true,
    sensitive: true,
  },
} as const satisfies Group;
