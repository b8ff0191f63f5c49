// What `sessions` lists and whom `kick` means, on a whole front in memory.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isEmpty, readFilter } from '../../src/service/sessions.ts';
import type { SessionFilter } from '../../src/service/sessions.ts';
import { BALANCER, believed } from '../support/balancer.ts';
import { IMAP, POP3, SEND, SMTP } from '../support/dialects.ts';
import { assertLine, openGateway } from '../support/gateway.ts';
import { imapStore } from '../support/stores.ts';

function filter(parts: Readonly<Record<string, unknown>> = {}): SessionFilter {
  const read = readFilter(parts);
  if (typeof read === 'string') assert.fail(read);
  return read;
}

test('a filter that is none of texts, or no network, is a sentence that names the part', () => {
  const sentence = (parts: Readonly<Record<string, unknown>>): string => JSON.stringify(readFilter(parts));
  assert.match(sentence({ user: 7 }), /^"user: expected/);
  assert.match(sentence({ id: '' }), /^"id: expected/);
  assert.match(sentence({ address: 'nowhere' }), /^"address: expected .*nowhere/);
});

test('a filter of nothing is empty, one of something is not', () => {
  assert.equal(isEmpty(filter()), true);
  assert.equal(isEmpty(filter({ service: 'mail' })), false);
});

test('a session is listed with who it is, from where, and on which server', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: imapStore().script });
  await gateway.play(`${IMAP.greeting}\n${IMAP.login}`, { from: '192.0.2.9' });
  const { sessions, count } = gateway.front.sessions(filter());
  assert.equal(count, 1);
  const [session] = sessions;
  assert.ok(session !== undefined);
  const { service, client, user, backend, tls, phase, via } = session;
  assert.deepEqual(
    { service, client, user, backend, tls, phase, via },
    {
      service: 'mail',
      client: '192.0.2.9',
      user: 'anna',
      backend: '127.0.0.1:143',
      tls: null,
      phase: 'bytes',
      via: null,
    },
  );
  assert.ok(session.bytesOut > 0);
});

test('each part of a filter takes what fits and leaves the rest', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: imapStore().script });
  await gateway.play(`${IMAP.greeting}\n${IMAP.login}`, { from: '192.0.2.9' });
  await gateway.play(IMAP.greeting, { from: '2001:db8::7' });
  const [known] = gateway.front.sessions(filter({ user: 'ANNA' })).sessions;
  const counts = (parts: Readonly<Record<string, unknown>>): number =>
    gateway.front.sessions(filter(parts)).count;
  assert.deepEqual(
    [
      counts({ user: 'Anna' }),
      counts({ user: 'bob' }),
      counts({ address: '192.0.2.0/24' }),
      counts({ address: '2001:db8::/32' }),
      counts({ backend: 'behind' }),
      counts({ backend: '127.0.0.1:143' }),
      counts({ backend: 'other' }),
      counts({ service: 'mail' }),
      counts({ service: 'mail', user: 'anna', address: '2001:db8::7' }),
      counts({ id: known?.id }),
    ],
    [1, 0, 1, 1, 1, 1, 0, 2, 0, 1],
  );
});

for (const errands of [IMAP, POP3]) {
  test(`kick ends a logged-in ${errands.protocol} session with a goodbye and leaves the neighbour alone`, async (t) => {
    const gateway = openGateway(t, { protocol: errands.protocol, backend: errands.store().script });
    const anna = await gateway.play(`${errands.greeting}\n${errands.login}`, { from: '192.0.2.9' });
    const other = await gateway.play(`${errands.greeting}\n${errands.login}`, { from: '192.0.2.10' });
    assert.equal(gateway.front.kick(filter({ address: '192.0.2.9' })), 1);
    const goodbye =
      errands.protocol === 'imap' ? '* BYE [UNAVAILABLE] Session ended*' : '-ERR [SYS/TEMP] Session ended*';
    await gateway.resume(anna, `S: ${goodbye}\n-- eof\n-- end`);
    assertLine(await gateway.closed(1), { user: 'anna', code: 'KICKED' });
    await gateway.resume(other, errands.logout);
  });
}

test('kick ends an SMTP session between transactions with 421, and its message stays delivered', async (t) => {
  const gateway = openGateway(t, { protocol: 'smtp', backend: SMTP.store().script });
  const client = await gateway.play(`${SMTP.greeting}\n${SEND}`);
  assert.equal(gateway.front.kick(filter({ service: 'mail' })), 1);
  await gateway.resume(client, 'S: 421 4.3.2 * Session ended by the administrator\n-- eof\n-- end');
  assertLine(await gateway.closed(), { messages: 1, code: 'KICKED' });
});

test('kick ends a session that has not logged in, and one whose backend is silent', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: () => new Promise(() => undefined) });
  const idle = await gateway.play(IMAP.greeting);
  const waiting = await gateway.play(`${IMAP.greeting}\n${IMAP.tries}`);
  await gateway.call();
  await gateway.settle();
  assert.equal(gateway.front.kick(filter({ service: 'mail' })), 2);
  await gateway.resume(idle, 'S: * BYE [UNAVAILABLE] Session ended*\n-- eof\n-- end');
  await gateway.resume(waiting, 'S: * BYE [UNAVAILABLE] Session ended*\n-- eof\n-- end');
});

test('kick ends a session that has not finished its handshake, and one whose PROXY header is not there yet', async (t) => {
  for (const service of [{}, believed('require')]) {
    const gateway = openGateway(t, {
      protocol: 'imap',
      backend: imapStore().script,
      tls: 'implicit',
      service,
    });
    const client = gateway.connect({ from: BALANCER });
    await gateway.settle();
    assert.equal(gateway.front.kick(filter({ service: 'mail' })), 1);
    assert.equal(await client.end(), '');
    assertLine(await gateway.closed(), { code: 'KICKED', ms: 0 });
    assert.equal(gateway.lines.filter(({ event }) => event === 'closed').length, 1);
  }
});

for (const errands of [IMAP, POP3, SMTP]) {
  test(`kick of ${errands.protocol} while the backend is dialled is in the log as that, not as the backend's failure`, async (t) => {
    const gateway = openGateway(t, { protocol: errands.protocol, backend: 'silent' });
    const client = await gateway.play(`${errands.greeting}\n${errands.tries}`);
    await gateway.settle();
    assert.equal(gateway.front.kick(filter({ service: 'mail' })), 1);
    await gateway.settle();
    assert.match(client.heard, /Session ended by the administrator\r\n$/);
    await gateway.advance(20_000);
    assertLine(await gateway.closed(), { code: 'KICKED', failure: null });
    assert.deepEqual(
      gateway.lines.filter(({ event }) => event === 'login-failed'),
      [],
    );
  });
}
