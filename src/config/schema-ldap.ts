// The settings of a directory in LDAP, and those of them that an address of a service may have of its own (what vdmap.cfg
// of the Sun MMP allows there).

import type { Group, Leaf } from './formats.ts';

/** Those that an address may replace. */
const perAddress = {
  urls: {
    doc:
      'Servers, all alike, the first that is up is asked: `ldap://host:port` or `ldaps://host:port`; ports 389 and 636 ' +
      'may be left out.',
    format: 'ldapUrls',
    default: [],
    max: 16,
  },
  base: {
    doc:
      "Where to search: without hostedDomains the users' tree; with `schema: 1` what is above the dc entries of the " +
      'domains.',
    format: 'ldapName',
    default: 'o=internet',
  },
  bindDn: {
    doc: 'Who to search as; empty: nobody (anonymous).',
    format: 'ldapName',
    default: null,
    nullable: true,
  },
  bindPassword: {
    doc: 'Its password.',
    format: 'secret',
    default: null,
    nullable: true,
    sensitive: true,
  },
  hostedDomains: {
    doc: 'First the domain is looked up, then the user in it; otherwise all users are in one tree.',
    format: 'flag',
    default: true,
  },
  searchFormat: {
    doc:
      'Filter that finds a user without hostedDomains. %s user and domain, %U user, %V domain, %o as the client sent ' +
      'it, %C address of the client, %S address of ours, %D subject of the certificate of the client, %% a percent sign.',
    format: 'searchFormat',
    default: '(uid=%s)',
  },
  domainSearchFormat: {
    doc:
      'The same with hostedDomains, where the domain has no inetDomainSearchFilter of its own; ' +
      'empty: as `searchFormat`.',
    format: 'searchFormat',
    default: '(uid=%U)',
    nullable: true,
  },
  mailHostAttrs: {
    doc: "Attributes that name the host of a user's mail; the first one that is there counts.",
    format: 'ldapAttributes',
    default: ['mailHost'],
    min: 1,
    max: 16,
  },
  replayFormat: {
    doc:
      'Name that the store is logged in with, where the domain has no mailAccessProxyReplay: %s %U %V %o %% as above, ' +
      "and %A[attribute] of the user's entry.",
    format: 'replayFormat',
    default: '%U',
  },
  accessAttr: {
    doc: 'Attribute of a user with access rules (`access`); empty: users have none.',
    format: 'ldapAttribute',
    default: 'mailAllowedServiceAccess',
    nullable: true,
  },
} as const satisfies Readonly<Record<string, Leaf>>;

export const ldapSchema = {
  ...perAddress,
  userGroupBase: {
    doc: 'Users, groups and domains of `schema: 2`, and where users of certificates are searched; empty: as `base`.',
    format: 'ldapName',
    default: null,
    nullable: true,
  },
  adminGroup: {
    doc: 'Group whose members may log in for everybody (`adminPolicy: group` of a service); empty: there is none.',
    format: 'ldapName',
    default: null,
    nullable: true,
  },
  schema: {
    doc: "Sun's LDAP Schema: 1 has a tree of dc entries for the domains, 2 has them among the organisations.",
    format: 'count',
    default: 1,
    min: 1,
    max: 2,
  },
  startTls: {
    doc: 'STARTTLS on ldap://, which then must succeed.',
    format: 'flag',
    default: false,
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
    doc: 'Host name that the certificates must show; empty: the host in `urls`.',
    format: 'hostname',
    default: null,
    nullable: true,
  },
  allowClear: {
    doc: 'Passwords may go to the servers without TLS (to loopback they always may).',
    format: 'flag',
    default: false,
  },
  passwords: {
    doc:
      'How passwords are checked (`verify: directory`): `bind`, the server is asked by a bind as the user; or ' +
      '`compare`, with userPassword and the SCRAM-SHA-256 keys of authPassword, which bindDn must be allowed to read.',
    format: 'choice',
    choices: ['bind', 'compare'],
    default: 'bind',
  },
  connections: {
    doc: 'Connections of one worker for searches, and as many for checks of passwords.',
    format: 'count',
    default: 8,
    min: 1,
    max: 1000,
  },
  timeout: {
    doc: 'Seconds for one question, waiting and all servers included.',
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

type Inherited<S> = { readonly [K in keyof S]: Omit<S[K], 'default' | 'doc'> & Optional };
interface Optional {
  readonly doc: string;
  readonly default: null;
  readonly nullable: true;
}

function inherit<const S extends Readonly<Record<string, Leaf>>>(leaves: S): Inherited<S> {
  const entries = Object.entries(leaves).map(([key, leaf]) => {
    const doc = `In place of \`directory.ldap.${key}\`; empty: as there.`;
    return [key, { ...leaf, doc, default: null, nullable: true }];
  });
  return Object.fromEntries(entries) as Inherited<S>;
}

export const ldapDomainSchema = inherit(perAddress);
