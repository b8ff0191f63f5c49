// A backend that expects a PROXY header gets it before everything, TLS included, and learns from it what it could not
// see. Asked for its capabilities, it gets one that names no client.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseProxyHeader, type ProxyHeader } from '../../src/wire/proxy-header.ts';
import { BALANCER, believed, CLIENT, PROXIED_TLS, V2_TLS } from '../support/balancer.ts';
import { ALL, IMAP, SEND, SMTP } from '../support/dialects.ts';
import {
  assertLine,
  type BackendCall,
  type BackendScript,
  clientTls,
  openGateway,
  storeContext,
} from '../support/gateway.ts';
import { mta } from '../support/mta.ts';

/** A server that reads a header, keeps it, and then does what `script` does. */
function behindHeader(script: BackendScript): { script: BackendScript; headers: ProxyHeader[] } {
  const headers: ProxyHeader[] = [];
  return {
    headers,
    async script(call: BackendCall) {
      const { talk } = call;
      const first = await talk.bytes(1);
      let bytes = `${first}${first === 'P' ? '' : await talk.bytes(15)}`;
      if (first === 'P') bytes += `${await talk.line()}\r\n`;
      else bytes += await talk.bytes(Buffer.from(bytes, 'latin1').readUInt16BE(14));
      const header = parseProxyHeader(Buffer.from(bytes, 'latin1'));
      assert.ok(header.kind === 'header', JSON.stringify(header));
      headers.push(header);
      if (typeof script !== 'string') await script(call);
    },
  };
}

for (const errands of ALL) {
  const { protocol } = errands;
  for (const way of ['proxy-v1', 'proxy-v2'] as const) {
    for (const tls of ['notls', 'musttls', 'implicit'] as const) {
      test(`${protocol}: ${way} comes before everything (${tls})`, async (t) => {
        const context = storeContext();
        const store = errands.store(
          tls === 'notls' ? {} : tls === 'implicit' ? { implicit: context } : { tls: context },
        );
        const behind = behindHeader(store.script);
        const gateway = openGateway(t, {
          protocol,
          backend: behind.script,
          to: { client: [way], tls: tls === 'notls' ? tls : { mode: tls, name: 'store.test' } },
        });
        await gateway.play(`${errands.greeting}\n${errands.login}\n${errands.logout}`, { from: CLIENT });
        const line = await gateway.closed();
        assertLine(line, { code: null, user: 'anna', client: CLIENT });
        const [header] = behind.headers;
        assert.equal(header?.version, way === 'proxy-v1' ? 1 : 2);
        assert.equal(header.proxied?.source.address, CLIENT);
        assert.equal(header.proxied.source.port, line['port']);
        assert.equal(header.proxied.destination.address, '198.51.100.1');
        assert.equal(header.proxied.uniqueId, way === 'proxy-v1' ? null : line['session']);
        assert.equal(header.proxied.tls, undefined);
      });
    }
  }
}

test('version 2 tells the TLS of the client leg', async (t) => {
  const behind = behindHeader(IMAP.store().script);
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: behind.script,
    tls: 'implicit',
    to: { client: ['proxy-v2'] },
  });
  const client = gateway.connect();
  await client.startTls(clientTls({ alpn: ['imap'] }));
  await gateway.resume(client, `${IMAP.greeting}\n${IMAP.login}\n${IMAP.logout}`);
  const { tls } = (await gateway.closed()) as { tls: Readonly<Record<string, unknown>> };
  const proxied = behind.headers[0]?.proxied;
  assert.deepEqual(proxied?.tls, {
    version: tls['version'],
    cipher: tls['cipher'],
    certificate: 'none',
    clientName: null,
    signature: null,
    key: null,
  });
  assert.deepEqual([proxied.alpn, proxied.authority], ['imap', 'mail.test']);
});

test('what a balancer said of the client is handed on', async (t) => {
  const behind = behindHeader(IMAP.store().script);
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: behind.script,
    tls: 'musttls',
    service: believed('require'),
    to: { client: ['proxy-v2'] },
  });
  const client = gateway.connect({ from: BALANCER });
  client.send(V2_TLS);
  await gateway.resume(client, `${IMAP.greeting}\n${IMAP.login}\n${IMAP.logout}`);
  await gateway.closed();
  assert.deepEqual(behind.headers[0]?.proxied, PROXIED_TLS);
});

test('a header and XCLIENT go together', async (t) => {
  const relay = SMTP.store({ xclient: 'ADDR PORT HELO' });
  const behind = behindHeader(relay.script);
  const gateway = openGateway(t, {
    protocol: 'smtp',
    backend: behind.script,
    to: { client: ['proxy-v1', 'xclient'] },
  });
  await gateway.play(`${SMTP.greeting}\n${SEND}\n${SMTP.logout}`, { from: CLIENT });
  await gateway.closed();
  assert.equal(behind.headers[0]?.proxied?.source.address, CLIENT);
  assert.match(gateway.backendHeard, /XCLIENT ADDR=203\.0\.113\.9 /);
});

for (const way of ['proxy-v1', 'proxy-v2'] as const) {
  test(`${way}: the question for capabilities comes with a header for nobody`, async (t) => {
    const behind = behindHeader(IMAP.store().script);
    const gateway = openGateway(t, {
      protocol: 'imap',
      backend: behind.script,
      service: { capabilities: 'probe' },
      to: { client: [way] },
    });
    await gateway.play(`${IMAP.greeting}\n${IMAP.login}\n${IMAP.logout}`, { from: CLIENT });
    await gateway.closed();
    assert.deepEqual(
      behind.headers.map(({ proxied }) => proxied?.source.address ?? 'nobody'),
      // Version 1 has no word for it that every server takes: there it is our own address.
      [way === 'proxy-v1' ? '127.0.0.1' : 'nobody', CLIENT],
    );
  });
}

test('a backend that expects no header gets none', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: IMAP.store().script });
  await gateway.play(`${IMAP.greeting}\n${IMAP.login}\n${IMAP.logout}`);
  await gateway.closed();
  assert.doesNotMatch(gateway.backendHeard, /PROXY|QUIT/);
});

for (const [who, introduction, seen] of [
  ['of the client, if it speaks for itself,', '', PROXIED_TLS.tls],
  ['of a front tier, if that is what it is,', 'C: XCLIENT ADDR=203.0.113.77\nS: 220 *\n', undefined],
] as const) {
  test(`TLS that a balancer has ended is that ${who} and a relay hears of it accordingly`, async (t) => {
    const relay = mta();
    const behind = behindHeader(relay.script);
    const gateway = openGateway(t, {
      protocol: 'smtp',
      backend: behind.script,
      service: { ...believed('require'), frontTier: { from: [CLIENT] } },
      to: { client: ['proxy-v2'] },
    });
    const client = gateway.connect({ from: BALANCER });
    client.send(V2_TLS);
    await gateway.resume(client, `${SMTP.greeting}\n${introduction}${SEND}\n${SMTP.logout}`);
    assert.equal('outerTls' in (await gateway.closed()), seen !== undefined);
    const proxied = behind.headers[0]?.proxied;
    assert.deepEqual(proxied?.tls, seen);
    assert.equal(proxied?.authority, seen === undefined ? null : PROXIED_TLS.authority);
  });
}
