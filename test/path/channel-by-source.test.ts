// switchchannel: where a client comes from, by address or by name, decides whose rules and whose relay it gets.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plain, SEND, SMTP } from '../support/dialects.ts';
import { assertLine, type GatewayOptions, openGateway } from '../support/gateway.ts';
import { mta } from '../support/mta.ts';

const service = { channel: 'tcp_local' };
const CHANNELS = {
  tcp_local: { keywords: 'smtp mx maytlsserver switchchannel' },
  tcp_intranet: {
    keywords: 'smtp mx notlsserver maysaslserver allowswitchchannel',
    match: ['192.0.2.0/24', '.inside.test'],
    relay: 'inner',
  },
  tcp_partner: { keywords: 'smtp mx musttlsserver', match: ['198.51.100.7', 'mx.partner.test'] },
  tcp_shut: { keywords: 'smtp mx noswitchchannel maysaslserver', match: ['203.0.113.66', '.shut.test'] },
};

function options(more: Partial<GatewayOptions> = {}): GatewayOptions {
  return {
    protocol: 'smtp',
    backend: mta().script,
    channels: CHANNELS,
    service,
    relays: { inner: mta().script },
    ...more,
  };
}

test('an address of the intranet gets its keywords and its relay, a stranger those of tcp_local', async (t) => {
  const [outer, inner] = [mta(), mta()];
  const gateway = openGateway(t, options({ backend: outer.script, relays: { inner: inner.script } }));
  await gateway.play(
    `${SMTP.greeting}
    C: EHLO client.test
    S> 250 AUTH PLAIN *
    C: STARTTLS
    S: 502 5.5.1 TLS is not available here
    C: AUTH PLAIN ${plain('anna', 'secret')}
    S: 235 2.7.0 Welcome
    ${SEND}
    ${SMTP.logout}`,
    { from: '192.0.2.7' },
  );
  const rule = 'tcp_local → tcp_intranet (switchchannel 192.0.2.0/24)';
  assertLine(await gateway.closed(), { code: null, messages: 1, channel: 'tcp_intranet', rule });
  assert.deepEqual([outer.messages.length, inner.messages.length], [0, 1]);
  await gateway.play(`${SMTP.greeting}\nC: EHLO x\nS> 250 STARTTLS\n${SEND}\n${SMTP.logout}`, {
    from: '203.0.113.9',
  });
  assertLine(await gateway.closed(), { code: null, channel: 'tcp_local', rule: 'tcp_local' });
  assert.deepEqual([outer.messages.length, inner.messages.length], [1, 1]);
  const counters = gateway.front.counters();
  assert.equal(counters['channel tcp_intranet by switchchannel 192.0.2.0/24'], 1);
  assert.equal(counters['channel tcp_local by switchchannel, no match'], 1);
});

test('musttls on port 25 for one partner only: 530 until STARTTLS, mail after it', async (t) => {
  const relay = mta();
  const gateway = openGateway(t, options({ backend: relay.script }));
  const client = await gateway.play(
    `${SMTP.greeting}
    C: EHLO mx.partner.test
    S> 250 STARTTLS
    C: MAIL FROM:<a@partner.test>
    S: 530 5.7.0 Must issue a STARTTLS command first
    C: RCPT TO:<b@example.com>
    S: 503 5.5.1 MAIL first`,
    { from: '198.51.100.7' },
  );
  assert.equal(gateway.calls.length, 0);
  await gateway.resume(client, `${SMTP.starttls}\n${SEND}\n${SMTP.logout}`);
  assertLine(await gateway.closed(), { code: null, messages: 1, channel: 'tcp_partner' });
  assert.equal(gateway.front.counters()['channel tcp_partner by musttlsserver'], 1);
  await gateway.play(`${SMTP.greeting}\n${SEND}\n${SMTP.logout}`, { from: '198.51.100.8' });
  assertLine(await gateway.closed(), { code: null, messages: 1, channel: 'tcp_local', tls: null });
});

test('who has no address in a match is looked for by its forward-confirmed names', async (t) => {
  const asked: string[] = [];
  const names: Readonly<Record<string, readonly string[]>> = {
    '203.0.113.1': ['x.elsewhere.test', 'Host.Inside.TEST.'],
    '203.0.113.2': ['inside.test'],
  };
  const world = {
    confirmedNames: async (address: string) => {
      asked.push(address);
      return names[address] ?? [];
    },
  };
  const gateway = openGateway(t, options({ world }));
  const rules: unknown[] = [];
  for (const from of ['203.0.113.1', '203.0.113.2', '192.0.2.1']) {
    await gateway.play(`${SMTP.greeting}\n${SEND}\n${SMTP.logout}`, { from });
    const line = await gateway.closed();
    rules.push(line['rule']);
  }
  assert.deepEqual(rules, [
    'tcp_local → tcp_intranet (switchchannel .inside.test)',
    'tcp_local',
    'tcp_local → tcp_intranet (switchchannel 192.0.2.0/24)',
  ]);
  assert.deepEqual(asked, ['203.0.113.1', '203.0.113.2']);
});

test('the greeting does not wait for the name, the first command does; a resolver that is silent decides nothing', async (t) => {
  const { promise, resolve } = Promise.withResolvers<readonly string[]>();
  let slow: Promise<readonly string[]> = promise;
  const gateway = openGateway(
    t,
    options({
      relays: { inner: mta().script },
      world: { confirmedNames: () => slow },
      timeouts: { connect: 20 },
    }),
  );
  const client = await gateway.play(`${SMTP.greeting}\nC: EHLO client.test`, { from: '203.0.113.1' });
  await gateway.settle();
  assert.doesNotMatch(client.heard, /250/);
  resolve(['host.inside.test']);
  await gateway.resume(client, `S> 250 AUTH PLAIN *\n${SMTP.logout}`);
  assertLine(await gateway.closed(), { code: null, channel: 'tcp_intranet' });
  slow = new Promise(() => undefined);
  const late = await gateway.play(`${SMTP.greeting}\nC: EHLO client.test`, { from: '203.0.113.1' });
  await gateway.advance(20_000);
  await gateway.resume(late, `S> 250 STARTTLS\n${SMTP.logout}`);
  assertLine(await gateway.closed(), { code: null, channel: 'tcp_local', rule: 'tcp_local' });
});

test('nobody is sent to a noswitchchannel channel, by address or by name, and the counters say so', async (t) => {
  const world = { confirmedNames: async () => ['host.shut.test'] };
  const gateway = openGateway(t, options({ world }));
  for (const from of ['203.0.113.66', '203.0.113.67']) {
    await gateway.play(`${SMTP.greeting}\nC: EHLO x\nS> 250 STARTTLS\n${SMTP.logout}`, { from });
    assertLine(await gateway.closed(), { code: null, channel: 'tcp_local', rule: 'tcp_local' });
  }
  assert.equal(gateway.front.counters()['channel tcp_local by noswitchchannel of tcp_shut'], 2);
});

test('without switchchannel on the start channel addresses decide nothing, and nothing is counted', async (t) => {
  const asked: string[] = [];
  const world = {
    confirmedNames: async (address: string) => {
      asked.push(address);
      return [];
    },
  };
  const channels = { ...CHANNELS, tcp_local: { keywords: 'smtp mx maytlsserver noswitchchannel' } };
  const gateway = openGateway(t, options({ channels, world }));
  await gateway.play(`${SMTP.greeting}\nC: EHLO x\nS> 250 STARTTLS\n${SMTP.logout}`, { from: '192.0.2.7' });
  assertLine(await gateway.closed(), { code: null, channel: 'tcp_local', rule: 'tcp_local' });
  assert.deepEqual(asked, []);
  assert.deepEqual(
    Object.keys(gateway.front.counters()).filter((name) => name.startsWith('channel ')),
    [],
  );
});

test('limits of the channel hold in place of the general ones', async (t) => {
  const channels = {
    tcp_local: { keywords: 'switchchannel maysaslserver disconnectbadauthlimit 2' },
    tcp_strict: {
      keywords: 'maysaslserver disconnectbadauthlimit 1 disconnectbadcommandlimit 1',
      match: ['192.0.2.0/24'],
    },
  };
  const gateway = openGateway(t, options({ channels }));
  const wrong = `C: AUTH PLAIN ${plain('anna', 'wrong')}\nS: 535 5.7.8 Wrong`;
  const over = `S: 421 4.7.0 mail.test Too many failed logins, *\n-- eof\n-- end`;
  const hello = `${SMTP.greeting}\nC: EHLO x\nS> 250 AUTH *`;
  await gateway.play(`${hello}\n${wrong}\n${wrong}\n${over}`, { from: '203.0.113.1' });
  assertLine(await gateway.closed(), { code: 'TOO_MANY_LOGINS', channel: 'tcp_local' });
  await gateway.play(`${hello}\n${wrong}\n${over}`, { from: '192.0.2.1' });
  assertLine(await gateway.closed(), { code: 'TOO_MANY_LOGINS', channel: 'tcp_strict' });
  await gateway.play(`${SMTP.greeting}\nC: FROB\nS: 500 *\nC: FROB\nS: 421 4.7.0 *\n-- eof\n-- end`, {
    from: '192.0.2.1',
  });
  assertLine(await gateway.closed(), { code: 'TOO_MANY_ERRORS', channel: 'tcp_strict' });
});
