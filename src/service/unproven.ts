// Logins that nobody would check: a service that leaves passwords to the backend (`verify: backend`), and a backend that
// an administrator logs in to for everybody (`login: proxy`), whichever way one leads to the other: the service's own, a
// switch of channels, the file of users, a database. Pure. That such a login is refused when it comes (connection/verify.ts) is no
// reason to serve it.

import type { Settings } from '../config/settings.ts';
import type { UserMap } from '../config/user-map.ts';
import { backendsOf } from './backends.ts';
import { namedBackends } from './directory-material.ts';

export function unprovenMistakes(settings: Settings, users: UserMap): string[] {
  return Object.values(settings.services)
    .filter(({ verify }) => verify.kind === 'backend')
    .flatMap((service) => {
      const named = namedBackends(settings, users, service.protocol);
      const reached = [...backendsOf(settings, service).map(({ name }) => name), ...named];
      return [...new Set(reached)]
        .filter((name) => settings.backends[name]?.login === 'proxy')
        .map(
          (name) =>
            `services.${service.name}.verify: expected directory or { store: BACKEND }: backends.${name} has ` +
            `login: proxy, so nobody would check the password`,
        );
    });
}
