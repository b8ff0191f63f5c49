// The relay goes away in the middle of a message: the client is told soon, and never that the message was taken.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SEND, SMTP } from '../support/dialects.ts';
import { assertLine, openGateway } from '../support/gateway.ts';

const UP_TO_DATA = SEND.slice(0, SEND.indexOf('C: Subject'));

const RELAY_OPENING = `
  S: 220 mta.test
  C: EHLO mail.test
  S: 250 mta.test
  C: MAIL *
  S: 250 2.1.0 ok
  C: RCPT *
  S: 250 2.1.5 ok
  C: DATA
  S: 354 go
  C: Subject: half`;

for (const [how, ending] of [
  ['closes', '-- end'],
  ['says 421 and closes', 'S: 421 4.3.2 going down\n-- end'],
  ['breaks', '-- cut'],
] as const) {
  test(`a relay that ${how} in DATA ends the connection while the client is still sending`, async (t) => {
    const gateway = openGateway(t, { protocol: 'smtp', backend: `${RELAY_OPENING}\n${ending}` });
    const client = await gateway.play(`${SMTP.greeting}\n${UP_TO_DATA}\nC: Subject: half`);
    await gateway.scriptsDone();
    await gateway.settle();
    const words = client.end();
    for (let sent = 0; sent < 1000 && !client.ended; sent++) {
      client.send('x'.repeat(1000) + '\r\n');
      await gateway.settle();
    }
    assert.match(await words, /^421 4\.[0-9.]+ .*\r\n$/);
    assertLine(await gateway.closed(), { code: 'BACKEND_CLOSED', messages: 0 });
  });
}

test('a relay that closes after the end of data without an answer has not taken the message', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'smtp',
    backend: `${RELAY_OPENING}
      C:
      C: ..a line that begins with a dot
      C: .
      -- end`,
  });
  const script = SEND.replace(/S: 250 2.0.0 Queued.*$/, SMTP.unavailable.trim());
  await gateway.play(`${SMTP.greeting}\n${script.replace('C: Subject: hello', 'C: Subject: half')}`);
  assertLine(await gateway.closed(), { code: 'BACKEND_CLOSED', messages: 0 });
});
