// The settings of a directory in a database.

import type { Group } from './formats.ts';

export const sqlSchema = {
  url: {
    doc:
      'Where the users are, for `type: sql`: `sqlite:/file`, `postgres://user@host:port/database` or ' +
      '`mysql://user@host:port/database` (MariaDB too); several hosts with commas, the first that is up is asked; over a ' +
      'Unix socket `postgres://user@/database?host=/folder`, `mysql://user@/database?socket=/file`.',
    format: 'sqlUrl',
    default: null,
    nullable: true,
  },
  password: {
    doc: 'The password of the user in `url`; empty: the server asks for none.',
    format: 'secret',
    default: null,
    nullable: true,
    sensitive: true,
  },
  userQuery: {
    doc:
      'The query that finds a user, one row. :user and :domain as the login is taken apart, :login both, :id as the client ' +
      'sent it, :client address of the client, :server address of ours, :subject of its certificate, :service, :protocol. ' +
      'Columns by name: user, password, hosts, backend, replay, status, access, mail, preauth; others are for `replayFormat`.',
    format: 'sqlQuery',
    default: null,
    nullable: true,
  },
  domainQuery: {
    doc:
      'The query that finds a domain by :domain, asked first. Columns: domain (its own name, where :domain is an alias), ' +
      'hosts, backend, replay (as `replayFormat`), status, access, preauth. No row: nobody of it. Empty: domains are not ' +
      'looked up.',
    format: 'sqlQuery',
    default: null,
    nullable: true,
  },
  mailQuery: {
    doc:
      'The query that finds the user of a certificate by :mail, an address in it; columns as in `userQuery`. Empty: nobody ' +
      'logs in by certificate.',
    format: 'sqlQuery',
    default: null,
    nullable: true,
  },
  backends: {
    doc: 'Names in `backends` that the column backend may say.',
    format: 'words',
    default: [],
    max: 64,
  },
  replayFormat: {
    doc:
      'Name that the store is logged in with, where no column replay says it: %s user and domain, %U user, %V domain (of the ' +
      'column user, where there is one), %o as the client sent it, %A[column] of the row of the user, %% a percent sign; ' +
      'empty: the user as the row says it.',
    format: 'replayFormat',
    default: null,
    nullable: true,
  },
  tls: {
    doc: 'TLS to the server: `required` or `off`; empty: required, but for loopback and Unix sockets, which are asked without.',
    format: 'choice',
    choices: ['required', 'off'],
    default: null,
    nullable: true,
  },
  verifyCertificate: {
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
  tlsName: {
    doc: 'Host name that the certificates must show; empty: the host in `url`.',
    format: 'hostname',
    default: null,
    nullable: true,
  },
  allowClear: {
    doc: 'With `tls: off` the servers may be elsewhere than on loopback.',
    format: 'flag',
    default: false,
  },
  connections: {
    doc: 'Connections of one worker to it; SQLite is asked by one thread.',
    format: 'count',
    default: 8,
    min: 1,
    max: 1000,
  },
  timeout: {
    doc: 'Seconds for one question, waiting and all servers included; the server is told to give up then.',
    format: 'seconds',
    default: 10,
    min: 0.001,
    max: 3600,
  },
  retry: {
    doc: 'Seconds that a server that has failed is left alone.',
    format: 'seconds',
    default: 30,
    min: 0.001,
    max: 86_400,
  },
  refresh: {
    doc: 'Seconds after which a connection is made anew; 0: never.',
    format: 'seconds',
    default: 2100,
    min: 0,
    max: 86_400,
  },
} as const satisfies Group;
