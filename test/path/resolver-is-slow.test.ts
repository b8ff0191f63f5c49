// A client whose address no name server answers for: it is introduced without a name, and that is no relay's failure.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SMTP } from '../support/dialects.ts';
import { openGateway } from '../support/gateway.ts';
import { mta } from '../support/mta.ts';

const ONE = '127.0.0.2:1025';
const TWO = '127.0.0.3:1025';

test('a resolver that is silent costs the client its name, and no relay its good name', async (t) => {
  const relay = mta({ xclient: 'NAME ADDR' });
  const gateway = openGateway(t, {
    protocol: 'smtp',
    backend: relay.script,
    to: { servers: [ONE, TWO], client: ['xclient'] },
    service: { clientLookup: true },
    timeouts: { connect: 10 },
    world: { confirmedNames: () => new Promise(() => undefined) },
  });
  const client = await gateway.play(`
    ${SMTP.greeting}
    C: EHLO client.test
    S> 250 *
    C: MAIL FROM:<a@example.org>`);
  // In steps, so that what a timer sets going is there before the next one fires.
  for (let second = 0; second < 10; second++) await gateway.advance(1000);
  await gateway.resume(client, `S: 250 *\nC: QUIT\nS: 221 *\n-- eof\n-- end`);
  assert.deepEqual(gateway.dialled.length, 1, `dialled ${gateway.dialled.join()}`);
  assert.ok(relay.commands.includes('XCLIENT NAME=[UNAVAILABLE] ADDR=192.0.2.7'), relay.commands.join());
  const bad = gateway.lines.filter(({ event }) => event === 'backend-failed' || event === 'backend-down');
  assert.deepEqual(bad, []);
});
