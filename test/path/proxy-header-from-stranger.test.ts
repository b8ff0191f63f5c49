// Whoever can connect can write a PROXY header. Only that of a listed balancer is believed; from anybody else it is
// refused, or garbage like any other.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BALANCER, believed, CLIENT, HEADERS, V1, V2 } from '../support/balancer.ts';
import { ALL, IMAP } from '../support/dialects.ts';
import { assertLine, clientTls, openGateway } from '../support/gateway.ts';

const STRANGER = '203.0.113.66';

for (const errands of ALL) {
  const { protocol } = errands;
  for (const [version, header] of HEADERS) {
    test(`${protocol}: ${version} of a stranger ends the connection where a header is required`, async (t) => {
      const store = errands.store();
      const gateway = openGateway(t, { protocol, backend: store.script, service: believed('require') });
      const client = gateway.connect({ from: STRANGER });
      client.send(header);
      assert.equal(await client.end(), '');
      assertLine(await gateway.closed(), { code: 'PROXY_STRANGER', client: STRANGER, via: null });
      assert.deepEqual(store.logins, []);
    });

    test(`${protocol}: ${version} of a stranger is garbage where a header is optional`, async (t) => {
      const gateway = openGateway(t, {
        protocol,
        backend: errands.store().script,
        service: believed('optional'),
        limits: { badCommands: 1 },
      });
      const client = await gateway.play(errands.greeting, { from: STRANGER });
      client.send(header);
      client.say('');
      await client.end();
      assert.doesNotMatch(client.heard, /Welcome/);
      const line = await gateway.closed();
      assertLine(line, { client: STRANGER, via: null });
      assert.match(String(line['code']), /^(BAD_LINE_ENDING|TOO_MANY_ERRORS)$/);
    });

    test(`${protocol}: ${version} of the balancer is believed`, async (t) => {
      const gateway = openGateway(t, {
        protocol,
        backend: errands.store().script,
        service: believed('require'),
      });
      const client = gateway.connect({ from: BALANCER });
      client.send(header);
      await gateway.resume(client, `${errands.greeting}\n${errands.login}\n${errands.logout}`);
      assertLine(await gateway.closed(), {
        code: null,
        user: 'anna',
        client: CLIENT,
        port: 4711,
        via: BALANCER,
      });
    });
  }

  test(`${protocol}: a stranger who sends no header is a client like any other where it is optional`, async (t) => {
    const gateway = openGateway(t, {
      protocol,
      backend: errands.store().script,
      service: believed('optional'),
    });
    await gateway.play(`${errands.greeting}\n${errands.login}\n${errands.logout}`, { from: STRANGER });
    assertLine(await gateway.closed(), { code: null, user: 'anna', client: STRANGER, via: null });
    assert.equal(gateway.lines.filter(({ event }) => event === 'closed').length, 1);
  });
}

test('a service without proxyProtocol believes nobody, the balancer neither', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: IMAP.store().script });
  const client = await gateway.play(IMAP.greeting, { from: BALANCER });
  client.send(V1);
  await gateway.resume(client, `S: * BAD *\n${IMAP.login}\n${IMAP.logout}`);
  assertLine(await gateway.closed(), { client: BALANCER, via: null });
});

test("a second header, which the client may have sent, is not the balancer's", async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: IMAP.store().script,
    service: believed('require'),
  });
  const client = gateway.connect({ from: BALANCER });
  client.send(Buffer.concat([V2, Buffer.from(V1.toString().replace(CLIENT, '192.0.2.1'))]));
  await gateway.resume(client, `${IMAP.greeting}\nS: * BAD *\n${IMAP.login}\n${IMAP.logout}`);
  assertLine(await gateway.closed(), { client: CLIENT, via: BALANCER });
});

test("with implicit TLS a stranger's header is no ClientHello", async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: IMAP.store().script,
    tls: 'implicit',
    service: believed('optional'),
  });
  const liar = gateway.connect({ from: STRANGER });
  liar.send(V1);
  await liar.end();
  assertLine(await gateway.closed(1), { code: 'PLAIN_ON_TLS_PORT', client: STRANGER });
  const honest = gateway.connect({ from: STRANGER });
  await honest.startTls(clientTls());
  await gateway.resume(honest, `${IMAP.greeting}\n${IMAP.login}\n${IMAP.logout}`);
  assertLine(await gateway.closed(2), { code: null, client: STRANGER });
});
