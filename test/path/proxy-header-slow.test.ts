// A header that comes too late, or never. The time is timeouts.proxyHeader; no other connection has a timer for it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BALANCER, believed, CLIENT, V1, V2 } from '../support/balancer.ts';
import { ALL, IMAP } from '../support/dialects.ts';
import { assertLine, clientTls, openGateway } from '../support/gateway.ts';

const LIMIT_MS = 3000;

for (const mode of ['require', 'optional'] as const) {
  for (const [name, part] of [
    ['half a line', V1.subarray(0, 20)],
    ['one letter', V1.subarray(0, 1)],
    ['half a signature', V2.subarray(0, 8)],
    ['a header without its last byte', V2.subarray(0, -1)],
  ] as const) {
    test(`${mode}: ${name} and then nothing ends the connection, without a word, in time`, async (t) => {
      const gateway = openGateway(t, {
        protocol: 'imap',
        backend: IMAP.store().script,
        service: believed(mode),
      });
      const client = gateway.connect({ from: BALANCER });
      client.send(part);
      await gateway.advance(LIMIT_MS - 1);
      assert.deepEqual([client.ended, client.heard], [false, '']);
      await gateway.advance(1);
      assert.equal(await client.end(), '');
      const line = await gateway.closed();
      assertLine(line, { code: 'PROXY_HEADER_TIMEOUT', client: BALANCER, ms: LIMIT_MS });
    });

    test(`${mode}: ${name} and the rest just in time is a header`, async (t) => {
      const gateway = openGateway(t, {
        protocol: 'imap',
        backend: IMAP.store().script,
        service: believed(mode),
      });
      const client = gateway.connect({ from: BALANCER });
      client.send(part);
      await gateway.advance(LIMIT_MS - 1);
      client.send((part[0] === 0x0d ? V2 : V1).subarray(part.length));
      await gateway.resume(client, `${IMAP.greeting}\n${IMAP.login}\n${IMAP.logout}`);
      assertLine(await gateway.closed(), { code: null, client: CLIENT });
    });
  }
}

test('a header that drips gains no time', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: IMAP.store().script,
    service: believed('require'),
  });
  const client = gateway.connect({ from: BALANCER });
  for (let at = 0; at < 30; at++) {
    client.send(V1.subarray(at, at + 1));
    await gateway.advance(LIMIT_MS / 30);
  }
  assert.equal(await client.end(), '');
  assertLine(await gateway.closed(), { code: 'PROXY_HEADER_TIMEOUT', ms: LIMIT_MS });
});

for (const errands of ALL) {
  const { protocol } = errands;
  test(`${protocol}: silence where a header is required ends the connection`, async (t) => {
    const gateway = openGateway(t, {
      protocol,
      backend: errands.store().script,
      service: believed('require'),
    });
    const client = gateway.connect({ from: BALANCER });
    await gateway.advance(LIMIT_MS);
    assert.equal(await client.end(), '');
    assertLine(await gateway.closed(), { code: 'PROXY_HEADER_TIMEOUT', client: BALANCER });
  });

  test(`${protocol}: silence where it is optional is a client that waits for the greeting`, async (t) => {
    const gateway = openGateway(t, {
      protocol,
      backend: errands.store().script,
      service: believed('optional'),
    });
    const client = gateway.connect({ from: BALANCER });
    await gateway.advance(LIMIT_MS - 1);
    assert.equal(client.heard, '');
    await gateway.advance(1);
    await gateway.resume(client, `${errands.greeting}\n${errands.login}\n${errands.logout}`);
    assertLine(await gateway.closed(), { code: null, client: BALANCER, via: null, user: 'anna' });
  });
}

test('a ClientHello where a header is optional is not kept waiting', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: IMAP.store().script,
    tls: 'implicit',
    service: believed('optional'),
  });
  const client = gateway.connect({ from: BALANCER });
  await client.startTls(clientTls());
  await gateway.resume(client, `${IMAP.greeting}\n${IMAP.login}\n${IMAP.logout}`);
  assertLine(await gateway.closed(), { code: null, client: BALANCER, ms: 0 });
});

test('only who is waited for costs a timer', async (t) => {
  for (const [service, from, timers] of [
    [{}, BALANCER, 0],
    [believed('optional'), CLIENT, 0],
    [believed('optional'), BALANCER, 1],
    [believed('require'), BALANCER, 1],
  ] as const) {
    const gateway = openGateway(t, { protocol: 'imap', backend: IMAP.store().script, service });
    const before = gateway.world.pending;
    const client = gateway.connect({ from });
    await gateway.settle();
    assert.equal(gateway.world.pending, before + timers);
    if (timers > 0) client.send(V1);
    await gateway.resume(client, IMAP.greeting);
    assert.equal(gateway.world.pending, before);
  }
});
