// A client has timeouts.login from its first byte to its login, however it dawdles.

import { test } from 'node:test';
import { ALL, IMAP, SMTP } from '../support/dialects.ts';
import { assertLine, clientTls, openGateway } from '../support/gateway.ts';

const GOODBYE = {
  imap: 'S: * BYE Too slow*\n-- eof',
  pop3: 'S: -ERR [SYS/TEMP] Too slow*\n-- eof',
  smtp: 'S: 421 4.4.2 *Too slow*\n-- eof',
} as const;

for (const errands of ALL) {
  const { protocol } = errands;
  test(`${protocol}: a client that says nothing is shown out after timeouts.login`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: errands.store().script });
    const client = await gateway.play(errands.greeting);
    await gateway.advance(60_000);
    await gateway.resume(client, GOODBYE[protocol]);
    assertLine(await gateway.closed(), { code: 'LOGIN_TIMEOUT', user: null, ms: 60_000 });
  });

  test(`${protocol}: a byte now and then wins no time`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: errands.store().script });
    const client = await gateway.play(errands.greeting);
    for (let second = 0; second < 60; second += 10) {
      client.send('x');
      await gateway.advance(10_000);
    }
    await gateway.resume(client, GOODBYE[protocol]);
    assertLine(await gateway.closed(), { code: 'LOGIN_TIMEOUT' });
  });

  test(`${protocol}: a client that logs in at the last moment is served`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: errands.store().script });
    const client = await gateway.play(errands.greeting);
    await gateway.advance(59_000);
    await gateway.resume(client, errands.login);
    await gateway.advance(30_000);
    await gateway.resume(client, errands.logout);
    assertLine(await gateway.closed(), { code: null, user: 'anna' });
  });

  test(`${protocol}: a client that does not close after the goodbye is cut after timeouts.close`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: errands.store().script, timeouts: { close: 5 } });
    const client = await gateway.play(errands.greeting);
    await gateway.advance(60_000);
    await gateway.resume(client, GOODBYE[protocol]);
    await gateway.advance(6000);
    if (gateway.front.counters()['open'] !== 0) throw new Error('the connection is still held');
  });
}

test('a client that does not finish its implicit-TLS handshake is cut after timeouts.handshake', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: IMAP.store().script, tls: 'implicit' });
  const client = gateway.connect();
  await gateway.advance(15_000);
  await client.end();
  assertLine(await gateway.closed(), { code: 'TLS_HANDSHAKE_TIMEOUT', bytesOut: 0 });
});

test('a client that does not begin its handshake after STARTTLS is cut after timeouts.handshake', async (t) => {
  const gateway = openGateway(t, { protocol: 'smtp', backend: SMTP.store().script });
  const client = await gateway.play(`${SMTP.greeting}\nC: STARTTLS\nS: 220 *`);
  await gateway.advance(15_000);
  await client.end();
  assertLine(await gateway.closed(), { code: 'TLS_HANDSHAKE_TIMEOUT' });
});

test('a client that takes its time in the handshake, but not too much, is served', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: IMAP.store().script, tls: 'implicit' });
  const client = gateway.connect();
  await gateway.advance(14_000);
  await client.startTls(clientTls());
  await gateway.resume(client, `${IMAP.greeting}\n${IMAP.login}\n${IMAP.logout}`);
  assertLine(await gateway.closed(), { code: null, user: 'anna' });
});

test('a token whose refusal the client never acknowledges does not hold the connection', async (t) => {
  const store = IMAP.store({ mechanisms: ['XOAUTH2'], accepts: () => false, challenge: '{"status":"401"}' });
  const gateway = openGateway(t, { protocol: 'imap', backend: store.script });
  const token = Buffer.from('user=anna\x01auth=Bearer abc\x01\x01').toString('base64');
  const client = await gateway.play(`${IMAP.greeting}\nC: a1 AUTHENTICATE XOAUTH2 ${token}\nS: + *`);
  await gateway.advance(60_000);
  await gateway.resume(client, GOODBYE.imap);
  assertLine(await gateway.closed(), { code: 'LOGIN_TIMEOUT' });
});
