// A front tier of ours says who its client is: our log, our backend and our rules go by the client from there on. Its
// twin is introduction-from-stranger.test.ts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IMAP, POP3, SEND, SMTP } from '../support/dialects.ts';
import { assertLine, type Gateway, openGateway } from '../support/gateway.ts';
import { mta, type Mta, type MtaOptions } from '../support/mta.ts';
import { imapStore, pop3Store } from '../support/stores.ts';

const from = '192.0.2.8';
const frontTier = { from: ['192.0.2.8/29'] };
const XCLIENT = 'NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT';
type Test = Parameters<typeof openGateway>[0];

test('imap: the store and the log are told the client that the tier brings, and where it had connected to', async (t) => {
  const store = imapStore({ client: true });
  const options = {
    protocol: 'imap',
    backend: store.script,
    service: { frontTier },
    to: { client: ['id'] },
  } as const;
  const gateway = openGateway(t, options);
  const script = `
    ${IMAP.greeting}
    C: a0 ID ("x-originating-ip" "203.0.113.9" "x-originating-port" "51234" "x-connected-ip" "203.0.113.1" "x-connected-port" "993" "x-proxy-ttl" "2" "x-session-id" "outer-1" "x-forward-to" "x")
    S: * ID ("name" "Sallyport")
    S: a0 OK *
    ${IMAP.login}
    ${IMAP.logout}`;
  await gateway.play(script, { from });
  assert.deepEqual(store.introductions, [
    '("x-session-id" "outer-1" "x-originating-ip" "203.0.113.9" "x-originating-port" "51234" ' +
      '"x-connected-ip" "203.0.113.1" "x-connected-port" "993" "x-proxy-ttl" "1")',
  ]);
  const line = {
    client: '203.0.113.9',
    port: 51234,
    via: from,
    outerSession: 'outer-1',
    user: 'anna',
    code: null,
  };
  assertLine(await gateway.closed(), line);
});

test('imap: a tier that sends ID before STARTTLS, and both at once, as Dovecot does, is understood', async (t) => {
  const store = imapStore({ client: true });
  const options = {
    protocol: 'imap',
    backend: store.script,
    service: { frontTier },
    to: { client: ['id'] },
  } as const;
  const gateway = openGateway(t, { ...options, tls: 'musttls' });
  const script = `
    ${IMAP.greeting}
    C~ I ID ("x-originating-ip" "203.0.113.9")\\r\\nS STARTTLS\\r\\n
    S: * ID *
    S: I OK *
    S: S OK *
    -- tls
    ${IMAP.login}
    ${IMAP.logout}`;
  await gateway.play(script, { from });
  assertLine(await gateway.closed(), { client: '203.0.113.9', via: from, user: 'anna' });
});

test('pop3: the store and the log are told the client that the tier brings', async (t) => {
  const store = pop3Store({ client: true });
  const options = {
    protocol: 'pop3',
    backend: store.script,
    service: { frontTier },
    to: { client: ['xclient'] },
  } as const;
  const gateway = openGateway(t, options);
  const script = `
    S: +OK [XCLIENT] mail.test *
    C: XCLIENT ADDR=2001:db8::9 PORT=51234 SESSION=outer-1 TTL=2
    S: +OK Updated
    ${POP3.login}
    ${POP3.logout}`;
  await gateway.play(script, { from });
  assert.deepEqual(store.introductions, ['ADDR=2001:db8::9 PORT=51234 SESSION=outer-1 TTL=1']);
  assertLine(await gateway.closed(), { client: '2001:db8::9', port: 51234, via: from, user: 'anna' });
});

function relaying(t: Test, options: MtaOptions & { password?: string } = {}): [Gateway, Mta] {
  const { password } = options;
  const relay = mta({ xclient: XCLIENT, ...options });
  const gateway = openGateway(t, {
    protocol: 'smtp',
    backend: relay.script,
    service: { frontTier: { ...frontTier, ...(password === undefined ? {} : { password }) } },
    to: { client: ['xclient'] },
  });
  return [gateway, relay];
}

test('smtp: the relay and the log are told the client of XCLIENT, in the words of the tier', async (t) => {
  const [gateway, relay] = relaying(t);
  const script = `
    ${SMTP.greeting}
    C: EHLO tier.test
    S> 250 XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT TTL SESSION
    C: XCLIENT NAME=host.example.org ADDR=IPV6:2001:db8::9 PORT=51234 HELO=laptop PROTO=ESMTP
    S: 220 mail.test ESMTP *
    C: XCLIENT LOGIN=[UNAVAILABLE] DESTADDR=203.0.113.1 DESTPORT=587 SESSION=outer-1 TTL=2
    S: 220 mail.test ESMTP *
    ${SEND}
    ${SMTP.logout}`;
  await gateway.play(script, { from });
  assert.deepEqual(relay.introductions, [
    'NAME=host.example.org ADDR=IPV6:2001:db8::9 PORT=51234 PROTO=ESMTP HELO=laptop LOGIN=[UNAVAILABLE] ' +
      'DESTADDR=203.0.113.1 DESTPORT=587',
  ]);
  assert.equal(relay.messages.length, 1);
  assertLine(await gateway.closed(), {
    client: '2001:db8::9',
    via: from,
    outerSession: 'outer-1',
    messages: 1,
  });
});

test('smtp: a login that the tier vouches for is told to the relay and is in the log', async (t) => {
  const [gateway, relay] = relaying(t);
  const script = `
    ${SMTP.greeting}
    C: XCLIENT ADDR=203.0.113.9 LOGIN=anna+40example.org
    S: 220 *
    ${SEND}
    ${SMTP.logout}`;
  await gateway.play(script, { from });
  assert.match(relay.introductions.join(), /ADDR=203\.0\.113\.9 .* LOGIN=anna@example\.org /);
  assert.deepEqual(relay.logins, []);
  assertLine(await gateway.closed(), { user: 'anna@example.org', messages: 1 });
});

test('smtp: a relay that hangs up between two messages is told such a login again', async (t) => {
  const [gateway, relay] = relaying(t, { hangsUpAfterMessage: true });
  const [, message = ''] = SEND.split('S> 250 *\n');
  const script = `
    ${SMTP.greeting}
    C: XCLIENT ADDR=203.0.113.9 LOGIN=anna
    S: 220 *
    ${SEND}
    ${message}
    ${SMTP.logout}`;
  await gateway.play(script, { from });
  assert.equal(relay.introductions.length, 2);
  assert.match(relay.introductions[1] ?? '', / LOGIN=anna /);
  assertLine(await gateway.closed(), { messages: 2, code: null });
});

test('smtp: another client on the same connection gets a leg to the relay of its own', async (t) => {
  const [gateway, relay] = relaying(t);
  const script = `
    ${SMTP.greeting}
    C: XCLIENT ADDR=203.0.113.9 LOGIN=anna
    S: 220 *
    ${SEND}
    C: MAIL FROM:<a@example.org>
    S: 250 *
    C: XCLIENT ADDR=203.0.113.10
    S: 503 5.5.1 Not within a mail transaction
    C: RSET
    S: 250 *
    C: XCLIENT ADDR=203.0.113.10 LOGIN=[UNAVAILABLE]
    S: 220 *
    ${SEND}
    ${SMTP.logout}`;
  await gateway.play(script, { from });
  assert.equal(gateway.calls.length, 2);
  assert.match(relay.introductions[0] ?? '', /ADDR=203\.0\.113\.9 .*LOGIN=anna /);
  assert.match(relay.introductions[1] ?? '', /ADDR=203\.0\.113\.10 .*LOGIN=\[UNAVAILABLE\] /);
  assertLine(await gateway.closed(), { client: '203.0.113.10', user: null, messages: 2 });
});

test('smtp: XPEHLO with its password introduces the client and is its EHLO', async (t) => {
  const [gateway, relay] = relaying(t, { password: 'tier secret' });
  const [, message = ''] = SEND.split('S> 250 *\n');
  const script = `
    ${SMTP.greeting}
    C: EHLO tier.test
    S> 250 XPEHLO
    C: XPEHLO laptop PASSWORD=tier+20secret ADDR=203.0.113.9 PORT=51234 TTL=2
    S: 250-mail.test
    S> 250 *
    ${message}
    C: XPEHLO laptop PASSWORD=tier+20secret ADDR=203.0.113.10
    S: 503 5.5.1 *
    ${SMTP.logout}`;
  await gateway.play(script, { from });
  assert.match(relay.introductions.join(), /ADDR=203\.0\.113\.9 PORT=51234 .*HELO=laptop /);
  assertLine(await gateway.closed(), { client: '203.0.113.9', via: from, messages: 1, code: null });
  assert.doesNotMatch(JSON.stringify(gateway.lines), /tier.{0,3}secret/);
});

test('smtp: the name of an introduced client is looked up where the tier did not say it', async (t) => {
  const relay = mta({ xclient: XCLIENT });
  const asked: string[] = [];
  const gateway = openGateway(t, {
    protocol: 'smtp',
    backend: relay.script,
    service: { frontTier, clientLookup: true },
    to: { client: ['xclient'] },
    world: {
      confirmedNames: (address) => {
        asked.push(address);
        return Promise.resolve([`${address}.example.org`]);
      },
    },
  });
  for (const name of ['', ' NAME=[UNAVAILABLE]']) {
    const script = `
      ${SMTP.greeting}
      C: XCLIENT ADDR=203.0.113.9${name}
      S: 220 *
      ${SEND}
      ${SMTP.logout}`;
    await gateway.play(script, { from });
  }
  assert.match(relay.introductions[0] ?? '', /^NAME=203\.0\.113\.9\.example\.org ADDR=203\.0\.113\.9 /);
  assert.match(relay.introductions[1] ?? '', /^NAME=\[UNAVAILABLE\] ADDR=203\.0\.113\.9 /);
  assert.equal(asked.filter((address) => address === '203.0.113.9').length, 1);
});

test('smtp: whom the tier brings after somebody who has logged in is not in the log or the list as that one', async (t) => {
  const [gateway, relay] = relaying(t);
  const [, message = ''] = SEND.split('S> 250 *\n');
  const client = await gateway.play(
    `${SMTP.greeting}
    C: XCLIENT ADDR=203.0.113.9
    S: 220 *
    ${SMTP.login}
    C: XCLIENT ADDR=203.0.113.10
    S: 220 *`,
    { from },
  );
  const anna = { id: null, user: 'anna', network: null, backend: null, service: null };
  assert.equal(gateway.front.sessions(anna).count, 0);
  await gateway.resume(client, `C: MAIL FROM:<a@x>\nS: 503 5.5.1 EHLO first\n${SMTP.logout}`);
  assertLine(await gateway.closed(), { client: '203.0.113.10', user: null, tried: null, mechanism: null });
  await gateway.play(
    `${SMTP.greeting}\nC: XCLIENT ADDR=203.0.113.9\nS: 220 *\n${SMTP.login}\n${message}\n${SMTP.logout}`,
    { from },
  );
  assertLine(await gateway.closed(), {
    client: '203.0.113.9',
    user: 'anna',
    mechanism: 'PLAIN',
    messages: 1,
  });
  assert.equal(relay.messages.length, 1);
});

test('smtp: whom the tier brings next holds no place of the user before, who may come again', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'smtp',
    backend: mta({ xclient: XCLIENT }).script,
    service: { frontTier },
    limits: { perUser: 1 },
    to: { client: ['xclient'] },
  });
  const bring = (address: string): string => `C: XCLIENT ADDR=${address}\nS: 220 *`;
  const hello = `${SMTP.greeting}\n${bring('203.0.113.9')}`;
  const first = await gateway.play(`${hello}\n${SMTP.login}`, { from });
  await gateway.play(`${hello}\n${SMTP.tries}\nS: 454 4.7.0 *\n${SMTP.logout}`, { from });
  await gateway.resume(first, bring('203.0.113.10'));
  await gateway.play(`${hello}\n${SMTP.login}\n${SMTP.logout}`, { from });
});
