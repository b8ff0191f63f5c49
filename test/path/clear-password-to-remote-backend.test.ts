// A password goes to a backend in clear over loopback only, or where allowClearBackend says so by name.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL, SEND, SMTP } from '../support/dialects.ts';
import { assertLine, openGateway, storeContext } from '../support/gateway.ts';

const PORT = { imap: 143, pop3: 110, smtp: 25 } as const;

for (const errands of ALL) {
  const { protocol } = errands;
  const servers = [`192.0.2.143:${PORT[protocol]}`];

  test(`${protocol}: a remote backend without TLS gets no password`, async (t) => {
    const store = errands.store();
    const gateway = openGateway(t, { protocol, backend: store.script, to: { servers } });
    const client = await gateway.play(`${errands.greeting}\n${errands.tries}\n${errands.unavailable}`);
    if (errands !== SMTP) await gateway.resume(client, errands.logout);
    await gateway.logged((line) => line['code'] === 'BACKEND_CLEAR_PASSWORD');
    assertLine(await gateway.closed(), { code: errands === SMTP ? 'BACKEND_CLEAR_PASSWORD' : null });
    assert.deepEqual(store.logins, []);
    assert.doesNotMatch(gateway.backendHeard, /LOGIN|AUTH|USER|PASS/);
  });

  test(`${protocol}: allowClearBackend lets the password go`, async (t) => {
    const store = errands.store();
    const to = { servers, allowClearBackend: true };
    const gateway = openGateway(t, { protocol, backend: store.script, to });
    await gateway.play(`${errands.greeting}\n${errands.login}\n${errands.logout}`);
    assertLine(await gateway.closed(), { code: null, user: 'anna', backend: servers[0] ?? '' });
  });

  test(`${protocol}: a remote backend with TLS gets the password inside it`, async (t) => {
    const store = errands.store({ tls: storeContext() });
    const to = { servers, tls: { mode: 'maytls', name: 'store.test' } };
    const gateway = openGateway(t, { protocol, backend: store.script, to });
    await gateway.play(`${errands.greeting}\n${errands.login}\n${errands.logout}`);
    assertLine(await gateway.closed(), { code: null, user: 'anna', backendTls: 'TLSv1.3' });
  });
}

test('smtp: mail without a login needs no secrecy, so a remote relay in clear takes it', async (t) => {
  const relay = SMTP.store();
  const gateway = openGateway(t, {
    protocol: 'smtp',
    backend: relay.script,
    to: { servers: ['192.0.2.25:25'] },
  });
  await gateway.play(`${SMTP.greeting}\n${SEND}\n${SMTP.logout}`);
  assertLine(await gateway.closed(), { code: null, messages: 1 });
});
