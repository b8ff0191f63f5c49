// What the supervisor would tell a front of its backends' passwords.

import { resolveSecret } from '../../src/config/secret.ts';
import type { Secret, Settings } from '../../src/config/settings.ts';
import type { BackendSecrets } from '../../src/service/backends/material.ts';

export function backendSecretsOf({ backends }: Settings): Record<string, BackendSecrets> {
  const valueOf = (secret: Secret | null | undefined): string | null =>
    secret === null || secret === undefined ? null : resolveSecret(secret);
  return Object.fromEntries(
    Object.values(backends).map(({ name, admin, check }) => [
      name,
      { adminPassword: valueOf(admin?.password), checkPassword: valueOf(check.password), certificates: [] },
    ]),
  );
}
