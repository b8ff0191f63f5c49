// The client's name servers are silent, or answer with what is no name. Who is to blame for that is the client, so no
// server behind is: mail goes on, without the name, at the latest once timeouts.connect is over.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SMTP } from '../support/dialects.ts';
import { assertLine, openGateway } from '../support/gateway.ts';
import { mta } from '../support/mta.ts';

const MAIL = `${SMTP.greeting}
  C: EHLO client.test
  S> 250 *
  C: MAIL FROM:<a@client.test>`;

for (const [what, names, introduction] of [
  ['never answered', new Promise<readonly string[]>(() => undefined), '[UNAVAILABLE]'],
  ['answered', Promise.resolve(['host.client.test']), 'host.client.test'],
] as const) {
  test(`a client whose name is ${what} is brought to the first relay, and none is blamed`, async (t) => {
    const relay = mta({ xclient: 'NAME ADDR' });
    const gateway = openGateway(t, {
      protocol: 'smtp',
      backend: relay.script,
      service: { clientLookup: true },
      to: { servers: ['127.0.0.2:25', '127.0.0.3:25'], client: ['xclient'] },
      world: { confirmedNames: () => names },
      timeouts: { connect: 20 },
    });
    const client = await gateway.play(MAIL);
    await gateway.advance(10_000);
    await gateway.advance(10_000);
    await gateway.resume(client, `S: 250 2.1.0 *\n${SMTP.logout}`);
    assertLine(await gateway.closed(), { code: null });
    assert.deepEqual(relay.introductions, [`NAME=${introduction} ADDR=192.0.2.7`]);
    assert.deepEqual(gateway.dialled, ['127.0.0.2:25']);
    assert.deepEqual(
      gateway.lines.map(({ event }) => event),
      ['closed'],
    );
  });
}

test('a name that no server would take for a host name is told to none; another one is', async (t) => {
  const relay = mta({ xclient: 'NAME ADDR' });
  let names = ['a/b.client.test', '*.client.test', 'x y.client.test', '-.client.test', 'a..client.test', ''];
  const gateway = openGateway(t, {
    protocol: 'smtp',
    backend: relay.script,
    service: { clientLookup: true },
    to: { client: ['xclient'] },
    world: { confirmedNames: async () => names },
  });
  await gateway.play(`${MAIL}\nS: 250 2.1.0 *\n${SMTP.logout}`);
  names = [...names, 'mx_1.Client.test'];
  await gateway.play(`${MAIL}\nS: 250 2.1.0 *\n${SMTP.logout}`);
  assert.deepEqual(relay.introductions, [
    'NAME=[UNAVAILABLE] ADDR=192.0.2.7',
    'NAME=mx_1.Client.test ADDR=192.0.2.7',
  ]);
});
