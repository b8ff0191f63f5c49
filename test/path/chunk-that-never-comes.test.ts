// A client announces octets and sends none. Whether the chunk is wanted or thrown away, whoever is silent is waited for
// by his own limit, also where commands of the same packet were answered by the relay before.

import { test } from 'node:test';
import { SMTP } from '../support/dialects.ts';
import { assertLine, openGateway } from '../support/gateway.ts';
import { mta } from '../support/mta.ts';

const EHLO = 'C: EHLO client.test\nS> 250 *';
const PACKET =
  'C~ MAIL FROM:<a@example.org>\\r\\nRCPT TO:<b@example.com>\\r\\nBDAT 999999999\\r\\nx\nS: 250 *\nS: 250 *';

for (const [name, keywords] of [
  ['a relay with CHUNKING', ['PIPELINING', 'CHUNKING']],
  ['a relay without CHUNKING', ['PIPELINING']],
] as const) {
  test(`${name}: a chunk that never comes is waited for as long as any other word of the client`, async (t) => {
    const relay = mta({ keywords });
    const gateway = openGateway(t, {
      protocol: 'smtp',
      backend: relay.script,
      timeouts: { smtp: 30, reply: 60 },
      cable: { split: 'whole' },
    });
    const client = await gateway.play(`${SMTP.greeting}\n${EHLO}\n${PACKET}`);
    await gateway.advance(29_000);
    await gateway.advance(1500);
    await gateway.resume(client, 'S: 421 4.4.2 *Idle for too long*\n-- eof\n-- end');
    assertLine(await gateway.closed(), { code: 'IDLE_TIMEOUT', messages: 0 });
  });
}

test('a chunk that comes in time is a message', async (t) => {
  const relay = mta();
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script, timeouts: { smtp: 30 } });
  const envelope = PACKET.replace('BDAT 999999999\\r\\nx', 'BDAT 5 LAST\\r\\n');
  const client = await gateway.play(`${SMTP.greeting}\n${EHLO}\n${envelope}`);
  await gateway.advance(29_000);
  await gateway.resume(client, `C~ abc\\r\\n\nS: 250 *\n${SMTP.logout}`);
  assertLine(await gateway.closed(), { code: null, messages: 1 });
});
