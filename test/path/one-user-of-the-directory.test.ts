// A user has one name, the directory's, whatever spelling a login has: by it users are moved, earn grants, and send so much
// in a time. Whose host the directory names is not moved by hand. A mailbox of ours stands in for that of a user on hold.

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { plain, POP3, SMTP } from '../support/dialects.ts';
import { assertLine, type Gateway, type GatewayOptions, openGateway } from '../support/gateway.ts';
import { GRANTED, openGranting, POP } from '../support/granting.ts';
import { mta } from '../support/mta.ts';
import { type MovingGateway, openMoving } from '../support/moving.ts';
import { startPasswordStore } from '../support/password-store.ts';

const HOSTS = ['127.0.0.2', '127.0.0.3', '127.0.0.4'] as const;
const USERS = `
anna@example.com: {}
placed@example.com: { server: 127.0.0.3 }
`;
const directory = { defaultDomain: 'example.com' };

function openStores(t: TestContext, users = USERS): MovingGateway {
  return openMoving(t, {
    protocol: 'pop3',
    backend: POP3.store({ accepts: () => true }).script,
    users,
    directory,
    to: { servers: HOSTS.map((host) => `${host}:110`), balance: 'hash' },
  });
}

const login = (user: string): string => `C: USER ${user}\nS: +OK *\nC: PASS secret\nS: +OK *`;

async function homeOf(gateway: Gateway, user: string): Promise<string> {
  await gateway.play(`${POP3.greeting}\n${login(user)}\n${POP3.logout}`);
  return (gateway.dialled.at(-1) ?? '').replace(/:\d+$/, '');
}

test('a move by the name of the directory holds for every spelling of a login', async (t) => {
  const moving = openStores(t);
  const { gateway } = moving;
  const home = await homeOf(gateway, 'anna');
  const to = HOSTS.find((host) => host !== home) ?? '';
  const open = await gateway.play(`${POP3.greeting}\n${login('anna')}`);
  const moved = moving.asked({ user: 'Anna@example.com', server: to });
  await gateway.resume(open, 'S: -ERR [SYS/TEMP] Session ended*\n-- eof\n-- end');
  const answer = await moved;
  assert.equal(answer.ok, true);
  assert.match(String(answer['note']), /whose host it names/);
  for (const spelling of ['anna', 'anna@example.com', 'ANNA@EXAMPLE.COM']) {
    assert.equal(await homeOf(gateway, spelling), to, spelling);
  }
});

test('a user whose host the directory names is neither held nor moved', async (t) => {
  const moving = openStores(t);
  const { gateway } = moving;
  const open = await gateway.play(`${POP3.greeting}\n${login('placed')}`);
  assert.equal((await moving.asked({ user: 'placed@example.com', server: HOSTS[0] })).ok, true);
  await gateway.resume(open, POP3.logout);
  assert.equal(await homeOf(gateway, 'placed'), '127.0.0.3');
});

test('where all hosts are the directory’s a move is refused and says where users are moved', async (t) => {
  const moving = openMoving(t, {
    protocol: 'pop3',
    backend: POP3.store().script,
    users: '"@example.com": { server: a.internal }\n',
    directory,
    to: { servers: null, hosts: ['*.internal'], balance: 'hash' },
  });
  const answer = await moving.ask({ user: 'anna@example.com', server: 'a.internal' });
  assert.ok(!answer.ok);
  assert.equal(answer.error, 'users of behind are moved in the directory, which names their hosts');
});

test('a move holds at the store that is asked for passwords, by the same name', async (t) => {
  const vault = await startPasswordStore(t, { user: 'anna@example.com', password: 'secret' });
  const moving = openMoving(t, {
    protocol: 'pop3',
    backend: POP3.store({ accepts: () => true }).script,
    users: USERS,
    directory,
    service: { verify: { store: 'vault' } },
    to: { servers: HOSTS.map((host) => `${host}:110`), balance: 'hash' },
    backends: {
      vault: {
        servers: [`127.0.0.1:${vault.port}`, `127.0.0.2:${vault.port}`],
        balance: 'hash',
        tls: 'notls',
      },
    },
  });
  const { gateway } = moving;
  const client = await gateway.play(`${POP3.greeting}\n${login('anna')}`);
  const { placements } = gateway.guard;
  const counts = (): number[] =>
    ['vault', 'behind'].map((backend) => placements.count(`${backend} anna@example.com`));
  assert.deepEqual(counts(), [1, 1]);
  await gateway.resume(client, POP3.logout);
  await gateway.settle();
  assert.deepEqual(counts(), [0, 0]);
});

test('a grant is in the name of the directory', async (t) => {
  const { gateway, inner, send } = openGranting(t, {
    users: USERS,
    directory,
    inner: { xclient: 'ADDR LOGIN' },
    outer: { xclient: 'ADDR LOGIN' },
    to: { client: ['xclient'] },
    plans: { [POP]: POP3.store({ accepts: () => true }).script },
    popBeforeSmtp: { channel: 'tcp_intranet', tell: ['login'] },
  });
  await gateway.play(`${POP3.greeting}\n${login('anna')}\n${POP3.logout}`, { service: 'pop3' });
  await gateway.closed();
  assert.equal(await send(), GRANTED);
  assert.deepEqual(inner.introductions, ['ADDR=192.0.2.7 LOGIN=anna@example.com']);
});

test('where the directory checks passwords, a rate counts all spellings as one sender', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'smtp',
    backend: mta().script,
    users: 'anna@example.com: { password: secret }\nbert@example.com: { password: secret }\n',
    directory,
    service: { verify: 'directory' },
    limits: { messagesPerUser: { count: 1, seconds: 60 } },
  });
  const open = (user: string): string =>
    `${SMTP.greeting}\nC: EHLO client.test\nS> 250 *\nC: AUTH PLAIN ${plain(user, 'secret')}\nS: 235 *`;
  const mail = 'C: MAIL FROM:<anna@example.org>';
  await gateway.play(`${open('anna')}\n${mail}\nS: 250 *\n${SMTP.logout}`);
  await gateway.play(`${open('ANNA@example.com')}\n${mail}\nS: 450 4.7.1 Too many messages *`);
  await gateway.play(`${open('bert')}\n${mail}\nS: 250 *`);
  assertLine(await gateway.logged(({ event }) => event === 'refused'), { user: 'anna@example.com' });
});

const SPOOF = 'S: +OK No messages';
const WRONG = 'S: -ERR [AUTH] Wrong user name or password';
const LATER = 'S: -ERR [SYS/TEMP] *';

for (const [what, password, when, answer] of [
  ['away', 'secret', ['unreachable'], SPOOF],
  ['away', 'guess', ['unreachable'], WRONG],
  ['away', 'secret', ['tempfail'], LATER],
  ['held', 'secret', ['tempfail'], SPOOF],
  ['held', 'guess', ['tempfail'], WRONG],
  ['held', 'secret', ['unreachable'], LATER],
] as const) {
  const asked = `${what} user, "${password}", when ${when.join()}`;
  test(`verify: directory and spoof: ${asked}: ${answer}`, async (t) => {
    const options: Partial<GatewayOptions> = {
      users: 'away@example.com: { password: secret }\nheld@example.com: { status: hold, password: secret }\n',
      directory,
      service: { verify: 'directory', spoof: { when } },
    };
    const gateway = openGateway(t, { protocol: 'pop3', backend: 'refused', ...options });
    const tries = `C: USER ${what}\nS: +OK *\nC: PASS ${password}`;
    await gateway.play(`${POP3.greeting}\n${tries}\n${answer}\n${POP3.logout}`);
    if (what === 'held') assert.deepEqual(gateway.dialled, []);
    if (answer === SPOOF) {
      assertLine(await gateway.closed(), { end: 'spoof', user: null, tried: `${what}@example.com` });
    }
  });
}

for (const [password, answer] of [
  ['secret', SPOOF],
  ['guess', WRONG],
] as const) {
  test(`verify: store: a user on hold is shown the mailbox only once proven: "${password}"`, async (t) => {
    const vault = await startPasswordStore(t, { user: 'held@example.com', password: 'secret' });
    const gateway = openGateway(t, {
      protocol: 'pop3',
      backend: 'refused',
      users: 'held@example.com: { status: hold }\n',
      directory,
      service: { verify: { store: 'vault' }, spoof: { when: ['tempfail'] } },
      backends: { vault: { servers: `127.0.0.1:${vault.port}`, tls: 'notls' } },
    });
    const tries = `C: USER held\nS: +OK *\nC: PASS ${password}`;
    await gateway.play(`${POP3.greeting}\n${tries}\n${answer}\n${POP3.logout}`);
  });
}
