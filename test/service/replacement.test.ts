// Workers that are replaced in turn while the service goes on.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Settings } from '../../src/config/settings.ts';
import { askControl, type ControlAnswer } from '../../src/service/control.ts';
import type { Status } from '../../src/service/status.ts';
import { realWorld } from '../../src/world.ts';
import { freePort } from '../support/ports.ts';
import { connect, service, settingsOf, startRig, tcp, temporaryFolder, type Rig } from './stub-supervisor.ts';

const drainMs = 5000;

async function begin(folder: string, more: Partial<Settings> = {}) {
  const port = await freePort();
  const made = settingsOf([service('imap', tcp(port))], { dataDir: folder, ...more });
  const settings = { ...made, timeouts: { ...made.timeouts, drainMs } };
  const rig = startRig(settings);
  await rig.event('ready');
  return { rig, port, settings };
}

async function workersOf(rig: Rig): Promise<Status['workers']> {
  return (await rig.supervisor.status()).workers;
}

/** A connection whose worker a drain has to wait for. */
async function busyClient(port: number) {
  const client = connect(port);
  const pid = Number((await client.line())?.split(' ')[2]);
  client.socket.write('busy\r\n');
  assert.equal(await client.line(), 'busy');
  return {
    pid,
    line: () => client.line(),
    async leave() {
      client.socket.write('done\r\n');
      assert.equal(await client.line(), 'done');
      assert.equal(await client.line(), 'bye');
      client.socket.end();
    },
  };
}

const errorOf = (answer: ControlAnswer): string => (answer.ok ? 'it was done' : answer.error);

test('every worker is replaced by one that is ready, the busy finish, and no client is refused', async () => {
  using folder = temporaryFolder();
  const { rig, port } = await begin(folder.path);
  await using _ = rig;
  const before = (await workersOf(rig)).map(({ pid }) => pid);
  let running = true;
  let refused = 0;
  const loop = (async () => {
    while (running) {
      const client = connect(port);
      if ((await client.line()) === null) refused++;
      client.socket.destroy();
    }
  })();
  const busy = await busyClient(port);
  const request = { workers: true };
  const asked = askControl(folder.path, 'reload', { world: realWorld, limitMs: 20_000, request });
  for (;;) {
    const workers = await workersOf(rig);
    assert.ok(workers.length <= 3, 'at most one process too many');
    const leaving = workers.find(({ state }) => state === 'draining');
    if (leaving?.pid === busy.pid) break;
  }
  await busy.leave();
  const answer = await asked;
  assert.deepEqual(answer.ok && [answer['replaced'], answer['opened']], [2, 0], JSON.stringify(answer));
  running = false;
  await loop;
  const after = await workersOf(rig);
  assert.deepEqual(
    after.map(({ index, state }) => [index, state]),
    [
      [1, 'ready'],
      [2, 'ready'],
    ],
  );
  assert.deepEqual(
    after.filter(({ pid }) => before.includes(pid)),
    [],
  );
  assert.equal(refused, 0);
});

test('a second replacement while one goes on is refused, and a reload meanwhile reaches every worker', async () => {
  using folder = temporaryFolder();
  const { rig, port, settings } = await begin(folder.path, { workers: 1 });
  await using _ = rig;
  const busy = await busyClient(port);
  const first = rig.supervisor.replaceWorkers();
  while (!(await workersOf(rig)).some(({ state }) => state === 'draining'));
  assert.match(errorOf(await rig.supervisor.replaceWorkers()), /being replaced already/);
  rig.configure = () => ({ ...settings, hostname: 'second' });
  assert.equal((await rig.supervisor.reload()).ok, true);
  const client = connect(port);
  assert.match((await client.line()) ?? '', /second$/);
  client.socket.destroy();
  await busy.leave();
  assert.equal((await first).ok, true);
});

test('a worker that does not get ready stops the round with a clear word, and the old ones stay', async () => {
  using folder = temporaryFolder();
  const { rig, port, settings } = await begin(folder.path);
  await using _ = rig;
  const before = (await workersOf(rig)).map(({ pid }) => pid);
  const { listen } = settings.services['imap'] ?? assert.fail();
  rig.configure = () => ({
    ...settings,
    services: { imap: { ...service('imap', ...listen), banner: 'crash-at-start' } },
  });
  const answer = await rig.supervisor.replaceWorkers();
  assert.match(
    errorOf(answer),
    /the new worker 1 did not get ready, the old one stays; replaced before that: 0/,
  );
  assert.deepEqual(
    (await workersOf(rig)).map(({ pid }) => pid),
    before,
  );
  const { changes } = await rig.supervisor.status();
  assert.deepEqual(
    changes.map(({ what, ok }) => [what, ok]),
    [
      ['reload', true],
      ['workers', false],
    ],
  );
  const client = connect(port);
  assert.match((await client.line()) ?? '', /^hello imap/);
  client.socket.destroy();
});

test('wrong settings replace nothing', async () => {
  using folder = temporaryFolder();
  const { rig } = await begin(folder.path);
  await using _ = rig;
  const before = (await workersOf(rig)).map(({ pid }) => pid);
  rig.configure = () => {
    throw new Error('nonsense');
  };
  assert.match(errorOf(await rig.supervisor.replaceWorkers()), /the old settings go on/);
  assert.deepEqual(
    (await workersOf(rig)).map(({ pid }) => pid),
    before,
  );
});

test('fewer workers in the middle of a round, and a drain in the middle of one, leave the right number', async () => {
  using folder = temporaryFolder();
  const { rig, port, settings } = await begin(folder.path, { workers: 3 });
  await using _ = rig;
  const busy = await busyClient(port);
  const round = rig.supervisor.replaceWorkers();
  while (!(await workersOf(rig)).some(({ state }) => state === 'draining'));
  rig.configure = () => ({ ...settings, workers: 1 });
  assert.equal((await rig.supervisor.reload()).ok, true);
  await busy.leave();
  await round;
  const staying = (await workersOf(rig)).filter(({ state }) => state !== 'draining');
  assert.equal(staying.length, 1);
  const again = await busyClient(port);
  const last = rig.supervisor.replaceWorkers();
  while (!(await workersOf(rig)).some(({ state }) => state === 'draining'));
  rig.supervisor.drain();
  await again.leave();
  await last;
  assert.equal(await rig.finished, 0);
});

test('the number of connections that a worker may hold changes by a reload', async () => {
  using folder = temporaryFolder();
  const { rig, settings } = await begin(folder.path, { workers: 1 });
  await using _ = rig;
  const max = async (): Promise<number | undefined> =>
    (await rig.supervisor.status()).totals['connectionsMax'];
  rig.configure = () => ({ ...settings, limits: { ...settings.limits, connections: 7 } });
  const answer = await rig.supervisor.reload();
  assert.deepEqual(answer.ok && answer['needRestart'], []);
  assert.equal(await max(), 7);
  rig.configure = () => ({ ...settings, limits: { ...settings.limits, connections: 9 } });
  await rig.supervisor.reload();
  assert.equal(await max(), 9);
});
