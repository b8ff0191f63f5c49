// One question to a responder, and every way in which a responder can fail to answer.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test, type TestContext } from 'node:test';
import { MAX_RESPONSE_BYTES } from '../../../src/certdb/ocsp.ts';
import { askResponder, type ResponderAnswer } from '../../../src/service/certificates/responder.ts';
import { manualWorld, type ManualWorld } from '../../support/manual-world.ts';
import { Responder } from '../../support/ocsp.ts';
import { freePort } from '../../support/ports.ts';

const question = Buffer.from([0x30, 0xfb, 0xff, 0xbf, 0x3e, 0x3f]);

async function ask(
  url: string,
  more: { prefer?: 'GET' | 'POST'; request?: Buffer; world?: ManualWorld } = {},
): Promise<ResponderAnswer> {
  const { prefer = 'GET', request = question, world = manualWorld() } = more;
  const answer = await askResponder({ url, request, prefer, signal: new AbortController().signal }, world);
  assert.equal(world.pending, 0, 'no timer stays');
  return answer;
}

function detailOf(answer: ResponderAnswer): string {
  assert.equal(answer.kind, 'none');
  return answer.detail;
}

async function opened(t: TestContext): Promise<Responder> {
  const responder = await Responder.start();
  t.after(() => responder.close());
  return responder;
}

/** A server that says `words` to everybody as soon as they have asked, and keeps the connection. */
async function rawServer(t: TestContext, serve: (socket: net.Socket) => void): Promise<string> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('data', () => serve(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as net.AddressInfo).port}/`;
}

for (const prefer of ['GET', 'POST'] as const) {
  test(`a question arrives as it is by ${prefer}`, async (t) => {
    const responder = await opened(t);
    responder.answer = Buffer.from('answer');
    for (const url of [responder.url, `${responder.url}/`]) {
      const answer = await ask(url, { prefer });
      assert.deepEqual(answer, { kind: 'bytes', bytes: Buffer.from('answer') });
    }
    assert.deepEqual(responder.asked, Array(2).fill({ method: prefer, request: question }));
  });
}

test('a question that is too long for GET goes by POST', async (t) => {
  const responder = await opened(t);
  const request = Buffer.alloc(300, 1);
  await ask(responder.url, { request });
  assert.deepEqual(responder.asked, [{ method: 'POST', request }]);
});

test('a responder with a query in its URL is asked by POST', async (t) => {
  const responder = await opened(t);
  await ask(`${responder.url}?ca=1`);
  assert.equal(responder.asked[0]?.method, 'POST');
});

test('an answer of 64 KiB is taken, a longer one is not', async (t) => {
  const responder = await opened(t);
  responder.answer = Buffer.alloc(MAX_RESPONSE_BYTES, 1);
  assert.deepEqual(await ask(responder.url), { kind: 'bytes', bytes: responder.answer });
  responder.answer = Buffer.alloc(MAX_RESPONSE_BYTES + 1, 1);
  assert.match(detailOf(await ask(responder.url)), /more than 65536 bytes/);
});

test('an endless body is left when it is too long, and the connection closed', async (t) => {
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  const url = await rawServer(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
    const chunk = Buffer.alloc(16_384, 1);
    const pump = (): void => {
      while (socket.write(chunk));
    };
    socket.on('drain', pump).on('close', resolve);
    pump();
  });
  assert.match(detailOf(await ask(url)), /more than 65536 bytes/);
  await closed;
});

test('endless headers are left when they are too long', async (t) => {
  const url = await rawServer(t, (socket) => {
    socket.write(`HTTP/1.1 200 OK\r\n${'name: value\r\n'.repeat(2000)}`);
  });
  assert.match(detailOf(await ask(url)), /Header overflow/i);
});

test('what is no HTTP is told', async (t) => {
  const url = await rawServer(t, (socket) => socket.end('220 mail.test ESMTP\r\n'));
  assert.match(detailOf(await ask(url)), /Parse Error/);
});

test('a redirect is not followed, and other statuses are no answer', async (t) => {
  const responder = await opened(t);
  for (const status of [301, 302, 307, 404, 500, 204]) {
    responder.answer = (response) => response.writeHead(status, { location: responder.url }).end('x');
    assert.equal(detailOf(await ask(responder.url)), `HTTP status ${status}`);
  }
  assert.equal(responder.asked.length, 6);
});

test('a body that is cut off is no answer', async (t) => {
  const url = await rawServer(t, (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf'));
  assert.match(detailOf(await ask(url)), /aborted|hang up|closed/);
});

test('nobody there is told', async () => {
  const port = await freePort();
  assert.match(detailOf(await ask(`http://127.0.0.1:${port}/`)), /ECONNREFUSED/);
});

for (const [how, words] of [
  ['says nothing', ''],
  ['stops in the middle', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf'],
  ['goes on saying that it will answer', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(5)],
] as const) {
  test(`a responder that ${how} is waited for ten seconds and no longer`, async (t) => {
    const asked = Promise.withResolvers<void>();
    const url = await rawServer(t, (socket) => {
      socket.write(words, () => asked.resolve());
    });
    const world = manualWorld();
    const answer = ask(url, { world });
    await asked.promise;
    world.advance(9_999);
    assert.equal(world.pending, 1);
    world.advance(1);
    assert.match(detailOf(await answer), /no answer within 10 seconds/);
  });
}

test('a question that is no longer wanted ends', async (t) => {
  const asked = Promise.withResolvers<void>();
  const url = await rawServer(t, () => asked.resolve());
  const stop = new AbortController();
  const world = manualWorld();
  const answer = askResponder({ url, request: question, prefer: 'GET', signal: stop.signal }, world);
  await asked.promise;
  stop.abort();
  assert.match(detailOf(await answer), /abort/i);
  assert.equal(world.pending, 0);
});
