// The front of a worker: new settings for new connections, the drain, and what is counted.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Settings } from '../../src/config/settings.ts';
import type { FrontMaterial } from '../../src/service/material.ts';
import { NO_DIRECTORY } from '../../src/service/directories/material.ts';
import { NO_TIER_PASSWORDS } from '../../src/service/passwords.ts';
import { IMAP, plain, POP3, SEND, SMTP } from '../support/dialects.ts';
import { assertLine, type Gateway, openGateway, testMaterial } from '../support/gateway.ts';
import { imapStore } from '../support/stores.ts';
import { cable } from '../support/wire.ts';

/** As the gateway's, for services without TLS. */
function material(settings: Settings): FrontMaterial {
  return {
    services: Object.fromEntries(Object.keys(settings.services).map((name) => [name, null])),
    backendSecrets: {},
    backendTrust: { authorities: [], crls: [] },
    backendCas: Object.fromEntries(
      Object.keys(settings.backends).map((name) => [name, testMaterial().authority.ca]),
    ),
    tierPasswords: NO_TIER_PASSWORDS,
    spoofs: {},
    domainAdmins: {},
    directory: NO_DIRECTORY,
    certmaps: {},
    ticketKeys: Buffer.alloc(48, 7),
    saltKey: Buffer.alloc(32, 7),
  };
}

function update(gateway: Gateway, change: Partial<Settings>): void {
  const settings = { ...gateway.settings, ...change };
  gateway.front.update(settings, material(settings), 1000);
}

test('a connection to a service that is not there is closed, and does not count', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: 'refused' });
  const [, far] = cable();
  gateway.front.serve('other', far.asSocket());
  assert.equal(far.destroyed, true);
  assert.equal(gateway.front.counters()['connections'], 0);
});

test('a login is counted when it happens, what passed when the connection has closed', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: imapStore().script });
  const client = await gateway.play(`${IMAP.greeting}\nC: a0 LOGIN anna wrong\nS: a0 NO *\n${IMAP.login}`);
  assert.deepEqual([gateway.front.counters()['open'], gateway.front.counters()['logins']], [1, 1]);
  await gateway.resume(client, IMAP.logout);
  const line = await gateway.closed();
  await gateway.settle();
  assert.deepEqual(gateway.front.counters(), {
    open: 0,
    connections: 1,
    logins: 1,
    loginsFailed: 1,
    messages: 0,
    bytesIn: line['bytesIn'],
    bytesOut: line['bytesOut'],
    cut: 0,
  });
  assert.equal(line['bytesOut'], client.heard.length);
});

test('messages are counted, and mail without a login is no login', async (t) => {
  const gateway = openGateway(t, { protocol: 'smtp', backend: SMTP.store().script });
  await gateway.play(`${SMTP.greeting}\n${SEND}\n${SMTP.logout}`);
  await gateway.closed();
  await gateway.settle();
  const { logins, messages } = gateway.front.counters();
  assert.deepEqual([logins, messages], [0, 1]);
});

test('a connection that never logged in is no login', async (t) => {
  const gateway = openGateway(t, { protocol: 'pop3', backend: POP3.store().script });
  await gateway.play(`${POP3.greeting}\nC: USER anna\nS: +OK *\n${POP3.logout}`);
  await gateway.closed();
  await gateway.settle();
  assert.equal(gateway.front.counters()['logins'], 0);
});

test('a login that nobody could decide is no login', async (t) => {
  const gateway = openGateway(t, { protocol: 'smtp', backend: 'refused' });
  await gateway.play(`${SMTP.greeting}\n${SMTP.tries}\n${SMTP.unavailable}`);
  assertLine(await gateway.closed(), { user: null, code: 'BACKEND_UNREACHABLE' });
  await gateway.settle();
  assert.equal(gateway.front.counters()['logins'], 0);
});

test('every connection has its own number behind the worker’s', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: 'refused' });
  for (let i = 0; i < 3; i++) await gateway.play(`${IMAP.greeting}\n${IMAP.logout}`);
  await gateway.closed();
  const ids = gateway.lines
    .filter((line) => line['event'] === 'closed')
    .map((line) => String(line['session']));
  assert.equal(new Set(ids).size, 3);
  assert.equal(new Set(ids.map((id) => id.split('-')[0])).size, 1);
});

test('new settings are for new connections; those that are open go on as they began', async (t) => {
  const gateway = openGateway(t, { protocol: 'smtp', tls: 'notls', backend: SMTP.store().script });
  const old = await gateway.play(SMTP.greeting);
  update(gateway, { hostname: 'new.test' });
  await gateway.resume(old, 'C: EHLO client.test\nS: 250-mail.test\nS> 250 *');
  const fresh = await gateway.play('S: 220 new.test ESMTP *\nC: EHLO client.test\nS: 250-new.test\nS> 250 *');
  await gateway.resume(old, SEND.replace(/C: EHLO.*\n.*\n/, ''));
  await gateway.resume(fresh, SMTP.logout);
  await gateway.resume(old, SMTP.logout);
  assertLine(await gateway.closed(), { code: null, messages: 1 });
});

test('a service that is gone serves those that are open, and whoever was queued for it', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', tls: 'notls', backend: imapStore().script });
  const old = await gateway.play(IMAP.greeting);
  update(gateway, { services: {} });
  const late = await gateway.play(IMAP.greeting);
  await gateway.resume(late, IMAP.logout);
  await gateway.resume(old, `${IMAP.login}\n${IMAP.logout}`);
  assertLine(await gateway.closed(), { code: null, user: 'anna' });
});

test('settings that cannot be served are refused whole, and the old ones go on', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', tls: 'notls', backend: imapStore().script });
  const { settings } = gateway;
  assert.throws(() => update(gateway, { hostname: 'new.test', backends: {} }), /has no backend/);
  const broken = { ...material(settings), services: { mail: { certificates: [{ cert: 'x', key: 'y' }] } } };
  assert.throws(() => gateway.front.update(settings, broken as unknown as FrontMaterial, 1000));
  await gateway.play(`${IMAP.greeting}\n${IMAP.login}\n${IMAP.logout}`);
  assertLine(await gateway.closed(), { code: null });
});

const PROBED = `
  S: * OK [CAPABILITY IMAP4rev1 IDLE] ready
  C: s LOGOUT
  -- eof
  -- end`;

test('a backend whose settings did not change keeps what it has learnt', async (t) => {
  const service = { capabilities: 'probe' };
  const gateway = openGateway(t, { protocol: 'imap', tls: 'notls', backend: PROBED, service });
  await gateway.scriptsDone();
  await gateway.settle();
  assert.equal(gateway.calls.length, 1);
  const mail = { ...gateway.settings.services['mail']!, banner: 'new words' };
  update(gateway, { services: { mail } });
  await gateway.settle();
  assert.equal(gateway.calls.length, 1);
  await gateway.play(`S: * OK [CAPABILITY IMAP4rev1 * IDLE *] mail.test new words\n${IMAP.logout}`);
  assert.equal(gateway.calls.length, 1);
});

for (const [what, change] of [
  ['other servers', { servers: [{ kind: 'tcp', host: '127.0.0.2', port: 143 }] }],
  ['another rule for TLS', { allowClearBackend: true }],
] as const) {
  test(`a backend with ${what} is asked anew`, async (t) => {
    const service = { capabilities: 'probe' };
    const gateway = openGateway(t, { protocol: 'imap', tls: 'notls', backend: PROBED, service });
    await gateway.settle();
    const behind = { ...gateway.settings.backends['behind']!, ...change };
    update(gateway, { backends: { behind } });
    await gateway.call(2);
    await gateway.scriptsDone();
  });
}

test('what clients will be shown is asked for before the first of them comes', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    tls: 'notls',
    backend: PROBED,
    service: { capabilities: 'probe' },
  });
  await gateway.call(1);
  await gateway.scriptsDone();
});

test('a drain of an empty front is over at once', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: 'refused' });
  await gateway.front.drain(1000);
});

test('a drain is over when the last connection has closed', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: imapStore().script });
  const idle = await gateway.play(IMAP.greeting);
  let over = false;
  const drained = gateway.front.drain(60_000).then(() => (over = true));
  await gateway.resume(idle, 'S: * BYE [UNAVAILABLE] *\n-- eof');
  await gateway.settle();
  assert.equal(over, false);
  idle.finish();
  await drained;
  assert.equal(gateway.front.counters()['cut'], 0);
});

test('what is open when the grace is over is cut and counted', async (t) => {
  const gateway = openGateway(t, { protocol: 'smtp', backend: SMTP.store().script });
  const busy = await gateway.play(
    `${SMTP.greeting}\nC: EHLO client.test\nS> 250 *\nC: MAIL FROM:<a@b.test>\nS: 250 2.1.0 *`,
  );
  const drained = gateway.front.drain(5000);
  await gateway.advance(4999);
  assert.equal(gateway.front.counters()['open'], 1);
  await gateway.advance(1);
  await drained;
  assert.equal(await busy.end(), '');
  assert.equal(gateway.front.counters()['cut'], 1);
});

test('whoever connects during a drain is told so', async (t) => {
  const gateway = openGateway(t, { protocol: 'smtp', backend: SMTP.store().script });
  const keeper = await gateway.play(
    `${SMTP.greeting}\nC: EHLO x\nS> 250 *\nC: MAIL FROM:<a@b.test>\nS: 250 *`,
  );
  const drained = gateway.front.drain(60_000);
  const late = await gateway.play('S: 220 *\nS: 421 4.3.2 *\n-- eof');
  late.finish();
  keeper.socket.destroy();
  await drained;
});

test('with others in its place, newcomers may log in, and are told at the idle point after that', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: imapStore().script });
  const client = await gateway.play(IMAP.greeting);
  const drained = gateway.front.drain(60_000, 5000);
  await gateway.advance(4000);
  await gateway.resume(client, IMAP.login);
  await gateway.advance(1000);
  await gateway.resume(client, 'S: * BYE [UNAVAILABLE] *\n-- eof');
  client.finish();
  await drained;
  assert.deepEqual([gateway.front.counters()['logins'], gateway.front.counters()['cut']], [1, 0]);
});

test('with others in its place, newcomers may send their message, and are told behind it', async (t) => {
  const gateway = openGateway(t, { protocol: 'smtp', backend: SMTP.store().script });
  const client = await gateway.play(SMTP.greeting);
  const drained = gateway.front.drain(60_000, 5000);
  await gateway.resume(client, SEND);
  await gateway.advance(200);
  await gateway.resume(client, 'S: 421 4.3.2 *\n-- eof');
  client.finish();
  await drained;
  assert.equal(gateway.front.counters()['messages'], 1);
});

test('newcomers that do nothing with their time are told when it is over', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: imapStore().script });
  const client = await gateway.play(IMAP.greeting);
  const drained = gateway.front.drain(60_000, 5000);
  await gateway.advance(4900);
  assert.equal(gateway.front.counters()['open'], 1);
  await gateway.advance(100);
  await gateway.resume(client, 'S: * BYE [UNAVAILABLE] *\n-- eof');
  client.finish();
  await drained;
});

test('a login that the backend refused leaves no user on the closing line', async (t) => {
  const gateway = openGateway(t, { protocol: 'smtp', backend: SMTP.store().script });
  await gateway.play(`
    ${SMTP.greeting}
    C: EHLO client.test
    S> 250 *
    C: AUTH PLAIN ${plain('anna', 'wrong')}
    S: 535 *
    ${SMTP.logout}`);
  assertLine(await gateway.closed(), { user: null, code: null });
  await gateway.settle();
  const { logins, loginsFailed } = gateway.front.counters();
  assert.deepEqual([logins, loginsFailed], [0, 1]);
});
