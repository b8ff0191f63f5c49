// The settings of one entry in `services.NAME.domains`: what may differ for clients that have connected to one address of
// ours (what vdmap.cfg of the Sun MMP allows there).

import type { Group, Leaf } from './formats.ts';
import { directorySchema } from './schema-directory.ts';
import { ldapDomainSchema } from './schema-ldap.ts';
import { serviceSchema } from './schema-service.ts';

/** Settings of a service that an address may have of its own. One more name here is all that one more of them needs. */
export const DOMAIN_KEYS = [
  'verify',
  'access',
  'certmap',
  'mechanisms',
  'restrictPlainPasswords',
  'clientLookup',
  'grants',
  'grantTtl',
  'authService',
  'adminPolicy',
] as const satisfies readonly (keyof typeof serviceSchema)[];

export type DomainKey = (typeof DOMAIN_KEYS)[number];

/** The same with nothing said: `said` are the words for where it is said then. */
type Silent<S> = S extends Leaf
  ? Omit<S, 'default'> & { readonly default: null; readonly nullable: true }
  : { readonly [K in keyof S]: Silent<S[K]> };

function silent<const S extends Leaf | Group>(node: S, place: readonly [string, ...string[]]): Silent<S> {
  if (typeof node['doc'] === 'string') {
    const doc = `In place of \`${place.join('.')}\`; empty: as there.`;
    return { ...node, doc, default: null, nullable: true } as unknown as Silent<S>;
  }
  const entries = Object.entries(node as Group).map(([key, inner]) => [key, silent(inner, [...place, key])]);
  return Object.fromEntries(entries) as Silent<S>;
}

type OfService = { readonly [K in DomainKey]: Silent<(typeof serviceSchema)[K]> };

const ofService = Object.fromEntries(
  DOMAIN_KEYS.map((key) => [key, silent(serviceSchema[key], ['services.NAME', key])]),
) as unknown as OfService;

export const domainSchema = {
  defaultDomain: {
    doc: 'As in `directory`; empty: as there.',
    format: 'hostname',
    default: null,
    nullable: true,
  },
  domainDelimiters: {
    doc: 'As in `directory`; empty: as there.',
    format: 'text',
    default: null,
    nullable: true,
    max: 16,
  },
  ldap: ldapDomainSchema,
  cache: silent(directorySchema.cache, ['directory', 'cache']),
  ...ofService,
  admin: {
    user: {
      doc:
        'Store administrator who logs in for users that have come here, at whatever backend; empty: the one of the ' +
        'backend.',
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
} as const satisfies Group;
