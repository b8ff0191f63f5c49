import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatHostPort, ipOf, isLoopback, parseEndpoint, parseHostPort } from '../../src/wire/address.ts';

test('an address has one canonical text, whatever form it came in', () => {
  const cases: readonly (readonly [string, string | undefined])[] = [
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:C000:0201', '192.0.2.1'],
    ['0:0:0:0:0:ffff:192.0.2.1', '192.0.2.1'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['::', '::'],
    ['::1', '::1'],
    ['192.0.2.01', undefined],
    ['192.0.2.256', undefined],
    ['[::1]', undefined],
    ['localhost', undefined],
    ['', undefined],
    ['1'.repeat(1000), undefined],
  ];
  for (const [text, address] of cases) assert.equal(ipOf(text)?.address, address, text);
});

test('property: the canonical text is an address and its own canonical text', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
      const ip = ipOf(text);
      assert.ok(ip !== null && isIP(ip.address) !== 0);
      assert.deepEqual(ipOf(ip.address), ip);
    }),
  );
});

test('host and port need brackets around IPv6 and a port of 1 to 65535', () => {
  const right: readonly (readonly [string, string, number])[] = [
    ['mx.example.org:25', 'mx.example.org', 25],
    ['localhost:65535', 'localhost', 65535],
    ['0.0.0.0:143', '0.0.0.0', 143],
    ['[::1]:993', '::1', 993],
    ['my_store-1:1', 'my_store-1', 1],
  ];
  for (const [text, host, port] of right) {
    assert.deepEqual(parseHostPort(text), { host, port }, text);
    assert.equal(formatHostPort(host, port), text);
  }
  const wrong = [
    'mx',
    'mx:',
    ':25',
    'mx:0',
    'mx:65536',
    '::1:25',
    '[::1]',
    '[mx]:25',
    '1.2.3:25',
    'm x:25',
    '-a:25',
    'a..b:25',
  ];
  for (const text of wrong) assert.equal(parseHostPort(text), null, text);
});

test('property: what formatHostPort writes parseHostPort reads', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain()),
      fc.integer({ min: 1, max: 65535 }),
      (host, port) => {
        assert.deepEqual(parseHostPort(formatHostPort(host, port)), { host, port });
      },
    ),
  );
});

test('an endpoint is a host with a port or the absolute path of a Unix socket', () => {
  assert.deepEqual(parseEndpoint('/run/lmtp'), { kind: 'unix', path: '/run/lmtp' });
  assert.deepEqual(parseEndpoint('unix:/run/lmtp'), { kind: 'unix', path: '/run/lmtp' });
  assert.deepEqual(parseEndpoint('[::1]:24'), { kind: 'tcp', host: '::1', port: 24 });
  const wrong = ['unix:run/lmtp', 'run/lmtp', '/', '', 'unix:', 'unix:25', '/a\0b', `/${'x'.repeat(107)}`];
  for (const text of wrong) assert.equal(parseEndpoint(text), null, text);
});

test('what is on this machine is loopback in both families, and names and neighbours are not', () => {
  const near = ['127.0.0.1', '127.9.8.7', '::1', '::ffff:127.0.0.1'];
  const far = [
    '',
    '128.0.0.1',
    '1127.0.0.1',
    '127.0.0.1.example.org',
    'localhost',
    '::2',
    '::ffff:192.0.2.7',
  ];
  assert.deepEqual(
    near.map(isLoopback),
    near.map(() => true),
  );
  assert.deepEqual(
    far.map(isLoopback),
    far.map(() => false),
  );
});
