// Who may speak for others, and what is done with what came behind a header.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { balancersOf, proxiedOf, proxyHeader } from '../../src/connection/proxy-header.ts';
import { parseNetwork } from '../../src/wire/network.ts';
import type { BackendSettings, TrustedPeer } from '../../src/config/settings.ts';
import { formatProxyHeader } from '../../src/wire/proxy-header-out.ts';
import { CLIENT, PROXIED_TLS, V1 } from '../support/balancer.ts';
import { settle, testClient, testGate } from '../support/gates.ts';
import { legPair } from '../support/legs.ts';

function peers(...texts: readonly string[]): TrustedPeer[] {
  return texts.flatMap((text): TrustedPeer[] => (text === 'unix' ? [text] : [parseNetwork(text) ?? 'unix']));
}

const V2_BACKEND = { client: [{ method: 'proxy-v2', required: true }] } as unknown as BackendSettings;

const TCP = { localAddress: '198.51.100.1' } as net.Socket;

test('an address in a listed network is a balancer, its neighbour is not', () => {
  const balancers = balancersOf({ from: peers('192.0.2.0/25', '2001:db8::/64'), mode: 'require' });
  for (const [address, expected] of [
    ['192.0.2.127', true],
    ['192.0.2.128', false],
    ['2001:db8::1', true],
    ['2001:db8:0:1::1', false],
    // A peer that has gone already has no address; it is nobody, not everybody.
    ['', false],
  ] as const) {
    assert.equal(balancers?.include(TCP, address), expected, address);
  }
});

test('without settings there are no balancers at all', () => {
  assert.equal(balancersOf(null), null);
});

test('the peer of a Unix socket is believed by that word, a TCP peer without an address is not', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-unix-'));
  const accepted = Promise.withResolvers<net.Socket>();
  const server = net.createServer(accepted.resolve).listen(join(folder, 'socket'));
  await once(server, 'listening');
  const near = net.connect(join(folder, 'socket'));
  t.after(() => {
    near.destroy();
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const socket = await accepted.promise;
  t.after(() => socket.destroy());
  assert.equal(socket.remoteAddress, undefined);
  const some = balancersOf({ from: peers('unix', '0.0.0.0/0', '::/0'), mode: 'require' });
  assert.equal(some?.include(socket, ''), true);
  assert.equal(some.include(TCP, ''), false);
  const others = balancersOf({ from: peers('0.0.0.0/0', '::/0'), mode: 'require' });
  assert.equal(others?.include(socket, ''), false);
});

test('a TCP peer that has reset the connection keeps our end of it an address', async (t) => {
  const accepted = Promise.withResolvers<net.Socket>();
  const server = net.createServer({ pauseOnConnect: true }, accepted.resolve).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as net.AddressInfo;
  const near = net.connect(port, '127.0.0.1');
  const socket = await accepted.promise;
  t.after(() => socket.destroy());
  near.resetAndDestroy();
  await once(near, 'close');
  await settle(4);
  assert.equal(socket.remoteAddress, undefined);
  assert.equal(socket.localAddress, '127.0.0.1');
});

test('the header changes who the client is, and what is behind it waits for the protocol', async () => {
  const balancers = balancersOf({ from: peers('192.0.2.7'), mode: 'require' });
  const gate = { ...testGate({ protocol: 'imap' }), balancers };
  const { client, talk } = testClient(gate, { localAddress: '192.0.2.1', localPort: 143 });
  talk.send(Buffer.concat([formatProxyHeader(2, PROXIED_TLS), Buffer.from('a NOOP\r\n')]));
  await proxyHeader(client);
  assert.deepEqual(client.remote, { address: CLIENT, port: 4711 });
  assert.deepEqual(client.local, { address: '198.51.100.25', port: 993 });
  assert.deepEqual(client.via, { address: '192.0.2.7', port: 50_001 });
  assert.deepEqual([client.outerId, client.leg.secured, client.leg.facts], ['B-0815', true, null]);
  assert.equal((await client.leg.line()).toString(), 'a NOOP');
  assert.equal(client.bytesIn, 'a NOOP\r\n'.length, 'the header is no traffic of the client');
  assert.deepEqual(proxiedOf(client, V2_BACKEND), PROXIED_TLS);
});

test('a header without TLS facts leaves open what the client has', async () => {
  const balancers = balancersOf({ from: peers('192.0.2.7'), mode: 'require' });
  const { client, talk } = testClient({ ...testGate({ protocol: 'imap' }), balancers });
  talk.send(V1);
  await proxyHeader(client);
  assert.deepEqual([client.outerTls, client.outerId, client.leg.secured], [null, null, false]);
  assert.equal(proxiedOf(client, V2_BACKEND)?.tls, undefined);
});

test('an opening is asked with all that has come, and once more when told to', async (t) => {
  const { leg, talk } = legPair(t, { split: 'bytes' });
  const seen: string[] = [];
  let enough = false;
  const opened = leg.opening((came) => {
    seen.push(came.toString());
    return enough ? 2 : null;
  });
  talk.send('abc');
  await settle(10);
  enough = true;
  leg.lookAgain();
  await opened;
  assert.deepEqual(seen, ['', 'a', 'ab', 'abc', 'abc']);
  assert.deepEqual([leg.pendingBytes, leg.bytesIn], [1, 1]);
});

test('an opening longer than a line may be is read all the same', async (t) => {
  const { leg, talk } = legPair(t, { leg: { lineBytesMax: 100 } });
  const opened = leg.opening((came) => (came.length < 5000 ? null : 4998));
  talk.send(`${'x'.repeat(4998)}\r\n`);
  await opened;
  assert.equal((await leg.line()).toString(), '');
});
