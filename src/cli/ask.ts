// How a command reaches the running supervisor: by the control socket in the dataDir of the settings. The settings may
// be wrong at the moment (that is when `status` and `drain` are wanted most), so dataDir is then read for itself.

import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

import { parseSettings } from '../config/lines.ts';
import { defaultSettings, findSettingsFile, loadSettings } from '../config/load.ts';
import { SettingsError } from '../errors.ts';
import { askControl } from '../service/control.ts';
import type { ControlAnswer, ControlCommand, ControlRequest } from '../service/control.ts';
import { textOption } from './usage.ts';
import type { OptionValues, Program } from './usage.ts';

const ANSWER_LIMIT_MS = 10_000;
/** A reload waits for binds and for every worker; a restart for a successor, which has 70 s. */
const CHANGE_LIMIT_MS = 90_000;
/** The replacement of all workers waits for the last connection of each; ACME for one order after another. */
const LONG_LIMIT_MS = 24 * 3_600_000;

export function askSupervisor(
  command: ControlCommand,
  values: OptionValues,
  { world, request = {} }: Pick<Program, 'world'> & { readonly request?: ControlRequest },
): Promise<ControlAnswer> {
  const isChange = command === 'reload' || command === 'restart';
  const isLong = request['workers'] === true || request['now'] === true;
  const limitMs = isLong ? LONG_LIMIT_MS : isChange ? CHANGE_LIMIT_MS : ANSWER_LIMIT_MS;
  return askControl(findDataDir(textOption(values, 'config')), command, { world, limitMs, request });
}

/** dataDir of the settings. Throws SettingsError only where not even that can be read. */
export function findDataDir(argument: string | undefined): string {
  const file = findSettingsFile(argument);
  if (file === null) return defaultSettings().dataDir;
  try {
    return loadSettings({ file }).dataDir;
  } catch (error) {
    const dataDir = error instanceof SettingsError ? readDataDir(file) : null;
    if (dataDir === null) throw error;
    return dataDir;
  }
}

function readDataDir(file: string): string | null {
  try {
    const { root } = parseSettings(readFileSync(file, 'utf8'));
    if (!(root instanceof Map)) return null;
    const dataDir: unknown = root.get('dataDir') ?? defaultSettings().dataDir;
    return typeof dataDir === 'string' ? resolve(dirname(resolve(file)), dataDir) : null;
  } catch {
    return null;
  }
}

/** Words for an answer that is a refusal. */
export function refusalText({ error, mistakes = [] }: Extract<ControlAnswer, { ok: false }>): string {
  return [error, ...mistakes].map((line) => `${line}\n`).join('');
}
