// A supervisor in this process hands over to one that it forks: what goes over, what fails, and who goes on.

import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import type { Settings } from '../../src/config/settings.ts';
import { askControl, type ControlAnswer } from '../../src/service/control.ts';
import type { Status } from '../../src/service/status.ts';
import { realWorld } from '../../src/world.ts';
import { freePort } from '../support/ports.ts';
import { connect, service, settingsOf, startRig, tcp, temporaryFolder, type Rig } from './stub-supervisor.ts';
import type { Misbehaviour } from './stub-successor.ts';

const entry = fileURLToPath(new URL('./stub-successor.ts', import.meta.url));

interface Succession extends AsyncDisposable {
  readonly rig: Rig;
  readonly settings: Settings;
  /** What the next successor finds. */
  plan(settings: Settings, misbehaviour?: Misbehaviour): void;
  readonly child: () => ChildProcess;
  ask(command: 'status' | 'restart' | 'drain'): Promise<ControlAnswer>;
  status(): Promise<Status>;
}

/** A rig that can be restarted; successors are ended with it. */
function begin(folder: string, settings: Settings): Succession {
  const file = join(folder, 'successor.json');
  const children: ChildProcess[] = [];
  const forkSuccessor = (): ChildProcess => {
    const child = fork(entry, [file], {
      serialization: 'json',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    children.push(child);
    return child;
  };
  const ask = (command: 'status' | 'restart' | 'drain'): Promise<ControlAnswer> =>
    askControl(settings.dataDir, command, { world: realWorld, limitMs: 20_000 });
  const rig = startRig(settings, { forkSuccessor });
  return {
    rig,
    settings,
    plan: (next, misbehaviour) =>
      writeFileSync(file, JSON.stringify({ settings: next, misbehaviour: misbehaviour ?? null })),
    child: () => children.at(-1) ?? assert.fail('no successor was started'),
    ask,
    async status() {
      const answer = await ask('status');
      return (answer.ok ? answer['status'] : assert.fail(answer.error)) as Status;
    },
    async [Symbol.asyncDispose]() {
      await rig.supervisor.kill();
      for (const child of children) {
        if (child.exitCode !== null || child.signalCode !== null) continue;
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
    },
  };
}

async function settingsIn(folder: string, more: Partial<Settings> = {}): Promise<Settings> {
  const listen = [tcp(await freePort()), { kind: 'unix', path: join(folder, 'imap.sock') } as const];
  const settings = settingsOf([service('imap', ...listen)], { dataDir: join(folder, 'data'), ...more });
  return { ...settings, timeouts: { ...settings.timeouts, drainMs: 5000 } };
}

function portOf(settings: Settings, place = 0): number {
  const endpoint = settings.services['imap']?.listen[place];
  return endpoint?.kind === 'tcp' ? endpoint.port : assert.fail('no port');
}

async function greeting(where: number | string): Promise<string[]> {
  const client = connect(where);
  const line = await client.line();
  client.socket.destroy();
  return line?.split(' ') ?? [client.failure() ?? 'closed'];
}

test('a successor takes over every listener and the control socket, and not one client is refused', async () => {
  using folder = temporaryFolder();
  const settings = await settingsIn(folder.path);
  await using succession = begin(folder.path, settings);
  const { rig } = succession;
  await rig.event('ready');
  const port = portOf(settings);
  const unix = join(folder.path, 'imap.sock');
  let running = true;
  const failures: string[] = [];
  const loop = async (where: number | string): Promise<void> => {
    while (running) {
      const [hello] = await greeting(where);
      if (hello !== 'hello') failures.push(String(hello));
    }
  };
  const loops = [loop(port), loop(port), loop(unix)];
  const busy = connect(port);
  await busy.line();
  busy.socket.write('busy\r\n');
  assert.equal(await busy.line(), 'busy');
  succession.plan({ ...settings, hostname: 'second' });
  const answer = await succession.ask('restart');
  assert.ok(answer.ok, JSON.stringify(answer));
  assert.deepEqual([answer['pid'], answer['version']], [succession.child().pid, '0.0.1']);
  const now = await succession.status();
  assert.deepEqual([now.pid, now.predecessor, now.state], [succession.child().pid, process.pid, 'running']);
  busy.socket.write('done\r\n');
  assert.equal(await busy.line(), 'done', 'what is open goes on with the old one');
  assert.equal(await busy.line(), 'bye');
  busy.socket.end();
  assert.equal(await rig.finished, 0);
  assert.equal((await greeting(port))[3], 'second');
  assert.equal((await greeting(unix))[3], 'second');
  running = false;
  await Promise.all(loops);
  assert.deepEqual(failures, []);
});

test('what a successor took over goes with it at its end: the files of its Unix sockets, the control socket, the pid file', async () => {
  using folder = temporaryFolder();
  const pidFile = join(folder.path, 'pid');
  const settings = await settingsIn(folder.path, { pidFile });
  await using succession = begin(folder.path, settings);
  await succession.rig.event('ready');
  assert.equal(readFileSync(pidFile, 'utf8'), `${process.pid}\n`);
  succession.plan(settings);
  assert.equal((await succession.ask('restart')).ok, true);
  assert.equal(await succession.rig.finished, 0);
  const files = [pidFile, join(folder.path, 'imap.sock'), join(folder.path, 'data/sallyport.sock')];
  assert.equal(readFileSync(pidFile, 'utf8'), `${succession.child().pid}\n`);
  assert.deepEqual(files.map(existsSync), [true, true, true], 'the old one took nothing away');
  const ended = once(succession.child(), 'exit');
  // While the old process lives, the new one waits a moment for it, so that nobody takes the service for ended.
  succession.child().disconnect();
  assert.equal((await succession.ask('drain')).ok, true);
  assert.deepEqual(await ended, [0, null]);
  assert.deepEqual(files.map(existsSync), [false, false, false]);
});

test('other settings hold in the successor: new addresses are bound, old ones closed', async () => {
  using folder = temporaryFolder();
  const settings = await settingsIn(folder.path);
  await using succession = begin(folder.path, settings);
  await succession.rig.event('ready');
  const other = await settingsIn(folder.path, { dataDir: join(folder.path, 'elsewhere') });
  succession.plan({ ...other, services: settingsOf([service('imap', tcp(portOf(other)))]).services });
  assert.equal((await succession.ask('restart')).ok, true);
  assert.equal((await greeting(portOf(other)))[0], 'hello');
  assert.equal(await succession.rig.finished, 0);
  assert.equal((await greeting(portOf(settings)))[0], 'ECONNREFUSED');
  assert.equal(existsSync(join(folder.path, 'imap.sock')), false);
  assert.equal(existsSync(join(folder.path, 'data/sallyport.sock')), false);
  const status = await askControl(join(folder.path, 'elsewhere'), 'status', {
    world: realWorld,
    limitMs: 5000,
  });
  assert.equal(status.ok, true);
});

const failures: readonly (readonly [Misbehaviour | 'worker' | 'address', RegExp])[] = [
  ['crash', /did not get ready: it ended with code 3/],
  ['refuse', /a: wrong b: wrong/],
  ['die-in-charge', /did not get ready: it ended with code 4/],
  ['other-protocol', /takes over by protocol 1, the running one hands over by 99/],
  ['worker', /worker \d did not get ready/],
  ['address', /cannot listen on 192\.0\.2\.1:\d+: EADDRNOTAVAIL/],
];

for (const [how, words] of failures) {
  test(`a successor that fails (${how}) is refused with the cause, and the old supervisor goes on as it was`, async () => {
    using folder = temporaryFolder();
    const settings = await settingsIn(folder.path);
    await using succession = begin(folder.path, settings);
    await succession.rig.event('ready');
    if (how === 'worker') {
      const listen = settings.services['imap']?.listen ?? [];
      const doomed = { ...service('imap', ...listen), banner: 'crash-at-start' };
      succession.plan({ ...settings, services: { imap: doomed } });
    } else if (how === 'address') {
      const listen = [...(settings.services['imap']?.listen ?? []), tcp(portOf(settings), '192.0.2.1')];
      succession.plan({ ...settings, services: { imap: service('imap', ...listen) } });
    } else succession.plan(settings, how);
    const answer = await succession.ask('restart');
    assert.match(answer.ok ? '' : [answer.error, ...(answer.mistakes ?? [])].join(' '), words);
    const refused = await succession.rig.event('restart-refused');
    assert.match(JSON.stringify(refused), /going|goes on|takes over/);
    const status = await succession.status();
    assert.deepEqual([status.pid, status.state], [process.pid, 'running']);
    assert.deepEqual(
      status.changes.map(({ what, ok }) => [what, ok]),
      [['restart', false]],
    );
    assert.equal((await greeting(portOf(settings)))[3], 'first');
    assert.equal((await greeting(join(folder.path, 'imap.sock')))[3], 'first');
    succession.plan({ ...settings, hostname: 'second' });
    assert.equal((await succession.ask('restart')).ok, true, 'the next one may be better');
    assert.equal(await succession.rig.finished, 0);
  });
}

test('a drain in the middle of a restart ends both', async () => {
  using folder = temporaryFolder();
  const settings = await settingsIn(folder.path);
  await using succession = begin(folder.path, settings);
  await succession.rig.event('ready');
  succession.plan(settings);
  const restart = succession.rig.supervisor.restart();
  await succession.rig.event('restarting');
  const ended = once(succession.child(), 'exit');
  succession.rig.supervisor.end();
  await restart;
  await ended;
  assert.equal(await succession.rig.finished, 0);
  assert.equal((await greeting(portOf(settings)))[0], 'ECONNREFUSED');
  assert.equal(existsSync(join(folder.path, 'data/sallyport.sock')), false);
});

test('a signal to end that comes after the hand-over is heard, and only a second one cuts', async () => {
  using folder = temporaryFolder();
  const settings = await settingsIn(folder.path);
  await using succession = begin(folder.path, settings);
  await succession.rig.event('ready');
  const busy = connect(portOf(settings));
  await busy.line();
  busy.socket.write('busy\r\n');
  await busy.line();
  succession.plan(settings);
  assert.equal((await succession.ask('restart')).ok, true);
  succession.rig.supervisor.end();
  busy.socket.write('still here\r\n');
  assert.equal(await busy.line(), 'still here');
  assert.equal(await busy.line(), 'bye');
  busy.socket.end();
  assert.equal(await succession.rig.finished, 0);
});

test('a successor whose line to the old supervisor breaks, as when that one dies, takes charge unasked', async () => {
  using folder = temporaryFolder();
  const settings = await settingsIn(folder.path);
  await using succession = begin(folder.path, settings);
  await succession.rig.event('ready');
  succession.plan(settings);
  void succession.rig.supervisor.restart();
  await succession.rig.event('restarting');
  const child = succession.child();
  // It has all that it needs when it speaks for the first time.
  await once(child, 'message');
  child.disconnect();
  for (;;) {
    const answer = await succession.ask('status');
    if (answer.ok && (answer['status'] as Status).pid === child.pid) break;
  }
});

test('a supervisor that does not know how to start another one says so', async () => {
  using folder = temporaryFolder();
  await using rig = startRig(settingsOf([service('imap', tcp())], { dataDir: folder.path }));
  await rig.event('ready');
  const answer = await rig.supervisor.restart();
  assert.match(answer.ok ? '' : answer.error, /cannot start another one/);
});
