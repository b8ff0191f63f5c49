// SASL gone wrong: what is no base64, what is no message of the mechanism, what is not offered, and the client's `*`.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL, plain, SMTP } from '../support/dialects.ts';
import { assertLine, openGateway } from '../support/gateway.ts';

const WORDS = {
  imap: {
    start: '',
    auth: 'a1 AUTHENTICATE',
    prompt: '+ *',
    malformed: 'a1 BAD That is not a valid SASL message',
    cancelled: 'a1 BAD AUTHENTICATE cancelled',
    unknown: 'a1 NO [CANNOT] *',
  },
  pop3: {
    start: '',
    auth: 'AUTH',
    prompt: '+ *',
    malformed: '-ERR That is not a valid SASL message',
    cancelled: '-ERR AUTH cancelled',
    unknown: '-ERR [AUTH] Mechanism not offered',
  },
  smtp: {
    start: 'C: EHLO client.test\nS> 250 *',
    auth: 'AUTH',
    prompt: '334 *',
    malformed: '501 5.5.2 That is not a valid SASL message',
    cancelled: '501 5.7.0 AUTH cancelled',
    unknown: '504 5.5.4 Mechanism not offered',
  },
} as const;

const MALFORMED = [
  ['no base64', 'PLAIN', '!!!!'],
  ['base64 without its padding', 'PLAIN', plain('annas', 'secret').replace(/=*$/, '')],
  ['a PLAIN message without a password', 'PLAIN', Buffer.from('\0anna\0').toString('base64')],
  ['a PLAIN message with a NUL too many', 'PLAIN', Buffer.from('\0anna\0sec\0ret').toString('base64')],
  ['a line end in the password', 'PLAIN', Buffer.from('\0anna\0x\r\nDELE 1').toString('base64')],
  ['bytes that are no UTF-8', 'PLAIN', Buffer.from([0, 0xff, 0, 0x61]).toString('base64')],
  ['an XOAUTH2 message without a token', 'XOAUTH2', Buffer.from('user=anna\x01\x01').toString('base64')],
] as const;

for (const errands of ALL) {
  const { protocol } = errands;
  const words = WORDS[protocol];

  for (const [what, mechanism, message] of MALFORMED) {
    test(`${protocol}: ${what} is refused, and the backend hears nothing of it`, async (t) => {
      const store = errands.store();
      const gateway = openGateway(t, { protocol, backend: store.script });
      const client = await gateway.play(`${errands.greeting}\n${words.start}
        C: ${words.auth} ${mechanism}
        S: ${words.prompt}
        C: ${message}
        S: ${words.malformed}`);
      assert.equal(gateway.calls.length, 0);
      const again = errands === SMTP ? `C: AUTH PLAIN ${plain('anna', 'secret')}\nS: 235 *` : errands.login;
      await gateway.resume(client, `${again}\n${errands.logout}`);
      assertLine(await gateway.closed(), { code: null, user: 'anna' });
    });
  }

  test(`${protocol}: a client may cancel with a star at every question`, async (t) => {
    const store = errands.store();
    const gateway = openGateway(t, { protocol, backend: store.script });
    await gateway.play(`${errands.greeting}\n${words.start}
      C: ${words.auth} PLAIN
      S: ${words.prompt}
      C: *
      S: ${words.cancelled}
      C: ${words.auth} LOGIN
      S: ${words.prompt}
      C: ${Buffer.from('anna').toString('base64')}
      S: ${words.prompt}
      C: *
      S: ${words.cancelled}
      ${errands.logout}`);
    assertLine(await gateway.closed(), { code: null, user: null });
    assert.deepEqual(store.logins, []);
  });

  test(`${protocol}: a mechanism that is not offered is refused before anything is asked`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: errands.store().script });
    await gateway.play(`${errands.greeting}\n${words.start}
      C: ${words.auth} CRAM-MD5
      S: ${words.unknown}
      C: ${words.auth} EXTERNAL =
      S: ${words.unknown}
      ${errands.logout}`);
    assertLine(await gateway.closed(), { code: null });
  });

  test(`${protocol}: PLAIN works with its message in the command and behind the prompt`, async (t) => {
    for (const script of [
      `C: ${words.auth} PLAIN ${plain('anna', 'secret')}`,
      `C: ${words.auth} plain\nS: ${words.prompt}\nC: ${plain('anna', 'secret')}`,
    ]) {
      const store = errands.store();
      const gateway = openGateway(t, { protocol, backend: store.script });
      await gateway.play(`${errands.greeting}\n${words.start}\n${script}\nS: *Welcome*\n${errands.logout}`);
      assertLine(await gateway.closed(), { code: null, user: 'anna', mechanism: 'PLAIN' });
      assert.equal(store.logins[0]?.secret, 'secret');
    }
  });
}
