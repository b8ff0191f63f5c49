// A relay that leaves between two messages. Without a login it is called again; with one the login is lost, and the
// client must know. A relay's own 421 is the last word.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SEND, SMTP } from '../support/dialects.ts';
import { assertLine, openGateway } from '../support/gateway.ts';
import { mta } from '../support/mta.ts';

const EHLO = `${SMTP.greeting}\nC: EHLO client.test\nS> 250 *`;

test('a relay that hangs up between two transactions is called again, and the client notices nothing', async (t) => {
  const relay = mta({ hangsUpAfterMessage: true });
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script });
  const client = await gateway.play(`${SMTP.greeting}\n${SEND}`);
  await gateway.settle();
  await gateway.resume(client, `${SEND}\n${SMTP.logout}`);
  assertLine(await gateway.closed(), { code: null, messages: 2 });
  assert.equal(gateway.calls.length, 2);
});

test('a relay that hangs up on a client that is logged in ends the connection, for the login is gone', async (t) => {
  const relay = mta({ hangsUpAfterMessage: true });
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script });
  const client = await gateway.play(`${SMTP.greeting}\n${SMTP.login}\n${SEND}`);
  await gateway.settle();
  await gateway.resume(
    client,
    `C: MAIL FROM:<a@example.org>
    S: 421 4.4.1 *
    -- eof
    -- end`,
  );
  assertLine(await gateway.closed(), { code: 'BACKEND_CLOSED', messages: 1, user: 'anna' });
});

test('a 421 of the relay is the last word, and it is said once', async (t) => {
  const relay = mta({ replies: { RCPT: '421 4.7.0 Too much mail from you' } });
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script });
  await gateway.play(`
    ${EHLO}
    C: MAIL FROM:<a@example.org>
    S: 250 *
    C: RCPT TO:<b@example.com>
    S: 421 4.7.0 Too much mail from you
    -- eof
    -- end`);
  assertLine(await gateway.closed(), { code: 'BACKEND_CLOSED' });
});
