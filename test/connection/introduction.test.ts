// Who a connection's client is once a balancer or a front tier has said so, and who may say so.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { close } from '../../src/connection/close.ts';
import { parseNetwork, type Network } from '../../src/wire/network.ts';
import { testClient, testGate } from '../support/gates.ts';

const network = (text: string): Network => {
  const parsed = parseNetwork(text);
  assert.ok(parsed !== null);
  return parsed;
};

function gate(...from: string[]): ReturnType<typeof testGate> {
  return testGate({ protocol: 'smtp', frontTier: from.map((text) => [network(text), true]) });
}

test('a peer is a tier by its address, and nobody is where no tier is set', () => {
  const { remote } = testClient(gate()).client;
  for (const [from, isTier] of [
    [[], false],
    [['203.0.113.0/24'], false],
    [[`${remote.address}`], true],
    [['203.0.113.0/24', '0.0.0.0/0', '::/0'], true],
  ] as const) {
    assert.equal(testClient(gate(...from)).client.isFrontTier, isTier, from.join());
  }
});

test('a tier behind a balancer is known by the address that the balancer tells, and stays the one it is', () => {
  const setup = gate('198.51.100.1');
  const { client } = testClient(setup);
  client.introduce({ address: '198.51.100.1', port: 4000 });
  assert.equal(client.tier, null);
  assert.equal(client.isFrontTier, true);
  client.introduce({ address: '203.0.113.9', port: 5000, ttl: 4, sessionId: 'outer' });
  client.introduce({ address: '203.0.113.10', port: 5001, ttl: 4, sessionId: 'outer' });
  assert.equal(client.isFrontTier, true);
  assert.deepEqual(client.via, { address: '198.51.100.1', port: 4000 });
  assert.deepEqual([client.tier, client.ttl], [client.via, 3]);
  close(client, null);
  const line = setup.lines.at(-1);
  assert.deepEqual(
    [line?.['client'], line?.['port'], line?.['via'], line?.['outerSession']],
    ['203.0.113.10', 5001, '198.51.100.1', 'outer'],
  );
});

test('what was introduced as the address of a tier is no tier', () => {
  const { client } = testClient(gate('198.51.100.1'));
  assert.equal(client.isFrontTier, false);
  client.introduce({ address: '198.51.100.1', port: 4000 });
  assert.equal(client.isFrontTier, false);
});

test('an introduction without an address changes what it tells, and not the client', () => {
  const { client } = testClient(gate('::/0', '0.0.0.0/0'));
  const before = client.remote;
  assert.equal(client.isFrontTier, true);
  client.introduce({ ttl: 3, sessionId: 'outer' });
  assert.deepEqual([client.remote, client.via, client.ttl, client.outerId], [before, null, 2, 'outer']);
});

for (const [ttl, passes] of [
  [2, true],
  [1, false],
  [0, false],
] as const) {
  test(`a client that may pass ${ttl} proxies ${passes ? 'is served' : 'has gone in a circle'}`, () => {
    const { client } = testClient(gate('::/0', '0.0.0.0/0'));
    assert.equal(client.isFrontTier, true);
    const introduce = (): void => client.introduce({ address: '203.0.113.9', ttl });
    if (passes) introduce();
    else assert.throws(introduce, { code: 'PROXY_LOOP' });
    assert.equal(client.remote.address, '203.0.113.9');
  });
}
