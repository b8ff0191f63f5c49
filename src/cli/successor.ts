// `sallyport successor --config F`: what a supervisor starts to be replaced by; not for people, so it is in no list. Takes
// over listeners and all else from the supervisor at the other end of its channel, then serves as `serve` does. What is
// wrong is said to that one, which goes on and writes it to the log; to standard error only where it is gone.

import { parseArgs } from 'node:util';

import { SettingsError } from '../errors.ts';
import { explain } from '../log.ts';
import { forkSuccessor } from '../service/children.ts';
import { createConfigurationSource } from '../service/configuration.ts';
import { createLiveLog } from '../service/live-log.ts';
import { meetPredecessor } from '../service/succession/predecessor.ts';
import type { PredecessorPort } from '../service/succession/predecessor.ts';
import { Supervisor } from '../service/supervisor.ts';
import { obeySignals, startedAs, SUPERVISOR_TITLE } from './serve.ts';
import { FAILED, WRONG_SETTINGS, WRONG_USAGE } from './usage.ts';
import type { Program } from './usage.ts';

export async function succeed(args: readonly string[], program: Program): Promise<number> {
  const { config: file } = parseArgs({
    args: [...args],
    options: { config: { type: 'string' } },
    strict: false,
  }).values;
  if (process.send === undefined || typeof file !== 'string') {
    program.err('sallyport successor: only a running `sallyport serve` starts it (sallyport restart)\n');
    return WRONG_USAGE;
  }
  process.title = SUPERVISOR_TITLE;
  const predecessor = await meetPredecessor(channelPort());
  if (predecessor === null) return FAILED;
  const { entry, version, world } = program;
  const supervisor = new Supervisor({
    source: createConfigurationSource({ file, world, missing: 'refuse' }),
    entry,
    version,
    world,
    log: createLiveLog({ level: 'info', format: 'json' }),
    predecessor,
    forkSuccessor: () => forkSuccessor(startedAs(program), file),
  });
  obeySignals(supervisor);
  try {
    return await supervisor.run();
  } catch (error) {
    if (!process.connected) program.err(`sallyport successor: ${explain(error)}\n`);
    return error instanceof SettingsError ? WRONG_SETTINGS : FAILED;
  }
}

function channelPort(): PredecessorPort {
  return {
    send(message) {
      const { promise, resolve } = Promise.withResolvers<void>();
      if (process.send === undefined || !process.connected) resolve();
      else process.send(message, undefined, {}, () => resolve());
      return promise;
    },
    on: (event: string, hear: (...args: never[]) => void) => void process.on(event, hear as () => void),
  };
}
