// XOAUTH2 and OAUTHBEARER: a refused token is explained in a challenge first (RFC 7628 3.2.2). The client gets the
// backend's own words and answers them; only then comes the refusal.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL } from '../support/dialects.ts';
import { assertLine, openGateway } from '../support/gateway.ts';

const CHALLENGE = '{"status":"invalid_token","scope":"mail"}';
const ENCODED = Buffer.from(CHALLENGE).toString('base64');

const TOKENS = {
  XOAUTH2: Buffer.from('user=anna\x01auth=Bearer vF9dft4qmT\x01\x01').toString('base64'),
  OAUTHBEARER: Buffer.from('n,a=anna,\x01host=mail.test\x01auth=Bearer vF9dft4qmT\x01\x01').toString(
    'base64',
  ),
} as const;

const DUMMY = 'AQ==';

for (const errands of ALL) {
  const { protocol } = errands;
  const words = {
    imap: { start: '', auth: 'a1 AUTHENTICATE', ask: '+' },
    pop3: { start: '', auth: 'AUTH', ask: '+' },
    smtp: { start: 'C: EHLO client.test\nS> 250 *', auth: 'AUTH', ask: '334' },
  }[protocol];

  for (const [mechanism, token] of Object.entries(TOKENS)) {
    test(`${protocol}: the error challenge of ${mechanism} reaches the client, its answer the backend`, async (t) => {
      const store = errands.store({ mechanisms: [mechanism], accepts: () => false, challenge: CHALLENGE });
      const gateway = openGateway(t, { protocol, backend: store.script });
      const client = await gateway.play(`${errands.greeting}\n${words.start}
        C: ${words.auth} ${mechanism} ${token}
        S: ${words.ask} ${ENCODED}
        C: ${DUMMY}
        ${errands.refused}`);
      await gateway.resume(client, errands.logout);
      const { talk } = await gateway.call();
      assert.ok(talk.heard.includes(`${token}\r\n${DUMMY}\r\n`), talk.heard);
      assertLine(await gateway.closed(), { code: null, user: null });
      assert.doesNotMatch(JSON.stringify(gateway.lines), /vF9dft4qmT/);
    });

    test(`${protocol}: a good token of ${mechanism} logs in, and the log knows the name`, async (t) => {
      const store = errands.store({ mechanisms: [mechanism], accepts: () => true });
      const gateway = openGateway(t, { protocol, backend: store.script });
      await gateway.play(`${errands.greeting}\n${words.start}
        C: ${words.auth} ${mechanism}
        S: ${words.ask} *
        C: ${token}
        S: *Welcome*
        ${errands.logout}`);
      assert.equal(store.logins[0]?.how, mechanism);
      assertLine(await gateway.closed(), { code: null, user: 'anna', mechanism });
    });
  }

  test(`${protocol}: a client that cancels at the challenge is refused and may go on`, async (t) => {
    const store = errands.store({ mechanisms: ['XOAUTH2'], accepts: () => false, challenge: CHALLENGE });
    const gateway = openGateway(t, { protocol, backend: store.script });
    await gateway.play(`${errands.greeting}\n${words.start}
      C: ${words.auth} XOAUTH2 ${TOKENS.XOAUTH2}
      S: ${words.ask} ${ENCODED}
      C: *
      ${errands.refused}
      ${errands.logout}`);
    assertLine(await gateway.closed(), { code: null });
  });

  test(`${protocol}: a token for a backend that takes none is BACKEND_NO_MECHANISM, it is not sent`, async (t) => {
    const store = errands.store({ mechanisms: ['PLAIN'] });
    const gateway = openGateway(t, { protocol, backend: store.script });
    await gateway.play(`${errands.greeting}\n${words.start}
      C: ${words.auth} XOAUTH2 ${TOKENS.XOAUTH2}
      ${errands.unavailable}`);
    await gateway.logged((line) => line['code'] === 'BACKEND_NO_MECHANISM');
    assert.ok(!gateway.backendHeard.includes(TOKENS.XOAUTH2));
  });
}
