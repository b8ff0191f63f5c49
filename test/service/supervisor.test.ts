import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';

import type { Settings } from '../../src/config/settings.ts';
import { SettingsError } from '../../src/errors.ts';
import { askControl } from '../../src/service/control.ts';
import { realWorld } from '../../src/world.ts';
import { freePort } from '../support/ports.ts';
import { connect, service, settingsOf, startRig, tcp, temporaryFolder } from './stub-supervisor.ts';
import type { Rig } from './stub-supervisor.ts';

const drainMs = 5000;

function quick(settings: Settings): Settings {
  return { ...settings, timeouts: { ...settings.timeouts, drainMs } };
}

async function firstPort(rig: Rig, name: string): Promise<number> {
  await rig.event('ready');
  const port = rig.addresses(name)[0];
  assert.ok(port !== undefined && port > 0);
  return port;
}

async function greeting(where: number | string): Promise<string[]> {
  const client = connect(where);
  const line = await client.line();
  client.socket.destroy();
  assert.ok(line !== null, `no greeting: ${client.failure()}`);
  return line.split(' ');
}

test('two workers share one address, and the supervisor says where it is', async () => {
  using folder = temporaryFolder();
  await using rig = startRig(settingsOf([service('imap', tcp())], { dataDir: folder.path }));
  const port = await firstPort(rig, 'imap');
  const pids = new Set<string>();
  for (let i = 0; i < 200 && pids.size < 2; i++) pids.add((await greeting(port))[2]!);
  assert.ok(pids.size >= 1);
  const status = await rig.supervisor.status();
  assert.equal(status.workers.length, 2);
  assert.deepEqual(status.services, [{ name: 'imap', protocol: 'imap', listen: [`127.0.0.1:${port}`] }]);
  assert.ok((status.totals['connections'] ?? 0) >= pids.size);
});

test('no connection is refused while a worker is killed and replaced', async () => {
  using folder = temporaryFolder();
  await using rig = startRig(settingsOf([service('imap', tcp())], { dataDir: folder.path, workers: 1 }));
  const port = await firstPort(rig, 'imap');
  const [, , before] = await greeting(port);
  let running = true;
  const failures: (string | null)[] = [];
  let greeted = 0;
  const loop = async (): Promise<void> => {
    while (running) {
      const client = connect(port);
      const line = await client.line();
      // A connection that the dead worker held is cut; that is not what is counted here.
      if (client.failure() === 'ECONNREFUSED') failures.push(client.failure());
      if (line !== null) greeted++;
      client.socket.destroy();
    }
  };
  const loops = [loop(), loop(), loop()];
  process.kill(Number(before), 'SIGKILL');
  const died = await rig.event('worker-died');
  assert.equal(died['cause'], 'SIGKILL');
  await rig.event('worker-ready');
  await rig.event('worker-ready');
  const [, , after] = await greeting(port);
  running = false;
  await Promise.all(loops);
  assert.deepEqual(failures, []);
  assert.notEqual(after, before);
  assert.ok(greeted > 0);
  assert.equal((await rig.supervisor.status()).workers[0]?.restarts, 1);
});

test('connections that come while no worker lives wait in the backlog', async () => {
  using folder = temporaryFolder();
  await using rig = startRig(settingsOf([service('imap', tcp())], { dataDir: folder.path, workers: 1 }));
  const port = await firstPort(rig, 'imap');
  process.kill(Number((await greeting(port))[2]), 'SIGKILL');
  const waiting = Array.from({ length: 20 }, () => connect(port));
  for (const client of waiting) assert.match((await client.line()) ?? `${client.failure()}`, /^hello imap/);
  for (const client of waiting) client.socket.destroy();
});

test('a reload changes settings, opens and closes addresses, and drops no open connection', async () => {
  using folder = temporaryFolder();
  const stays = tcp(await freePort());
  const goes = tcp(await freePort());
  const comes = tcp(await freePort());
  const base = { dataDir: folder.path };
  await using rig = startRig(settingsOf([service('imap', stays, goes)], base));
  await rig.event('ready');
  const open = connect(portOf(stays));
  assert.match((await open.line()) ?? '', /first$/);
  rig.configure = () =>
    settingsOf([service('pop', stays), service('imap', comes)], { ...base, hostname: 'second' });
  const answer = await rig.supervisor.reload();
  assert.deepEqual(answer.ok && [answer['opened'], answer['closed']], [1, 1]);
  assert.deepEqual(
    (await greeting(portOf(stays))).filter((_, at) => at !== 2),
    ['hello', 'pop', 'second'],
  );
  assert.deepEqual(
    (await greeting(portOf(comes))).filter((_, at) => at !== 2),
    ['hello', 'imap', 'second'],
  );
  await refused(portOf(goes));
  open.socket.write('still here\r\n');
  assert.equal(await open.line(), 'still here');
  open.socket.destroy();
});

test('an address that stays is never refused during reloads', async () => {
  using folder = temporaryFolder();
  const stays = tcp(await freePort());
  const base = { dataDir: folder.path };
  await using rig = startRig(settingsOf([service('imap', stays)], base));
  await rig.event('ready');
  let running = true;
  let failures = 0;
  let greeted = 0;
  const loop = (async () => {
    while (running) {
      const client = connect(portOf(stays));
      if ((await client.line()) === null) failures++;
      else greeted++;
      client.socket.destroy();
    }
  })();
  for (const hostname of ['second', 'third', 'fourth']) {
    rig.configure = () =>
      settingsOf([service('imap', stays), service(`other-${hostname}`, tcp())], { ...base, hostname });
    assert.equal((await rig.supervisor.reload()).ok, true);
  }
  running = false;
  await loop;
  assert.equal(failures, 0);
  assert.ok(greeted > 0);
});

test('a reload with mistakes is refused with all of them, and everything goes on as before', async () => {
  using folder = temporaryFolder();
  const base = { dataDir: folder.path, file: '/etc/sallyport.yaml' };
  await using rig = startRig(settingsOf([service('imap', tcp())], base));
  const port = await firstPort(rig, 'imap');
  rig.configure = () => {
    throw new SettingsError(['a: wrong', 'b: wrong']);
  };
  const answer = await askControl(folder.path, 'reload', { world: realWorld, limitMs: 5000 });
  assert.deepEqual(!answer.ok && [answer.refused, answer.mistakes], ['settings', ['a: wrong', 'b: wrong']]);
  const line = await rig.event('reload-refused');
  assert.deepEqual([line['mistakes'], line['file']], [['a: wrong', 'b: wrong'], '/etc/sallyport.yaml']);
  const [change] = (await rig.supervisor.status()).changes;
  assert.deepEqual([change?.what, change?.ok, change?.mistakes], ['reload', false, ['a: wrong', 'b: wrong']]);
  assert.ok(Math.abs(Date.parse(change?.at ?? '') - Date.now()) < 60_000);
  assert.equal((await greeting(port))[3], 'first');
});

test('what takes a restart is told by the settings of the start, not by those of the last reload', async () => {
  using folder = temporaryFolder();
  const base = { dataDir: folder.path, file: '/etc/sallyport.yaml' };
  const withUser = (user: string | null): Settings => settingsOf([service('imap', tcp())], { ...base, user });
  await using rig = startRig(withUser(null));
  assert.equal((await rig.event('ready'))['file'], '/etc/sallyport.yaml');
  const reload = async (user: string | null): Promise<unknown> => {
    rig.configure = () => withUser(user);
    const answer = await rig.supervisor.reload();
    return answer.ok && answer['needRestart'];
  };
  assert.deepEqual(await reload('nobody'), ['user']);
  assert.deepEqual(await reload('nobody'), ['user']);
  assert.deepEqual(await reload(null), []);
  assert.equal((await rig.event('reloaded'))['file'], '/etc/sallyport.yaml');
  assert.deepEqual(
    (await rig.supervisor.status()).changes.map(({ what, ok }) => [what, ok]),
    [['reload', true]],
  );
});

test('a reload is refused whole when one address cannot be bound', async () => {
  using folder = temporaryFolder();
  const busy = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => busy.once('listening', resolve));
  const { port: busyPort } = busy.address() as net.AddressInfo;
  const free = tcp(await freePort());
  const base = { dataDir: folder.path };
  await using rig = startRig(settingsOf([service('imap', tcp())], base));
  const port = await firstPort(rig, 'imap');
  rig.configure = () => settingsOf([service('imap', free, tcp(busyPort))], { ...base, hostname: 'second' });
  const answer = await rig.supervisor.reload();
  assert.equal(!answer.ok && answer.refused, 'machine');
  assert.match(
    String(!answer.ok && answer.mistakes?.[0]),
    new RegExp(`service imap: .*127.0.0.1:${busyPort}: EADDRINUSE`),
  );
  assert.equal((await greeting(port))[3], 'first');
  await refused(portOf(free));
  busy.close();
});

test('a reload changes the number of workers', async () => {
  using folder = temporaryFolder();
  const stays = tcp(await freePort());
  const base = { dataDir: folder.path };
  await using rig = startRig(settingsOf([service('imap', stays)], { ...base, workers: 1 }));
  await rig.event('ready');
  await rig.event('worker-ready');
  rig.configure = () => settingsOf([service('imap', stays)], { ...base, workers: 3 });
  await rig.supervisor.reload();
  await rig.event('worker-ready');
  await rig.event('worker-ready');
  assert.equal((await rig.supervisor.status()).workers.length, 3);
  rig.configure = () => settingsOf([service('imap', stays)], { ...base, workers: 1 });
  await rig.supervisor.reload();
  const { workers } = await rig.supervisor.status();
  assert.equal(workers.filter(({ state }) => state !== 'draining').length, 1);
  assert.equal((await greeting(portOf(stays)))[1], 'imap');
});

test('a drain says goodbye to the idle, lets the busy finish, and ends with 0', async () => {
  using folder = temporaryFolder();
  await using rig = startRig(quick(settingsOf([service('imap', tcp())], { dataDir: folder.path })));
  const port = await firstPort(rig, 'imap');
  const idle = connect(port);
  const busy = connect(port);
  await Promise.all([idle.line(), busy.line()]);
  busy.socket.write('busy\r\n');
  assert.equal(await busy.line(), 'busy');
  assert.equal((await askControl(folder.path, 'drain', { world: realWorld, limitMs: 5000 })).ok, true);
  assert.equal(await idle.line(), 'bye');
  await refused(port);
  busy.socket.write('done\r\n');
  assert.equal(await busy.line(), 'done');
  assert.equal(await busy.line(), 'bye');
  busy.socket.end();
  idle.socket.end();
  assert.equal(await rig.finished, 0);
  assert.equal((await rig.event('stopped'))['cut'], 0);
  assert.equal(existsSync(join(folder.path, 'sallyport.sock')), false);
});

test('a drain cuts what is left at the grace limit, counts it, and still ends with 0', async () => {
  using folder = temporaryFolder();
  const settings = settingsOf([service('imap', tcp())], { dataDir: folder.path });
  await using rig = startRig({ ...settings, timeouts: { ...settings.timeouts, drainMs: 50 } });
  const port = await firstPort(rig, 'imap');
  const busy = connect(port);
  await busy.line();
  busy.socket.write('busy\r\n');
  await busy.line();
  rig.supervisor.drain();
  assert.equal(await busy.line(), null);
  assert.equal(await rig.finished, 0);
  assert.equal((await rig.event('stopped'))['cut'], 1);
});

test('every connection that the kernel had queued before a drain is greeted', async () => {
  using folder = temporaryFolder();
  await using rig = startRig(quick(settingsOf([service('imap', tcp())], { dataDir: folder.path })));
  const port = await firstPort(rig, 'imap');
  const pids = (await rig.supervisor.status()).workers.map(({ pid }) => pid!);
  // Stopped workers accept nothing, so all of these wait in the backlog when the drain begins.
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  const clients = Array.from({ length: 100 }, () => connect(port));
  await Promise.all(clients.map(({ socket }) => new Promise((resolve) => socket.once('connect', resolve))));
  rig.supervisor.drain();
  for (const pid of pids) process.kill(pid, 'SIGCONT');
  const greetings = await Promise.all(clients.map((client) => client.line()));
  assert.equal(greetings.filter((line) => line?.startsWith('hello imap')).length, 100);
  for (const { socket } of clients) socket.end();
  assert.equal(await rig.finished, 0);
});

test('a worker that will not end is killed soon after the grace limit, and the run ends with 1', async () => {
  using folder = temporaryFolder();
  const deaf = { ...service('imap', tcp()), banner: 'deaf' };
  const settings = settingsOf([deaf], { dataDir: folder.path, workers: 1 });
  await using rig = startRig({ ...settings, timeouts: { ...settings.timeouts, drainMs: 1 } });
  await rig.event('ready');
  rig.supervisor.drain();
  void rig.supervisor.kill();
  assert.equal(await rig.finished, 1);
});

test('a second supervisor on the same dataDir is refused, and the first goes on', async () => {
  using folder = temporaryFolder();
  await using rig = startRig(settingsOf([service('imap', tcp())], { dataDir: folder.path }));
  const port = await firstPort(rig, 'imap');
  const second = startRig(settingsOf([service('imap', tcp())], { dataDir: folder.path }));
  await assert.rejects(second.finished, /dataDir .* is in use: another supervisor answers/);
  assert.equal((await greeting(port))[0], 'hello');
  assert.equal((await askControl(folder.path, 'status', { world: realWorld, limitMs: 5000 })).ok, true);
});

test('a start that cannot bind names every service, address and cause, and leaves nothing behind', async () => {
  using folder = temporaryFolder();
  const busy = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => busy.once('listening', resolve));
  const { port } = busy.address() as net.AddressInfo;
  const settings = settingsOf([service('imap', tcp(port)), service('pop3', tcp(port, '192.0.2.1'))], {
    dataDir: folder.path,
  });
  const rig = startRig(settings);
  await assert.rejects(rig.finished, (error: Error) => {
    assert.match(error.message, /service imap: cannot listen on 127\.0\.0\.1:\d+: EADDRINUSE/);
    assert.match(error.message, /service pop3: cannot listen on 192\.0\.2\.1:\d+: EADDRNOTAVAIL/);
    return true;
  });
  assert.equal(existsSync(join(folder.path, 'sallyport.sock')), false);
  busy.close();
});

test('a Unix socket is served, is open to its group only, and goes with the supervisor', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'imap.sock');
  await using rig = startRig(
    settingsOf([service('imap', { kind: 'unix', path })], { dataDir: join(folder.path, 'data') }),
  );
  await rig.event('ready');
  assert.equal(statSync(path).mode & 0o777, 0o660);
  assert.equal(statSync(join(folder.path, 'data')).mode & 0o777, 0o700);
  assert.equal((await greeting(path))[1], 'imap');
  rig.supervisor.drain();
  assert.equal(await rig.finished, 0);
  assert.equal(existsSync(path), false);
});

test('a worker that dies at its start is started again, later and later', async () => {
  using folder = temporaryFolder();
  const doomed = { ...service('imap', tcp()), banner: 'crash-at-start' };
  await using rig = startRig(settingsOf([doomed], { dataDir: folder.path, workers: 1 }));
  const waits = [];
  for (let i = 0; i < 3; i++) waits.push((await rig.event('worker-died'))['restartInMs']);
  assert.deepEqual(waits, [0, 100, 200]);
});

test('workers run as the user of the settings, without groups; without root that is refused', async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, 'imap.sock');
  const listen = [tcp(), { kind: 'unix', path } as const];
  const settings = { dataDir: join(folder.path, 'data'), user: 'nobody' };
  await using rig = startRig(settingsOf([service('imap', ...listen)], settings));
  if (process.getuid?.() !== 0) {
    await assert.rejects(rig.finished, /only root can start workers as nobody/);
    return;
  }
  const port = await firstPort(rig, 'imap');
  const status = readFileSync(`/proc/${(await greeting(port))[2]}/status`, 'latin1');
  const { uid, gid } = statSync(path);
  assert.match(status, new RegExp(`^Uid:\\t${uid}\\t${uid}\\t${uid}\\t${uid}$`, 'm'));
  assert.match(status, new RegExp(`^Gid:\\t${gid}\\t${gid}\\t${gid}\\t${gid}$`, 'm'));
  assert.match(status, /^Groups:\s*$/m);
  assert.match(status, /^CapEff:\t0+$/m);
  assert.ok(uid > 0 && gid > 0);
});

function portOf(endpoint: ReturnType<typeof tcp>): number {
  return endpoint.kind === 'tcp' ? endpoint.port : -1;
}

// Listeners close when their backlogs are empty, a turn or two after the answer; a client sees the refusal then.
async function refused(port: number): Promise<void> {
  for (;;) {
    const client = connect(port);
    await client.line();
    client.socket.destroy();
    if (client.failure() === 'ECONNREFUSED') return;
  }
}
