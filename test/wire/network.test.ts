import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  addressBytes,
  blockOf,
  contains,
  NetworkTable,
  parseNetwork,
  withoutNetwork,
} from '../../src/wire/network.ts';
import type { Network } from '../../src/wire/network.ts';

function network(text: string): Network {
  const parsed = parseNetwork(text);
  assert.ok(parsed !== null, text);
  return parsed;
}

const PARSED: readonly (readonly [string, string, number])[] = [
  ['192.0.2.0/24', '192.0.2.0', 24],
  ['192.0.2.77/24', '192.0.2.0', 24],
  ['192.0.2.7', '192.0.2.7', 32],
  ['0.0.0.0/0', '0.0.0.0', 0],
  ['192.0.2.0|255.255.255.0', '192.0.2.0', 24],
  ['0.0.0.0|0.0.0.0', '0.0.0.0', 0],
  ['2001:db8::/32', '2001:db8::', 32],
  ['2001:DB8:0:1:ffff::1/64', '2001:db8:0:1::', 64],
  ['::/0', '::', 0],
  ['::1', '::1', 128],
  ['::ffff:192.0.2.9', '192.0.2.9', 32],
];

for (const [text, address, prefix] of PARSED) {
  test(`${text} is the network ${address}/${prefix}`, () => {
    assert.deepEqual(parseNetwork(text), { family: address.includes(':') ? 6 : 4, address, prefix });
  });
}

for (const text of [
  '',
  '/24',
  '192.0.2.0/33',
  '::/129',
  '192.0.2/24',
  'host',
  '1.2.3.4|255.0.255.0',
  '::1|255.0.0.0',
]) {
  test(`${JSON.stringify(text)} is no network`, () => assert.equal(parseNetwork(text), null));
}

test('an address is inside its network and its neighbour is not', () => {
  assert.equal(contains(network('192.0.2.128/25'), '192.0.2.128'), true);
  assert.equal(contains(network('192.0.2.128/25'), '192.0.2.127'), false);
  assert.equal(contains(network('2001:db8::/33'), '2001:db8:7fff::1'), true);
  assert.equal(contains(network('2001:db8::/33'), '2001:db8:8000::1'), false);
});

test('an IPv4-mapped address is the IPv4 address, and the families do not mix', () => {
  assert.equal(contains(network('192.0.2.0/24'), '::ffff:192.0.2.5'), true);
  assert.equal(contains(network('::/0'), '192.0.2.5'), false);
  assert.equal(contains(network('0.0.0.0/0'), '::1'), false);
});

test('the most specific network of a table wins, whatever the order it was written in', () => {
  const table = new NetworkTable([
    [network('0.0.0.0/0'), 'all'],
    [network('192.0.2.7'), 'one'],
    [network('192.0.2.0/24'), 'net'],
  ]);
  assert.deepEqual(
    ['192.0.2.7', '192.0.2.8', '198.51.100.1', '2001:db8::1', 'no address'].map((address) =>
      table.find(address),
    ),
    ['one', 'net', 'all', undefined, undefined],
  );
});

test('IPv6 addresses of one /64 are one block, IPv4 addresses stand for themselves', () => {
  assert.equal(blockOf('2001:db8:1:2:3:4:5:6', 64), '2001:db8:1:2::/64');
  assert.equal(blockOf('2001:db8:1:2::9', 64), '2001:db8:1:2::/64');
  assert.equal(blockOf('2001:db8:1:2::9', 128), '2001:db8:1:2::9');
  assert.equal(blockOf('192.0.2.7', 64), '192.0.2.7');
});

test('every address is in every network that is made of it', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.nat(128), (address, bits) => {
      const written = address.includes(':') ? 128 : 32;
      // A mapped IPv4 address is written with 128 bits and has 32.
      fc.pre(!address.includes(':') || addressBytes(address)?.length === 16);
      assert.equal(contains(network(`${address}/${bits % (written + 1)}`), address), true);
    }),
  );
});

test('without another network, a network holds the addresses that are not in that one, each once', () => {
  fc.assert(
    fc.property(fc.ipV4(), fc.ipV4(), fc.ipV4(), fc.tuple(fc.nat(32), fc.nat(32)), (...given) => {
      const [one, other, address, [bits, less]] = given;
      const whole = network(`${one}/${bits}`);
      // Often inside, as two addresses seldom are near.
      const hole = network(`${less > 16 ? other : one}/${Math.max(bits, less)}`);
      const parts = withoutNetwork(whole, hole);
      assert.ok(parts.length <= 32);
      for (const asked of [address, one, other]) {
        const isLeft = contains(whole, asked) && !contains(hole, asked);
        assert.equal(parts.filter((part) => contains(part, asked)).length, isLeft ? 1 : 0);
      }
    }),
  );
});
