// The settings of one entry in `services`.

import type { Group } from './formats.ts';
import { inherit, serverTlsLeaves, TLS_MODES } from './schema-tls.ts';

const MECHANISMS = ['PLAIN', 'LOGIN', 'XOAUTH2', 'OAUTHBEARER', 'EXTERNAL'] as const;
const CHALLENGES = ['CRAM-MD5', 'SCRAM-SHA-256', 'SCRAM-SHA-256-PLUS', 'APOP'] as const;

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
  proxyProtocol: {
    from: {
      doc:
        'Balancers that may say by a PROXY header (v1 or v2) whom they stand for: addresses and networks; ' +
        '`unix` is whoever may connect to a Unix socket of the service. Empty: nobody.',
      format: 'trustedPeers',
      default: null,
      nullable: true,
      min: 1,
    },
    mode: {
      doc:
        'Whether they must: `require` (if empty too), and nobody else is served; or `optional`, and others are ' +
        'clients, as is a balancer that is silent for timeouts.proxyHeader.',
      format: 'choice',
      choices: ['optional', 'require'],
      default: null,
      nullable: true,
    },
  },
  backend: {
    doc: 'Name of the backend; imap and pop3 need it.',
    format: 'name',
    default: null,
    nullable: true,
  },
  channel: { doc: 'Name of the channel; smtp needs it.', format: 'name', default: null, nullable: true },
  access: {
    doc: 'Who may use this service, in place of the rules of the file; empty: those.',
    format: 'accessRules',
    default: null,
    nullable: true,
  },
  banner: {
    doc: 'Greeting text behind the host name; empty: the protocol and "ready".',
    format: 'text',
    default: null,
    nullable: true,
    max: 200,
  },
  serverDownAlert: {
    doc:
      'What an IMAP client shows its user, as an [ALERT] besides the refusal, when the store is away; imap only. ' +
      'Empty: nothing.',
    format: 'text',
    default: null,
    nullable: true,
    max: 500,
  },
  verify: {
    doc:
      'Who checks a password before anything else: `backend` (nobody, it is replayed to the backend, which does), ' +
      '`directory`, or `{ store: BACKEND }`, an IMAP login there. A backend with `login: proxy` needs one of the latter.',
    format: 'verify',
    default: 'backend',
  },
  adminPolicy: {
    doc:
      'Who may log in for somebody else (SASL PLAIN with an authorization identity) where passwords are checked here ' +
      '(`verify`); imap and pop3 only: `none`, nobody; `simple`, the `admin` of the backend; `group`, also ' +
      '`directory.admins`, members of `directory.ldap.adminGroup` and, for users of their domain, the administrators of ' +
      'a domain. With `verify: backend` such a login is for the store of the user to judge.',
    format: 'choice',
    choices: ['none', 'simple', 'group'],
    default: 'none',
  },
  domains: {
    doc: 'What differs for clients that have connected to an address of ours: address → settings, see below.',
    format: 'entries',
    default: {},
  },
  certmap: {
    doc: 'A certmap.conf for this service; empty: that of the file.',
    format: 'path',
    default: null,
    nullable: true,
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
    doc:
      'SASL mechanisms that are offered. EXTERNAL (the client is who its certificate stands for, see `certmap`) to ' +
      'clients that have shown a certificate of a CA that is trusted for clients, where the backend has an `admin`, or ' +
      '(smtp) is told by `client: xclient` or `xpehlo`, or where a script judges (`directory.type: http`, `verify: ' +
      'directory`). ' +
      'Those by challenge, CRAM-MD5 and the others behind it, need `verify: directory` and passwords there that they ' +
      'can be proven by (a script judges CRAM-MD5 and APOP itself, SCRAM not); -PLUS is offered over TLS 1.3 that ends here; APOP is of pop3.',
    format: 'choices',
    choices: [...MECHANISMS, ...CHALLENGES],
    default: MECHANISMS,
  },
  restrictPlainPasswords: {
    doc:
      'Passwords and tokens are neither offered nor taken without TLS; mechanisms by challenge still are. For ports ' +
      'where TLS is not required anyway.',
    format: 'flag',
    default: false,
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
  grants: {
    doc:
      'Whether the service takes part in popBeforeSmtp: logins at it earn grants, or (smtp) sessions are taken to ' +
      'its channel.',
    format: 'flag',
    default: true,
  },
  grantTtl: {
    doc: 'Seconds that a grant holds which a login here has earned, no more than `popBeforeSmtp.ttl`; empty: those.',
    format: 'seconds',
    default: null,
    nullable: true,
    min: 1,
    max: 86_400,
  },
  authService: {
    from: {
      doc:
        'Who may ask by XQUERYAUTH, before any login, which user has a grant for an address: addresses or networks; ' +
        'pop3 only. Empty: nobody.',
      format: 'networks',
      default: [],
    },
  },
  spoof: {
    message: {
      doc:
        'File with a message (header, empty line, text) that is all that a mailbox holds whose store cannot be had; ' +
        'pop3 only. Empty: such a mailbox holds nothing.',
      format: 'path',
      default: null,
      nullable: true,
    },
    when: {
      doc:
        'When a login is shown that mailbox in place of a failure: its store is `unreachable`, or answers `tempfail` ' +
        '([SYS/TEMP]), as which counts too that the directory has the user on hold; pop3 only. Empty: never. Mail programs may fetch the whole real mailbox again later.',
      format: 'choices',
      choices: ['unreachable', 'tempfail'],
      default: [],
    },
  },
  frontTier: {
    from: {
      doc:
        'Proxies of ours in front of this one, as addresses or networks. They may say who their client is: by ID ' +
        '(imap), XCLIENT (pop3, smtp) or XPEHLO (smtp). Nobody else may.',
      format: 'networks',
      default: [],
    },
    password: {
      doc: 'What such a proxy must show in XPEHLO; smtp only. Empty: there is no XPEHLO.',
      format: 'secret',
      default: null,
      nullable: true,
      sensitive: true,
    },
  },
} as const satisfies Group;
