// A successor with stub workers, for tests of a restart. Run as `stub-successor.ts FILE`, where FILE is JSON: the settings
// to load, and how it misbehaves: `crash` at once, `refuse` the settings, `mute` (never says a word), `die-in-charge`
// (ends between prepared and in-charge), `other-protocol` (takes what comes for a protocol that it does not know).

import { readFileSync } from 'node:fs';

import type { Settings } from '../../src/config/settings.ts';
import { SettingsError } from '../../src/errors.ts';
import { createLiveLog } from '../../src/service/live-log.ts';
import { meetPredecessor } from '../../src/service/succession/predecessor.ts';
import type { PredecessorPort } from '../../src/service/succession/predecessor.ts';
import { Supervisor } from '../../src/service/supervisor.ts';
import { realWorld } from '../../src/world.ts';
import { configurationOf, stubEntry } from './stub-supervisor.ts';

export type Misbehaviour = 'crash' | 'refuse' | 'mute' | 'die-in-charge' | 'other-protocol';

export interface SuccessorPlan {
  readonly settings: Settings;
  readonly misbehaviour: Misbehaviour | null;
}

const { settings, misbehaviour } = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as SuccessorPlan;

if (misbehaviour === 'crash') process.exit(3);
if (misbehaviour === 'mute') await new Promise((resolve) => setTimeout(resolve, 60_000));

const port: PredecessorPort = {
  send(message) {
    if (misbehaviour === 'die-in-charge' && message.kind === 'in-charge') process.exit(4);
    return new Promise((resolve) => {
      if (process.connected) process.send?.(message, undefined, {}, () => resolve());
      else resolve();
    });
  },
  on(event: string, hear: (...args: never[]) => void) {
    if (event === 'message' && misbehaviour === 'other-protocol')
      process.on('message', (message: { kind: string; inheritance?: { protocol: number } }, handle) => {
        if (message.inheritance !== undefined) message.inheritance.protocol = 99;
        (hear as (...given: unknown[]) => void)(message, handle);
      });
    else process.on(event, hear as () => void);
  },
};

const predecessor = await meetPredecessor(port);
if (predecessor === null) process.exit(1);
const load = () =>
  misbehaviour === 'refuse'
    ? Promise.reject(new SettingsError(['a: wrong', 'b: wrong']))
    : Promise.resolve(configurationOf(settings));
const supervisor = new Supervisor({
  source: { load, refresh: load },
  entry: stubEntry,
  version: '0.0.1',
  world: realWorld,
  log: createLiveLog({ level: 'error', format: 'json', write: () => undefined }),
  predecessor,
});
process.on('SIGTERM', () => supervisor.end());
const code = await supervisor.run().catch(() => 1);
process.exit(code);
