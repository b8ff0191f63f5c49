// Logins with a file of users: each goes to the backend, host and name that the file says, and nowhere else.

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { ALL, IMAP, plain, POP3, SMTP } from '../support/dialects.ts';
import { assertLine, type Gateway, type GatewayOptions, openGateway } from '../support/gateway.ts';
import { imapStore } from '../support/stores.ts';

const USERS = `
anna@example.com: other
bob@example.com: { server: imap7.internal, login: "%U" }
"@example.org": { server: [imap8.internal, imap9.internal] }
lost@example.com: { server: evil.example.net, password: secret }
held@example.com: { status: hold, password: secret }
gone@example.com: { status: inactive, password: secret }
near@example.com: { access: "+imap:198.51.100.0/24", password: secret }
wary@example.com: { password: another }
safe@example.com: { access: "+imaps,pops:ALL", password: secret }
`;

const ADMIN = { user: 'mmp', password: 'of the store' };
const store = imapStore();

function open(t: TestContext, options: Partial<GatewayOptions> = {}): Gateway {
  return openGateway(t, {
    protocol: 'imap',
    backend: store.script,
    users: USERS,
    directory: { defaultDomain: 'example.com' },
    to: { hosts: ['*.internal'], port: 1143, allowClearBackend: true },
    backends: { other: { servers: '127.0.0.9:143', tls: 'notls' } },
    ...options,
  });
}

const login = (user: string, answer: string): string =>
  `${IMAP.greeting}\nC: a1 LOGIN "${user}" secret\nS: a1 ${answer}`;

test('a user goes to the backend of the file, and is known by the whole name in the log', async (t) => {
  const gateway = open(t);
  await gateway.play(`${login('anna', 'OK *Welcome anna@example.com')}\n${IMAP.logout}`);
  assert.deepEqual(gateway.dialled, ['127.0.0.9:143']);
  assertLine(await gateway.closed(), { user: 'anna@example.com', code: null });
});

test('a host of the file is dialled at the port of the backend, with the login of the file', async (t) => {
  const gateway = open(t);
  await gateway.play(`${login('Bob@Example.COM', 'OK *Welcome Bob')}\n${IMAP.logout}`);
  assert.deepEqual(gateway.dialled, ['imap7.internal:1143']);
});

test('where the first host is down the second serves, and the first is left alone afterwards', async (t) => {
  const gateway = open(t, { plans: { 'imap8.internal:1143': 'refused' } });
  for (let time = 0; time < 2; time++)
    await gateway.play(`${login('u@example.org', 'OK *')}\n${IMAP.logout}`);
  assert.deepEqual(gateway.dialled, ['imap8.internal:1143', 'imap9.internal:1143', 'imap9.internal:1143']);
  assert.equal(gateway.front.servers().find(({ server }) => server === 'imap8.internal:1143')?.phase, 'open');
});

test('a host that the settings do not allow is never dialled; it is a temporary failure, and logged by name', async (t) => {
  const gateway = open(t);
  await gateway.play(login('lost', 'NO [UNAVAILABLE] *'));
  assert.deepEqual(gateway.dialled, []);
  const line = await gateway.logged(({ event }) => event === 'login-failed');
  assertLine(line, { code: 'DIRECTORY_TARGET' });
  assert.match(String(line['cause']), /evil\.example\.net/);
});

test('that a user is led to such a host is told to nobody who has not shown its password, or the right to act for it', async (t) => {
  const gateway = open(t, { service: { verify: 'directory' } });
  const tried = (password: string): string => `C: a1 LOGIN lost ${password}`;
  await gateway.play(
    `${IMAP.greeting}\n${tried('guess')}\nS: a1 NO [AUTHENTICATIONFAILED] *\n${tried('secret')}\nS: a1 NO [UNAVAILABLE] *`,
  );
  const acting = open(t, { service: { verify: 'directory', adminPolicy: 'simple' }, to: { admin: ADMIN } });
  const acts = (password: string): string =>
    `C: a1 AUTHENTICATE PLAIN ${plain('mmp', password, 'lost@example.com')}`;
  await acting.play(
    `${IMAP.greeting}\n${acts('guess')}\nS: a1 NO [AUTHENTICATIONFAILED] *\n${acts('of the store')}\nS: a1 NO [UNAVAILABLE] *`,
  );
  assert.deepEqual([...gateway.dialled, ...acting.dialled], []);
});

test('an account on hold is a temporary refusal', async (t) => {
  const gateway = open(t);
  await gateway.play(login('held', 'NO [UNAVAILABLE] *'));
  assert.deepEqual(gateway.dialled, []);
  assertLine(await gateway.logged(({ event }) => event === 'login-failed'), { code: 'USER_ON_HOLD' });
});

test('an inactive account is told the truth only once its password is proven', async (t) => {
  const unproven = open(t);
  await unproven.play(login('gone', 'NO [AUTHENTICATIONFAILED] Wrong user name or password'));
  const checked = open(t, { service: { verify: 'directory' } });
  await checked.play(login('gone', 'NO [AUTHORIZATIONFAILED] *'));
  assert.deepEqual([...unproven.dialled, ...checked.dialled], []);
});

test('who has no password in the directory is told what a wrong one is told, and the log says which it is', async (t) => {
  const gateway = open(t, { service: { verify: 'directory' } });
  for (const [user, said] of [
    ['anna', 'the directory has no password of this user'],
    ['wary', 'wrong password'],
  ] as const) {
    await gateway.play(login(user, 'NO [AUTHENTICATIONFAILED] Wrong user name or password'));
    const line = gateway.lines.findLast(({ event }) => event === 'login-refused');
    assert.equal(line?.['said'], said);
  }
  assert.deepEqual(gateway.dialled, []);
});

test('access rules of a user: from where they allow it, and not from elsewhere', async (t) => {
  const gateway = open(t, { service: { verify: 'directory' } });
  await gateway.play(login('near', 'NO [AUTHORIZATIONFAILED] *'), { from: '192.0.2.7' });
  await gateway.play(`${login('near', 'OK *')}\n${IMAP.logout}`, { from: '198.51.100.9' });
  assert.equal(gateway.dialled.length, 1);
});

test('access rules that ask for TLS take STARTTLS', async (t) => {
  const gateway = open(t, { service: { verify: 'directory' } });
  await gateway.play(login('safe', 'NO [AUTHORIZATIONFAILED] *'));
  await gateway.play(
    `${IMAP.greeting}\n${IMAP.starttls}\nC: a1 LOGIN safe secret\nS: a1 OK *\n${IMAP.logout}`,
  );
});

test('by the address that the client connected to another domain is meant', async (t) => {
  const gateway = open(t, { service: { domains: { '198.51.100.1': { defaultDomain: 'example.org' } } } });
  await gateway.play(`${login('anna', 'OK *Welcome anna@example.org')}\n${IMAP.logout}`);
  assert.deepEqual(gateway.dialled, ['imap8.internal:1143']);
});

test('the limit of a user holds whatever the spelling of the name', async (t) => {
  const gateway = open(t, { limits: { perUser: 1 } });
  await gateway.play(login('anna', 'OK *'));
  await gateway.play(login('ANNA@example.com', 'NO [LIMIT] *'));
});

test('without a directory a name without a domain gets the default one at the store', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: imapStore().script,
    directory: { defaultDomain: 'example.com', domainDelimiters: '@+' },
  });
  await gateway.play(`${login('anna', 'OK *Welcome anna@example.com')}\n${IMAP.logout}`);
  await gateway.play(`${login('anna+example.org', 'OK *Welcome anna@example.org')}\n${IMAP.logout}`);
});

for (const errands of ALL) {
  const { protocol, greeting } = errands;
  const message = (user: string, password: string): string => plain(user, password);
  const tries = (user: string, password: string): string =>
    ({
      imap: `C: a1 AUTHENTICATE PLAIN ${message(user, password)}`,
      pop3: `C: AUTH PLAIN ${message(user, password)}`,
      smtp: `C: EHLO client.test\nS> 250 *\nC: AUTH PLAIN ${message(user, password)}`,
    })[protocol];
  const wrong = {
    imap: 'S: a1 NO [AUTHENTICATIONFAILED] Wrong user name or password',
    pop3: 'S: -ERR [AUTH] Wrong user name or password',
    smtp: 'S: 535 5.7.8 Wrong user name or password',
  }[protocol];
  const accepted = { imap: 'S: a1 OK *', pop3: 'S: +OK *', smtp: 'S: 235 *' }[protocol];

  test(`${protocol}: verify: directory checks stored passwords, and the store never hears a wrong one`, async (t) => {
    const behind = errands.store({ accepts: () => true });
    const gateway = openGateway(t, {
      protocol,
      backend: behind.script,
      users: 'anna: { password: "{SSHA}QsZCbS/gbgpV5i1c+SGSDgl69cBzYWx0" }\n',
      service: { verify: 'directory' },
    });
    for (const [user, password] of [
      ['anna', 'guess'],
      ['nobody', 'open'],
      ['anna', 'opener'],
    ] as const) {
      await gateway.play(`${greeting}\n${tries(user, password)}\n${wrong}`);
    }
    assert.deepEqual([behind.logins, gateway.dialled], [[], []]);
    await gateway.play(`${greeting}\n${tries('anna', 'open')}\n${accepted}\n${errands.logout}`);
    assert.deepEqual(
      behind.logins.map(({ user, secret }) => [user, secret]),
      [['anna', 'open']],
    );
  });
}

for (const errands of [IMAP, POP3]) {
  const { protocol, greeting } = errands;
  test(`${protocol}: an unknown user is told what a wrong password is told, after as long, and counts as a guess`, async (t) => {
    const behind = errands.store({ refusal: '[AUTHENTICATIONFAILED] the words of this store' });
    const gateway = openGateway(t, { protocol, backend: behind.script, users: 'anna: {}\n', penalties: {} });
    const answer = { imap: 'S: a1 NO *', pop3: 'S: -ERR *', smtp: '' }[protocol];
    const tries = (user: string): string =>
      protocol === 'imap' ? `C: a1 LOGIN ${user} guess` : `C: USER ${user}\nS: +OK *\nC: PASS guess`;
    const one = await gateway.play(`${greeting}\n${tries('anna')}\n${answer}`, { from: '192.0.2.1' });
    const two = await gateway.play(`${greeting}\n${tries('nobody')}\n${answer}`, { from: '192.0.2.2' });
    const last = (heard: string): string => heard.trim().split('\r\n').at(-1) ?? '';
    assert.equal(last(two.heard), last(one.heard));
    assert.deepEqual(
      behind.logins.map(({ user }) => user),
      ['anna'],
    );
    const late = gateway.connect({ from: '192.0.2.2' });
    const again = gateway.resume(late, `${greeting}\n${tries('anna')}`);
    await gateway.logged(({ event }) => event === 'login-delayed');
    await again;
  });
}

test('smtp asks the directory only where it checks passwords, and the relay stays the one of the channel', async (t) => {
  const behind = SMTP.store({ accepts: () => true });
  const gateway = openGateway(t, {
    protocol: 'smtp',
    backend: behind.script,
    users: '"@example.org": { server: a.internal }\n',
  });
  await gateway.play(
    `${SMTP.greeting}\nC: EHLO c.test\nS> 250 *\nC: AUTH PLAIN ${plain('x', 'y')}\nS: 235 *`,
  );
  assert.deepEqual(gateway.dialled, ['127.0.0.1:25']);
});

test('login: proxy: the administrator acts as the name that the file gives', async (t) => {
  const behind = imapStore({ accepts: ({ user }) => user === 'admin' });
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: behind.script,
    users: 'anna: { login: "store-%U", password: secret }\n',
    service: { verify: 'directory' },
    to: { login: 'proxy', admin: { user: 'admin', password: 'secret' } },
  });
  await gateway.play(`${login('anna', 'OK *')}\n${IMAP.logout}`);
  assert.deepEqual(
    behind.logins.map(({ authzid, user }) => [authzid, user]),
    [['store-anna', 'admin']],
  );
  await gateway.play(
    `${IMAP.greeting}\nC: a1 AUTHENTICATE PLAIN ${plain('anna', 'secret', 'boss')}\nS: a1 NO *`,
  );
  assert.equal(behind.logins.length, 1);
});
