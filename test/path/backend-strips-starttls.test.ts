// Where the backend leg must have TLS, a backend that does not offer it (or somebody who strips the offer) is told no
// password. Where TLS is only wished for, a backend on loopback is used as it is.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL, IMAP, SMTP } from '../support/dialects.ts';
import { assertLine, openGateway, storeContext } from '../support/gateway.ts';

for (const errands of ALL) {
  const { protocol } = errands;
  test(`${protocol}: under musttls a backend without STARTTLS is sent no password`, async (t) => {
    const store = errands.store();
    const gateway = openGateway(t, { protocol, backend: store.script, to: { tls: 'musttls' } });
    const client = await gateway.play(`${errands.greeting}\n${errands.tries}\n${errands.unavailable}`);
    if (errands !== SMTP) await gateway.resume(client, errands.logout);
    await gateway.logged(
      (line) => line['event'] === 'backend-failed' && line['code'] === 'BACKEND_TLS_MISSING',
    );
    assertLine(await gateway.closed(), { code: errands === SMTP ? 'BACKEND_TLS_MISSING' : null });
    assert.deepEqual(store.logins, []);
    assert.doesNotMatch(gateway.backendHeard, /LOGIN|AUTH|USER/);
  });

  test(`${protocol}: under maytls a backend on loopback without STARTTLS is used`, async (t) => {
    const store = errands.store();
    const gateway = openGateway(t, { protocol, backend: store.script, to: { tls: 'maytls' } });
    await gateway.play(`${errands.greeting}\n${errands.login}\n${errands.logout}`);
    assertLine(await gateway.closed(), { code: null, user: 'anna', backendTls: null });
    assert.equal(store.logins[0]?.secret, 'secret');
  });

  test(`${protocol}: under notls the backend's offer of STARTTLS is left alone`, async (t) => {
    const store = errands.store({ tls: storeContext() });
    const gateway = openGateway(t, { protocol, backend: store.script, to: { tls: 'notls' } });
    await gateway.play(`${errands.greeting}\n${errands.login}\n${errands.logout}`);
    assertLine(await gateway.closed(), { code: null, backendTls: null });
    assert.doesNotMatch(gateway.backendHeard, /STARTTLS|STLS/);
  });
}

test('a backend that offers STARTTLS and then refuses it counts as one without, under musttls', async (t) => {
  const backend = `
    S: * OK hello
    C: s1 CAPABILITY
    S: * CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN
    S: s1 OK done
    C: s2 STARTTLS
    S: s2 NO not today
    -- eof`;
  const gateway = openGateway(t, { protocol: 'imap', backend, to: { tls: 'musttls' } });
  await gateway.play(`${IMAP.greeting}\n${IMAP.tries}\n${IMAP.unavailable}\n${IMAP.logout}`);
  assertLine(await gateway.logged((line) => line['event'] === 'login-failed'), {
    code: 'BACKEND_TLS_MISSING',
  });
});
