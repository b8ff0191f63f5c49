// STARTTLS and AUTH may come late: between two transactions the legs start anew, inside of one they are refused.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plain, SEND, SMTP } from '../support/dialects.ts';
import { assertLine, openGateway } from '../support/gateway.ts';
import { mta } from '../support/mta.ts';

const EHLO = `${SMTP.greeting}\nC: EHLO client.test\nS> 250 *`;

test('STARTTLS and AUTH are refused in a transaction (RFC 3207 4, RFC 4954 4)', async (t) => {
  const relay = mta();
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script });
  await gateway.play(`
    ${EHLO}
    C: MAIL FROM:<a@example.org>
    S: 250 *
    C: STARTTLS
    S: 503 5.5.1 Not within a mail transaction
    C: AUTH PLAIN ${plain('anna', 'secret')}
    S: 503 5.5.1 Not within a mail transaction
    C: RCPT TO:<b@example.com>
    S: 250 *
    ${SMTP.logout}`);
  assertLine(await gateway.closed(), { code: null });
});

test('STARTTLS behind a transaction secures the client leg and starts anew at the relay', async (t) => {
  const relay = mta();
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script, timeouts: { smtp: 300 } });
  const client = await gateway.play(`${SMTP.greeting}\n${SEND}`);
  // Long after timeouts.login: a client that was served once has its own pace.
  await gateway.advance(200_000);
  await gateway.resume(client, SMTP.starttls);
  await gateway.advance(200_000);
  await gateway.resume(client, `C: EHLO client.test\nS> 250 *`);
  await gateway.resume(client, `${SEND}\n${SMTP.logout}`);
  const line = await gateway.closed();
  assertLine(line, { code: null, messages: 2 });
  assert.equal((line['tls'] as { version: string }).version, 'TLSv1.3');
  assert.equal(gateway.calls.length, 2);
});

test('AUTH behind a transaction is tried at the relay, and the mail goes on with it', async (t) => {
  const relay = mta();
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script });
  await gateway.play(`${SMTP.greeting}\n${SEND}\n${SMTP.login}\n${SEND}\n${SMTP.logout}`);
  assertLine(await gateway.closed(), { code: null, messages: 2, user: 'anna' });
  assert.equal(relay.logins.length, 1);
});
