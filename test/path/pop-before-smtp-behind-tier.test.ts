// Behind a balancer or a front tier it is the client's own address that has the grant; the balancer's and the tier's
// never do, whoever logs in through them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BALANCER, CLIENT, V1 } from '../support/balancer.ts';
import { POP3, SEND, SMTP } from '../support/dialects.ts';
import { assertLine } from '../support/gateway.ts';
import { GRANTED, openGranting, UNGRANTED } from '../support/granting.ts';

const TIER = '192.0.2.8';
const frontTier = { from: ['192.0.2.8/29'] };
const proxyProtocol = { from: [BALANCER], mode: 'optional' };

test('the client that a balancer brings earns a grant and uses it; the balancer has none', async (t) => {
  const { gateway, send } = openGranting(t, { service: { proxyProtocol }, mailboxes: { proxyProtocol } });
  const reader = gateway.connect({ from: BALANCER, service: 'pop3' });
  reader.send(V1);
  await gateway.resume(reader, `${POP3.greeting}\n${POP3.login}\n${POP3.logout}`);
  assertLine(await gateway.closed(), { client: CLIENT, via: BALANCER });
  assert.equal(await send({ from: CLIENT }), GRANTED);
  const sender = gateway.connect({ from: BALANCER });
  sender.send(V1);
  await gateway.resume(sender, `${SMTP.greeting}\n${SEND}\n${SMTP.logout}`);
  assertLine(await gateway.closed(), { client: CLIENT, via: BALANCER, rule: GRANTED });
});

test('a balancer that logs in for itself earns nothing, at whatever service it is one', async (t) => {
  const { gateway, logIn, send } = openGranting(t, { service: { proxyProtocol } });
  await logIn({ from: BALANCER });
  const sender = gateway.connect({ from: BALANCER });
  await gateway.advance(3000);
  await gateway.resume(sender, `${SMTP.greeting}\n${SEND}\n${SMTP.logout}`);
  assertLine(await gateway.closed(), { rule: UNGRANTED, grant: null });
  await logIn({ from: '192.0.2.251' });
  assert.equal(await send({ from: '192.0.2.251' }), GRANTED);
});

test('pop3: XCLIENT of a front tier says whose the grant is, and the tier itself has none', async (t) => {
  const { gateway, send } = openGranting(t, { service: { frontTier }, mailboxes: { frontTier } });
  const script = `S: +OK [XCLIENT] *\nC: XCLIENT ADDR=203.0.113.9\nS: +OK Updated\n${POP3.login}\n${POP3.logout}`;
  await gateway.play(script, { from: TIER, service: 'pop3' });
  await gateway.closed();
  await gateway.play(`S: +OK [XCLIENT] *\n${POP3.login}\n${POP3.logout}`, { from: TIER, service: 'pop3' });
  await gateway.closed();
  assert.equal(await send({ from: TIER }), UNGRANTED);
  assert.equal(await send({ from: '203.0.113.9' }), GRANTED);
});

test('smtp: each client that a tier introduces is looked up anew', async (t) => {
  const { gateway, inner, outer, logIn } = openGranting(t, { service: { frontTier } });
  await logIn({ from: '203.0.113.9' });
  const as = (address: string): string => `C: XCLIENT ADDR=${address}\nS: 220 *\n${SEND}`;
  const script = `${SMTP.greeting}\n${as('203.0.113.9')}\n${as('203.0.113.10')}\n${as('203.0.113.9')}\n${SMTP.logout}`;
  await gateway.play(script, { from: TIER });
  assertLine(await gateway.closed(), { rule: GRANTED, grant: 'anna', messages: 3 });
  assert.deepEqual([inner.messages.length, outer.messages.length], [2, 1]);
  assert.equal(gateway.lines.filter((line) => line['event'] === 'grant-used').length, 2);
});

test('the order of a tier, XPEHLO CHANNEL, comes after the grant and wins', async (t) => {
  const { gateway, outer, logIn } = openGranting(t, {
    service: { frontTier: { ...frontTier, password: 'tier secret' } },
  });
  await logIn({ from: '203.0.113.9' });
  await gateway.play(
    `${SMTP.greeting}
    C: XPEHLO client.test PASSWORD=tier+20secret ADDR=203.0.113.9 CHANNEL=tcp_local
    S> 250 *
    C: MAIL FROM:<anna@example.org>
    S: 250 *
    ${SMTP.logout}`,
    { from: TIER },
  );
  assertLine(await gateway.closed(), { rule: `${GRANTED} → tcp_local (XPEHLO)`, grant: null });
  assert.equal(
    outer.commands.some((line) => line.startsWith('MAIL')),
    true,
  );
});
