// Reading and writing the PROXY header. What is written by hand here follows haproxy's proxy-protocol.txt.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { crc32c } from '../../src/wire/crc32c.ts';
import { parseProxyHeader, SIGNATURE, type Proxied } from '../../src/wire/proxy-header.ts';
import { formatProxyHeader } from '../../src/wire/proxy-header-out.ts';
import { SEED } from '../support/wire.ts';

/** A version 2 header with a true length. */
function binary(command: number, family: number, body: Buffer | string): Buffer {
  const bytes = Buffer.from(body as string, 'latin1');
  const head = Buffer.of(command, family, bytes.length >> 8, bytes.length & 255);
  return Buffer.concat([SIGNATURE, head, bytes]);
}

function tlv(type: number, value: Buffer | string): Buffer {
  const bytes = Buffer.from(value as string, 'latin1');
  return Buffer.concat([Buffer.of(type, bytes.length >> 8, bytes.length & 255), bytes]);
}

/** 192.0.2.7 port 50001 to 198.51.100.1 port 993. */
const ADDRESSES = Buffer.of(192, 0, 2, 7, 198, 51, 100, 1, 0xc3, 0x51, 0x03, 0xe1);
const TLS_VERSION = tlv(0x21, 'TLSv1.3');

function withTlvs(...tlvs: readonly Buffer[]): Buffer {
  return binary(0x21, 0x11, Buffer.concat([ADDRESSES, ...tlvs]));
}

function read(bytes: Buffer | string): Proxied | null {
  const result = parseProxyHeader(Buffer.from(bytes as string, 'latin1'));
  assert.ok(result.kind === 'header', JSON.stringify(result));
  return result.proxied;
}

function tlsOf(client: number, verify: number, ...parts: readonly Buffer[]): Proxied['tls'] {
  const value = Buffer.concat([Buffer.of(client, 0, 0, 0, verify), ...parts]);
  return read(withTlvs(tlv(0x20, value)))?.tls;
}

test('a line for IPv4 and one for IPv6 are read, and what is behind them is not', () => {
  const four = 'PROXY TCP4 192.0.2.7 198.51.100.1 50001 993\r\n';
  const result = parseProxyHeader(Buffer.from(`${four}a LOGIN\r\n`));
  assert.ok(result.kind === 'header');
  assert.equal(result.bytes, four.length);
  assert.deepEqual(result.proxied?.source, { address: '192.0.2.7', port: 50_001 });
  assert.deepEqual(result.proxied?.destination, { address: '198.51.100.1', port: 993 });
  assert.equal(result.proxied?.tls, undefined);
  assert.equal(read('PROXY TCP6 2001:db8::7 ::1 1 65535\r\n')?.source.address, '2001:db8::7');
});

test('the longest line is read, one byte more is too long', () => {
  const full = 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff';
  const longest = `PROXY UNKNOWN ${full} ${full} 65535 65535\r\n`;
  assert.equal(longest.length, 107);
  assert.equal(read(longest), null);
  assert.deepEqual(parseProxyHeader(Buffer.from(longest.replace('\r', 'x\r'))), {
    kind: 'malformed',
    reason: 'too-long',
  });
});

for (const [line, reason] of [
  ['PROXY TCP4 192.0.2.7 198.51.100.1 50001\r\n', 'line'],
  ['PROXY TCP4 192.0.2.7 198.51.100.1 50001 993 \r\n', 'line'],
  ['PROXY TCP4  192.0.2.7 198.51.100.1 50001 993\r\n', 'line'],
  ['PROXY TCP4 192.0.2.7 198.51.100.1 50001 993\n', 'line'],
  ['PROXY TCP4 192.0.2.7 198.51.100.1 50001 993\0\r\n', 'line'],
  ['PROXY \r\n', 'family'],
  ['PROXY UDP4 192.0.2.7 198.51.100.1 50001 993\r\n', 'family'],
  ['PROXY UNKNOWNS\r\n', 'family'],
  ['PROXY tcp4 192.0.2.7 198.51.100.1 50001 993\r\n', 'family'],
  ['PROXY TCP6 192.0.2.7 198.51.100.1 50001 993\r\n', 'address'],
  ['PROXY TCP4 ::1 ::1 50001 993\r\n', 'address'],
  ['PROXY TCP4 192.0.2.07 198.51.100.1 50001 993\r\n', 'address'],
  ['PROXY TCP6 fe80::1%lo ::1 50001 993\r\n', 'address'],
  ['PROXY TCP4 192.0.2.7 198.51.100.1 050001 993\r\n', 'port'],
  ['PROXY TCP4 192.0.2.7 198.51.100.1 65536 993\r\n', 'port'],
  ['PROXY TCP4 192.0.2.7 198.51.100.1 -1 993\r\n', 'port'],
] as const) {
  test(`${JSON.stringify(line)} is malformed: ${reason}`, () => {
    assert.deepEqual(parseProxyHeader(Buffer.from(line)), { kind: 'malformed', reason });
  });
}

for (const bytes of ['EHLO me\r\n', 'PROXX', '\x16\x03\x01', '\r\nEHLO', ' PROXY TCP4', 'proxy TCP4 ']) {
  test(`${JSON.stringify(bytes)} begins no header`, () => {
    assert.deepEqual(parseProxyHeader(Buffer.from(bytes, 'latin1')), { kind: 'none' });
  });
}

test('the binary header is read with its length, and what is behind it is not', () => {
  const header = withTlvs();
  const result = parseProxyHeader(Buffer.concat([header, Buffer.from('a LOGIN\r\n')]));
  assert.ok(result.kind === 'header');
  assert.equal(result.bytes, 28);
  assert.deepEqual(result.proxied, {
    source: { address: '192.0.2.7', port: 50_001 },
    destination: { address: '198.51.100.1', port: 993 },
    tls: undefined,
    alpn: null,
    authority: null,
    uniqueId: null,
  });
});

test('IPv6 addresses come in canonical form, a mapped IPv4 one as IPv4', () => {
  const mapped = '\0'.repeat(10) + '\xff\xff\xc0\0\x02\x07';
  const body = Buffer.from(`${mapped}\x20\x01\x0d\xb8${'\0'.repeat(11)}\x09\0\x01\0\x02`, 'latin1');
  const proxied = read(binary(0x21, 0x21, body));
  assert.deepEqual(proxied?.source, { address: '192.0.2.7', port: 1 });
  assert.deepEqual(proxied?.destination, { address: '2001:db8::9', port: 2 });
});

for (const [name, bytes] of [
  ['LOCAL', binary(0x20, 0x00, '')],
  ['LOCAL, whatever follows', binary(0x20, 0x77, 'what this is, nobody asks')],
  ['an unspecified family', binary(0x21, 0x00, 'anything')],
  ['a Unix socket', binary(0x21, 0x31, '\0'.repeat(216))],
  ['a datagram', binary(0x21, 0x12, ADDRESSES)],
] as const) {
  test(`${name} is a header that names no client`, () => {
    const result = parseProxyHeader(Buffer.concat([bytes, Buffer.from('rest')]));
    assert.deepEqual(result, { kind: 'header', version: 2, bytes: bytes.length, proxied: null });
  });
}

for (const [name, bytes, reason] of [
  ['version 1 in binary', binary(0x11, 0x11, ADDRESSES), 'version'],
  ['version 3', binary(0x31, 0x11, ADDRESSES), 'version'],
  ['an unknown command', binary(0x22, 0x11, ADDRESSES), 'command'],
  ['an unknown family', binary(0x21, 0x41, ADDRESSES), 'family'],
  ['a family without transport', binary(0x21, 0x10, ADDRESSES), 'family'],
  ['an unknown transport', binary(0x21, 0x13, ADDRESSES), 'family'],
  ['a length that cuts the addresses', binary(0x21, 0x11, ADDRESSES.subarray(0, 11)), 'length'],
  ['IPv4 addresses called IPv6', binary(0x21, 0x21, ADDRESSES), 'length'],
  ['a Unix path that is cut', binary(0x21, 0x31, '\0'.repeat(215)), 'length'],
  ['one byte behind the addresses', withTlvs(Buffer.of(1)), 'tlv'],
  ['a TLV longer than the header', withTlvs(Buffer.of(0x05, 0, 2, 65)), 'tlv'],
  ['an unknown TLV longer than the header', withTlvs(Buffer.of(0xee, 0xff, 0xff)), 'tlv'],
  ['two names', withTlvs(tlv(0x02, 'a'), tlv(0x02, 'b')), 'tlv'],
  ['TLS facts that are cut', withTlvs(tlv(0x20, '\x01\0\0\0')), 'tlv'],
  ['TLS facts whose part is cut', withTlvs(tlv(0x20, '\x01\0\0\0\0\x21\0\x09TLS')), 'tlv'],
  ['a wrong checksum', withTlvs(tlv(0x03, '\0\0\0\0')), 'checksum'],
  ['a short checksum', withTlvs(tlv(0x03, '\0\0')), 'checksum'],
  ['a checksum that is empty', withTlvs(tlv(0x03, '')), 'checksum'],
] as const) {
  test(`${name} is malformed: ${reason}`, () => {
    assert.deepEqual(parseProxyHeader(bytes), { kind: 'malformed', reason });
  });
}

test('a header that announces too much is refused before it has come', () => {
  const head = (length: number): Buffer =>
    Buffer.concat([SIGNATURE, Buffer.of(0x21, 0x11, length >> 8, length & 255)]);
  assert.deepEqual(parseProxyHeader(head(8193)), { kind: 'malformed', reason: 'too-long' });
  assert.deepEqual(parseProxyHeader(head(8192)), { kind: 'need-more' });
});

test('a client certificate fits into a header', () => {
  assert.equal(read(withTlvs(tlv(0xe0, Buffer.alloc(6000, 65))))?.source.address, '192.0.2.7');
});

test('TLS facts are read, with the name in a verified certificate', () => {
  const parts = [TLS_VERSION, tlv(0x22, 'J\xc3\xbcrgen'), tlv(0x23, 'TLS_AES_256_GCM_SHA384')];
  const expected = {
    version: 'TLSv1.3',
    cipher: 'TLS_AES_256_GCM_SHA384',
    clientName: 'Jürgen',
    signature: 'RSA-SHA256',
    key: 'RSA2048',
  };
  const all = [...parts, tlv(0x24, 'RSA-SHA256'), tlv(0x25, 'RSA2048')];
  assert.deepEqual(tlsOf(3, 0, ...all), { ...expected, certificate: 'verified' });
  assert.deepEqual(tlsOf(5, 0, ...all), { ...expected, certificate: 'verified' });
  assert.deepEqual(tlsOf(7, 19, ...all), { ...expected, certificate: 'unverified' });
  // Without a certificate there is nothing that was verified, and no name.
  assert.deepEqual(tlsOf(1, 0, ...all), { ...expected, certificate: 'none', clientName: null });
});

test('facts without the TLS bit say that the client came in clear text', () => {
  assert.equal(tlsOf(0, 0, TLS_VERSION), null);
  assert.equal(tlsOf(2, 0, tlv(0x22, 'anna')), null);
  assert.equal(read(withTlvs())?.tls, undefined);
});

test('the other texts are read', () => {
  const proxied = read(
    withTlvs(tlv(0x01, 'imap'), tlv(0x02, 'mail.example.com'), tlv(0x04, 'padding'), tlv(0x05, 'C0A8:1_2')),
  );
  assert.equal(proxied?.alpn, 'imap');
  assert.equal(proxied?.authority, 'mail.example.com');
  assert.equal(proxied?.uniqueId, 'C0A8:1_2');
});

for (const [name, text] of [
  ['line ends', 'a\r\nXCLIENT'],
  ['a blank', 'a b'],
  ['a NUL', 'a\0'],
  ['an escape', '\x1b[2J'],
  ['nothing', ''],
  ['far too much', 'x'.repeat(300)],
] as const) {
  test(`a text with ${name} is left out`, () => {
    const proxied = read(withTlvs(tlv(0x01, text), tlv(0x02, text), tlv(0x05, text)));
    assert.deepEqual([proxied?.alpn, proxied?.authority, proxied?.uniqueId], [null, null, null]);
  });
}

test('a client name with control characters or wrong UTF-8 is left out, one with a blank is not', () => {
  const nameOf = (text: string): unknown => tlsOf(3, 0, tlv(0x22, text))?.clientName;
  assert.equal(nameOf('Anna Muster'), 'Anna Muster');
  assert.equal(nameOf('anna\r\n'), null);
  assert.equal(nameOf('anna\0admin'), null);
  assert.equal(nameOf('\xff\xfe'), null);
});

test('the checksum is that of Castagnoli', () => {
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
  assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
});

test('a checksum that fits is taken, wherever it stands, and one bit decides', () => {
  const header = withTlvs(tlv(0x03, '\0\0\0\0'), tlv(0x05, 'one'));
  header.writeUInt32BE(crc32c(header), 31);
  assert.equal(read(header)?.uniqueId, 'one');
  header.writeUInt8(header.readUInt8(19) ^ 1, 19);
  assert.deepEqual(parseProxyHeader(header), { kind: 'malformed', reason: 'checksum' });
});

const word = fc.stringMatching(/^[\x21-\x7e]{1,60}$/);
const maybe = fc.option(word);
const peer = (address: fc.Arbitrary<string>): fc.Arbitrary<Proxied['source']> =>
  fc.record({ address, port: fc.nat(65_535) }, { noNullPrototype: true });
const ipv4 = fc.ipV4();
const ipv6 = fc
  .array(fc.integer({ min: 1, max: 0xffff }), { minLength: 8, maxLength: 8 })
  .map((words) => words.map((one) => one.toString(16)).join(':'));
const certificate = fc.constantFrom('none' as const, 'unverified' as const, 'verified' as const);
const facts = fc
  .record({ version: fc.option(fc.constant('TLSv1.2')), cipher: maybe, certificate, clientName: maybe })
  .map((tls) => ({
    ...tls,
    clientName: tls.certificate === 'none' ? null : tls.clientName,
    signature: null,
    key: 'EC256',
  }));
const proxied: fc.Arbitrary<Proxied> = fc.oneof(ipv4, ipv6).chain((one) =>
  fc.record({
    source: peer(fc.constant(one)),
    destination: peer(one.includes(':') ? ipv6 : ipv4),
    tls: fc.oneof(fc.constant(undefined), fc.constant(null), facts),
    alpn: maybe,
    authority: maybe,
    uniqueId: maybe,
  }),
);

test('what is written is read back, in any pieces, and the rest is left alone', () => {
  fc.assert(
    fc.property(proxied, fc.constantFrom(1 as const, 2 as const), fc.nat(), (client, version, cut) => {
      const header = formatProxyHeader(version, client);
      const part = parseProxyHeader(header.subarray(0, cut % header.length));
      assert.deepEqual(part, { kind: 'need-more' });
      const { source, destination } = client;
      const silent = { source, destination, tls: undefined, alpn: null, authority: null, uniqueId: null };
      assert.deepEqual(parseProxyHeader(Buffer.concat([header, Buffer.from('PROXY ')])), {
        kind: 'header',
        version,
        bytes: header.length,
        proxied: version === 1 ? silent : { ...client },
      });
    }),
    { seed: SEED },
  );
});

test('no bytes make the parser throw, and it never takes more than there are', () => {
  const start = fc.constantFrom(SIGNATURE, Buffer.from('PROXY TCP4 '), withTlvs().subarray(0, 14));
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 300 }), (head, tail) => {
      const bytes = Buffer.concat([head, tail]);
      const result = parseProxyHeader(bytes);
      if (result.kind === 'header') assert.ok(result.bytes <= bytes.length);
    }),
    { seed: SEED, numRuns: 500 },
  );
});

test('a spoilt byte of a sealed header is never taken for another client', () => {
  fc.assert(
    fc.property(proxied, fc.nat(), fc.integer({ min: 1, max: 255 }), (client, at, change) => {
      const header = formatProxyHeader(2, client);
      const index = 16 + (at % (header.length - 16));
      header.writeUInt8(header.readUInt8(index) ^ change, index);
      const result = parseProxyHeader(header);
      // Only where the seal's own type was hit is there none to compare with.
      if (index !== header.length - 7) assert.equal(result.kind, 'malformed');
    }),
    { seed: SEED },
  );
});

test('a client without an address is told as a connection of our own', () => {
  const none = { ...read(withTlvs()), source: { address: '', port: 0 } } as Proxied;
  for (const client of [null, none]) {
    assert.equal(formatProxyHeader(1, client).toString(), 'PROXY UNKNOWN\r\n');
    assert.deepEqual(formatProxyHeader(2, client), binary(0x20, 0x00, ''));
  }
});

test('families that differ meet in IPv6, and an unknown destination is all zeroes', () => {
  const client = read(withTlvs()) as Proxied;
  const mixed = { ...client, destination: { address: '2001:db8::1', port: 25 } };
  assert.equal(
    formatProxyHeader(1, mixed).toString(),
    'PROXY TCP6 0:0:0:0:0:ffff:c000:207 2001:db8:0:0:0:0:0:1 50001 25\r\n',
  );
  assert.equal(read(formatProxyHeader(2, mixed))?.source.address, '192.0.2.7');
  const nowhere = { ...client, destination: { address: '', port: 0 } };
  assert.equal(formatProxyHeader(1, nowhere).toString(), 'PROXY TCP4 192.0.2.7 0.0.0.0 50001 0\r\n');
});
