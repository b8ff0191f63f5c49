// XCLIENT, XFORWARD and XPEHLO are how a trusted proxy speaks to its MTA. From a client they are unknown words, or any
// stranger would relay in a friend's name. What the proxy itself tells is the truth about the client.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IMAP, POP3, SEND, SMTP } from '../support/dialects.ts';
import { mta } from '../support/mta.ts';
import { assertLine, openGateway } from '../support/gateway.ts';
import { imapStore, pop3Store } from '../support/stores.ts';

const XCLIENT = 'NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT';

for (const command of [
  'XCLIENT ADDR=127.0.0.1 LOGIN=root',
  'XFORWARD ADDR=127.0.0.1',
  'XPEHLO client.test',
  'XCLIENT',
]) {
  test(`smtp: ${command} of a client is answered 500 before and inside a transaction`, async (t) => {
    const relay = mta({ xclient: XCLIENT });
    const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script, to: { client: ['xclient'] } });
    await gateway.play(`
      ${SMTP.greeting}
      C: ${command}
      S: 500 5.5.1 *
      C: EHLO client.test
      S> 250 *
      C: MAIL FROM:<a@example.org>
      S: 250 *
      C: ${command}
      S: 500 5.5.1 *
      C: RCPT TO:<b@example.com>
      S: 250 *
      ${SMTP.logout}`);
    assertLine(await gateway.closed(), { code: null });
    assert.doesNotMatch(relay.commands.join('\n'), /127\.0\.0\.1|XFORWARD|XPEHLO/);
    assert.equal(relay.introductions.length, 1);
  });
}

test('smtp: EHLO shows none of the words for proxies, whatever the relay offers', async (t) => {
  const relay = mta({
    xclient: XCLIENT,
    keywords: ['XFORWARD NAME', 'XPEHLO', 'SIZE 5', 'X-OWN', 'BINARYMIME'],
  });
  const gateway = openGateway(t, {
    protocol: 'smtp',
    backend: relay.script,
    service: { capabilities: 'probe', ehloKeywords: ['X-OWN', 'XCLIENT'] },
  });
  const client = await gateway.play(`${SMTP.greeting}\nC: EHLO client.test\nS> 250 *`);
  assert.match(client.heard, /250-SIZE 5\r\n250-X-OWN\r\n/);
  assert.doesNotMatch(client.heard, /XCLIENT|XFORWARD|XPEHLO|BINARYMIME/);
});

test('smtp: the relay is told the client by every attribute that it lists', async (t) => {
  const relay = mta({ xclient: XCLIENT });
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script, to: { client: ['xclient'] } });
  await gateway.play(`${SMTP.greeting}\n${SEND}\n${SMTP.logout}`, { from: '2001:db8::7' });
  assert.equal(
    relay.introductions.join(' '),
    'NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::7 PORT=50001 PROTO=ESMTP HELO=client.test LOGIN=[UNAVAILABLE] ' +
      'DESTADDR=198.51.100.1 DESTPORT=25',
  );
  assert.deepEqual(relay.commands.slice(0, 3), [
    'EHLO mail.test',
    `XCLIENT ${relay.introductions[0]}`,
    'EHLO client.test',
  ]);
});

test('smtp: what a client says in EHLO cannot break out of XCLIENT', async (t) => {
  const relay = mta({ xclient: XCLIENT });
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script, to: { client: ['xclient'] } });
  await gateway.play(
    `${SMTP.greeting}\n${SEND.replace('EHLO client.test', 'EHLO x+20LOGIN=root')}\n${SMTP.logout}`,
  );
  assert.match(relay.introductions[0] ?? '', / HELO=x\+2B20LOGIN\+3Droot /);
});

test('smtp: a client that said HELO is handed on with HELO, and its looked-up name with it', async (t) => {
  const relay = mta({ xclient: XCLIENT });
  const gateway = openGateway(t, {
    protocol: 'smtp',
    backend: relay.script,
    to: { client: ['xclient'] },
    service: { clientLookup: true },
    world: {
      confirmedNames: (address) => Promise.resolve(address === '192.0.2.7' ? ['client.example.org'] : []),
    },
  });
  await gateway.play(`
    ${SMTP.greeting}
    C: HELO client.test
    S: 250 mail.test
    C: MAIL FROM:<a@example.org>
    S: 250 *
    ${SMTP.logout}`);
  assert.match(relay.introductions[0] ?? '', /^NAME=client\.example\.org ADDR=192\.0\.2\.7 .*PROTO=SMTP /);
  assert.equal(relay.commands[2], 'HELO client.test');
});

test('imap: the store is told the client by ID before the login', async (t) => {
  const store = imapStore({ client: true });
  const gateway = openGateway(t, { protocol: 'imap', backend: store.script, to: { client: ['id'] } });
  await gateway.play(`
    ${IMAP.greeting}
    C: a0 ID ("x-originating-ip" "127.0.0.1")
    S: * ID ("name" "Sallyport")
    S: a0 OK *
    ${IMAP.login}
    ${IMAP.logout}`);
  assert.equal(store.introductions.length, 1);
  assert.match(
    store.introductions[0] ?? '',
    /"x-originating-ip" "192\.0\.2\.7" "x-originating-port" "50001" "x-connected-ip" "198\.51\.100\.1"/,
  );
  assert.match(store.introductions[0] ?? '', /"x-session-id" "[0-9a-f]+-1"/);
});

test('pop3: the store is told the client by XCLIENT before the login, and a client has no such command', async (t) => {
  const store = pop3Store({ client: true });
  const gateway = openGateway(t, { protocol: 'pop3', backend: store.script, to: { client: ['xclient'] } });
  await gateway.play(`
    ${POP3.greeting}
    C: XCLIENT ADDR=127.0.0.1
    S: -ERR *
    ${POP3.login}
    ${POP3.logout}`);
  assert.equal(store.introductions.length, 1);
  assert.match(store.introductions[0] ?? '', /^ADDR=192\.0\.2\.7 PORT=50001 SESSION=[0-9a-f]+-1 TTL=5$/);
});
