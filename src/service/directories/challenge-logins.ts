// Where logins by challenge (APOP, CRAM-MD5, SCRAM) lead nowhere although the settings allow them: a file of users without
// a password that they can be proven by, a backend to log in to for which nobody has one. Pure; for `check`.

import type { Mechanism, ServiceSettings } from '../../config/settings.ts';
import type { UserEntry } from '../../config/user-map.ts';
import { plainOf } from '../../identity/passwords/password.ts';
import { parseScramVerifier } from '../../identity/passwords/scram.ts';
import { isByChallenge } from '../../protocol/mechanisms.ts';
import { backendsOf } from '../backends/backends.ts';
import { takes } from './certificate-logins.ts';
import type { Configuration } from '../configuration.ts';

export function challengeLoginWarnings({ settings, material }: Configuration): string[] {
  if (settings.directory.type !== 'file') return [];
  const users = material.directory.users.filter(({ passwords }) => passwords.length > 0);
  return Object.values(settings.services).flatMap((service): string[] => {
    const listed = service.mechanisms.filter(isByChallenge);
    const key = `services.${service.name}.mechanisms`;
    const vain = listed.filter((mechanism) => !users.some((user) => canProve(user, mechanism)));
    const warnings =
      vain.length === 0
        ? []
        : [`${key}: nobody in ${settings.directory.file} can log in by ${vain.join(', ')}`];
    const byKeys = users.filter((user) => isKeysOnly(user));
    if (byKeys.length === 0 || !listed.some((mechanism) => mechanism.startsWith('SCRAM'))) return warnings;
    const named = service.protocol === 'smtp' ? [] : byKeys.flatMap((user) => namedBackend(user, service));
    const reached = new Set([
      ...backendsOf(settings, service),
      ...named.flatMap((name) => settings.backends[name] ?? []),
    ]);
    const shut = [...reached].filter((backend) => !takes(backend, service));
    return [
      ...warnings,
      ...shut.map(
        ({ name }) =>
          `${key}: whose password is stored as keys of SCRAM is not logged in to backends.${name} by SCRAM unless it has an admin`,
      ),
    ];
  });
}

function canProve({ passwords }: UserEntry, mechanism: Mechanism): boolean {
  const isScram = mechanism.startsWith('SCRAM');
  return passwords.some(
    (stored) => plainOf(stored) !== null || (isScram && parseScramVerifier(stored) !== null),
  );
}

function isKeysOnly({ passwords }: UserEntry): boolean {
  return (
    passwords.every((stored) => plainOf(stored) === null) &&
    passwords.some((stored) => parseScramVerifier(stored) !== null)
  );
}

function namedBackend({ backend }: UserEntry, { protocol }: ServiceSettings): readonly string[] {
  const name = typeof backend === 'string' ? backend : backend?.[protocol];
  return name === undefined ? [] : [name];
}
