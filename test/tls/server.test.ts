import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import tls from 'node:tls';
import { GateError } from '../../src/errors.ts';
import { buildServerContexts } from '../../src/tls/context.ts';
import { acceptTls } from '../../src/tls/server.ts';
import { makeAuthority } from '../support/authority.ts';
import { manualWorld } from '../support/manual-world.ts';
import { exchange, failure, startMiddle, startServer } from '../support/tls-pair.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-server-'));
const authority = makeAuthority(folder);
const certificate = authority.issue({ names: ['mx.test'] });
const org = authority.issue({ names: ['*.example.org'] });
rmSync(folder, { recursive: true });
const contexts = buildServerContexts(
  {
    certificates: [certificate],
    sni: [{ pattern: '*.example.org', certificates: [org] }],
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    ciphers: 'default',
    groups: 'default',
  },
  { ticketKeys: randomBytes(48), sessionIdContext: 'server' },
);
const server = await startServer(contexts, ['imap']);
after(() => server.close());

async function nextError(): Promise<GateError> {
  const result = await server.next();
  assert.ok(result instanceof GateError, 'the handshake succeeded');
  assert.ok(server.raw.destroyed, 'the raw socket is destroyed');
  assert.equal(server.world.pending, 0, 'no timer stays');
  return result;
}

async function connectRaw(): Promise<net.Socket> {
  const socket = net.connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

for (const servername of ['mx.test', 'imap.example.org']) {
  test(`${servername}: ALPN that fits is agreed on, none is fine, others get an alert`, async () => {
    const fit = await exchange(server, { servername, ALPNProtocols: ['http/1.1', 'imap'] });
    assert.equal(fit.client.alpn, 'imap');
    assert.equal((await exchange(server, { servername })).client.alpn, null);
    const { client, server: error } = await failure(server, { servername, ALPNProtocols: ['http/1.1'] });
    assert.equal(client, 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL');
    assert.equal(error.code, 'TLS_HANDSHAKE_FAILED');
    assert.equal(error.context['reason'], 'ERR_SSL_NO_APPLICATION_PROTOCOL');
  });
}

test('a service without ALPN takes clients that offer it', async (t) => {
  const plain = await startServer(contexts);
  t.after(() => plain.close());
  assert.equal((await exchange(plain, { ALPNProtocols: ['http/1.1'] })).client.alpn, null);
});

const CLEAR = [
  'a1 LOGIN x y',
  'EHLO x',
  'GET / HTTP/1.0',
  'POST / HTTP/1.1',
  'CONNECT a:1 HTTP/1.1',
  'USER x',
  'QUIT',
];
for (const line of CLEAR) {
  test(`clear text on a TLS port is told from a broken handshake: ${line}`, async () => {
    const client = await connectRaw();
    client.write(`${line}\r\n`);
    assert.equal((await nextError()).code, 'PLAIN_ON_TLS_PORT');
    client.destroy();
  });
}

test('every printable first character is taken for clear text', async () => {
  for (let code = 0x20; code < 0x7f; code += 1) {
    const client = await connectRaw();
    client.write(`${String.fromCharCode(code)}a1 NOOP\r\n`);
    assert.equal((await nextError()).code, 'PLAIN_ON_TLS_PORT', String.fromCharCode(code));
    client.destroy();
  }
});

test('a TLS record with rubbish in it is a broken handshake, not clear text', async () => {
  const client = await connectRaw();
  client.write('\x16\x03\x01\x00\x05hello', 'latin1');
  const error = await nextError();
  assert.equal(error.code, 'TLS_HANDSHAKE_FAILED');
  assert.equal(error.context['reason'], 'ERR_SSL_UNEXPECTED_MESSAGE');
  client.destroy();
});

test('a client that is slower than the deadline is cut, one just in time is not', async () => {
  const slow = await connectRaw();
  slow.write('\x16\x03', 'latin1');
  const waiting = server.next();
  while (server.world.pending === 0) await new Promise(setImmediate);
  server.world.advance(10_000);
  const error = await waiting;
  assert.ok(error instanceof GateError);
  assert.equal(error.code, 'TLS_HANDSHAKE_TIMEOUT');
  assert.equal(server.world.pending, 0);
  if (!slow.closed) await new Promise((resolve) => slow.once('close', resolve));

  const raw = await connectRaw();
  while (server.world.pending === 0) await new Promise(setImmediate);
  server.world.advance(9_999);
  const inTime = tls.connect({ socket: raw, rejectUnauthorized: false });
  await once(inTime, 'secureConnect');
  const accepted = await server.next();
  assert.ok(accepted instanceof tls.TLSSocket);
  assert.equal(server.world.pending, 0);
  inTime.destroy();
});

test('a client that leaves before or inside the handshake has closed, whether politely or not', async () => {
  for (const leave of ['end', 'destroy', 'resetAndDestroy'] as const) {
    for (const sent of ['', '\x16\x03\x01']) {
      const client = await connectRaw();
      while (server.world.pending === 0) await new Promise(setImmediate);
      if (sent !== '') client.write(sent, 'latin1');
      client[leave]();
      assert.equal((await nextError()).code, 'CLIENT_CLOSED', `${leave} after ${sent.length} bytes`);
      client.destroy();
    }
  }
});

test('a socket that is closed already is refused without waiting', async () => {
  const raw = new net.Socket();
  raw.destroy();
  const options = { alpn: [], timeoutMs: 1000, world: manualWorld() };
  await assert.rejects(acceptTls(raw, contexts, options), { code: 'CLIENT_CLOSED' });
});

// allowHalfOpen is known to tls.connect but not to its type.
const HALF_OPEN: tls.ConnectionOptions & { allowHalfOpen: boolean } = { allowHalfOpen: true };

async function connected(options: tls.ConnectionOptions = {}): Promise<[tls.TLSSocket, tls.TLSSocket]> {
  const client = tls.connect({ port: server.port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  await once(client, 'secureConnect');
  const accepted = await server.next();
  assert.ok(accepted instanceof tls.TLSSocket);
  return [client, accepted];
}

test('after the handshake the listeners for errors are left and nothing else of ours', async () => {
  const [client, accepted] = await connected();
  const fresh = new tls.TLSSocket(new net.Socket(), { isServer: true, secureContext: contexts.initial });
  for (const event of ['secure', 'end', 'close']) {
    assert.equal(accepted.listenerCount(event), fresh.listenerCount(event), event);
  }
  assert.equal(accepted.listenerCount('_tlsError'), 1);
  assert.equal(accepted.listenerCount('error'), fresh.listenerCount('error') + 1);
  fresh.destroy();
  client.destroy();
});

test('either side may end its half and still hear the other', async () => {
  const [client, accepted] = await connected(HALF_OPEN);
  accepted.resume();
  client.end('last words');
  await once(accepted, 'end');
  accepted.end('answer');
  const [chunk] = (await once(client, 'data')) as [Buffer];
  assert.equal(chunk.toString(), 'answer');
  client.destroy();
});

test('TLS 1.2 renegotiation by the client is refused', async () => {
  const [client, accepted] = await connected({ maxVersion: 'TLSv1.2' });
  accepted.resume();
  const refused = await new Promise<Error | null>((resolve) => {
    client.on('error', resolve);
    client.renegotiate({ rejectUnauthorized: false }, resolve);
  });
  assert.equal((refused as NodeJS.ErrnoException | null)?.code, 'ERR_SSL_NO_RENEGOTIATION');
  client.destroy();
  accepted.destroy();
});

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`a broken ${maxVersion} record after the handshake is an error that closes the connection`, async (t) => {
    const middle = await startMiddle(server.port);
    t.after(() => middle.close());
    const client = tls.connect({
      port: middle.port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      maxVersion,
    });
    client.on('error', () => client.destroy());
    await once(client, 'secureConnect');
    const accepted = await server.next();
    assert.ok(accepted instanceof tls.TLSSocket);
    accepted.resume();
    const ended = new Promise<Error | null>((resolve) => {
      accepted.once('error', resolve).once('close', () => resolve(null));
    });
    middle.breakTowards('server');
    assert.match(((await ended) as NodeJS.ErrnoException | null)?.code ?? '', /^ERR_SSL_/);
    assert.ok(accepted.destroyed);
    client.destroy();
  });
}
