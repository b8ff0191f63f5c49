// RFC 3207 6, CVE-2011-0411: what was pipelined in clear text behind STARTTLS must not be obeyed inside TLS.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertLine, openGateway } from '../support/gateway.ts';
import { imapStore, pop3Store } from '../support/stores.ts';
import { mta } from '../support/mta.ts';

const CASES = [
  {
    protocol: 'imap',
    store: imapStore,
    attack: `
      S: * OK *
      C~ a1 STARTTLS\\r\\na2 CAPABILITY\\r\\n
      S: * BYE No command may follow STARTTLS *
      -- eof`,
    twin: `
      S: * OK *
      C: a1 STARTTLS
      S: a1 OK *
      -- tls
      C: a2 CAPABILITY
      S: * CAPABILITY *
      S: a2 OK *
      C: a3 LOGOUT
      S: * BYE *
      S: a3 OK *
      -- eof`,
  },
  {
    protocol: 'pop3',
    store: pop3Store,
    attack: `
      S: +OK *
      C~ STLS\\r\\nCAPA\\r\\n
      S: -ERR No command may follow STARTTLS *
      -- eof`,
    twin: `
      S: +OK *
      C: STLS
      S: +OK *
      -- tls
      C: NOOP
      S: +OK*
      C: QUIT
      S: +OK *
      -- eof`,
  },
  {
    protocol: 'smtp',
    store: mta,
    attack: `
      S: 220 *
      C: EHLO client.test
      S: 250-mail.test
      S: 250-PIPELINING
      S: 250-SIZE 1000000
      S: 250-8BITMIME
      S: 250-ENHANCEDSTATUSCODES
      S: 250-DSN
      S: 250-SMTPUTF8
      S: 250-CHUNKING
      S: 250-STARTTLS
      S: 250 AUTH *
      C~ STARTTLS\\r\\nRSET\\r\\n
      S: 521 5.5.1 *
      -- eof`,
    twin: `
      S: 220 *
      C: STARTTLS
      S: 220 2.0.0 *
      -- tls
      C: NOOP
      S: 250 2.0.0 *
      C: QUIT
      S: 221 2.0.0 *
      -- eof`,
  },
] as const;

for (const { protocol, store, attack, twin } of CASES) {
  test(`${protocol}: a command in the packet of STARTTLS is dropped and ends the connection`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: store().script, cable: { split: 'whole' } });
    await gateway.play(attack);
    const line = await gateway.closed();
    assertLine(line, { code: 'STARTTLS_INJECTION', level: 'warn', user: null, tls: null, end: 'error' });
    assert.equal(gateway.calls.length, 0);
  });

  test(`${protocol}: a client that waits for the answer to STARTTLS gets TLS`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: store().script });
    await gateway.play(twin);
    const line = await gateway.closed();
    assertLine(line, { code: null, end: 'quit' });
    assert.equal((line['tls'] as { version: string }).version, 'TLSv1.3');
  });
}
