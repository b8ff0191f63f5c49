// The settings of the directory.

import type { Group } from './formats.ts';
import { ldapSchema } from './schema-ldap.ts';
import { sqlSchema } from './schema-sql.ts';

const TYPES = ['none', 'file', 'ldap', 'http', 'sql'] as const;

export const directorySchema = {
  type: {
    doc:
      'Who says whose mail is where: `none` (everybody is at the backend of the service), `file`, `ldap`, `http` ' +
      "(a script for nginx's auth_http), or `sql` (a database).",
    format: 'choice',
    choices: TYPES,
    default: 'none',
  },
  defaultDomain: {
    doc: 'Domain of those who log in without one; empty: they have none.',
    format: 'hostname',
    default: null,
    nullable: true,
  },
  domainDelimiters: {
    doc: 'Characters any of which parts the user from the domain in what a client sends, looked for from the end.',
    format: 'text',
    default: '@',
    max: 16,
  },
  canonicalDelimiter: {
    doc: 'The one that takes their place in searches, limits, logs and at the store.',
    format: 'text',
    default: '@',
    max: 1,
  },
  admins: {
    doc:
      'Who may log in for everybody (`adminPolicy: group` of a service): names of users as `sallyport sessions` and the ' +
      'log have them.',
    format: 'words',
    default: [],
  },
  file: {
    doc: 'The file of users (YAML) for `type: file`; read again when it changes.',
    format: 'path',
    default: null,
    nullable: true,
  },
  http: {
    url: {
      doc: 'Where the script is asked, http:// or https://; for `type: http`.',
      format: 'webAddress',
      default: null,
      nullable: true,
    },
    ca: {
      doc: 'PEM file with the CAs to trust for https://; empty: those of the system.',
      format: 'path',
      default: null,
      nullable: true,
    },
    header: {
      doc: 'One more header, `Name: value`, as `auth_http_header`; by it the script knows that it is asked by us.',
      format: 'secret',
      default: null,
      nullable: true,
      sensitive: true,
    },
    timeout: { doc: 'Seconds for its answer.', format: 'seconds', default: 10, min: 0.001, max: 3600 },
    connections: {
      doc: 'Connections of one worker to it at once; they are kept open.',
      format: 'count',
      default: 32,
      min: 1,
      max: 1000,
    },
    passTokens: {
      doc:
        'The script judges the tokens of XOAUTH2 and OAUTHBEARER (in Auth-Pass, as with freenginx) where a service has ' +
        '`verify: directory`. Otherwise it is asked without them, and they are for the store.',
      format: 'flag',
      default: false,
    },
    passClientCert: {
      doc:
        'It is given a certificate of a client whole (Auth-SSL-Cert), as with `auth_http_pass_client_cert`; one that is ' +
        'believed.',
      format: 'flag',
      default: false,
    },
  },
  ldap: ldapSchema,
  sql: sqlSchema,
  cache: {
    size: {
      doc: 'Users that a worker remembers, with what their directory said; 0: none.',
      format: 'count',
      default: 10_000,
      min: 0,
      max: 1_000_000,
    },
    ttl: {
      doc: 'Seconds that they are believed, also while the directory is down. Empty: 900, with `type: http` 0.',
      format: 'seconds',
      default: null,
      nullable: true,
      min: 0,
      max: 86_400,
    },
    missTtl: {
      doc: 'The same for users that are not there.',
      format: 'seconds',
      default: 60,
      min: 0,
      max: 86_400,
    },
    passwordTtl: {
      doc:
        'Seconds that a password which was found right is taken without asking anew, of the directory not longer than ' +
        '`ttl`; also with `verify: { store: … }`.',
      format: 'seconds',
      default: 900,
      min: 0,
      max: 86_400,
    },
  },
} as const satisfies Group;
