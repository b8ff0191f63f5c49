// `client: [xclient]` (or id) is a demand: a backend that does not take it would take strangers for us, so it gets
// nothing. With a question mark it is a wish.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL, SMTP } from '../support/dialects.ts';
import { assertLine, openGateway } from '../support/gateway.ts';
import { mta } from '../support/mta.ts';

const XCLIENT = 'NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT';

for (const errands of ALL) {
  const { protocol } = errands;
  const method = protocol === 'imap' ? 'id' : 'xclient';
  test(`${protocol}: a backend that does not take ${method} gets no password where it is required`, async (t) => {
    const store = errands.store();
    const gateway = openGateway(t, { protocol, backend: store.script, to: { client: [method] } });
    const client = await gateway.play(`${errands.greeting}\n${errands.tries}\n${errands.unavailable}`);
    if (errands !== SMTP) await gateway.resume(client, errands.logout);
    await gateway.logged((line) => line['code'] === 'BACKEND_NO_CLIENT_INFO');
    assertLine(await gateway.closed(), { code: errands === SMTP ? 'BACKEND_NO_CLIENT_INFO' : null });
    assert.deepEqual(store.logins, []);
  });

  test(`${protocol}: with ${method}? such a backend is used all the same`, async (t) => {
    const store = errands.store();
    const gateway = openGateway(t, { protocol, backend: store.script, to: { client: [`${method}?`] } });
    await gateway.play(`${errands.greeting}\n${errands.login}\n${errands.logout}`);
    assertLine(await gateway.closed(), { code: null, user: 'anna' });
    assert.equal(store.logins.length, 1);
  });
}

test('smtp: mail without a login is not sent to a relay that lacks the required XCLIENT either', async (t) => {
  const relay = mta();
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script, to: { client: ['xclient'] } });
  await gateway.play(`
    ${SMTP.greeting}
    C: EHLO client.test
    S> 250 *
    C: MAIL FROM:<a@example.org>
    S: 421 4.4.1 *
    -- eof
    -- end`);
  assertLine(await gateway.closed(), { code: 'BACKEND_NO_CLIENT_INFO' });
  assert.deepEqual(relay.commands, ['EHLO mail.test']);
});

test('smtp: a relay that refuses our XCLIENT gets no mail', async (t) => {
  const relay = mta({ xclient: XCLIENT, replies: { XCLIENT: '550 5.7.0 insufficient authorization' } });
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script, to: { client: ['xclient'] } });
  await gateway.play(`
    ${SMTP.greeting}
    C: EHLO client.test
    S> 250 *
    C: MAIL FROM:<a@example.org>
    S: 421 4.4.1 *
    -- eof
    -- end`);
  assertLine(await gateway.closed(), { code: 'BACKEND_NO_CLIENT_INFO' });
});
