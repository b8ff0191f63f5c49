import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Lineage, restartObstacle } from '../../../src/service/succession/lineage.ts';
import type { Predecessor } from '../../../src/service/succession/predecessor.ts';
import { manualWorld } from '../../support/manual-world.ts';

const main = { descriptors: [], notifySocket: null, isMainProcess: true };

test('a restart is refused where the end of this process would be taken for the end of the service', () => {
  assert.match(restartObstacle({ pid: 1, manager: undefined, predecessorPid: null }) ?? '', /container/);
  assert.match(restartObstacle({ pid: 9, manager: main, predecessorPid: null }) ?? '', /Type=notify/);
});

test('a restart is refused while the supervisor before this one drains, so that they do not pile up', () => {
  assert.match(restartObstacle({ pid: 9, manager: undefined, predecessorPid: 8 }) ?? '', /process 8/);
});

test('a restart is possible from a shell, and under a manager that can be told', () => {
  assert.equal(restartObstacle({ pid: 9, manager: undefined, predecessorPid: null }), null);
  const told = { ...main, notifySocket: '/run/systemd/notify' };
  assert.equal(restartObstacle({ pid: 9, manager: told, predecessorPid: null }), null);
  assert.equal(
    restartObstacle({ pid: 9, manager: { ...main, isMainProcess: false }, predecessorPid: null }),
    null,
  );
});

function successorOf(gone: Promise<void>): { lineage: Lineage; world: ReturnType<typeof manualWorld> } {
  const never = new Promise<never>(() => undefined);
  const predecessor: Predecessor = {
    pid: 8,
    dataDir: '/d',
    notifySocket: null,
    ticketKeys: null,
    listeners: [],
    notices: [],
    gone,
    abandoned: never,
    prepared: () => never,
    inCharge: () => never,
    failed: () => never,
  };
  const world = manualWorld();
  const lineage = new Lineage({ predecessor, world });
  lineage.isInCharge = true;
  return { lineage, world };
}

test('the one in charge outlives its predecessor, and waits for it no longer than it is told', async () => {
  const end = Promise.withResolvers<void>();
  const first = successorOf(end.promise);
  const waited = first.lineage.othersGone(1000);
  end.resolve();
  await waited;
  assert.equal(first.lineage.predecessorPid, null);
  assert.equal(first.world.pending, 0);
  const second = successorOf(new Promise(() => undefined));
  const limited = second.lineage.othersGone(1000);
  second.world.advance(1000);
  await limited;
});
