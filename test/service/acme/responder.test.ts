// What answers a CA: everything that it looks for, and nothing to anybody else.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import tls from 'node:tls';

import { AcmeResponder } from '../../../src/service/acme/responder.ts';
import { bindListeners, wantedListeners } from '../../../src/service/handles.ts';
import { realWorld } from '../../../src/world.ts';
import { makeAuthority } from '../../support/authority.ts';
import { manualWorld } from '../../support/manual-world.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-responder-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const authority = makeAuthority(folder);
const proof = authority.issue({ names: ['mail.example.com'], signer: 'self' });

async function open(
  t: TestContext,
  challenge: 'http-01' | 'tls-alpn-01',
  world = realWorld,
): Promise<{ responder: AcmeResponder; port: number }> {
  const listen = [{ kind: 'tcp', host: '127.0.0.1', port: 0 }] as const;
  const wanted = wantedListeners({ acme: { name: 'acme', listen } });
  const { bound } = await bindListeners(wanted, null, realWorld);
  const [listener] = bound;
  assert.ok(listener !== undefined);
  const responder = new AcmeResponder(challenge, world);
  t.after(() => responder.close());
  assert.equal(await responder.listen(listener.handle), null);
  return { responder, port: Number(/:(\d+)$/.exec(listener.address)?.[1]) };
}

/** Resolves at the end, however it came. */
function closed(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

/** All that is said to these bytes until the connection ends. */
async function say(port: number, bytes: string): Promise<string> {
  const socket = net.connect({ host: '127.0.0.1', port });
  let text = '';
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => (text += chunk));
  socket.on('error', () => {});
  socket.write(bytes);
  await closed(socket);
  return text;
}

const get = (path: string, method = 'GET'): string =>
  `${method} ${path} HTTP/1.1\r\nHost: mail.example.com\r\n\r\n`;
const at = (token: string): string => `/.well-known/acme-challenge/${token}`;

test('http-01: a token that is expected gets its answer, until it is forgotten', async (t) => {
  const { responder, port } = await open(t, 'http-01');
  const forget = responder.expect({ kind: 'http-01', token: 'tok_EN-1', answer: 'tok_EN-1.thumb' });
  const text = await say(port, get(at('tok_EN-1')));
  assert.match(text, /^HTTP\/1\.1 200 /);
  // RFC 8555 8.3
  assert.match(text, /content-type: application\/octet-stream\r\n/i);
  assert.match(text, /\r\n\r\ntok_EN-1\.thumb$/);
  forget();
  assert.match(await say(port, get(at('tok_EN-1'))), /^HTTP\/1\.1 404 /);
});

test('http-01: everything else is not found, and says nothing', async (t) => {
  const { responder, port } = await open(t, 'http-01');
  responder.expect({ kind: 'http-01', token: 'token', answer: 'token.thumb' });
  const paths = ['/', at(''), at('other'), at('token/'), at('token?x'), at('../token'), at('token%00')];
  const strange = [
    `/${at('token')}`,
    `http://mail.example.com${at('token')}`,
    at('__proto__'),
    at('x'.repeat(300)),
  ];
  const requests = [...paths, ...strange].map((path) => get(path));
  const methods = ['POST', 'HEAD', 'PUT', 'OPTIONS', 'DELETE'].map((method) => get(at('token'), method));
  for (const request of [...requests, ...methods]) {
    const text = await say(port, request);
    assert.match(text, /^HTTP\/1\.1 404 /, request);
    assert.doesNotMatch(text, /thumb/, request);
    assert.match(text, /\r\n\r\n$/, request);
  }
});

test('http-01: what is no HTTP, has too long a header or asks twice is closed', async (t) => {
  const { responder, port } = await open(t, 'http-01');
  responder.expect({ kind: 'http-01', token: 'token', answer: 'token.thumb' });
  assert.equal(await say(port, '\x16\x03\x01\x02\x00\x01'), '');
  assert.equal(await say(port, `GET / HTTP/1.1\r\nHost: ${'x'.repeat(20_000)}\r\n\r\n`), '');
  const twice = await say(port, get(at('token')).repeat(2));
  assert.equal(twice.match(/HTTP\/1\.1/g)?.length, 1);
});

test('a connection that says nothing lives for ten seconds, and not one timer stays', async (t) => {
  const world = manualWorld();
  const { responder, port } = await open(t, 'http-01', world);
  const socket = net.connect({ host: '127.0.0.1', port });
  socket.on('error', () => {});
  socket.write('GET ');
  await once(socket, 'connect');
  while (world.pending === 0) await new Promise((resolve) => setImmediate(resolve));
  world.advance(10_000);
  await closed(socket);
  responder.close();
  assert.equal(world.pending, 0);
});

interface Hello {
  readonly servername?: string;
  readonly protocols?: readonly string[];
}

/** The handshake's end: what was agreed and shown, what was said, and the alert. */
async function hello(
  port: number,
  { servername, protocols }: Hello,
): Promise<{ alpn: unknown; shown: string; said: string; alert: string }> {
  const socket = tls.connect({
    host: '127.0.0.1',
    port,
    rejectUnauthorized: false,
    ...(servername === undefined ? {} : { servername }),
    ...(protocols === undefined ? {} : { ALPNProtocols: [...protocols] }),
  });
  const found = { alpn: null as unknown, shown: '', said: '', alert: '' };
  socket.on('data', (chunk: Buffer) => (found.said += chunk.toString('latin1')));
  socket.on('error', (error) => (found.alert = error.message));
  socket.once('secureConnect', () => {
    found.alpn = socket.alpnProtocol;
    found.shown = socket.getPeerX509Certificate()?.toString() ?? '';
    socket.write('hello?');
  });
  await closed(socket);
  return found;
}

test('tls-alpn-01: acme-tls/1 for a name that is expected is shown the proof, and nothing is said', async (t) => {
  const { responder, port } = await open(t, 'tls-alpn-01');
  const forget = responder.expect({
    kind: 'tls-alpn-01',
    name: 'mail.example.com',
    cert: proof.cert,
    key: proof.key,
  });
  const wanted = { servername: 'mail.example.com', protocols: ['acme-tls/1'] };
  const found = await hello(port, wanted);
  assert.equal(found.alpn, 'acme-tls/1');
  assert.equal(found.shown.trim(), proof.cert.trim());
  assert.equal(found.said, '');
  assert.equal((await hello(port, { ...wanted, servername: 'MAIL.example.com' })).alpn, 'acme-tls/1');
  forget();
  assert.match((await hello(port, wanted)).alert, /alert|reset|disconnected/i);
});

test('tls-alpn-01: another protocol, another one beside it, another name and no name get an alert', async (t) => {
  const { responder, port } = await open(t, 'tls-alpn-01');
  responder.expect({ kind: 'tls-alpn-01', name: 'mail.example.com', cert: proof.cert, key: proof.key });
  const servername = 'mail.example.com';
  for (const asked of [
    { servername, protocols: ['http/1.1'] },
    { servername, protocols: ['acme-tls/1', 'h2'] },
    { servername: 'other.example.com', protocols: ['acme-tls/1'] },
    { protocols: ['acme-tls/1'] },
    {},
  ]) {
    const found = await hello(port, asked);
    assert.equal(found.shown, '', JSON.stringify(asked));
    assert.match(found.alert, /alert|reset|disconnected/i, JSON.stringify(asked));
  }
});

test('tls-alpn-01: one who names no protocol is told nothing either', async (t) => {
  const { responder, port } = await open(t, 'tls-alpn-01');
  responder.expect({ kind: 'tls-alpn-01', name: 'mail.example.com', cert: proof.cert, key: proof.key });
  assert.equal((await hello(port, { servername: 'mail.example.com' })).said, '');
});
