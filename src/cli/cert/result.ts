// Where the result of a verb goes: the file of -o, or standard output. Binary is not written to a terminal.

import { realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { isatty } from 'node:tty';

import { databaseFile } from '../../certdb/database.ts';
import { SettingsError } from '../../errors.ts';
import { draftFile } from './output-file.ts';
import type { Desk, Options } from './verb.ts';

export const OUTPUT_OPTION = {
  output: {
    type: 'string',
    short: 'o',
    value: 'OUTPUT_FILE',
    doc: 'writes the result to this file (default: standard output)',
  },
} as const satisfies Options;

export interface Destination {
  readonly output: string | undefined;
  readonly kind: 'secret' | 'public';
}

/** Before anything is done, for a result that is binary. */
export function refuseTerminal(output: string | undefined, hint: string): void {
  if (output === undefined && isatty(1))
    throw new SettingsError([`the result is binary, it is not written to a terminal: ${hint}`]);
}

/** The way back from this would be a backup. */
function refuseOwn(output: string, { place }: Desk): void {
  for (const own of [databaseFile(place.folder), place.passwordFile]) {
    if (realPath(output) === realPath(own))
      throw new SettingsError([
        `${output}: is ${own} itself, which is not overwritten: another file is wanted`,
      ]);
  }
}

function realPath(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    return resolve(file);
  }
}

/** Does the change between draft and file, so that both happen or neither. */
export function deliver(
  desk: Desk,
  bytes: Uint8Array,
  { output, kind, change }: Destination & { readonly change?: () => void },
): void {
  if (output !== undefined) refuseOwn(output, desk);
  const draft = output === undefined ? null : draftFile(output, bytes, kind);
  try {
    change?.();
  } catch (error) {
    draft?.drop();
    throw error;
  }
  if (draft === null) desk.program.out(bytes);
  else draft.keep();
}
