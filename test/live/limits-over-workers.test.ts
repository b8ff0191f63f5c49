// Several workers hold the limit of an address together, exactly; what a killed worker held vanishes with it; penalties
// are known to all workers, survive a restart, and `status` shows both.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { startFront, type Front } from '../support/front.ts';
import { run, until } from '../support/program.ts';

const LIMIT = 7;
const folder = mkdtempSync(join(tmpdir(), 'sallyport-limits-'));
const main = join(import.meta.dirname, '../../src/main.ts');

const settings = {
  hostname: 'mx.test',
  workers: 2,
  log: { level: 'debug' },
  limits: { perAddress: LIMIT },
  services: {
    imap: {
      protocol: 'imap',
      listen: '127.0.0.1:0',
      tls: 'notls',
      backend: 'stores',
      capabilities: ['IMAP4rev1'],
    },
  },
  backends: { stores: { servers: '127.0.0.1:1' } },
};

const front = await startFront({ folder, settings });
after(async () => {
  await front.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface Visitor {
  readonly socket: net.Socket;
  readonly greeting: Promise<string>;
}

function visit(from: string): Visitor {
  const socket = net.connect({ port: front.port('imap'), host: '127.0.0.1', localAddress: from });
  const { promise, resolve } = Promise.withResolvers<string>();
  socket.on('error', () => resolve('reset'));
  socket.once('data', (data: Buffer) => resolve(data.toString()));
  socket.once('close', () => resolve('closed'));
  return { socket, greeting: promise };
}

/** Opens many at once; those that are welcome stay open. */
async function storm(from: string, count: number): Promise<net.Socket[]> {
  const visitors = Array.from({ length: count }, () => visit(from));
  const answers = await Promise.all(visitors.map(({ greeting }) => greeting));
  for (const answer of answers)
    assert.match(answer, /^\* (OK|BYE \[LIMIT\] Too many connections from your address)|closed/);
  return visitors.flatMap(({ socket }, place) => (answers[place]?.startsWith('* OK') ? [socket] : []));
}

async function status(of: Front = front): Promise<Record<string, unknown>> {
  const { stdout } = await run(process.execPath, [main, 'status', '--json', '--config', of.settingsFile]);
  return JSON.parse(stdout.toString()) as Record<string, unknown>;
}

async function openCounts(): Promise<number[]> {
  const { workers } = (await status()) as { workers: { open: number }[] };
  return workers.map(({ open }) => open);
}

test('of 60 connections at once exactly as many are let in as the limit says, time after time', async () => {
  let open = await storm('127.0.0.2', 60);
  assert.equal(open.length, LIMIT);
  for (let round = 0; round < 5; round++) {
    const leaving = open.splice(0, 3);
    await Promise.all(leaving.map((socket) => new Promise((resolve) => socket.once('close', resolve).end())));
    await until(
      () => front.log().filter((line) => line['event'] === 'closed').length >= (round + 1) * 3,
      5000,
      () => JSON.stringify(front.log().slice(-5)),
    );
    open = [...open, ...(await storm('127.0.0.2', 40))];
    assert.equal(open.length, LIMIT, `round ${round}`);
  }
  const neighbours = await storm('127.0.0.3', 20);
  assert.equal(neighbours.length, LIMIT, 'a neighbour has a limit of his own');
  for (const socket of [...open, ...neighbours]) socket.destroy();
});

test('what was refused is counted by reason, and logged in a few lines', async () => {
  const { refused } = (await status()) as { refused: Record<string, number> };
  assert.ok((refused['ADDRESS_LIMIT'] ?? 0) > 200, JSON.stringify(refused));
  const lines = front.log().filter((line) => line['event'] === 'refused');
  assert.ok(lines.length >= 2 && lines.length <= 20, `${lines.length} lines`);
});

test('the places of a killed worker are free at once', async () => {
  const open = await storm('127.0.0.4', 30);
  assert.equal(open.length, LIMIT);
  const [first = 0, second = 0] = await openCounts();
  const busy = first >= second ? 0 : 1;
  const { workers } = (await status()) as { workers: { pid: number; open: number }[] };
  const lost = workers[busy]?.open ?? 0;
  assert.ok(lost > 0);
  process.kill(workers[busy]?.pid ?? 0, 'SIGKILL');
  await front.waitForLog((line) => line['event'] === 'worker-died');
  const more = await storm('127.0.0.4', 30);
  assert.equal(more.length, lost);
  for (const socket of [...open, ...more]) socket.destroy();
});

/** A store that lets nobody in. */
async function startSternStore(): Promise<net.Server> {
  const server = net.createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.write('* OK stern store\r\n');
    socket.on('data', (data) => {
      const [tag = '*', command = ''] = data.toString().split(/[ \r]/);
      if (command === 'CAPABILITY') socket.write(`* CAPABILITY IMAP4rev1\r\n${tag} OK done\r\n`);
      else socket.write(`${tag} NO [AUTHENTICATIONFAILED] Wrong\r\n`);
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return server;
}

test('a guesser waits at every worker, and after a restart too', async () => {
  const store = await startSternStore();
  const { port } = store.address() as net.AddressInfo;
  const own = join(folder, 'guessed');
  const guarded = {
    ...settings,
    limits: { perAddress: 0 },
    penalties: { step: 0.3, max: 0.3 },
    backends: { stores: { servers: `127.0.0.1:${port}` } },
  };
  const first = await startFront({ folder: own, settings: guarded });
  const guess = async (at: Front): Promise<void> => {
    const socket = net.connect({ port: at.port('imap'), host: '127.0.0.1', localAddress: '127.0.0.9' });
    socket.on('error', () => undefined);
    await once(socket, 'data');
    socket.write('a LOGIN anna wrong\r\n');
    const [answer] = (await once(socket, 'data')) as [Buffer];
    assert.match(answer.toString(), /^a NO \[AUTHENTICATIONFAILED\]/);
    socket.destroy();
  };
  const delayed = (at: Front): unknown[] =>
    at.log().flatMap((line) => (line['event'] === 'login-delayed' ? [line['worker']] : []));
  await guess(first);
  assert.deepEqual(delayed(first), [], 'the first guess is free');
  for (let tries = 0; tries < 50 && new Set(delayed(first)).size < 2; tries++) {
    await Promise.all([guess(first), guess(first), guess(first)]);
  }
  assert.deepEqual(new Set(delayed(first)), new Set([1, 2]));
  const { shared } = (await status(first)) as { shared: { penalised: number; store: string } };
  assert.deepEqual([shared.penalised, shared.store], [1, join(own, 'data', 'state.db')]);
  assert.equal(await first.stop(), 0);
  const second = await startFront({ folder: own, settings: guarded });
  await guess(second);
  assert.equal(delayed(second).length, 1);
  assert.equal(await second.stop(), 0);
  store.close();
});
