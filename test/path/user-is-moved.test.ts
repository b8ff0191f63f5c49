// sallyport move. A user of a hashed backend is put on another server: its sessions end, nobody gets to the mailbox until
// they are gone, and from then on every login leads to the new server; the neighbours notice nothing.

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { WAIT_MS } from '../../src/service/placements/replica.ts';
import { type Errands, IMAP, POP3, SMTP } from '../support/dialects.ts';
import { assertLine, type Gateway } from '../support/gateway.ts';
import { type MovingGateway, openMoving } from '../support/moving.ts';

const HOSTS = ['127.0.0.2', '127.0.0.3', '127.0.0.4'] as const;
const PORTS = { imap: 143, pop3: 110, smtp: 25 } as const;

function open(t: TestContext, errands: Errands, more: { readonly verify?: unknown } = {}): MovingGateway {
  const { protocol } = errands;
  return openMoving(t, {
    protocol,
    backend: errands.store().script,
    to: { servers: HOSTS.map((host) => `${host}:${PORTS[protocol]}`), balance: 'hash' },
    ...(more.verify === undefined ? {} : { service: { verify: more.verify } }),
  });
}

async function homeOf(gateway: Gateway, errands: Errands, from = '192.0.2.7'): Promise<string> {
  await gateway.play(`${errands.greeting}\n${errands.login}\n${errands.logout}`, { from });
  return (gateway.dialled.at(-1) ?? '').replace(/:\d+$/, '');
}

const elsewhere = (home: string): string => HOSTS.find((host) => host !== home) ?? '';

for (const errands of [IMAP, POP3]) {
  test(`${errands.protocol}: sessions end with a goodbye, later logins are on the new server, and back again`, async (t) => {
    const moving = open(t, errands);
    const { gateway } = moving;
    const home = await homeOf(gateway, errands);
    const to = elsewhere(home);
    const old = await gateway.play(`${errands.greeting}\n${errands.login}`);
    const moved = moving.asked({ user: 'Anna', server: to });
    const goodbye =
      errands.protocol === 'imap' ? '* BYE [UNAVAILABLE] Session ended*' : '-ERR [SYS/TEMP] Session ended*';
    await gateway.resume(old, `S: ${goodbye}\n-- eof\n-- end`);
    assert.deepEqual(await moved, { ok: true, user: 'Anna', moved: [{ backend: 'behind', to }] });
    for (const from of ['192.0.2.7', '198.51.100.9']) {
      assert.equal(await homeOf(gateway, errands, from), to);
    }
    assert.equal((await moving.asked({ user: 'anna', back: true })).ok, true);
    assert.equal(await homeOf(gateway, errands), home);
    assert.deepEqual(moving.book.all, []);
  });
}

test('a neighbour on the same server stays, session and all', async (t) => {
  const moving = open(t, IMAP);
  const { gateway } = moving;
  const home = await homeOf(gateway, IMAP);
  const login = 'C: a1 LOGIN bert secret\nS: a1 OK *Welcome bert';
  const bert = await gateway.play(`${IMAP.greeting}\n${login}`);
  assert.equal((await moving.asked({ user: 'anna', server: elsewhere(home) })).ok, true);
  await gateway.resume(bert, IMAP.logout);
  assertLine(await gateway.closed(), { user: 'bert', code: null });
});

test('a login that comes meanwhile waits, and is led to the new server', async (t) => {
  const moving = open(t, IMAP);
  const { gateway } = moving;
  const home = await homeOf(gateway, IMAP);
  let left = 1;
  moving.worker = () => left;
  const moved = moving.asked({ user: 'anna', server: elsewhere(home) });
  await gateway.settle();
  const client = await gateway.play(`${IMAP.greeting}\nC: a1 LOGIN anna secret`);
  const dialled = gateway.dialled.length;
  await gateway.settle();
  assert.equal(gateway.dialled.length, dialled, 'no server hears of it');
  left = 0;
  assert.equal((await moved).ok, true);
  await gateway.resume(client, `S: a1 OK *Welcome anna\n${IMAP.logout}`);
  assertLine(await gateway.closed(), { backend: `${elsewhere(home)}:143` });
});

const COME_AGAIN = {
  imap: 'S: a1 NO [UNAVAILABLE] The mailbox is being moved*',
  pop3: 'S: -ERR [SYS/TEMP] The mailbox is being moved*',
} as const;

for (const errands of [IMAP, POP3]) {
  const { protocol } = errands;
  test(`${protocol}: a login that has waited ${WAIT_MS} ms is told to come again; no session left, no move`, async (t) => {
    const moving = open(t, errands);
    const { gateway } = moving;
    const home = await homeOf(gateway, errands);
    moving.worker = () => 1;
    const moved = moving.ask({ user: 'anna', server: elsewhere(home), wait: 30 });
    await gateway.settle();
    const client = await gateway.play(`${errands.greeting}\n${errands.tries}`);
    for (let ms = 0; ms < WAIT_MS; ms += 500) await gateway.advance(500);
    await gateway.resume(client, protocol === 'imap' ? COME_AGAIN.imap : COME_AGAIN.pop3);
    assertLine(await gateway.logged(({ event }) => event === 'login-failed'), { code: 'USER_MOVING' });
    for (let ms = 0; ms < 30_000; ms += 500) await gateway.advance(500);
    const answer = await moved;
    assert.match(
      String(answer.ok ? '' : answer.error),
      /^anna was not moved and is where it was: sessions of the user do not end on this machine$/,
    );
    assert.equal(await homeOf(gateway, errands), home, 'where it was, and let in again');
    assert.equal(moving.book.all.length, 0);
  });
}

test('smtp: a login of a user who is being moved gets 454', async (t) => {
  const moving = open(t, SMTP);
  const { gateway } = moving;
  moving.worker = () => 1;
  const moved = moving.ask({ user: 'anna', server: '127.0.0.2', wait: 30 });
  await gateway.settle();
  const client = await gateway.play(`${SMTP.greeting}\n${SMTP.tries}`);
  for (let ms = 0; ms < WAIT_MS; ms += 500) await gateway.advance(500);
  await gateway.resume(client, 'S: 454 4.7.0 *being moved*\n-- end');
  for (let ms = 0; ms < 30_000; ms += 500) await gateway.advance(500);
  assert.equal((await moved).ok, false);
});

test('who is in the middle of the login when the move begins does not stay on the old server', async (t) => {
  const moving = open(t, IMAP);
  const { gateway } = moving;
  const home = await homeOf(gateway, IMAP);
  const polite = gateway.backend;
  gateway.backend = () => new Promise(() => undefined);
  const client = await gateway.play(`${IMAP.greeting}\nC: a1 LOGIN anna secret`);
  await gateway.call(2);
  await gateway.settle();
  assert.equal(gateway.guard.placements.count('behind anna'), 1);
  gateway.backend = polite;
  assert.equal((await moving.asked({ user: 'anna', server: elsewhere(home) })).ok, true);
  assert.equal(gateway.guard.placements.count('behind anna'), 0);
  await gateway.resume(client, 'S: * BYE [UNAVAILABLE] Session ended*\n-- eof\n-- end');
  assert.equal(await homeOf(gateway, IMAP), elsewhere(home));
});

test('refused logins and closed sessions leave no stay behind', async (t) => {
  const moving = openMoving(t, {
    protocol: 'imap',
    backend: IMAP.store({ accepts: ({ secret }) => secret === 'right' }).script,
    to: { servers: HOSTS.map((host) => `${host}:143`), balance: 'hash' },
  });
  const { gateway } = moving;
  await gateway.play(`${IMAP.greeting}\n${IMAP.tries}\n${IMAP.refused}\n${IMAP.logout}`);
  await gateway.play(`${IMAP.greeting}\nC: a1 LOGIN anna right\nS: a1 OK *\n${IMAP.logout}`);
  await gateway.closed();
  await gateway.settle();
  assert.equal(gateway.guard.placements.count('behind anna'), 0);
});

test('while the new server is down its users are on the next one, as those that hashing puts there', async (t) => {
  const moving = open(t, IMAP);
  const { gateway } = moving;
  const home = await homeOf(gateway, IMAP);
  const to = elsewhere(home);
  assert.equal((await moving.asked({ user: 'anna', server: `${to}:143` })).ok, true);
  gateway.plans[`${to}:143`] = 'refused';
  assert.equal(await homeOf(gateway, IMAP), home);
  delete gateway.plans[`${to}:143`];
  await gateway.advance(30_000);
  assert.equal(await homeOf(gateway, IMAP), to);
});

test('an unknown server, a backend without hashing, a user that was not moved: refused by name, nothing happens', async (t) => {
  const moving = open(t, IMAP);
  const errorOf = async (request: Record<string, unknown>): Promise<string> => {
    const answer = await moving.ask(request);
    return answer.ok ? '' : answer.error;
  };
  assert.equal(
    await errorOf({ user: 'anna', server: 'elsewhere' }),
    'no such server; there are: 127.0.0.2, 127.0.0.3, 127.0.0.4',
  );
  assert.match(await errorOf({ user: 'anna', server: HOSTS[0], backend: 'other' }), /balance: hash: behind$/);
  assert.match(await errorOf({ user: 'anna', back: true }), /not moved: it is where hashing puts it/);
  assert.match(await errorOf({ user: 'an\nna', server: HOSTS[0] }), /^user: expected/);
  assert.match(await errorOf({ user: 'anna', server: HOSTS[0], wait: 0 }), /^wait: expected/);
  assert.deepEqual(moving.book.all, []);
});
