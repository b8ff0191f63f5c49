// Whether a server runs that uses the database, and when it will have noticed a change.

import { askControl } from '../../service/control.ts';
import type { Desk } from './verb.ts';

const ANSWER_LIMIT_MS = 1000;

/** Says so; nothing where none runs, or where it may not be asked. */
export async function tellOfServer({ place, program, note }: Desk): Promise<void> {
  if (place.settings === null) return;
  const { dataDir, certificates } = place.settings;
  const { world } = program;
  const answer = await askControl(dataDir, 'status', { world, limitMs: ANSWER_LIMIT_MS });
  if (!answer.ok) return;
  note(`the running server takes it up by itself, within ${Math.ceil(certificates.watchMs / 1000)} s`);
}
