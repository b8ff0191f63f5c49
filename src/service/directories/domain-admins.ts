// Store administrators of single addresses of ours (`domains.ADDRESS.admin`): their passwords are read by the supervisor
// and given to the workers in the material. Mistakes go to `fail`; nothing here throws.

import { resolveSecret } from '../../config/secret.ts';
import type { ServiceSettings, Settings } from '../../config/settings.ts';
import { domainPlace } from '../../config/variants.ts';
import type { AdminLogin } from '../../connection/backend-leg.ts';
import { placeKey } from '../../identity/login-id.ts';

/** Passwords by placeKey(). Never logged. */
export type DomainAdmins = Readonly<Record<string, string>>;

export function readDomainAdmins(
  settings: Settings,
  fail: (error: unknown, where: string) => void,
): DomainAdmins {
  const read = ({ service, address, password }: Place): [string, string][] => {
    try {
      return [[placeKey(service, address), resolveSecret(password)]];
    } catch (error) {
      fail(error, ` (for ${domainPlace(service, address)}.admin)`);
      return [];
    }
  };
  return Object.fromEntries(placesOf(settings).flatMap(read));
}

/** Files whose change changes a password. */
export function domainAdminFiles(settings: Settings): string[] {
  return placesOf(settings).flatMap(({ password }) => (password.kind === 'file' ? [password.path] : []));
}

/** null: the one of each backend. */
export function domainAdmin(
  { name, domains }: ServiceSettings,
  address: string,
  admins: DomainAdmins,
): AdminLogin | null {
  const user = domains[address]?.admin?.user;
  const password = admins[placeKey(name, address)];
  return user === undefined || password === undefined ? null : { user, password };
}

function placesOf({ services }: Settings) {
  return Object.values(services).flatMap(({ name, domains }) =>
    Object.entries(domains).flatMap(([address, { admin }]) =>
      admin === null || admin.password === null ? [] : [{ service: name, address, password: admin.password }],
    ),
  );
}

type Place = ReturnType<typeof placesOf>[number];
