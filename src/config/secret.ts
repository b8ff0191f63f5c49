// Secrets: their value when it is needed, and their mask everywhere else.
// A secret written into the settings has no printed form: JSON and util.inspect show the mask. That holds for settings
// sent as JSON too, so whoever needs the value resolves it before (the supervisor). The one user of process.env.
// On failure: a SettingsError that names the file or credential, never what is in it.

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { SettingsError } from '../errors.ts';
import type { Secret, Settings } from './settings.ts';

export const MASK = '[secret]';
const MAX_SECRET_BYTES = 65_536;

export function inlineSecret(value: string): Secret {
  const secret = { kind: 'inline', value } as const;
  const masked = { kind: 'inline', value: MASK } as const;
  Object.defineProperty(secret, 'toJSON', { value: () => masked });
  Object.defineProperty(secret, inspect.custom, { value: () => masked });
  return secret;
}

/** The settings as JSON for reading, secrets masked. */
export function describeSettings(settings: Settings): string {
  return JSON.stringify(settings, (_key, value: unknown) => (isInline(value) ? MASK : value), 2);
}

function isInline(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'inline';
}

/** The secret itself. A final line break of a file is not part of it. */
export function resolveSecret(secret: Secret): string {
  switch (secret.kind) {
    case 'inline':
      return secret.value;
    case 'file':
      return readSecretFile(secret.path, refuseShared);
    case 'credential': {
      const folder = process.env['CREDENTIALS_DIRECTORY'];
      if (folder === undefined || folder === '') {
        throw new SettingsError([
          `credential ${secret.name}: expected $CREDENTIALS_DIRECTORY (LoadCredential= of systemd), found nothing`,
        ]);
      }
      // systemd hands credentials out itself, its ACLs look like group rights.
      return readSecretFile(join(folder, secret.name), () => {});
    }
  }
}

function refuseShared(path: string, mode: number): void {
  if ((mode & 0o077) === 0) return;
  const found = (mode & 0o777).toString(8).padStart(3, '0');
  throw new SettingsError([`${path}: others may open this secret (mode ${found}); run: chmod 600 ${path}`]);
}

function readSecretFile(path: string, checkMode: (path: string, mode: number) => void): string {
  try {
    const descriptor = openSync(path, 'r');
    try {
      const { mode } = fstatSync(descriptor);
      checkMode(path, mode);
      const room = Buffer.alloc(MAX_SECRET_BYTES + 1);
      const size = readSync(descriptor, room);
      if (size > MAX_SECRET_BYTES) {
        throw new SettingsError([
          `${path}: expected a secret of at most ${MAX_SECRET_BYTES} bytes, found more`,
        ]);
      }
      const text = room.toString('utf8', 0, size).replace(/\r?\n$/, '');
      if (text === '') throw new SettingsError([`${path}: expected a secret, found an empty file`]);
      return text;
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    if (error instanceof SettingsError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    throw new SettingsError([`${path}: the secret cannot be read (${code})`]);
  }
}
