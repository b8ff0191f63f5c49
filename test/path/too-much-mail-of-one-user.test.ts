// limits.messagesPerUser, limits.recipientsPerUser: who has logged in sends so much in a time, over all sessions, and is
// told to come later beyond it; others, and strangers, are not touched.

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { plain, SMTP } from '../support/dialects.ts';
import { assertLine, type Gateway, openGateway } from '../support/gateway.ts';
import { GRANTED, openGranting } from '../support/granting.ts';
import { mta } from '../support/mta.ts';

const LOGIN = (user: string): string => `
  ${SMTP.greeting}
  C: EHLO client.test
  S> 250 *
  C: AUTH PLAIN ${plain(user, 'secret')}
  S: 235 *`;
const MAIL = 'C: MAIL FROM:<anna@example.org>\nS: 250 *';
const NO_MAIL = 'C: MAIL FROM:<anna@example.org>\nS: 450 4.7.1 Too many messages *';
const RCPT = 'C: RCPT TO:<bert@example.com>\nS: 250 *';
const NO_RCPT = 'C: RCPT TO:<bert@example.com>\nS: 450 4.7.1 Too many recipients *';
const RSET = 'C: RSET\nS: 250 *';

function open(t: TestContext, limits: Record<string, unknown>): Gateway {
  return openGateway(t, { protocol: 'smtp', backend: mta().script, limits });
}

test('after `count` messages the next is 450, in another session and case too; one comes free when its time is over', async (t) => {
  const gateway = open(t, { messagesPerUser: { count: 3, seconds: 60 } });
  const first = await gateway.play(`${LOGIN('anna')}\n${MAIL}\n${RSET}\n${MAIL}\n${RSET}`);
  await gateway.advance(30_000);
  const second = await gateway.play(`${LOGIN('ANNA')}\n${MAIL}\n${RSET}\n${NO_MAIL}\nC: NOOP\nS: 250 *`);
  await gateway.resume(first, NO_MAIL);
  await gateway.advance(32_000);
  await gateway.resume(first, `${MAIL}\n${RSET}\n${MAIL}\n${RSET}\n${NO_MAIL}`);
  await gateway.advance(32_000);
  await gateway.resume(second, `${MAIL}\n${RSET}\n${NO_MAIL}`);
  assertLine(await gateway.logged(({ event }) => event === 'refused'), {
    code: 'MESSAGE_LIMIT',
    user: 'ANNA',
    limit: 3,
    level: 'warn',
  });
  assert.equal(gateway.front.counters()['refused MESSAGE_LIMIT'], 4);
});

test('recipients are counted over messages; what fits is delivered', async (t) => {
  const gateway = open(t, { recipientsPerUser: { count: 3, seconds: 60 } });
  await gateway.play(
    `${LOGIN('anna')}\n${MAIL}\n${RCPT}\n${RCPT}\n${RSET}\n${MAIL}\n${RCPT}\n${NO_RCPT}
     C: DATA\nS: 354 *\nC: hello\nC: .\nS: 250 *\n${SMTP.logout}`,
  );
  assertLine(await gateway.closed(), { messages: 1, code: null });
  assertLine(await gateway.logged(({ event }) => event === 'refused'), {
    code: 'RECIPIENT_LIMIT',
    user: 'anna',
  });
});

test('another user, and mail without a login, have nothing to do with it', async (t) => {
  const gateway = open(t, { messagesPerUser: { count: 1, seconds: 60 } });
  await gateway.play(`${LOGIN('anna')}\n${MAIL}\n${RSET}\n${NO_MAIL}`);
  await gateway.play(`${LOGIN('bert')}\n${MAIL}\n${RSET}\n${NO_MAIL}`);
  const three = Array.from({ length: 3 }, () => `${MAIL}\n${RSET}`).join('\n');
  await gateway.play(`${SMTP.greeting}\nC: EHLO client.test\nS> 250 *\n${three}\n${SMTP.logout}`);
});

test('without a rate nobody is counted', async (t) => {
  const gateway = open(t, {});
  const many = Array.from({ length: 30 }, () => `${MAIL}\n${RCPT}\n${RSET}`).join('\n');
  await gateway.play(`${LOGIN('anna')}\n${many}\n${SMTP.logout}`);
});

test('pipelined commands are answered in their order, refused ones among them', async (t) => {
  const gateway = open(t, { recipientsPerUser: { count: 1, seconds: 60 } });
  await gateway.play(`${LOGIN('anna')}
    C~ MAIL FROM:<anna@example.org>\\r\\nRCPT TO:<b@example.com>\\r\\nRCPT TO:<c@example.com>\\r\\nNOOP\\r\\n
    S: 250 2.1.0 *
    S: 250 2.1.5 *
    S: 450 4.7.1 *
    S: 250 2.0.0 *`);
});

test('a client that goes on all the same is sent away', async (t) => {
  const gateway = open(t, { messagesPerUser: { count: 1, seconds: 60 }, badCommands: 3 });
  const client = await gateway.play(`${LOGIN('anna')}\n${MAIL}\n${RSET}\n${NO_MAIL}\n${NO_MAIL}\n${NO_MAIL}`);
  await gateway.resume(client, 'C: MAIL FROM:<anna@example.org>\nS: 421 4.7.0 *\n-- eof\n-- end');
  assertLine(await gateway.closed(), { code: 'TOO_MANY_ERRORS' });
});

test('who has a grant of POP before SMTP counts by address', async (t) => {
  const { gateway, logIn, send } = openGranting(t, {
    limits: { messagesPerUser: { count: 1, seconds: 60 } },
  });
  await logIn();
  await logIn({ from: '192.0.2.9' });
  assert.equal(await send(), GRANTED);
  await gateway.play(`${SMTP.greeting}\nC: EHLO client.test\nS> 250 *\n${NO_MAIL}`);
  assert.equal(await send({ from: '192.0.2.9' }), GRANTED, 'its neighbour has a rate of its own');
  await send({ from: '192.0.2.10' });
  await send({ from: '192.0.2.10' });
});
