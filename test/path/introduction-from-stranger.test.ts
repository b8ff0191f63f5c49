// A client that is no front tier of ours says that it is somebody else, by every way that a tier has. Nobody believes
// it: neither our log nor the backend. Its twin is front-tier-introduces-client.test.ts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IMAP, POP3, SEND, SMTP } from '../support/dialects.ts';
import { assertLine, openGateway } from '../support/gateway.ts';
import { mta } from '../support/mta.ts';
import { imapStore, pop3Store } from '../support/stores.ts';

/** Close to it, and not in it. */
const frontTier = { from: ['192.0.2.8/29', '2001:db8::/64'] };
const STRANGERS = ['192.0.2.7', '192.0.2.16', '2001:db8:0:1::1'];

for (const from of STRANGERS) {
  test(`imap: ID from ${from} says nothing of the client`, async (t) => {
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
      C: a0 ID ("x-originating-ip" "127.0.0.1" "x-proxy-ttl" "1" "x-session-id" "forged")
      S: * ID ("name" "Sallyport")
      S: a0 OK *
      ${IMAP.login}
      ${IMAP.logout}`;
    await gateway.play(script, { from });
    assert.doesNotMatch(store.introductions.join(), /127\.0\.0\.1|forged/);
    assert.match(store.introductions.join(), new RegExp(`"${from}".*"x-proxy-ttl" "5"`));
    assertLine(await gateway.closed(), { client: from, via: null, outerSession: null, code: null });
  });

  test(`pop3: XCLIENT from ${from} is no command, and is not greeted with`, async (t) => {
    const store = pop3Store({ client: true });
    const options = {
      protocol: 'pop3',
      backend: store.script,
      service: { frontTier },
      to: { client: ['xclient'] },
    } as const;
    const gateway = openGateway(t, options);
    const script = `
      S: +OK mail.test *
      C: XCLIENT ADDR=127.0.0.1 TTL=1
      S: -ERR Log in first
      ${POP3.login}
      ${POP3.logout}`;
    const client = await gateway.play(script, { from });
    assert.doesNotMatch(client.heard, /XCLIENT/);
    assert.match(store.introductions.join(), new RegExp(`^ADDR=${from} .* TTL=5$`));
    assertLine(await gateway.closed(), { client: from, via: null, code: null });
  });

  test(`smtp: XCLIENT and XPEHLO from ${from} are no commands, with the right password too`, async (t) => {
    const relay = mta({ xclient: 'ADDR LOGIN' });
    const gateway = openGateway(t, {
      protocol: 'smtp',
      backend: relay.script,
      service: { frontTier: { ...frontTier, password: 'tier secret' } },
      to: { client: ['xclient'] },
    });
    const script = `
      ${SMTP.greeting}
      C: EHLO client.test
      S> 250 *
      C: XCLIENT ADDR=127.0.0.1 LOGIN=root
      S: 500 5.5.1 *
      C: XPEHLO client.test PASSWORD=tier+20secret ADDR=127.0.0.1 LOGIN=root
      S: 500 5.5.1 *
      ${SEND}
      C: MAIL FROM:<b@example.org>
      S: 250 *
      C: XCLIENT ADDR=127.0.0.1
      S: 500 5.5.1 *
      C: XPEHLO client.test PASSWORD=tier+20secret ADDR=127.0.0.1
      S: 500 5.5.1 *
      ${SMTP.logout}`;
    const client = await gateway.play(script, { from });
    assert.doesNotMatch(client.heard, /XCLIENT|XPEHLO/);
    assert.doesNotMatch(relay.commands.join('\n'), /127\.0\.0\.1|root|XPEHLO/);
    assertLine(await gateway.closed(), { client: from, via: null, user: null, code: null });
  });
}

test('a tier that introduces another tier makes no tier of it', async (t) => {
  const relay = mta({ xclient: 'ADDR' });
  const gateway = openGateway(t, {
    protocol: 'smtp',
    backend: relay.script,
    service: { frontTier },
    to: { client: ['xclient'] },
  });
  // The client has the address of a tier, and is one no more than any other client: the socket is the tier's still.
  const script = `
    ${SMTP.greeting}
    C: XCLIENT ADDR=203.0.113.9
    S: 220 *
    C: XCLIENT ADDR=192.0.2.9
    S: 220 *
    ${SEND}
    ${SMTP.logout}`;
  await gateway.play(script, { from: '192.0.2.8' });
  assertLine(await gateway.closed(), { client: '192.0.2.9', via: '192.0.2.8' });
  assert.deepEqual(relay.introductions, ['ADDR=192.0.2.9']);
});
