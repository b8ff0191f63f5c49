// The supervisor's knowledge of the servers behind: drains and marks outlive workers and reloads, one worker is the
// prober, and what a worker reports is believed only from that one and only of servers that there are.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Settings } from '../../../src/config/settings.ts';
import type { ServerFacts } from '../../../src/connection/server-health.ts';
import { createLog } from '../../../src/log.ts';
import { backendLines } from '../../../src/cli/backend.ts';
import { Fleet, type BackendStatus } from '../../../src/service/backends/fleet.ts';
import type { ToWorker } from '../../../src/service/messages.ts';
import type { WorkerPool } from '../../../src/service/worker-pool.ts';
import type { WorkerProcess } from '../../../src/service/worker-process.ts';
import { manualWorld } from '../../support/manual-world.ts';

interface StubWorker {
  state: string;
  pid: number;
  readonly sent: ToWorker[];
  facts: readonly ServerFacts[];
}

function stubWorker(pid: number): StubWorker & { send: (message: ToWorker) => void } {
  const sent: ToWorker[] = [];
  return { state: 'ready', pid, sent, facts: [], send: (message) => void sent.push(message) };
}

function settings(servers: readonly string[], everyMs = 0, name = 'stores'): Settings {
  const endpoints = servers.map((host) => ({ kind: 'tcp', host, port: 143 }));
  const backend = { name, balance: 'hash', servers: endpoints, check: { everyMs } };
  return { backends: { [name]: backend } } as unknown as Settings;
}

function fleet(count = 2) {
  const workers = Array.from({ length: count }, (_, index) => stubWorker(100 + index));
  const world = manualWorld();
  const lines: Readonly<Record<string, unknown>>[] = [];
  const log = createLog({
    level: 'debug',
    format: 'json',
    write: (line) => void lines.push(JSON.parse(line) as Readonly<Record<string, unknown>>),
  });
  const pool = {
    workers,
    tell: (message: ToWorker) => {
      for (const worker of workers) worker.send(message);
    },
    ask: () => Promise.resolve(workers.map(({ facts, state }) => (state === 'ready' ? facts : null))),
  };
  const made = new Fleet({ pool: pool as unknown as WorkerPool, world, log });
  const as = (worker: StubWorker | undefined): WorkerProcess => worker as unknown as WorkerProcess;
  const probers = (): number[] =>
    workers.flatMap(({ pid, sent }) => sent.filter(({ kind }) => kind === 'prober').map(() => pid));
  const show = async (): Promise<string[]> => {
    const status = await made.status();
    return status.flatMap(({ servers }) =>
      servers.map(({ server, state, open }) => `${server} ${state} ${open}`),
    );
  };
  return { fleet: made, workers, world, lines, as, probers, show };
}

const down = {
  backend: 'stores',
  server: 'one:143',
  mark: 'down',
  cause: 'BACKEND_TIMEOUT: silent',
} as const;

test('a drain is told to all workers and to every later one, until it is lifted', async () => {
  const { fleet: all, workers, show, lines } = fleet();
  all.settle(settings(['one', 'two']));
  const answer = await all.obey({ name: 'stores', action: 'drain', server: 'one:143' });
  assert.equal(answer.ok, true);
  const notice = { backend: 'stores', server: 'one:143', drained: true, mark: 'none' };
  for (const { sent } of workers) assert.deepEqual(sent.at(-1), { kind: 'notice', notices: [notice] });
  assert.deepEqual(all.notices, [notice]);
  assert.deepEqual(await show(), ['one:143 drained 0', 'two:143 up 0']);
  assert.equal(lines.at(-1)?.['event'], 'backend-drained');
  await all.obey({ name: 'stores', action: 'up' });
  assert.deepEqual(all.notices, []);
  assert.deepEqual(await show(), ['one:143 up 0', 'two:143 up 0']);
});

test('a drain outlives a reload that keeps the server, and is forgotten with the server', async () => {
  const { fleet: all, show } = fleet();
  all.settle(settings(['one', 'two']));
  await all.obey({ name: 'stores', action: 'drain' });
  all.settle(settings(['two', 'three']));
  assert.deepEqual(await show(), ['two:143 drained 0', 'three:143 up 0']);
  all.settle(settings(['one', 'two'], 0, 'renamed'));
  assert.deepEqual(await show(), ['one:143 up 0', 'two:143 up 0']);
});

test('what there is not, and what is no order, is refused with what there is', async () => {
  const { fleet: all } = fleet();
  all.settle(settings(['one']));
  for (const [request, words] of [
    [{ name: 'nothing' }, /there are: stores/],
    [{ name: 7 }, /there are: stores/],
    [{ name: '__proto__' }, /there are: stores/],
    [{ name: 'stores', action: 'drain', server: 'two:143' }, /it has: one:143/],
    [{ name: 'stores', action: 'destroy' }, /drain or up/],
  ] as const) {
    const answer = await all.obey(request);
    assert.ok(!answer.ok);
    assert.match(answer.error, words);
  }
  assert.deepEqual(all.notices, []);
});

test('nobody is the prober where nothing is to be looked at', () => {
  const { fleet: all, probers, world } = fleet();
  all.settle(settings(['one']));
  world.advance(5000);
  assert.deepEqual(probers(), []);
});

test('one ready worker is the prober; when it has gone or was started anew, another is told', () => {
  const { fleet: all, workers, probers, world } = fleet(3);
  if (workers[0] !== undefined) workers[0].state = 'starting';
  all.settle(settings(['one'], 1000));
  world.advance(5000);
  assert.deepEqual(probers(), [101]);
  if (workers[1] !== undefined) workers[1].state = 'waiting';
  world.advance(1000);
  assert.deepEqual(probers(), [101, 102]);
  if (workers[2] !== undefined) workers[2].pid = 202;
  world.advance(1000);
  assert.deepEqual(
    probers(),
    [101, 202, 202].toSorted((a, b) => a - b),
  );
  all.close();
  assert.equal(world.pending, 0);
});

test('the prober’s report is logged once and told to all workers', async () => {
  const { fleet: all, workers, as, lines, show } = fleet();
  all.settle(settings(['one', 'two'], 1000));
  all.checked(as(workers[0]), down);
  all.checked(as(workers[0]), down);
  assert.deepEqual(await show(), ['one:143 down 0', 'two:143 up 0']);
  const notice = { backend: 'stores', server: 'one:143', drained: false, mark: 'down' };
  assert.deepEqual(workers[1]?.sent.at(-1), { kind: 'notice', notices: [notice] });
  all.checked(as(workers[0]), { ...down, mark: 'login', cause: null });
  assert.deepEqual(
    lines.map(({ event, cause }) => [event, cause]),
    [
      ['backend-down', 'BACKEND_TIMEOUT: silent'],
      ['backend-up', 'the account of the check is let in'],
    ],
  );
  assert.deepEqual(await show(), ['one:143 up 0', 'two:143 up 0']);
});

test('a report of another worker or of a server that is not there changes nothing', async () => {
  const { fleet: all, workers, as, lines } = fleet();
  all.settle(settings(['one'], 1000));
  all.checked(as(workers[1]), down);
  all.checked(as(workers[0]), { ...down, server: 'else:143' });
  assert.deepEqual([all.notices, lines], [[], []]);
});

test('a worker that answers with nonsense does not keep the others from being shown', async () => {
  const { fleet: all, workers, show } = fleet();
  all.settle(settings(['one']));
  const well: ServerFacts = { backend: 'stores', server: 'one:143', phase: 'closed', open: 2, cause: null };
  const nonsense = [null, 7, { ...well, open: '1e9' }, { ...well, server: { toString: 1 } }];
  for (const [index, worker] of workers.entries()) {
    worker.facts = index === 0 ? (nonsense as unknown as ServerFacts[]) : [well];
  }
  assert.deepEqual(await show(), ['one:143 up 2']);
});

test('a server that is no longer looked at is not down for ever', async () => {
  const { fleet: all, workers, as, show } = fleet();
  all.settle(settings(['one'], 1000));
  all.checked(as(workers[0]), down);
  all.settle(settings(['one'], 0));
  assert.deepEqual(await show(), ['one:143 up 0']);
});

test('a reload tells workers nothing that they know already, a mark that no longer counts it does', () => {
  const { fleet: all, workers, as } = fleet();
  const notices = (): number => workers[1]?.sent.filter(({ kind }) => kind === 'notice').length ?? 0;
  all.settle(settings(['one', 'two'], 1000));
  all.checked(as(workers[0]), { ...down, mark: 'login', cause: null });
  assert.equal(notices(), 1);
  all.settle(settings(['one', 'two'], 1000));
  assert.equal(notices(), 1);
  all.settle(settings(['one', 'two'], 0));
  assert.deepEqual(workers[1]?.sent.at(-1), {
    kind: 'notice',
    notices: [{ backend: 'stores', server: 'one:143', drained: false, mark: 'none' }],
  });
});

test('status adds up what the workers see: up, shaky, down', async () => {
  const { fleet: all, workers, show } = fleet();
  all.settle(settings(['one', 'two', 'three']));
  const seen = (server: string, phase: ServerFacts['phase'], open: number): ServerFacts => ({
    backend: 'stores',
    server,
    phase,
    open,
    cause: phase === 'closed' ? null : 'refused',
  });
  const facts = [
    [seen('one:143', 'open', 0), seen('two:143', 'open', 1), seen('three:143', 'closed', 2)],
    [seen('one:143', 'trial', 0), seen('two:143', 'closed', 4)],
  ];
  for (const [index, worker] of workers.entries()) worker.facts = facts[index] ?? [];
  assert.deepEqual(await show(), ['one:143 down 0', 'two:143 shaky 5', 'three:143 up 2']);
  const [status] = await all.status();
  assert.deepEqual(backendLines(status as BackendStatus), [
    'backend stores (hash): one:143 down, 0 connections; refused\n',
    'backend stores (hash): two:143 shaky, 5 connections; refused\n',
    'backend stores (hash): three:143 up, 2 connections\n',
  ]);
});

test('a successor knows of the drains and marks of the supervisor before it, where its settings name the server', async () => {
  const before = fleet();
  before.fleet.settle(settings(['one', 'two', 'gone'], 1000));
  await before.fleet.obey({ name: 'stores', action: 'drain', server: 'one:143' });
  await before.fleet.obey({ name: 'stores', action: 'drain', server: 'gone:143' });
  before.fleet.checked(before.as(before.workers[0]), { ...down, server: 'two:143' });
  const after = fleet();
  after.fleet.inherit(before.fleet.notices);
  assert.deepEqual(after.fleet.notices, before.fleet.notices, 'its workers are told from the first');
  after.fleet.settle(settings(['one', 'two'], 1000));
  assert.deepEqual(await after.show(), ['one:143 drained 0', 'two:143 down 0']);
});

test('what a server says of itself cannot move the cursor of who asks', async () => {
  const { fleet: all, workers, as } = fleet();
  all.settle(settings(['one'], 1000));
  all.checked(as(workers[0]), { ...down, cause: 'BACKEND_REFUSED: \x1b[2J\u202eall is well' });
  const [status] = await all.status();
  assert.deepEqual(backendLines(status as BackendStatus), [
    'backend stores (hash): one:143 down, 0 connections, check fails; BACKEND_REFUSED: \\u001b[2J\\u202eall is well\n',
  ]);
});
