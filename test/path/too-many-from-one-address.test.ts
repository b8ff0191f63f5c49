// One address that opens too many connections is told so in the protocol's words; its neighbours are served, and it is
// served again once it has closed some. A storm of refusals is a line or two in the log, with a count.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL, IMAP, SMTP } from '../support/dialects.ts';
import { assertLine, type LogLine, openGateway } from '../support/gateway.ts';

const TOO_MANY = {
  imap: 'S: * BYE [LIMIT] Too many connections from your address\n-- eof\n-- end',
  pop3: 'S: -ERR [SYS/TEMP] Too many connections from your address\n-- eof\n-- end',
  smtp: 'S: 421 4.7.0 mail.test Too many connections from your address\n-- eof\n-- end',
} as const;

const refused = (line: LogLine): boolean => line['event'] === 'refused';

for (const errands of ALL) {
  const { protocol } = errands;
  test(`${protocol}: the third connection of an address with two is refused, that of a neighbour served`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: errands.store().script, limits: { perAddress: 2 } });
    const first = await gateway.play(errands.greeting);
    await gateway.play(errands.greeting);
    await gateway.play(TOO_MANY[protocol]);
    assertLine(await gateway.logged(refused), {
      code: 'ADDRESS_LIMIT',
      level: 'warn',
      client: '192.0.2.7',
      count: 1,
      limit: 2,
    });
    await gateway.play(errands.greeting, { from: '192.0.2.8' });
    await gateway.resume(first, errands.logout);
    await gateway.closed(1);
    await gateway.settle();
    await gateway.play(`${errands.greeting}\n${errands.login}\n${errands.logout}`);
    assertLine(await gateway.closed(2), { code: null, user: 'anna' });
    assert.equal(gateway.front.counters()['refused ADDRESS_LIMIT'], 1);
  });
}

test('on an implicit-TLS port nothing can be said in clear, so the connection is cut', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: IMAP.store().script,
    tls: 'implicit',
    limits: { perAddress: 1 },
  });
  const first = gateway.connect();
  await gateway.resume(first, `-- tls\n${IMAP.greeting}`);
  assert.equal(await gateway.connect().end(), '');
  assertLine(await gateway.logged(refused), { code: 'ADDRESS_LIMIT' });
});

test('the most specific network of a table decides, and 0 is no limit', async (t) => {
  const perAddress = { '0.0.0.0/0': 1, '192.0.2.0|255.255.255.0': 2, '192.0.2.9': 0 };
  const gateway = openGateway(t, { protocol: 'imap', backend: IMAP.store().script, limits: { perAddress } });
  for (const [from, room] of [
    ['198.51.100.1', 1],
    ['192.0.2.7', 2],
    ['192.0.2.9', 30],
  ] as const) {
    for (let i = 0; i < room; i++) await gateway.play(IMAP.greeting, { from });
    await gateway.play(room === 30 ? IMAP.greeting : TOO_MANY.imap, { from });
  }
});

test('IPv6 addresses of one /64 count as one, those of the next do not', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'smtp',
    backend: SMTP.store().script,
    limits: { perAddress: 1 },
  });
  await gateway.play(SMTP.greeting, { from: '2001:db8:0:1::1' });
  await gateway.play(TOO_MANY.smtp, { from: '2001:db8:0:1:ffff::2' });
  await gateway.play(SMTP.greeting, { from: '2001:db8:0:2::1' });
});

test('limits.total holds for everybody together', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: IMAP.store().script, limits: { total: 2 } });
  const first = await gateway.play(IMAP.greeting, { from: '192.0.2.1' });
  await gateway.play(IMAP.greeting, { from: '192.0.2.2' });
  await gateway.play('S: * BYE [LIMIT] Too many connections, please try again later\n-- eof\n-- end');
  assertLine(await gateway.logged(refused), { code: 'TOTAL_LIMIT' });
  await gateway.resume(first, IMAP.logout);
  await gateway.closed(1);
  await gateway.settle();
  await gateway.play(IMAP.greeting);
});

test('ten thousand refusals are two lines, holding few descriptors for a short time', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: IMAP.store().script,
    limits: { perAddress: 1 },
    connectionsMax: 20_000,
  });
  await gateway.play(IMAP.greeting);
  for (let i = 0; i < 10_000; i++) gateway.connect();
  await gateway.settle();
  assert.equal(gateway.front.counters()['open'], 1);
  assert.equal(gateway.lines.filter(refused).length, 1);
  await gateway.advance(10_100);
  assertLine(await gateway.logged(refused, 2), { code: 'ADDRESS_LIMIT', client: '192.0.2.7', count: 9999 });
  await gateway.advance(60_000);
  assert.equal(gateway.lines.filter(refused).length, 2);
  assert.equal(gateway.front.counters()['refused ADDRESS_LIMIT'], 10_000);
});

test('a storm from very many addresses is a bounded number of lines as well', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: IMAP.store().script,
    limits: { total: 1 },
    connectionsMax: 20_000,
  });
  await gateway.play(IMAP.greeting);
  for (let i = 0; i < 3000; i++) gateway.connect({ from: `10.1.${i >> 8}.${i & 255}` });
  await gateway.settle();
  assert.equal(gateway.lines.filter(refused).length, 1001);
});

test('new TLS sessions of an address are limited in a minute, by STARTTLS too; others and the next minute are not', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: IMAP.store().script,
    limits: { newTlsSessions: 2 },
  });
  const secured = `${IMAP.greeting}\n${IMAP.starttls}\nC: x NOOP\nS: x OK *`;
  const limited = `${IMAP.greeting}\nC: t1 STARTTLS\nS: * BYE [LIMIT] Too many new TLS sessions *\n-- eof\n-- end`;
  for (let i = 0; i < 2; i++) await gateway.play(secured);
  await gateway.play(limited);
  assertLine(await gateway.logged(refused), { code: 'TLS_LIMIT' });
  await gateway.play(secured, { from: '192.0.2.8' });
  await gateway.play(`${IMAP.greeting}\n${IMAP.login}`);
  await gateway.advance(60_000);
  await gateway.play(secured);
});
