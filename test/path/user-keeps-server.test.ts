// balance: hash. A user is led to the same server each time, whatever the case of the name, the client or the protocol;
// while that server is down to the next in order, and back when it is up. Mail without a login goes by client address.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IMAP, plain, POP3, SEND, SMTP } from '../support/dialects.ts';
import { assertLine, type Gateway, openGateway } from '../support/gateway.ts';

const HOSTS = ['127.0.0.2', '127.0.0.3', '127.0.0.4'];
const servers = (port: number): string[] => HOSTS.map((host) => `${host}:${port}`);
const USERS = ['anna', 'bert', 'cleo', 'dora', 'emil', 'fred', 'gerd', 'hans', 'ida', 'jost', 'karl', 'lena'];

async function homeOf(gateway: Gateway, user: string, from = '192.0.2.7'): Promise<string> {
  await gateway.play(
    `${IMAP.greeting}\nC: a1 LOGIN ${user} secret\nS: a1 OK *Welcome ${user}\n${IMAP.logout}`,
    { from },
  );
  return String((await gateway.closed())['backend']);
}

function imapGateway(t: Parameters<typeof openGateway>[0]): Gateway {
  return openGateway(t, {
    protocol: 'imap',
    backend: IMAP.store().script,
    to: { servers: servers(143), balance: 'hash' },
  });
}

test('a user comes to the same server each time, and users come to all servers', async (t) => {
  const gateway = imapGateway(t);
  const homes = new Map<string, string>();
  for (const user of USERS) homes.set(user, await homeOf(gateway, user));
  assert.equal(new Set(homes.values()).size, 3);
  for (const user of USERS) {
    assert.equal(await homeOf(gateway, user.toUpperCase(), '198.51.100.9'), homes.get(user));
  }
});

test('POP3 of a user is on the same host as IMAP', async (t) => {
  const imap = imapGateway(t);
  const pop3 = openGateway(t, {
    protocol: 'pop3',
    backend: POP3.store().script,
    to: { servers: servers(110), balance: 'hash' },
  });
  for (const user of USERS) {
    const home = await homeOf(imap, user);
    await pop3.play(
      `${POP3.greeting}\nC: USER ${user}\nS: +OK *\nC: PASS secret\nS: +OK Welcome *\n${POP3.logout}`,
    );
    assertLine(await pop3.closed(), { backend: home.replace(':143', ':110') });
  }
});

test('who acts for another comes to the other’s server', async (t) => {
  const gateway = imapGateway(t);
  const home = await homeOf(gateway, 'cleo');
  await gateway.play(
    `${IMAP.greeting}\nC: a1 AUTHENTICATE PLAIN ${plain('anna', 'secret', 'cleo')}\nS: a1 OK *\n${IMAP.logout}`,
  );
  assertLine(await gateway.closed(), { backend: home });
});

test('while the server is down its users are on the next one and the others stay; then all are back', async (t) => {
  const gateway = imapGateway(t);
  const before = new Map<string, string>();
  for (const user of USERS) before.set(user, await homeOf(gateway, user));
  const down = before.get('anna') ?? '';
  gateway.plans[down] = 'refused';
  for (const user of USERS) {
    const home = await homeOf(gateway, user);
    if (before.get(user) === down) assert.notEqual(home, down);
    else assert.equal(home, before.get(user));
  }
  delete gateway.plans[down];
  await gateway.advance(30_000);
  for (const user of USERS) assert.equal(await homeOf(gateway, user), before.get(user));
});

test('smtp: mail without a login goes by the address of the client', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'smtp',
    backend: SMTP.store().script,
    to: { servers: servers(25), balance: 'hash' },
  });
  const homes: string[] = [];
  for (let round = 0; round < 2; round++) {
    for (let number = 1; number <= 6; number++) {
      await gateway.play(`${SMTP.greeting}\n${SEND}\n${SMTP.logout}`, { from: `192.0.2.${number}` });
      homes.push(String((await gateway.closed())['backend']));
    }
  }
  assert.deepEqual(homes.slice(6), homes.slice(0, 6));
  assert.ok(new Set(homes).size > 1);
});
