// XPEHLO carries a password: it goes where passwords may go, and nowhere else.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SEND, SMTP } from '../support/dialects.ts';
import { assertLine, openGateway, storeContext } from '../support/gateway.ts';
import { mta, type MtaOptions } from '../support/mta.ts';

const xpehloPassword = 'tier secret';
const REMOTE = { servers: ['192.0.2.25:25'], client: ['xpehlo'], xpehloPassword };
const OFFER: MtaOptions = {
  keywords: ['XPEHLO', 'SIZE 1000000'],
  replies: { XPEHLO: '250-mta.test\r\n250 SIZE 1000000' },
};
const REFUSED = `
  C: EHLO client.test
  S> 250 *
  C: MAIL FROM:<anna@example.org>
  S: 421 4.4.1 *
  -- eof
  -- end`;

test('a remote relay without TLS gets neither the password nor mail', async (t) => {
  const relay = mta(OFFER);
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script, to: REMOTE });
  await gateway.play(`${SMTP.greeting}\n${REFUSED}`);
  assertLine(await gateway.closed(), { code: 'BACKEND_CLEAR_PASSWORD' });
  assert.doesNotMatch(gateway.backendHeard, /XPEHLO|secret/);
});

for (const [where, to, offer] of [
  [
    'inside TLS',
    { ...REMOTE, tls: { mode: 'musttls', name: 'store.test' } },
    { ...OFFER, tls: storeContext() },
  ],
  ['by allowClearBackend', { ...REMOTE, allowClearBackend: true }, OFFER],
  ['over loopback', { client: ['xpehlo'], xpehloPassword }, OFFER],
] as const) {
  test(`${where} it goes, once, instead of EHLO and behind it`, async (t) => {
    const relay = mta(offer);
    const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script, to });
    await gateway.play(`${SMTP.greeting}\n${SEND}\n${SMTP.logout}`);
    assertLine(await gateway.closed(), { code: null, messages: 1 });
    const greetings = relay.commands.filter((line) => /EHLO|STARTTLS/.test(line));
    assert.match(greetings.at(-1) ?? '', /^XPEHLO client\.test PASSWORD=tier\+20secret .*ADDR=192\.0\.2\.7 /);
    assert.equal(relay.commands.filter((line) => line.includes('secret')).length, 1);
    assert.equal(greetings.at(-2), 'EHLO mail.test');
    assert.doesNotMatch(JSON.stringify(gateway.lines), /tier.{0,3}secret/);
  });
}

test('xpehlo? leaves it out in clear, and mail goes all the same', async (t) => {
  const relay = mta(OFFER);
  const to = { ...REMOTE, client: ['xpehlo?'] };
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script, to });
  await gateway.play(`${SMTP.greeting}\n${SEND}\n${SMTP.logout}`);
  assertLine(await gateway.closed(), { code: null, messages: 1 });
  assert.doesNotMatch(gateway.backendHeard, /XPEHLO|secret/);
});

test('a relay that does not offer XPEHLO gets no password, and no mail where it is required', async (t) => {
  const relay = mta({ xclient: 'ADDR' });
  const to = { client: ['xpehlo'], xpehloPassword };
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script, to });
  await gateway.play(`${SMTP.greeting}\n${REFUSED}`);
  assertLine(await gateway.closed(), { code: 'BACKEND_NO_CLIENT_INFO' });
  assert.deepEqual(relay.commands, ['EHLO mail.test']);
});
