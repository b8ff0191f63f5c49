// Logins that nobody would check: a service that leaves passwords to the backend (`verify: backend`), and a backend that
// an administrator logs in to for everybody (`login: proxy`), whichever way one leads to the other: the service's own, a
// switch of channels, the file of users, a database; and so for every address of a service that has a `verify` of its own. Pure. That
// such a login is refused when it comes (connection/verify.ts) is no reason to serve it.

import type { ServiceSettings, Settings } from '../../config/settings.ts';
import type { UserMap } from '../../config/user-map.ts';
import { domainPlace, variantsOf } from '../../config/variants.ts';
import { backendsOf } from '../backends/backends.ts';
import { namedBackends } from './material.ts';

export function unprovenMistakes(settings: Settings, users: UserMap): string[] {
  return Object.values(settings.services).flatMap((service) => {
    const { name, domains } = service;
    const own = [...variantsOf(service)].filter(
      ([address]) => domains[address]?.overrides.verify !== undefined,
    );
    const faces = [
      { place: `services.${name}`, face: service },
      ...own.map(([address, face]) => ({ place: domainPlace(name, address), face })),
    ];
    return faces.flatMap(({ place, face }) =>
      openBackends(face, settings, users).map(
        (backend) =>
          `${place}.verify: expected directory or { store: BACKEND }: backends.${backend} has ` +
          `login: proxy, so nobody would check the password`,
      ),
    );
  });
}

function openBackends(service: ServiceSettings, settings: Settings, users: UserMap): string[] {
  if (service.verify.kind !== 'backend') return [];
  const named = namedBackends(settings, users, service.protocol);
  const reached = [...backendsOf(settings, service).map(({ name }) => name), ...named];
  return [...new Set(reached)].filter((name) => settings.backends[name]?.login === 'proxy');
}
