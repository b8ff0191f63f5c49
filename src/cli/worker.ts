// `sallyport worker N`: what the supervisor forks; not for people, so it is in no list. Without a supervisor's channel
// it refuses. The process lives until the worker is done.

import { explain } from '../log.ts';
import { createFront } from '../service/front.ts';
import { createLiveLog } from '../service/live-log.ts';
import { runWorker } from '../service/worker.ts';
import type { WorkerPort } from '../service/worker.ts';
import { countMemoryThatIsHeld } from './collector.ts';
import { DONE, WRONG_USAGE } from './usage.ts';
import type { Program } from './usage.ts';

const CRASHED = 70;

export async function work(args: readonly string[], program: Program): Promise<number> {
  const index = Number(args[0]);
  if (process.send === undefined || args.length !== 1 || !Number.isInteger(index)) {
    program.err('sallyport worker: only `sallyport serve` starts workers\n');
    return WRONG_USAGE;
  }
  process.title = `sallyport: worker ${index}`;
  countMemoryThatIsHeld();
  // These go to the whole process group of a terminal; the supervisor decides what they mean.
  process.on('SIGINT', () => {});
  process.on('SIGHUP', () => {});
  const log = createLiveLog({ level: 'info', format: 'json', base: { worker: index } });
  process.on('uncaughtException', (error) => {
    log.error('crash', { cause: explain(error), stack: error.stack });
    program.exit(CRASHED);
  });
  await runWorker({ index, port: channelPort(), createFront, world: program.world, log });
  return DONE;
}

function channelPort(): WorkerPort {
  return {
    send(message, sent) {
      if (process.send === undefined || !process.connected) sent();
      else process.send(message, undefined, {}, sent);
    },
    on: (event: string, hear: (...args: never[]) => void) => void process.on(event, hear as () => void),
  };
}
