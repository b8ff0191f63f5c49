// The memory of what was relayed is given back as soon as it is written, and never before, nor that of somebody else.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { test, type TestContext } from 'node:test';
import tls from 'node:tls';
import { ByteRelay } from '../../src/connection/byte-relay.ts';
import { storeContext } from '../support/gateway.ts';

const MIB = 1024 * 1024;

/** Both ends of a connection over loopback. */
async function pair(t: TestContext): Promise<[near: net.Socket, far: net.Socket]> {
  const server = net.createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const far = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const [near] = (await once(server, 'connection')) as [net.Socket];
  for (const socket of [near, far]) socket.on('error', () => socket.destroy());
  t.after(() => {
    near.destroy();
    far.destroy();
    server.close();
  });
  return [near, far];
}

async function securePair(t: TestContext): Promise<[near: net.Socket, far: net.Socket]> {
  const [near, far] = await pair(t);
  const server = new tls.TLSSocket(near, { isServer: true, secureContext: storeContext() });
  const client = tls.connect({ socket: far, rejectUnauthorized: false });
  await once(client, 'secureConnect');
  return [server, client];
}

/** Reads so many octets, resting now and then, so that the writer has to wait; the socket stays open. */
async function digestOf(socket: net.Socket, bytes: number): Promise<string> {
  const hash = createHash('sha256');
  let size = 0;
  for (let turn = 0; size < bytes; turn++) {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) {
      assert.ok(!socket.readableEnded && !socket.destroyed, `cut off after ${size} octets`);
      await once(socket, 'readable');
      continue;
    }
    hash.update(chunk);
    size += chunk.length;
    for (let rest = turn % 5; rest > 0; rest--) await new Promise(setImmediate);
  }
  assert.equal(size, bytes);
  return hash.digest('hex');
}

for (const [how, connect] of [
  ['clear text: 16 MiB each way at once arrive as they were, and their memory is given back', pair],
  // Read from TLS, several chunks are parts of one buffer, and the runtime goes on filling it.
  ['TLS: 16 MiB each way at once arrive as they were', securePair],
] as const) {
  test(how, async (t) => {
    const [client, user] = await connect(t);
    const [backend, store] = await connect(t);
    const kept: Buffer[] = [];
    for (const socket of [client, backend]) {
      socket.pause();
      socket.on('data', (chunk: Buffer) => kept.push(chunk));
      socket.pause();
    }
    const side = (socket: net.Socket) => ({ socket, rest: Buffer.alloc(0), ended: false });
    const relay = new ByteRelay(side(client), side(backend), 'imap').run();
    const down = randomBytes(16 * MIB);
    const up = randomBytes(16 * MIB);
    store.write(down);
    user.write(up);
    const seen = await Promise.all([digestOf(user, down.length), digestOf(store, up.length)]);
    const wanted = [down, up].map((bytes) => createHash('sha256').update(bytes).digest('hex'));
    assert.deepEqual(seen, wanted);
    user.destroy();
    store.destroy();
    await relay;
    const bytes = kept.reduce((sum, chunk) => sum + chunk.length, 0);
    if (connect === pair) assert.ok(bytes < MIB, `${bytes} of ${32 * MIB} octets are still held`);
  });
}

test('what is part of a larger buffer is left to its owner', async (t) => {
  const [client, user] = await pair(t);
  const [backend, store] = await pair(t);
  const whole = randomBytes(64 * 1024);
  const copy = Buffer.from(whole);
  const rest = whole.subarray(0, 32 * 1024);
  const relay = new ByteRelay(
    { socket: client, rest: Buffer.alloc(0), ended: false },
    { socket: backend, rest, ended: false },
    'imap',
  ).run();
  const digest = await digestOf(user, rest.length);
  assert.equal(digest, createHash('sha256').update(rest).digest('hex'));
  assert.deepEqual(whole, copy);
  user.destroy();
  store.destroy();
  await relay;
});

test('a client that goes in the middle of a transfer leaves a relay that ends', async (t) => {
  for (const leave of ['destroy', 'resetAndDestroy'] as const) {
    const [client, user] = await pair(t);
    const [backend, store] = await pair(t);
    const side = (socket: net.Socket) => ({ socket, rest: Buffer.alloc(0), ended: false });
    const relay = new ByteRelay(side(client), side(backend), 'imap').run();
    store.write(randomBytes(16 * MIB));
    await once(user, 'readable');
    user[leave]();
    await relay;
    backend.destroy();
    client.destroy();
  }
});
