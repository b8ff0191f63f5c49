// A balancer that sends something else than a header, half of one, or too much of one. Nothing is said to it, one line
// is logged, and no byte of it reaches the protocol.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SIGNATURE } from '../../src/wire/proxy-header.ts';
import { BALANCER, believed, CLIENT, V1, V2, V2_TLS } from '../support/balancer.ts';
import { ALL, IMAP, SMTP } from '../support/dialects.ts';
import { assertLine, openGateway, type LogLine } from '../support/gateway.ts';

function changed(header: Buffer, at: number, value: number): Buffer {
  const copy = Buffer.from(header);
  copy.writeUInt8(value, at);
  return copy;
}

const BAD: readonly (readonly [name: string, header: Buffer, code: string, cause: string | null])[] = [
  ['a command', Buffer.from('EHLO client.test\r\n'), 'PROXY_HEADER_MISSING', null],
  ['a ClientHello', Buffer.from('\x16\x03\x01\x02\x00\x01', 'latin1'), 'PROXY_HEADER_MISSING', null],
  ['a family that is none', Buffer.from('PROXY TCP5 a b 1 2\r\n'), 'PROXY_HEADER_BAD', 'reason: family'],
  [
    'a line without end',
    Buffer.from(`PROXY TCP4 ${'1'.repeat(200)}`),
    'PROXY_HEADER_BAD',
    'reason: too-long',
  ],
  ['a bare LF', Buffer.from(V1.toString().replace('\r', '')), 'PROXY_HEADER_BAD', 'reason: line'],
  ['version 3', changed(V2, 12, 0x31), 'PROXY_HEADER_BAD', 'reason: version'],
  ['64 KiB announced', changed(V2, 14, 0xff), 'PROXY_HEADER_BAD', 'reason: too-long'],
  ['a length that is too small', changed(V2, 15, 11), 'PROXY_HEADER_BAD', 'reason: length'],
  ['a length that cuts a TLV', changed(V2_TLS, 15, 20), 'PROXY_HEADER_BAD', 'reason: tlv'],
  ['another address under the seal', changed(V2, 16, 10), 'PROXY_HEADER_BAD', 'reason: checksum'],
];

for (const [name, header, code, cause] of BAD) {
  for (const split of ['whole', 'bytes'] as const) {
    test(`${name} ends the connection without a word (${split})`, async (t) => {
      const store = SMTP.store();
      const gateway = openGateway(t, {
        protocol: 'smtp',
        backend: store.script,
        service: believed('require'),
      });
      const client = gateway.connect({ from: BALANCER, split });
      client.send(Buffer.concat([header, Buffer.from('EHLO a\r\nMAIL FROM:<a@example.org>\r\n')]));
      assert.equal(await client.end(), '');
      assert.equal(client.heard, '');
      const line = await gateway.closed();
      assertLine(line, { code, client: BALANCER, level: 'warn', bytesOut: 0 });
      if (cause !== null) assert.ok(String(line['cause']).includes(cause), JSON.stringify(line));
      assert.equal(gateway.lines.filter(({ event }) => event !== 'closed').length, 0);
      assert.equal(gateway.calls.length, 0);
    });
  }
}

test('where it is optional, only what begins like a header must be one', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: IMAP.store().script,
    service: believed('optional'),
  });
  const broken = gateway.connect({ from: BALANCER });
  broken.send('PROXY TCP4 nonsense\r\n');
  assert.equal(await broken.end(), '');
  assertLine(await gateway.closed(1), { code: 'PROXY_HEADER_BAD' });
  const plain = gateway.connect({ from: BALANCER });
  plain.say('a1 NOOP');
  await gateway.resume(plain, `${IMAP.greeting}\nS: a1 OK *\n${IMAP.login}\n${IMAP.logout}`);
  assertLine(await gateway.closed(2), { code: null, client: BALANCER, via: null, user: 'anna' });
});

for (const errands of ALL) {
  const { protocol } = errands;
  test(`${protocol}: a header in any pieces, with commands behind it, loses none of them`, async (t) => {
    const command = { imap: 'n1 NOOP', pop3: 'NOOP', smtp: 'NOOP' }[protocol];
    const answer = { imap: 'n1 OK *', pop3: '+OK*', smtp: '250 *' }[protocol];
    for (const header of [V1, V2, V2_TLS]) {
      for (const split of ['whole', 'bytes'] as const) {
        const gateway = openGateway(t, {
          protocol,
          backend: errands.store().script,
          service: believed('require'),
        });
        const client = gateway.connect({ from: BALANCER, split });
        client.send(Buffer.concat([header, Buffer.from(`${command}\r\n`)]));
        await gateway.resume(
          client,
          `${errands.greeting}\nS: ${answer}\n${errands.login}\n${errands.logout}`,
        );
        assertLine(await gateway.closed(), { code: null, client: CLIENT, user: 'anna' });
      }
    }
  });
}

for (const [name, header] of [
  ['LOCAL', Buffer.concat([SIGNATURE, Buffer.of(0x20, 0, 0, 0)])],
  ['UNKNOWN', Buffer.from('PROXY UNKNOWN\r\n')],
  ['UNKNOWN with more', Buffer.from('PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n')],
] as const) {
  test(`${name} is the balancer's own connection, and is greeted`, async (t) => {
    const gateway = openGateway(t, {
      protocol: 'imap',
      backend: IMAP.store().script,
      service: believed('require'),
    });
    const client = gateway.connect({ from: BALANCER });
    client.send(header);
    await gateway.resume(client, `${IMAP.greeting}\n${IMAP.logout}`);
    const line: LogLine = await gateway.closed();
    assertLine(line, { code: null, client: BALANCER, via: null });
  });
}

test('a balancer that only knocks leaves one quiet line', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: IMAP.store().script,
    service: believed('require'),
  });
  const knock = gateway.connect({ from: BALANCER });
  knock.finish();
  await knock.end();
  assertLine(await gateway.closed(), { code: 'CLIENT_CLOSED', level: 'info', client: BALANCER });
});
