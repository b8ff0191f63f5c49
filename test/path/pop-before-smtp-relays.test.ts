// A login at a mailbox lets the same address send without one: its session starts on the channel of grants, with that
// channel's relay. Whoever has not logged in, or not lately, is treated as before.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { POP3, SEND, SMTP } from '../support/dialects.ts';
import { assertLine } from '../support/gateway.ts';
import { CHANNELS, GRANTED, openGranting, POP, UNGRANTED } from '../support/granting.ts';
import { startPasswordStore } from '../support/password-store.ts';

test('after POP3 the address starts on the channel of grants, its neighbour and its past self do not', async (t) => {
  const { gateway, inner, outer, logIn, send } = openGranting(t);
  assert.equal(await send(), UNGRANTED);
  await logIn();
  assert.equal(await send(), GRANTED);
  assertLine(await gateway.closed(), { channel: 'tcp_intranet', grant: 'anna', user: null, messages: 1 });
  assert.equal(await send({ from: '192.0.2.8' }), UNGRANTED);
  assertLine(await gateway.closed(), { grant: null });
  assert.deepEqual([outer.messages.length, inner.messages.length], [2, 1]);
  const used = gateway.lines.filter((line) => line['event'] === 'grant-used');
  assert.equal(used.length, 1);
  assertLine(used[0] ?? {}, {
    service: 'mail',
    client: '192.0.2.7',
    channel: 'tcp_intranet',
    rule: 'pop-before-smtp',
    user: 'anna',
    earnedAt: 'pop3',
  });
  assert.equal(gateway.front.counters()['channel tcp_intranet by pop-before-smtp'], 1);
});

test('the grant ends with ttl, and each login begins it anew', async (t) => {
  const { gateway, logIn, send } = openGranting(t, {
    popBeforeSmtp: { channel: 'tcp_intranet', ttl: 600 },
  });
  await logIn();
  await gateway.advance(599_000);
  assert.equal(await send(), GRANTED);
  await logIn();
  await gateway.advance(599_000);
  assert.equal(await send(), GRANTED);
  await gateway.advance(1000);
  assert.equal(await send(), UNGRANTED);
});

test('the grant is there when the client hears +OK, and not while its password is awaited', async (t) => {
  const { gateway, send } = openGranting(t);
  const reader = await gateway.play(`${POP3.greeting}\nC: USER anna\nS: +OK *`, { service: 'pop3' });
  assert.equal(await send(), UNGRANTED);
  await gateway.resume(reader, 'C: PASS secret\nS: +OK Welcome anna');
  assert.equal(await send(), GRANTED);
});

test('a wrong password earns nothing, a right one behind it does', async (t) => {
  const { gateway, send } = openGranting(t);
  const script = `${POP3.greeting}\nC: USER anna\nS: +OK *\nC: PASS wrong\n${POP3.refused}`;
  const reader = await gateway.play(script, { service: 'pop3' });
  assert.equal(await send(), UNGRANTED);
  await gateway.resume(reader, POP3.login);
  assert.equal(await send(), GRANTED);
});

test('IMAP earns only where the setting says so', async (t) => {
  const usual = openGranting(t);
  await usual.logIn({ by: 'imap' });
  assert.equal(await usual.send(), UNGRANTED);
  const both = openGranting(t, { popBeforeSmtp: { channel: 'tcp_intranet', protocols: ['pop3', 'imap'] } });
  await both.logIn({ by: 'imap' });
  assert.equal(await both.send(), GRANTED);
  assertLine(await both.gateway.closed(), { grant: 'anna' });
});

test('an IPv6 address is granted with its /64, or alone where the setting says so', async (t) => {
  const usual = openGranting(t);
  await usual.logIn({ from: '2001:db8:1:2:a::1' });
  assert.equal(await usual.send({ from: '2001:db8:1:2:b::2' }), GRANTED);
  assert.equal(await usual.send({ from: '2001:db8:1:3::1' }), UNGRANTED);
  const exact = openGranting(t, { popBeforeSmtp: { channel: 'tcp_intranet', prefix6: 128 } });
  await exact.logIn({ from: '2001:db8:1:2:a::1' });
  assert.equal(await exact.send({ from: '2001:db8:1:2:b::2' }), UNGRANTED);
  assert.equal(await exact.send({ from: '2001:db8:1:2:a::1' }), GRANTED);
});

test('an excluded network never has a grant, the rest of the world does', async (t) => {
  const { logIn, send } = openGranting(t, {
    popBeforeSmtp: { channel: 'tcp_intranet', excluded: ['198.51.100.0/24'] },
  });
  for (const from of ['198.51.100.7', '192.0.2.7']) await logIn({ from });
  assert.equal(await send({ from: '198.51.100.7' }), UNGRANTED);
  assert.equal(await send({ from: '192.0.2.7' }), GRANTED);
});

test('a service that takes no part earns nothing and uses nothing', async (t) => {
  const stingy = openGranting(t, { mailboxes: { grants: false } });
  await stingy.logIn();
  assert.equal(await stingy.send(), UNGRANTED);
  const strict = openGranting(t, { service: { grants: false } });
  await strict.logIn();
  assert.equal(await strict.send(), UNGRANTED);
});

test('the channel stays over STARTTLS, as where the client comes from stays', async (t) => {
  const { gateway, logIn, inner } = openGranting(t);
  await logIn();
  await gateway.play(`${SMTP.greeting}\nC: EHLO x\nS> 250 *\n${SMTP.starttls}\n${SEND}\n${SMTP.logout}`);
  assertLine(await gateway.closed(), { rule: GRANTED, messages: 1 });
  assert.equal(inner.messages.length, 1);
});

test('whoever has a grant may log in all the same, and the login leads on as the channel says', async (t) => {
  const keywords = `${CHANNELS.tcp_intranet.keywords} saslswitchchannel tcp_auth`;
  const { gateway, logIn, inner } = openGranting(t, {
    channels: {
      ...CHANNELS,
      tcp_intranet: { ...CHANNELS.tcp_intranet, keywords },
      tcp_auth: { keywords: 'mustsaslserver noswitchchannel', relay: 'inner' },
    },
  });
  await logIn();
  const script = `${SMTP.greeting}\n${SMTP.login}\n${SEND}\n${SMTP.logout}`;
  await gateway.play(script);
  const rule = `${GRANTED} → tcp_auth (saslswitchchannel)`;
  assertLine(await gateway.closed(), { rule, user: 'anna', grant: null, messages: 1 });
  assert.deepEqual(
    inner.logins.map(({ user }) => user),
    ['anna'],
  );
});

test('a grant comes before the address and its names, which are not even looked up', async (t) => {
  const asked: string[] = [];
  const confirmedNames = async (address: string): Promise<readonly string[]> => {
    asked.push(address);
    return [];
  };
  const { logIn, send } = openGranting(t, {
    channels: {
      ...CHANNELS,
      tcp_named: { keywords: 'smtp', match: ['.inside.test', '192.0.2.0/28'] },
    },
    world: { confirmedNames },
  });
  await logIn();
  assert.equal(await send(), GRANTED);
  await logIn({ from: '203.0.113.1' });
  assert.equal(await send({ from: '203.0.113.1' }), GRANTED);
  assert.deepEqual(asked, []);
  assert.equal(await send({ from: '192.0.2.8' }), 'tcp_local → tcp_named (switchchannel 192.0.2.0/28)');
  assert.equal(await send({ from: '203.0.113.2' }), UNGRANTED);
  assert.deepEqual(asked, ['203.0.113.2']);
});

test('a login in an SMTP session earns nothing', async (t) => {
  const { gateway, send } = openGranting(t);
  await gateway.play(`${SMTP.greeting}\n${SMTP.login}\n${SMTP.logout}`);
  await gateway.closed();
  assert.equal(await send(), UNGRANTED);
});

test('a password that we check at a store earns a grant for the user, not for the administrator who logs in', async (t) => {
  const asked = await startPasswordStore(t, { user: 'anna', password: 'secret' });
  const admin = { user: 'mmpstore', password: 'secret' };
  const { gateway, send } = openGranting(t, {
    mailboxes: { verify: { store: 'check' } },
    backends: {
      pops: { servers: POP, login: 'proxy', admin },
      check: { servers: `127.0.0.1:${asked.port}`, tls: 'notls' },
    },
  });
  const wrong = `${POP3.greeting}\nC: USER anna\nS: +OK *\nC: PASS guess\nS: -ERR [AUTH] *\n${POP3.logout}`;
  await gateway.play(wrong, { service: 'pop3' });
  await gateway.closed();
  assert.equal(await send(), UNGRANTED);
  const right = `${POP3.greeting}\n${POP3.tries}\nS: +OK *\n${POP3.logout}`;
  await gateway.play(right, { service: 'pop3' });
  await gateway.closed();
  assert.equal(await send(), GRANTED);
  assert.equal(gateway.lines.find((line) => line['event'] === 'grant-used')?.['user'], 'anna');
});

test('where a login is required, a grant stands in for it; at a service that takes no part it does not', async (t) => {
  for (const grants of [true, false]) {
    const { gateway, logIn } = openGranting(t, {
      channels: { ...CHANNELS, tcp_submit: { keywords: 'smtp mx maytlsserver mustsaslserver' } },
      service: { channel: 'tcp_submit', grants },
    });
    await logIn();
    const mail = `C: EHLO x\nS> 250 *\nC: MAIL FROM:<anna@example.org>\nS: ${grants ? '250' : '530'} *`;
    await gateway.play(`${SMTP.greeting}\n${mail}\n${SMTP.logout}`);
    assertLine(await gateway.closed(), { channel: grants ? 'tcp_intranet' : 'tcp_submit' });
  }
});

test('on a port with TLS from the first byte the grant leads to the same channel', async (t) => {
  const { gateway, logIn } = openGranting(t, { tls: 'implicit' });
  await logIn();
  await gateway.play(`-- tls\n${SMTP.greeting}\n${SEND}\n${SMTP.logout}`);
  assertLine(await gateway.closed(), { rule: GRANTED, grant: 'anna', messages: 1 });
});
