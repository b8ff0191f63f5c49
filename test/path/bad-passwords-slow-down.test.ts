// Whoever guesses passwords waits longer each time, whatever he speaks; a right password waits too, and clears the
// address. Nobody else waits. While a client waits it is not read, holds its place, and no time-out hits it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFilter } from '../../src/service/sessions.ts';
import { ALL, IMAP, type Errands } from '../support/dialects.ts';
import { assertLine, type Gateway, type GatewayOptions, openGateway } from '../support/gateway.ts';
import type { TestContext } from 'node:test';

function open(t: TestContext, errands: Errands, more: Partial<GatewayOptions> = {}) {
  const state = { right: false };
  const store = errands.store({ accepts: () => state.right });
  const gateway = openGateway(t, {
    protocol: errands.protocol,
    backend: store.script,
    limits: { authAttempts: 100 },
    penalties: {},
    ...more,
  });
  return { gateway, store, state };
}

/** Plays a script that only ends when the clock has moved `ms`, and not before. */
async function after(gateway: Gateway, ms: number, playing: Promise<unknown>): Promise<void> {
  let done = false;
  void playing.then(() => (done = true));
  await gateway.advance(ms - 100);
  assert.equal(done, false, `it did not wait ${ms} ms`);
  await gateway.advance(200);
  await playing;
}

for (const errands of ALL) {
  const { protocol, greeting, tries, login, logout } = errands;
  const wrong = `${tries}\n${errands.refused}`;
  test(`${protocol}: 2 s, 4 s, 6 s; then the right password, delayed as well, clears the address`, async (t) => {
    const { gateway, state, store } = open(t, errands);
    const client = await gateway.play(`${greeting}\n${wrong}`);
    await after(gateway, 2000, gateway.resume(client, wrong));
    await after(gateway, 4000, gateway.resume(client, wrong));
    assert.equal(store.logins.length, 3);
    state.right = true;
    await after(gateway, 6000, gateway.resume(client, `${login}\n${logout}`));
    assertLine(await gateway.closed(), { code: null, user: 'anna' });
    await gateway.play(`${greeting}\n${login}\n${logout}`);
  });

  test(`${protocol}: another address does not wait, another connection of the same one does`, async (t) => {
    const { gateway, state } = open(t, errands);
    await gateway.play(`${greeting}\n${wrong}`);
    state.right = true;
    await gateway.play(`${greeting}\n${login}\n${logout}`, { from: '192.0.2.8' });
    await after(gateway, 2000, gateway.play(`${greeting}\n${login}`));
  });
}

test('a wait of a minute does not run into a login time-out of a minute', async (t) => {
  const { gateway, state } = open(t, IMAP, { penalties: { step: 60 }, timeouts: { login: 60 } });
  const wrong = `${IMAP.tries}\n${IMAP.refused}`;
  const client = await gateway.play(`${IMAP.greeting}\n${wrong}`);
  await gateway.advance(30_000);
  state.right = true;
  await after(gateway, 60_000, gateway.resume(client, IMAP.login));
});

test('the time of the login goes on where it stood', async (t) => {
  const { gateway } = open(t, IMAP, { penalties: { step: 60 }, timeouts: { login: 60 } });
  const wrong = `${IMAP.tries}\n${IMAP.refused}`;
  const client = await gateway.play(`${IMAP.greeting}\n${wrong}`);
  await gateway.advance(30_000);
  await after(gateway, 60_000, gateway.resume(client, wrong));
  await gateway.advance(29_000);
  assert.doesNotMatch(client.heard, /BYE/);
  await gateway.advance(2000);
  await gateway.resume(client, 'S: * BYE Too slow*\n-- eof\n-- end');
});

test('a backend that is down, or refuses for a while, is nobody’s fault', async (t) => {
  const store = IMAP.store({ accepts: () => false, refusal: '[UNAVAILABLE] Directory is down' });
  const gateway = openGateway(t, { protocol: 'imap', backend: store.script, penalties: {} });
  const client = await gateway.play(`${IMAP.greeting}\n${IMAP.tries}\nS: a1 NO [UNAVAILABLE] *`);
  gateway.backend = 'refused';
  await gateway.resume(client, `${IMAP.tries}\n${IMAP.unavailable}`);
  gateway.backend = IMAP.store().script;
  await gateway.resume(client, IMAP.login);
});

test('excluded networks never wait, and with nothing remembered nobody does', async (t) => {
  for (const penalties of [{ excluded: ['192.0.2.0/24'] }, { remembered: 0 }]) {
    const { gateway } = open(t, IMAP, { penalties });
    const client = await gateway.play(IMAP.greeting);
    for (let i = 0; i < 4; i++) await gateway.resume(client, `${IMAP.tries}\n${IMAP.refused}`);
  }
});

test('a client that waits is not read, and keeps its place in the limits', async (t) => {
  const { gateway, store } = open(t, IMAP, { limits: { perAddress: 1 } });
  const client = await gateway.play(`${IMAP.greeting}\n${IMAP.tries}\n${IMAP.refused}`);
  client.send('a2 LOGIN anna wrong\r\n');
  await gateway.settle();
  for (let i = 0; i < 2000; i++) client.send(`a${i + 3} NOOP\r\n`);
  await gateway.settle();
  assert.equal(store.logins.length, 1);
  await gateway.play('S: * BYE [LIMIT] *\n-- eof\n-- end');
  const filter = readFilter({});
  assert.ok(typeof filter !== 'string');
  const [session] = gateway.front.sessions(filter).sessions;
  assert.equal(session?.phase, 'penalty');
});

test('a drain does not wait for those who wait', async (t) => {
  const { gateway, store } = open(t, IMAP, { penalties: { step: 60 } });
  const client = await gateway.play(`${IMAP.greeting}\n${IMAP.tries}\n${IMAP.refused}`);
  client.send('a2 LOGIN anna wrong\r\n');
  await gateway.settle();
  const drained = gateway.front.drain(30_000);
  await gateway.advance(200);
  await gateway.resume(client, 'S: * BYE [UNAVAILABLE] *\n-- eof\n-- end');
  await drained;
  assert.equal(store.logins.length, 1);
  assert.equal(gateway.front.counters()['cut'], 0);
});

test('whoever leaves while it waits is gone, and its password was not tried', async (t) => {
  const { gateway, store } = open(t, IMAP);
  const client = await gateway.play(`${IMAP.greeting}\n${IMAP.tries}\n${IMAP.refused}`);
  client.send('a2 LOGIN anna wrong\r\n');
  await gateway.settle();
  client.socket.destroy();
  await gateway.advance(5000);
  await gateway.closed(1);
  assert.ok(store.logins.length <= 2);
});
