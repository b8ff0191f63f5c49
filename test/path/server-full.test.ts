// A worker that holds as many connections as it may says so, and serves the next one as soon as there is room.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL } from '../support/dialects.ts';
import { assertLine, openGateway } from '../support/gateway.ts';

const FULL = {
  imap: 'S: * BYE [UNAVAILABLE] Too many connections*\n-- eof\n-- end',
  pop3: 'S: -ERR [SYS/TEMP] Too many connections*\n-- eof\n-- end',
  smtp: 'S: 421 4.3.2 *Too many connections*\n-- eof\n-- end',
} as const;

for (const errands of ALL) {
  const { protocol } = errands;
  test(`${protocol}: one connection too many is refused in the protocol's words`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: errands.store().script, connectionsMax: 2 });
    const first = await gateway.play(errands.greeting);
    await gateway.play(errands.greeting);
    await gateway.play(FULL[protocol]);
    assertLine(await gateway.logged((line) => line['event'] === 'refused'), {
      code: 'SERVER_FULL',
      level: 'warn',
    });
    await gateway.resume(first, errands.logout);
    await gateway.closed(1);
    await gateway.settle();
    await gateway.play(`${errands.greeting}\n${errands.login}\n${errands.logout}`);
    assertLine(await gateway.closed(2), { code: null, user: 'anna' });
  });
}

test('on an implicit-TLS port nothing can be said in clear, so the connection is cut', async (t) => {
  const [imap] = ALL;
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: imap.store().script,
    connectionsMax: 0,
    tls: 'implicit',
  });
  const client = gateway.connect();
  assert.equal(await client.end(), '');
  await gateway.logged((line) => line['code'] === 'SERVER_FULL');
});

test('a refused client that does not close is cut after timeouts.close', async (t) => {
  const [imap] = ALL;
  const gateway = openGateway(t, { protocol: 'imap', backend: imap.store().script, connectionsMax: 0 });
  const client = await gateway.play('S: * BYE *\n-- eof');
  let closed = false;
  client.socket.on('error', () => undefined).on('close', () => (closed = true));
  await gateway.advance(5100);
  client.send('x');
  await gateway.settle();
  assert.ok(closed, 'a write to a connection that was cut fails');
});
