// The header comes in clear before everything: before a ClientHello, which may be in the same packet, and before the
// greeting of a port with STARTTLS. TLS that the balancer has ended is as good as our own.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BALANCER, believed, CLIENT, HEADERS, V1, V2, V2_TLS } from '../support/balancer.ts';
import { ALL, IMAP, POP3, SEND, SMTP } from '../support/dialects.ts';
import { assertLine, clientTls, openGateway, type LogLine } from '../support/gateway.ts';

for (const errands of ALL) {
  const { protocol } = errands;
  for (const [version, header] of HEADERS) {
    for (const split of ['whole', 'seeded', 'bytes'] as const) {
      test(`${protocol}: ${version}, then a ClientHello at once (${split})`, async (t) => {
        const gateway = openGateway(t, {
          protocol,
          backend: errands.store().script,
          tls: 'implicit',
          service: believed('require'),
        });
        const client = gateway.connect({ from: BALANCER, split });
        // What is written in one turn is joined on its way, so that the hello follows without a gap.
        const raw = client.socket;
        raw.cork();
        client.send(header);
        process.nextTick(() => raw.uncork());
        await client.startTls(clientTls());
        await gateway.resume(client, `${errands.greeting}\n${errands.login}\n${errands.logout}`);
        const line = await gateway.closed();
        assertLine(line, { code: null, client: CLIENT, via: BALANCER, user: 'anna', outerTls: null });
        assertLine(line['tls'] as LogLine, { version: 'TLSv1.3', sni: 'mail.test' });
      });
    }

    test(`${protocol}: ${version}, then a ClientHello after a while`, async (t) => {
      const gateway = openGateway(t, {
        protocol,
        backend: errands.store().script,
        tls: 'implicit',
        service: believed('require'),
      });
      const client = gateway.connect({ from: BALANCER });
      client.send(header);
      await gateway.advance(2000);
      await client.startTls(clientTls());
      await gateway.resume(client, `${errands.greeting}\n${errands.login}\n${errands.logout}`);
      assertLine(await gateway.closed(), { code: null, client: CLIENT, via: BALANCER });
    });
  }

  test(`${protocol}: a header before the greeting, then STARTTLS`, async (t) => {
    const gateway = openGateway(t, {
      protocol,
      backend: errands.store().script,
      tls: 'musttls',
      service: believed('require'),
    });
    const client = gateway.connect({ from: BALANCER });
    client.send(V2);
    const ehlo = protocol === 'smtp' ? 'C: EHLO client.test\nS> 250 *\n' : '';
    await gateway.resume(client, `${errands.greeting}\n${ehlo}${errands.starttls}\n${errands.login}`);
    await gateway.resume(client, errands.logout);
    const line = await gateway.closed();
    assertLine(line, { code: null, client: CLIENT, via: BALANCER, user: 'anna' });
    assertLine(line['tls'] as LogLine, { version: 'TLSv1.3' });
  });

  test(`${protocol}: TLS that the balancer has ended satisfies musttls, and is not offered again`, async (t) => {
    const gateway = openGateway(t, {
      protocol,
      backend: errands.store().script,
      tls: 'musttls',
      service: believed('require'),
    });
    const client = gateway.connect({ from: BALANCER });
    client.send(V2_TLS);
    const again = {
      imap: 'C: s STARTTLS\nS: s BAD TLS is active already',
      pop3: 'C: STLS\nS: -ERR TLS is active already',
      smtp: 'C: STARTTLS\nS: 503 5.5.1 TLS is active already',
    }[protocol];
    await gateway.resume(client, `${errands.greeting}\n${again}\n${errands.login}\n${errands.logout}`);
    assert.doesNotMatch(client.heard, /STARTTLS|STLS|LOGINDISABLED/);
    const line = await gateway.closed();
    assertLine(line, { code: null, tls: null, outerSession: 'B-0815', user: 'anna' });
    assert.deepEqual(line['outerTls'], {
      version: 'TLSv1.3',
      cipher: 'TLS_AES_128_GCM_SHA256',
      sni: 'imap.example.com',
      clientName: 'anna',
    });
  });
}

for (const [errands, refusal] of [
  [IMAP, 'S: a1 NO [PRIVACYREQUIRED] *'],
  [POP3, null],
  [SMTP, null],
] as const) {
  test(`${errands.protocol}: a header without TLS facts satisfies musttls not`, async (t) => {
    const store = errands.store();
    const gateway = openGateway(t, {
      protocol: errands.protocol,
      backend: store.script,
      tls: 'musttls',
      service: believed('require'),
    });
    const client = gateway.connect({ from: BALANCER });
    client.send(V1);
    await gateway.resume(client, errands.greeting);
    if (refusal !== null) await gateway.resume(client, `C: a1 LOGIN anna secret\n${refusal}`);
    else if (errands === POP3) await gateway.resume(client, 'C: USER anna\nS: -ERR *');
    else
      await gateway.resume(client, 'C: EHLO client.test\nS> 250 *\nC: MAIL FROM:<a@example.org>\nS: 530 *');
    assert.deepEqual(store.logins, []);
  });
}

test('a balancer that ends TLS and begins it anew towards us is told apart in the log', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: IMAP.store().script,
    tls: 'implicit',
    service: believed('require'),
  });
  const client = gateway.connect({ from: BALANCER });
  client.send(V2_TLS);
  await client.startTls(clientTls());
  await gateway.resume(client, `${IMAP.greeting}\n${IMAP.login}\n${IMAP.logout}`);
  const line = await gateway.closed();
  assertLine(line['tls'] as LogLine, { sni: 'mail.test' });
  assertLine(line['outerTls'] as LogLine, { sni: 'imap.example.com' });
});

test('behind a header, too, nothing may follow STARTTLS in clear text', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: IMAP.store().script,
    service: believed('require'),
  });
  const client = gateway.connect({ from: BALANCER, split: 'whole' });
  client.send(Buffer.concat([V2, Buffer.from('a1 STARTTLS\r\na2 LOGIN anna secret\r\n')]));
  await gateway.resume(client, `${IMAP.greeting}\nS: * BYE No command may follow STARTTLS *\n-- eof`);
  assertLine(await gateway.closed(), { code: 'STARTTLS_INJECTION', client: CLIENT });
});

test('a ClientHello and an end of the stream at once are a client that left', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: IMAP.store().script,
    tls: 'implicit',
    service: believed('require'),
  });
  const client = gateway.connect({ from: BALANCER, split: 'whole' });
  client.send(Buffer.concat([V1, Buffer.from('\x16\x03\x01', 'latin1')]));
  client.finish();
  await client.end();
  assertLine(await gateway.closed(), { code: 'CLIENT_CLOSED', client: CLIENT });
});

test('what the header says is what the relay is told, and the name is that of its address', async (t) => {
  const asked: string[] = [];
  const relay = SMTP.store({ xclient: 'NAME ADDR PORT PROTO HELO DESTADDR DESTPORT' });
  const gateway = openGateway(t, {
    protocol: 'smtp',
    backend: relay.script,
    service: { ...believed('require'), clientLookup: true },
    to: { client: ['xclient'] },
    world: {
      confirmedNames: (address) => {
        asked.push(address);
        return Promise.resolve(['client.example.net']);
      },
    },
  });
  const client = gateway.connect({ from: BALANCER });
  client.send(V2);
  await gateway.resume(client, `${SMTP.greeting}\n${SEND}\n${SMTP.logout}`);
  await gateway.closed();
  assert.deepEqual(asked, [CLIENT]);
  const told = gateway.backendHeard;
  assert.match(told, /XCLIENT NAME=client\.example\.net ADDR=203\.0\.113\.9 PORT=4711 /);
  assert.match(told, /DESTADDR=198\.51\.100\.25 DESTPORT=993/);
});

test('channels go by the address in the header and the TLS that it tells of, not by the balancer', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'smtp',
    backend: SMTP.store().script,
    channels: {
      tcp_local: { keywords: 'smtp maytlsserver nosaslserver switchchannel' },
      tcp_inside: { keywords: 'smtp allowswitchchannel', match: ['192.0.2.0/24'] },
      tcp_partner: {
        keywords: 'smtp maytlsserver nosaslserver allowswitchchannel tlsswitchchannel tcp_tls',
        match: ['203.0.113.0/24'],
      },
      tcp_tls: { keywords: 'smtp maytlsserver maysaslserver' },
    },
    service: { ...believed('require'), channel: 'tcp_local' },
  });
  for (const [number, header, channel] of [
    [1, V2, 'tcp_partner'],
    [2, V2_TLS, 'tcp_tls'],
  ] as const) {
    const client = gateway.connect({ from: BALANCER });
    client.send(header);
    await gateway.resume(client, `${SMTP.greeting}\n${SEND}\n${SMTP.logout}`);
    assertLine(await gateway.closed(number), { code: null, client: CLIENT, channel, messages: 1 });
  }
});
