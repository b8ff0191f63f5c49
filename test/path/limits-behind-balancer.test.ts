// Behind a balancer limits and access rules go by the client that its PROXY header names; the balancer itself, with its
// health checks, is not counted.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BALANCER, believed, CLIENT, V1, V2_TLS } from '../support/balancer.ts';
import { ALL, IMAP } from '../support/dialects.ts';
import { assertLine, type Gateway, type LogLine, openGateway } from '../support/gateway.ts';

const from = BALANCER;
const refused = (line: LogLine): boolean => line['event'] === 'refused';

async function bring(gateway: Gateway, script: string, header = V1): Promise<void> {
  const client = gateway.connect({ from });
  client.send(header);
  await gateway.resume(client, script);
}

const TOO_MANY = {
  imap: 'S: * BYE [LIMIT] *\n-- eof\n-- end',
  pop3: 'S: -ERR [SYS/TEMP] *\n-- eof\n-- end',
  smtp: 'S: 421 4.7.0 *\n-- eof\n-- end',
} as const;

for (const errands of ALL) {
  const { protocol, greeting } = errands;
  test(`${protocol}: the client behind the balancer is limited, and the balancer is not`, async (t) => {
    const backend = errands.store().script;
    const options = { protocol, backend, service: believed('optional'), limits: { perAddress: 1 } } as const;
    const gateway = openGateway(t, options);
    await bring(gateway, greeting);
    await bring(gateway, TOO_MANY[protocol]);
    assertLine(await gateway.logged(refused), { code: 'ADDRESS_LIMIT', client: CLIENT });
    // Health checks of its own, without a header: so many that a limit would show.
    for (let i = 0; i < 3; i++) {
      const check = gateway.connect({ from });
      await gateway.advance(3000);
      await gateway.resume(check, greeting);
    }
    await gateway.play(greeting, { from: '203.0.113.10' });
    await gateway.play(TOO_MANY[protocol], { from: '203.0.113.10' });
  });
}

test('access rules judge the client that the header names, and TLS that the balancer ended is imaps', async (t) => {
  const backend = IMAP.store().script;
  const service = { ...believed('require'), access: `+imaps:${CLIENT}` };
  const gateway = openGateway(t, { protocol: 'imap', backend, service });
  await bring(gateway, 'S: * BYE Access denied\n-- eof\n-- end');
  assertLine(await gateway.logged(refused), { code: 'ACCESS_DENIED', client: CLIENT });
  await bring(gateway, `${IMAP.greeting}\n${IMAP.login}`, V2_TLS);
});

test('on an implicit-TLS port a refused client behind a balancer is cut without a word in clear', async (t) => {
  const backend = IMAP.store().script;
  const service = { ...believed('require'), access: '-imap:ALL' };
  const gateway = openGateway(t, { protocol: 'imap', backend, service, tls: 'implicit' });
  for (const header of [V1, V2_TLS]) {
    const client = gateway.connect({ from });
    client.send(header);
    assert.equal(await client.end(), '');
  }
  assert.equal(gateway.front.counters()['refused ACCESS_DENIED'], 2);
});
