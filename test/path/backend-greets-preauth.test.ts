// A backend that greets with PREAUTH would log everybody in as somebody, and STARTTLS is not possible any more (RFC
// 9051 6.2.1), so a PREAUTH of an attacker in the middle would also be a way around TLS.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IMAP } from '../support/dialects.ts';
import { assertLine, openGateway } from '../support/gateway.ts';

for (const mode of ['maytls', 'musttls'] as const) {
  test(`PREAUTH ends the attempt under ${mode}`, async (t) => {
    const gateway = openGateway(t, {
      protocol: 'imap',
      backend: 'S: * PREAUTH [CAPABILITY IMAP4rev1] welcome, root\n-- eof',
      to: { tls: mode },
    });
    const client = await gateway.play(`${IMAP.greeting}\n${IMAP.tries}\n${IMAP.unavailable}\n${IMAP.logout}`);
    assertLine(await gateway.logged((line) => line['event'] === 'login-failed'), { code: 'BACKEND_PREAUTH' });
    assertLine(await gateway.closed(), { code: null, user: null });
    assert.doesNotMatch(client.heard, /root/);
    assert.doesNotMatch(gateway.backendHeard, /secret/);
  });
}

test('a backend that greets with OK and its capabilities is not asked for them again', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: `
      S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hello
      C: s1 AUTHENTICATE PLAIN *
      S: s1 OK [CAPABILITY IMAP4rev1] Welcome anna
      C: z1 LOGOUT
      S: * BYE
      S: z1 OK bye
      -- end`,
  });
  await gateway.play(`${IMAP.greeting}\n${IMAP.login}\n${IMAP.logout}`);
  assertLine(await gateway.closed(), { code: null, user: 'anna' });
  await gateway.scriptsDone();
});
