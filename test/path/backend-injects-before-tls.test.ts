// The backend leg's CVE-2011-0411: text between the answer to STARTTLS and the handshake is an attacker's, not the
// store's. It is dropped, and so is the attempt.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL, IMAP, POP3, SMTP } from '../support/dialects.ts';
import { assertLine, openGateway, storeContext } from '../support/gateway.ts';

const HOSTILE = new Map([
  [
    IMAP,
    `S: * OK hello
     C: s1 CAPABILITY
     S: * CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN
     S: s1 OK done
     C: s2 STARTTLS
     S~ s2 OK go on\\r\\n* BYE injected\\r\\n
     -- eof`,
  ],
  [
    POP3,
    `S: +OK hello
     C: CAPA
     S~ +OK\\r\\nSTLS\\r\\nUSER\\r\\n.\\r\\n
     C: STLS
     S~ +OK go on\\r\\n-ERR injected\\r\\n
     -- eof`,
  ],
  [
    SMTP,
    `S: 220 mta.test
     C: EHLO mail.test
     S~ 250-mta.test\\r\\n250-AUTH PLAIN\\r\\n250 STARTTLS\\r\\n
     C: STARTTLS
     S~ 220 go on\\r\\n250 injected\\r\\n
     -- eof`,
  ],
]);

for (const [errands, backend] of HOSTILE) {
  const { protocol } = errands;
  test(`${protocol}: text of the backend before its TLS reaches nobody and ends the attempt`, async (t) => {
    const gateway = openGateway(t, {
      protocol,
      backend,
      to: { tls: 'musttls' },
      cable: { split: 'whole' },
    });
    const client = await gateway.play(`${errands.greeting}\n${errands.tries}\n${errands.unavailable}`);
    if (errands !== SMTP) await gateway.resume(client, errands.logout);
    assert.doesNotMatch(client.heard, /injected/);
    await gateway.logged((line) => line['code'] === 'BACKEND_INJECTION' && line['level'] === 'error');
    assertLine(await gateway.closed(), { code: errands === SMTP ? 'BACKEND_INJECTION' : null });
    assert.doesNotMatch(gateway.backendHeard, /secret|AG|LOGIN/);
    await gateway.scriptsDone();
  });
}

for (const errands of ALL) {
  test(`${errands.protocol}: a backend that keeps still until the handshake is logged in to inside TLS`, async (t) => {
    const store = errands.store({ tls: storeContext() });
    const gateway = openGateway(t, {
      protocol: errands.protocol,
      backend: store.script,
      to: { tls: { mode: 'musttls', name: 'store.test' } },
    });
    await gateway.play(`${errands.greeting}\n${errands.login}\n${errands.logout}`);
    assertLine(await gateway.closed(), { code: null, user: 'anna', backendTls: 'TLSv1.3' });
    assert.equal(store.logins.length, 1);
    assert.match(gateway.calls[0]?.talk.heardSecured ?? '', /LOGIN|AUTH|PASS/);
  });
}
