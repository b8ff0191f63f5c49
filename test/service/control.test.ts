import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';

import {
  ASKERS_MAX,
  askControl,
  controlPath,
  openControl,
  REQUEST_BYTES_MAX,
  REQUEST_LIMIT_MS,
} from '../../src/service/control.ts';
import type { Control, ControlCommands } from '../../src/service/control.ts';
import { realWorld } from '../../src/world.ts';
import { manualWorld } from '../support/manual-world.ts';
import { temporaryFolder } from './stub-supervisor.ts';

const commands: ControlCommands = {
  status: () => Promise.resolve({ ok: true, answer: 42 }),
  reload: () => Promise.resolve({ ok: false, error: 'no', mistakes: ['a', 'b'] }),
  restart: () => Promise.resolve({ ok: true }),
  drain: () => Promise.reject(new Error('broken')),
  backend: ({ name }) => Promise.resolve({ ok: true, name }),
  sessions: (request) => Promise.resolve({ ok: true, request }),
  kick: () => Promise.resolve({ ok: true }),
  acme: () => Promise.resolve({ ok: true }),
};

async function open(dataDir: string, world = realWorld): Promise<Control> {
  const control = await openControl(dataDir, commands, world);
  if (typeof control === 'string') assert.fail(control);
  return control;
}

function refusalOf(control: Control | string): string {
  return typeof control === 'string' ? control : 'opened';
}

const asking = { world: realWorld, limitMs: 5000 };

/** Sends bytes and gives back all that comes until the end. */
function send(path: string, data: string | Buffer): { socket: net.Socket; answer: Promise<string> } {
  const socket = net.connect(path);
  let text = '';
  const { promise, resolve } = Promise.withResolvers<string>();
  socket.on('data', (chunk) => (text += chunk.toString()));
  socket.on('error', () => {}).on('close', () => resolve(text));
  socket.write(data);
  return { socket, answer: promise };
}

test('what is asked besides the command reaches it', async () => {
  using folder = temporaryFolder();
  const control = await open(folder.path);
  const answer = await askControl(folder.path, 'sessions', { ...asking, request: { user: 'anna' } });
  assert.deepEqual(answer, { ok: true, request: { user: 'anna', command: 'sessions' } });
  await control.close();
});

test('a command is answered, a refusal and a failure too', async () => {
  using folder = temporaryFolder();
  const control = await open(folder.path);
  assert.deepEqual(await askControl(folder.path, 'status', asking), { ok: true, answer: 42 });
  assert.deepEqual(await askControl(folder.path, 'reload', asking), {
    ok: false,
    error: 'no',
    mistakes: ['a', 'b'],
  });
  assert.deepEqual(await askControl(folder.path, 'drain', asking), { ok: false, error: 'broken' });
  await control.close();
});

test('the socket is for its owner alone, and so is a dataDir that had to be made', async () => {
  using folder = temporaryFolder();
  const dataDir = join(folder.path, 'data');
  const control = await open(dataDir);
  assert.equal(statSync(controlPath(dataDir)).mode & 0o777, 0o600);
  assert.equal(statSync(dataDir).mode & 0o777, 0o700);
  await control.close();
  assert.equal(existsSync(controlPath(dataDir)), false);
});

test('a dataDir is made in a folder that exists, and nowhere else; /proc is told and not waited for', async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, 'file');
  writeFileSync(file, '');
  for (const [dataDir, refusal] of [
    [join(folder.path, 'new', 'data'), /data cannot be made: there is no folder .*new$/],
    ['/proc/sallyport', /^dataDir \/proc\/sallyport cannot be made: ENOENT/],
    [file, /file is not a folder$/],
  ] as const) {
    assert.match(refusalOf(await openControl(dataDir, commands, realWorld)), refusal);
  }
});

test('a dataDir that is there keeps its mode', async () => {
  using folder = temporaryFolder();
  chmodSync(folder.path, 0o750);
  const control = await open(folder.path);
  assert.equal(statSync(folder.path).mode & 0o777, 0o750);
  await control.close();
});

test('what is no command is refused with a hint', async () => {
  using folder = temporaryFolder();
  const control = await open(folder.path);
  for (const line of [
    '',
    'status',
    '[]',
    'null',
    '{"command":"shutdown"}',
    '{"command":{}}',
    '{"__proto__":1}',
  ]) {
    const { answer } = send(controlPath(folder.path), `${line}\n`);
    assert.match(await answer, /^\{"ok":false,"error":"expected one line such as/, line);
  }
  await control.close();
});

test('a line of the greatest length is read, a longer one is refused before its end', async () => {
  using folder = temporaryFolder();
  const control = await open(folder.path);
  const path = controlPath(folder.path);
  const longest = '{"command":"status"}'.padEnd(REQUEST_BYTES_MAX);
  assert.equal(await send(path, `${longest}\n`).answer, '{"ok":true,"answer":42}\n');
  assert.match(await send(path, Buffer.alloc(REQUEST_BYTES_MAX + 1, 0x20)).answer, /longer than 65536 bytes/);
  await control.close();
});

test('an asker that says nothing is told so and closed', async () => {
  using folder = temporaryFolder();
  const clock = manualWorld();
  const control = await open(folder.path, clock);
  const { answer } = send(controlPath(folder.path), '{"command"');
  while (clock.pending === 0) await new Promise((resolve) => setImmediate(resolve));
  clock.advance(REQUEST_LIMIT_MS);
  assert.match(await answer, /no line within 5000 ms/);
  await control.close();
});

test('more askers than a few are turned away, and the next one after them is served', async () => {
  using folder = temporaryFolder();
  const control = await open(folder.path);
  const path = controlPath(folder.path);
  const silent = Array.from({ length: ASKERS_MAX }, () => send(path, '{'));
  const one = await askControl(folder.path, 'status', asking);
  assert.equal(one.ok, false);
  for (const { socket, answer } of silent) {
    socket.destroy();
    await answer;
  }
  for (;;) if ((await askControl(folder.path, 'status', asking)).ok) break;
  await control.close();
});

test('a dataDir in use is refused, one that a crash left is taken over', async () => {
  using folder = temporaryFolder();
  const first = await open(folder.path);
  assert.match(
    refusalOf(await openControl(folder.path, commands, realWorld)),
    /in use: another supervisor answers/,
  );
  await first.close();
  const crash = `require('net').createServer().listen(${JSON.stringify(controlPath(folder.path))}, () => process.kill(process.pid, 'SIGKILL'))`;
  const { spawnSync } = await import('node:child_process');
  spawnSync(process.execPath, ['-e', crash]);
  assert.ok(existsSync(controlPath(folder.path)));
  const second = await open(folder.path);
  assert.equal((await askControl(folder.path, 'status', asking)).ok, true);
  await second.close();
});

test('a dataDir that cannot be made is named', async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, 'file');
  writeFileSync(file, '');
  assert.match(
    refusalOf(await openControl(join(file, 'data'), commands, realWorld)),
    /dataDir .*file\/data cannot be made/,
  );
});

test('a dataDir too long for a socket is named with the numbers', async () => {
  using folder = temporaryFolder();
  const long = join(folder.path, 'x'.repeat(120));
  assert.match(
    refusalOf(await openControl(long, commands, realWorld)),
    /too long: .* bytes, .* may have 107$/,
  );
  assert.equal(existsSync(long), false);
});

test('asking where nobody is says so', async () => {
  using folder = temporaryFolder();
  const answer = await askControl(folder.path, 'status', asking);
  assert.match(answer.ok ? '' : answer.error, /no supervisor runs on/);
  mkdirSync(controlPath(folder.path));
  assert.match(refusalOf(await openControl(folder.path, commands, realWorld)), /is not a socket/);
});

test('what answers nonsense is no supervisor', async () => {
  using folder = temporaryFolder();
  const server = net
    .createServer((socket) => socket.end('220 mx.test ESMTP\r\n'))
    .listen(controlPath(folder.path));
  await new Promise((resolve) => server.once('listening', resolve));
  const answer = await askControl(folder.path, 'status', asking);
  assert.match(answer.ok ? '' : answer.error, /is no supervisor/);
  server.close();
});
