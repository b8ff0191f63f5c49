// A front in memory with the supervisor's placements beside it: moves of users without processes. The store is in memory,
// on the test's clock; `answers` is what workers say when they are told to end sessions, the front's own word unless said.

import type { TestContext } from 'node:test';

import { createLog } from '../../src/log.ts';
import type { ToWorker } from '../../src/service/messages.ts';
import { askMove } from '../../src/service/placements/answers.ts';
import { moveUser } from '../../src/service/placements/move.ts';
import { PlacementBook } from '../../src/service/placements/book.ts';
import type { ControlAnswer, ControlRequest } from '../../src/service/control.ts';
import { openEmbedded } from '../../src/state/embedded.ts';
import { type Gateway, type GatewayOptions, openGateway } from './gateway.ts';

const quiet = createLog({ level: 'error', format: 'json', write: () => undefined });

export interface MovingGateway {
  readonly gateway: Gateway;
  readonly book: PlacementBook;
  /** Replaced by a test: the answer of the only worker. */
  worker: (message: ToWorker) => unknown;
  ask(request: ControlRequest): Promise<ControlAnswer>;
  /** Moves the clock in small steps until it is answered. */
  asked(request: ControlRequest): Promise<ControlAnswer>;
}

export function openMoving(t: TestContext, options: GatewayOptions): MovingGateway {
  const gateway = openGateway(t, options);
  const { world, settings, guard, front } = gateway;
  const store = openEmbedded({ file: '/nowhere/state.db', world, log: quiet });
  const moving: { worker: (message: ToWorker) => unknown } = {
    worker: (message) => (message.kind === 'evict' ? front.evict(message.eviction) : null),
  };
  const book = new PlacementBook({
    world,
    log: quiet,
    pool: {
      askAll: async (question) => [moving.worker(question(1))],
      tellAll: (message) => {
        if (message.kind === 'shared') guard.hear(message.note);
      },
    },
  });
  book.use(store);
  book.update(settings);
  const status = async () =>
    Object.values(settings.backends).map(({ name, balance }) => ({ name, balance, servers: [] }));
  const ask = (request: ControlRequest): Promise<ControlAnswer> => {
    const shared = {
      placements: book,
      now: world.now(),
      move: (order: Parameters<typeof moveUser>[1]) => moveUser({ book, store, world, log: quiet }, order),
    };
    return askMove({ shared, fleet: { status } }, request);
  };
  const asked = async (request: ControlRequest): Promise<ControlAnswer> => {
    let answer: ControlAnswer | null = null;
    void ask(request).then((it) => (answer = it));
    for (let step = 0; answer === null && step < 2000; step++) await gateway.advance(50);
    if (answer === null) throw new Error('the move never ended');
    return answer;
  };
  return Object.assign(moving, { gateway, book, ask, asked });
}
