// The notices that stand in for mailboxes (`spoof` of pop3 services): read from their files by the supervisor, checked there,
// and given to the workers as text.

import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import type { ServiceSettings, Settings } from '../config/settings.ts';
import type { GateSpoof } from '../connection/spoof.ts';
import { SettingsError } from '../errors.ts';
import { explain } from '../log.ts';
import { readSpoof, SPOOF_BYTES_MAX } from '../protocol/pop3-spoof.ts';

/** By service name, one byte a character; null: the mailbox is empty, or there is none. */
export type SpoofTexts = Readonly<Record<string, string | null>>;

/** Calls `fail` for each file that cannot be had. */
export function readSpoofs(settings: Settings, fail: (error: unknown, where: string) => void): SpoofTexts {
  const texts = Object.values(settings.services).map(({ name, spoof }): [string, string | null] => {
    try {
      return [name, spoof.message === null ? null : readNotice(spoof.message)];
    } catch (error) {
      fail(error, ` (for services.${name}.spoof.message)`);
      return [name, null];
    }
  });
  return Object.fromEntries(texts);
}

export function spoofFiles(settings: Settings): string[] {
  return Object.values(settings.services).flatMap(({ spoof }) => spoof.message ?? []);
}

export function spoofOf({ name, spoof }: ServiceSettings, spoofs: SpoofTexts): GateSpoof | null {
  if (spoof.when.length === 0) return null;
  const text = spoofs[name] ?? null;
  const message = text === null ? null : readSpoof(text);
  return { when: spoof.when, message: typeof message === 'string' ? null : message };
}

function readNotice(file: string): string {
  let text: string;
  try {
    text = readBounded(file);
  } catch (error) {
    if (error instanceof SettingsError) throw error;
    throw new SettingsError([`${file}: the message cannot be read (${explain(error)})`]);
  }
  const message = readSpoof(text);
  if (typeof message === 'string') throw new SettingsError([`${file}: ${message}`]);
  return text;
}

function readBounded(file: string): string {
  const descriptor = openSync(file, 'r');
  try {
    const stats = fstatSync(descriptor);
    if (!stats.isFile() || stats.size > SPOOF_BYTES_MAX) {
      throw new SettingsError([`${file}: expected a file of at most ${SPOOF_BYTES_MAX} bytes`]);
    }
    return readFileSync(descriptor, 'latin1');
  } finally {
    closeSync(descriptor);
  }
}
