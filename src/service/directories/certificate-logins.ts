// Where logins by certificate (SASL EXTERNAL) can lead anywhere: somebody must say whose a certificate is, and somebody
// must log in to the backend for whom no password is there. Pure; what `check` says of it is in here too.

import type { BackendSettings, Mechanism, ServiceSettings, Settings } from '../../config/settings.ts';
import { takesProven } from '../../connection/verify.ts';
import { backendsOf } from '../backends/backends.ts';
import type { Configuration } from '../configuration.ts';
import { namedBackends } from './material.ts';

/** The service as its clients are offered mechanisms: without EXTERNAL where nobody says whose a certificate is. */
export function withoutVainMechanisms(service: ServiceSettings, settings: Settings): ServiceSettings {
  if (settings.directory.type !== 'none' && !isSilent(settings)) return service;
  return { ...service, mechanisms: service.mechanisms.filter((mechanism) => mechanism !== 'EXTERNAL') };
}

/**
 * What a script for nginx judges: certificates and, where it is shown them, tokens; challenges as everybody does. It gives
 * the password for the store.
 */
export function judgedMechanisms({ verify }: ServiceSettings, { directory }: Settings): readonly Mechanism[] {
  if (directory.type !== 'http' || verify.kind !== 'directory') return [];
  return directory.http.passTokens ? ['EXTERNAL', 'XOAUTH2', 'OAUTHBEARER'] : ['EXTERNAL'];
}

/** A database that is not asked for mail addresses. */
function isSilent({ directory: { type, sql } }: Settings): boolean {
  return type === 'sql' && sql.mailQuery === null;
}

/** One line for each backend that a login by certificate leads to in vain, where certificates are asked for. */
export function certificateLoginWarnings({ settings, material, trust }: Configuration): string[] {
  return Object.values(settings.services)
    .filter(({ name, mechanisms }) => name in trust.clients && mechanisms.includes('EXTERNAL'))
    .flatMap((service) => {
      const key = `services.${service.name}.mechanisms`;
      if (settings.directory.type === 'none') {
        return [
          `${key}: EXTERNAL is not offered, since there is no directory that says whose certificate it is: leave it ` +
            `out, or say in a file of users (directory.type: file) for which domains the CA's word counts`,
        ];
      }
      if (judgedMechanisms(service, settings).includes('EXTERNAL')) return [];
      if (isSilent(settings)) {
        return [
          `${key}: EXTERNAL is not offered, since no query says whose a mail address is: leave it out, or give ` +
            'directory.sql.mailQuery',
        ];
      }
      const named = namedBackends(settings, material.directory.users, service.protocol);
      const reached = new Map(
        [
          ...backendsOf(settings, service),
          ...[...named].flatMap((name) => settings.backends[name] ?? []),
        ].map((backend) => [backend.name, backend]),
      );
      return [...reached.values()]
        .filter((backend) => !takes(backend, service))
        .map(({ name }) => {
          const told = service.protocol === 'smtp' ? ', or is told by client: xclient or xpehlo' : '';
          return `${key}: nobody logs in to backends.${name} by certificate (EXTERNAL) unless it has an admin${told}`;
        });
    });
}

/**
 * Whether somebody can be logged in there for whom nobody has a password. An address with an administrator of its own is
 * somewhere else's business.
 */
export function takes(backend: BackendSettings, { protocol, domains }: ServiceSettings): boolean {
  const hasAdmin = backend.admin !== null || Object.values(domains).some(({ admin }) => admin !== null);
  return hasAdmin || takesProven({ admin: null, settings: backend }, protocol);
}
