// The wrong port: TLS where clear text is due, and the reverse. Both get a hint in the log, and nobody waits for long.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL, IMAP } from '../support/dialects.ts';
import { assertLine, clientTls, openGateway } from '../support/gateway.ts';

for (const errands of ALL) {
  const { protocol } = errands;
  test(`${protocol}: a ClientHello on the clear-text port is named as such in the log`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: errands.store().script });
    const client = gateway.connect();
    await assert.rejects(client.startTls(clientTls()));
    assertLine(await gateway.closed(), { code: 'TLS_ON_PLAIN_PORT', tls: null });
  });

  test(`${protocol}: clear text on the implicit-TLS port is named as such in the log`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: errands.store().script, tls: 'implicit' });
    const client = gateway.connect();
    client.say(
      protocol === 'imap' ? 'a1 CAPABILITY' : protocol === 'pop3' ? 'USER anna' : 'EHLO client.test',
    );
    await client.end();
    assertLine(await gateway.closed(), { code: 'PLAIN_ON_TLS_PORT', tls: null });
  });

  test(`${protocol}: TLS on the implicit-TLS port is what it is there for`, async (t) => {
    const store = errands.store();
    const gateway = openGateway(t, { protocol, backend: store.script, tls: 'implicit' });
    const client = gateway.connect();
    await client.startTls(clientTls({ alpn: [protocol] }));
    await gateway.resume(client, `${errands.greeting}\n${errands.login}\n${errands.logout}`);
    const line = await gateway.closed();
    assertLine(line, { code: null, user: 'anna' });
    const facts = line['tls'] as Readonly<Record<string, unknown>>;
    assertLine(facts, { version: 'TLSv1.3', resumed: false, sni: 'mail.test', alpn: protocol });
    assert.match(String(facts['group']), /^X25519/);
  });
}

test('a client that offers only an ALPN protocol of others fails in the handshake', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: IMAP.store().script, tls: 'implicit' });
  const client = gateway.connect();
  await assert.rejects(client.startTls(clientTls({ alpn: ['h2'] })));
  assertLine(await gateway.closed(), { code: 'TLS_HANDSHAKE_FAILED', tls: null });
});

test('a client that knows only TLS 1.1 fails in the handshake', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: IMAP.store().script });
  const client = await gateway.play(`${IMAP.greeting}\nC: a1 STARTTLS\nS: a1 OK *`);
  await assert.rejects(client.startTls(clientTls({ maxVersion: 'TLSv1.1' })));
  assertLine(await gateway.closed(), { code: 'TLS_HANDSHAKE_FAILED' });
});

test('a client that leaves in the middle of the handshake is no failure of TLS', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: IMAP.store().script, tls: 'implicit' });
  const client = gateway.connect();
  client.send('\x16\x03\x01\x02');
  await gateway.settle();
  client.socket.destroy();
  assertLine(await gateway.closed(), { code: 'CLIENT_CLOSED' });
});

test('a connection that is cut is told apart from one that is closed', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: IMAP.store().script });
  const cut = await gateway.play(IMAP.greeting);
  (cut.socket as unknown as { reset: () => void }).reset();
  assertLine(await gateway.closed(), { code: 'CLIENT_RESET' });
  const closed = await gateway.play(IMAP.greeting);
  closed.finish();
  assertLine(await gateway.closed(), { code: 'CLIENT_CLOSED' });
});
