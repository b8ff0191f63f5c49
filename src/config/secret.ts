// Secrets: their value when it is needed, and their mask everywhere else.
// A secret written into the settings has no printed form: JSON and util.inspect show the mask. That holds for settings
// sent as JSON too, so whoever needs the value resolves it before (the supervisor). The one user of process.env.
// A secret's file is a regular one, its owner's alone, and its owner is root or us; it is opened without waiting, so a
// named pipe holds nothing up. On failure: a SettingsError that names the file or credential, never what is in it.

import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
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

export function isRedisUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && /^rediss?:$/.test(url.protocol) && url.hostname !== '';
}

/** The URL of the shared Redis; what a file or credential holds is judged here. */
export function resolveRedisUrl(secret: Secret): string {
  const url = resolveSecret(secret);
  if (isRedisUrl(url)) return url;
  throw new SettingsError(['redis: expected redis://host:port/number or rediss://… in the secret']);
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

function refuseShared(path: string, { uid, mode }: Stats): void {
  const us = process.getuid?.() ?? uid;
  if (uid !== 0 && uid !== us) {
    throw new SettingsError([
      `${path}: belongs to user ${uid}, a secret must belong to root or to user ${us}: chown ${us} ${path}`,
    ]);
  }
  if ((mode & 0o077) === 0) return;
  const found = (mode & 0o777).toString(8).padStart(4, '0');
  throw new SettingsError([
    `${path}: has mode ${found}, a secret must be its owner's only: chmod 600 ${path}`,
  ]);
}

function readSecretFile(path: string, checkStats: (path: string, stats: Stats) => void): string {
  try {
    const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const stats = fstatSync(descriptor);
      if (!stats.isFile())
        throw new SettingsError([
          `${path}: expected a regular file with a secret, found another kind of file`,
        ]);
      checkStats(path, stats);
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
