// Only the backend knows passwords. Its refusal reaches the client in its own words; the client may try again, but not
// for ever.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL, IMAP, SMTP } from '../support/dialects.ts';
import { assertLine, openGateway } from '../support/gateway.ts';

for (const errands of ALL) {
  const { protocol } = errands;
  test(`${protocol}: a refused client reads the backend's own words and may log in at the next try`, async (t) => {
    let tries = 0;
    const store = errands.store({ accepts: () => ++tries > 1 });
    const gateway = openGateway(t, { protocol, backend: store.script });
    const client = await gateway.play(`${errands.greeting}\n${errands.tries}\n${errands.refused}`);
    await gateway.resume(client, `${errands.login}\n${errands.logout}`);
    assertLine(await gateway.logged((line) => line['event'] === 'login-refused'), {
      user: 'anna',
      client: '192.0.2.7',
      temporary: false,
    });
    assertLine(await gateway.closed(), { code: null, user: 'anna' });
    await gateway.settle();
    assert.equal(gateway.front.counters()['loginsFailed'], 1);
    assert.equal(gateway.front.counters()['logins'], 1);
    assert.doesNotMatch(JSON.stringify(gateway.lines), /secret/);
  });

  test(`${protocol}: after limits.authAttempts refusals the connection ends`, async (t) => {
    const store = errands.store({ accepts: () => false });
    const gateway = openGateway(t, { protocol, backend: store.script, limits: { authAttempts: 2 } });
    const one = `${errands.tries}\n${errands.refused}`;
    const goodbye = {
      imap: 'S: * BYE Too many failed logins*',
      pop3: 'S: -ERR Too many failed logins*',
      smtp: 'S: 421 4.7.0 *',
    };
    await gateway.play(`${errands.greeting}\n${one}\n${one}\n${goodbye[protocol]}\n-- eof`);
    assertLine(await gateway.closed(), { code: 'TOO_MANY_LOGINS', user: null, level: 'warn' });
    assert.equal(store.logins.length, 2);
  });
}

test('imap: a temporary refusal keeps its code, so that no client asks its user for a new password', async (t) => {
  const store = IMAP.store({ accepts: () => false, refusal: '[UNAVAILABLE] Directory is down' });
  const gateway = openGateway(t, { protocol: 'imap', backend: store.script });
  await gateway.play(`
    ${IMAP.greeting}
    ${IMAP.tries}
    S: a1 NO [UNAVAILABLE] Directory is down
    ${IMAP.logout}`);
  assertLine(await gateway.logged((line) => line['event'] === 'login-refused'), { temporary: true });
});

test('smtp: 454 of the relay reaches the client as 454', async (t) => {
  const relay = SMTP.store({ accepts: () => false, refusal: '454 4.7.0 Try later' });
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script });
  await gateway.play(`${SMTP.greeting}\n${SMTP.tries}\nS: 454 4.7.0 Try later\n${SMTP.logout}`);
  assertLine(await gateway.closed(), { code: null, user: null });
});
