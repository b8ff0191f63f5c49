// What the relay of the channel of grants is told: nothing unless the settings say so; then the user who earned it, or
// the channel; never beside a login of the client's own.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SEND, SMTP } from '../support/dialects.ts';
import { assertLine } from '../support/gateway.ts';
import { GRANTED, openGranting, type GrantingOptions } from '../support/granting.ts';

const channel = 'tcp_intranet';
const XCLIENT: GrantingOptions = {
  inner: { xclient: 'ADDR LOGIN' },
  outer: { xclient: 'ADDR LOGIN' },
  to: { client: ['xclient'] },
};
const XPEHLO: GrantingOptions = {
  inner: { keywords: ['XPEHLO'], replies: { XPEHLO: '250-mta.test\r\n250 AUTH PLAIN' } },
  outer: { keywords: ['XPEHLO'], replies: { XPEHLO: '250-mta.test\r\n250 AUTH PLAIN' } },
  to: { client: ['xpehlo'], xpehloPassword: 'tier secret' },
};
const xpehloOf = (commands: readonly string[]): string =>
  commands.find((line) => line.startsWith('XPEHLO ')) ?? '';

test('XCLIENT LOGIN names the user who earned the grant, where the settings say so', async (t) => {
  const { inner, outer, logIn, send } = openGranting(t, {
    ...XCLIENT,
    popBeforeSmtp: { channel, tell: ['login'] },
  });
  await logIn();
  assert.equal(await send(), GRANTED);
  await send({ from: '192.0.2.8' });
  assert.deepEqual(inner.introductions, ['ADDR=192.0.2.7 LOGIN=anna']);
  assert.deepEqual(outer.introductions, ['ADDR=192.0.2.8 LOGIN=[UNAVAILABLE]']);
});

test('where they do not, the relay hears of no login', async (t) => {
  const { inner, logIn, send } = openGranting(t, XCLIENT);
  await logIn();
  assert.equal(await send(), GRANTED);
  assert.deepEqual(inner.introductions, ['ADDR=192.0.2.7 LOGIN=[UNAVAILABLE]']);
});

test('a client that logs in itself is not told to be somebody else before', async (t) => {
  const { gateway, inner, logIn } = openGranting(t, {
    ...XCLIENT,
    popBeforeSmtp: { channel, tell: ['login'] },
  });
  await logIn();
  await gateway.play(`${SMTP.greeting}\n${SMTP.login}\n${SEND}\n${SMTP.logout}`);
  assertLine(await gateway.closed(), { user: 'anna', messages: 1, code: null });
  assert.deepEqual(inner.introductions, ['ADDR=192.0.2.7 LOGIN=[UNAVAILABLE]']);
  assert.equal(inner.logins.length, 1);
});

test('a login that was refused leaves the grant to the mail behind it', async (t) => {
  const { gateway, inner, logIn } = openGranting(t, {
    ...XCLIENT,
    inner: { xclient: 'ADDR LOGIN', accepts: () => false },
    popBeforeSmtp: { channel, tell: ['login'] },
  });
  await logIn();
  await gateway.play(`${SMTP.greeting}\n${SMTP.tries}\n${SMTP.refused}\n${SEND}\n${SMTP.logout}`);
  assertLine(await gateway.closed(), { user: null, grant: 'anna', messages: 1 });
  assert.deepEqual(inner.introductions, ['ADDR=192.0.2.7 LOGIN=[UNAVAILABLE]', 'ADDR=192.0.2.7 LOGIN=anna']);
});

test('XPEHLO names the channel, the login, both or none of them', async (t) => {
  for (const tell of [[], ['channel'], ['login'], ['login', 'channel']]) {
    const { inner, outer, logIn, send } = openGranting(t, { ...XPEHLO, popBeforeSmtp: { channel, tell } });
    await logIn();
    assert.equal(await send(), GRANTED);
    await send({ from: '192.0.2.8' });
    const said = xpehloOf(inner.commands);
    assert.equal(said.includes(' CHANNEL=tcp_intranet'), tell.includes('channel'), said);
    assert.equal(said.includes(' LOGIN=anna '), tell.includes('login'), said);
    assert.doesNotMatch(xpehloOf(outer.commands), /CHANNEL|anna/);
  }
});
