// SASL PLAIN with an identity to act as, by who asks and what `adminPolicy` says. Whoever may is logged in by the
// administrator of the user's own store, and at no other; whoever may not is somebody who guesses.

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { readFilter } from '../../src/service/sessions.ts';
import { type Errands, IMAP, plain, POP3 } from '../support/dialects.ts';
import { assertLine, type Gateway, type GatewayOptions, openGateway } from '../support/gateway.ts';
import { openGranting } from '../support/granting.ts';
import { startPasswordStore } from '../support/password-store.ts';
import { type Login } from '../support/stores.ts';

const USERS = `
anna@example.com: { password: secret, backend: { imap: other, pop3: other }, login: "%U" }
bob@example.com: { password: secret }
boss@example.com: { password: of the boss }
held@example.com: { password: secret, status: hold }
gone@example.com: { password: secret, status: inactive }
near@example.com: { password: secret, access: "+ALL:203.0.113.0/24" }
`;
const STORE_ADMIN = { user: 'mmp', password: 'of the store' };
const OTHER = '127.0.0.9:1';
const OWN = '127.0.0.8:1';

interface Opened {
  readonly gateway: Gateway;
  readonly logins: Login[];
}

function open(
  t: TestContext,
  errands: Errands,
  { more = {}, ...service }: Readonly<Record<string, unknown>> & { readonly more?: Partial<GatewayOptions> },
): Opened {
  const store = errands.store({ accepts: ({ user }) => user !== 'nobody' });
  const gateway = openGateway(t, {
    protocol: errands.protocol,
    backend: store.script,
    users: USERS,
    directory: {
      defaultDomain: 'example.com',
      admins: ['boss', 'held@example.com', 'gone@example.com', 'near@example.com'],
    },
    to: { servers: OWN, admin: STORE_ADMIN },
    backends: { other: { servers: OTHER, tls: 'notls', admin: { user: 'mmp2', password: 'of the other' } } },
    ...more,
    service: { verify: 'directory', ...service },
  });
  return { gateway, logins: store.logins };
}

/** A login up to its answer. */
function tries({ protocol }: Errands, message: string): string {
  return protocol === 'pop3' ? `C: AUTH PLAIN ${message}` : `C: a1 AUTHENTICATE PLAIN ${message}`;
}

const ANSWERS = {
  in: { imap: 'S: a1 OK *', pop3: 'S: +OK Welcome*' },
  wrong: {
    imap: 'S: a1 NO [AUTHENTICATIONFAILED] Wrong user name or password',
    pop3: 'S: -ERR [AUTH] Wrong *',
  },
  notAllowed: { imap: 'S: a1 NO [AUTHORIZATIONFAILED] *', pop3: 'S: -ERR [AUTH] *' },
  later: { imap: 'S: a1 NO [UNAVAILABLE] *', pop3: 'S: -ERR [SYS/TEMP] *' },
} as const;
type Answer = keyof typeof ANSWERS;

const POLICIES = ['none', 'simple', 'group'] as const;

/** Who logs in for whom, and the answer by policy. */
const ROWS: readonly (readonly [string, readonly [string, string, string], readonly Answer[]])[] = [
  ['the administrator of the store', ['anna', 'mmp2', 'of the other'], ['notAllowed', 'in', 'in']],
  ['the same with a wrong password', ['anna', 'mmp2', 'guess'], ['notAllowed', 'wrong', 'wrong']],
  ['the administrator of another store', ['anna', 'mmp', 'of the store'], ['notAllowed', 'wrong', 'wrong']],
  ['somebody who is listed', ['anna', 'boss', 'of the boss'], ['notAllowed', 'wrong', 'in']],
  ['the same with a wrong password', ['anna', 'boss', 'guess'], ['notAllowed', 'wrong', 'wrong']],
  ['a user with the right password', ['anna', 'bob', 'secret'], ['notAllowed', 'wrong', 'notAllowed']],
  ['a user with the password of the other', ['anna', 'bob', 'of the boss'], ['notAllowed', 'wrong', 'wrong']],
  ['somebody who is not there', ['anna', 'nemo', 'secret'], ['notAllowed', 'wrong', 'wrong']],
  ['an administrator on hold', ['anna', 'held', 'secret'], ['notAllowed', 'wrong', 'later']],
  ['an inactive administrator', ['anna', 'gone', 'secret'], ['notAllowed', 'wrong', 'notAllowed']],
  ['an administrator from elsewhere', ['anna', 'near', 'secret'], ['notAllowed', 'wrong', 'notAllowed']],
  [
    'for nobody, the administrator of the store',
    ['nemo', 'mmp', 'of the store'],
    ['notAllowed', 'wrong', 'wrong'],
  ],
  ['for nobody, somebody who is listed', ['nemo', 'boss', 'of the boss'], ['notAllowed', 'wrong', 'wrong']],
  ['for nobody, a user', ['nemo', 'bob', 'secret'], ['notAllowed', 'wrong', 'notAllowed']],
  [
    'for an inactive user, somebody listed',
    ['gone', 'boss', 'of the boss'],
    ['notAllowed', 'wrong', 'notAllowed'],
  ],
  ['for oneself', ['bob', 'bob', 'secret'], ['in', 'in', 'in']],
];

for (const errands of [IMAP, POP3]) {
  const { protocol, greeting } = errands;
  const said = (answer: Answer): string => ANSWERS[answer][protocol === 'pop3' ? 'pop3' : 'imap'];
  for (const [what, [target, user, password], answers] of ROWS) {
    for (const [index, answer] of answers.entries()) {
      const adminPolicy = POLICIES[index];
      test(`${protocol}, adminPolicy: ${adminPolicy}: ${what} (${user} for ${target}): ${answer}`, async (t) => {
        const { gateway } = open(t, errands, { adminPolicy });
        await gateway.play(`${greeting}\n${tries(errands, plain(user, password, target))}\n${said(answer)}`);
        const wanted = target === 'bob' ? OWN : OTHER;
        assert.deepEqual(gateway.dialled, answer === 'in' ? [wanted] : []);
      });
    }
  }

  test(`${protocol}: it is the user's store that is logged in to, by its administrator, and the log has both`, async (t) => {
    const { gateway, logins } = open(t, errands, { adminPolicy: 'group' });
    await gateway.play(
      `${greeting}\n${tries(errands, plain('boss', 'of the boss', 'anna'))}\n${said('in')}\n${errands.logout}`,
    );
    assert.deepEqual(
      logins.map(({ authzid, user, secret }) => [authzid, user, secret]),
      [['anna', 'mmp2', 'of the other']],
    );
    assertLine(await gateway.closed(), { user: 'anna@example.com', admin: 'boss@example.com', code: null });
    assertLine(await gateway.logged(({ event }) => event === 'login-as'), {
      as: 'anna@example.com',
      admin: 'boss@example.com',
      backend: OTHER,
    });
    assert.doesNotMatch(JSON.stringify(gateway.lines), /of the (boss|other|store)/);
  });

  test(`${protocol}: where the store has no administrator, whoever was proven here logs in under its own name`, async (t) => {
    const { gateway, logins } = open(t, errands, {
      adminPolicy: 'group',
      more: { backends: { other: { servers: OTHER, tls: 'notls' } } },
    });
    await gateway.play(`${greeting}\n${tries(errands, plain('boss', 'of the boss', 'anna'))}\n${said('in')}`);
    assert.deepEqual(
      logins.map(({ authzid, user, secret }) => [authzid, user, secret]),
      [['anna', 'boss@example.com', 'of the boss']],
    );
  });

  test(`${protocol}: verify: backend: the store of the user judges, and no other hears of it`, async (t) => {
    for (const adminPolicy of POLICIES) {
      const { gateway, logins } = open(t, errands, { verify: 'backend', adminPolicy });
      await gateway.play(
        `${greeting}\n${tries(errands, plain('master', 'of a master', 'anna'))}\n${said('in')}`,
      );
      await gateway.play(
        `${greeting}\n${tries(errands, plain('nobody', 'of nobody', 'anna'))}\n${said('wrong')}`,
      );
      await gateway.play(
        `${greeting}\n${tries(errands, plain('master', 'of a master', 'nemo'))}\n${said('wrong')}`,
      );
      assert.deepEqual(gateway.dialled, [OTHER, OTHER]);
      assert.deepEqual(logins[0], { how: 'PLAIN', authzid: 'anna', user: 'master', secret: 'of a master' });
    }
  });

  test(`${protocol}: verify: a store: the administrator of the user's store is known here, others are asked for there`, async (t) => {
    const asked = await startPasswordStore(t, { user: 'boss@example.com', password: 'of the boss' });
    const backends = {
      other: { servers: OTHER, tls: 'notls', admin: { user: 'mmp2', password: 'of the other' } },
      check: { servers: `127.0.0.1:${asked.port}`, tls: 'notls' },
    };
    const { gateway, logins } = open(t, errands, {
      verify: { store: 'check' },
      adminPolicy: 'group',
      more: { backends },
    });
    const play = (user: string, password: string, answer: Answer): Promise<unknown> =>
      gateway.play(`${greeting}\n${tries(errands, plain(user, password, 'anna'))}\n${said(answer)}`);
    await play('mmp2', 'of the other', 'in');
    assert.deepEqual(asked.logins, []);
    await play('boss', 'of the boss', 'in');
    await play('boss', 'guess', 'wrong');
    await play('bob', 'secret', 'wrong');
    assert.equal(asked.logins.length, 3);
    assert.deepEqual(
      logins.map(({ authzid, user }) => [authzid, user]),
      [
        ['anna', 'mmp2'],
        ['anna', 'mmp2'],
      ],
    );
  });
}

for (const errands of [IMAP, POP3]) {
  test(`${errands.protocol}, verify: a store, adminPolicy: none: nobody, whatever the store of the user would say`, async (t) => {
    const asked = await startPasswordStore(t, { user: 'boss@example.com', password: 'of the boss' });
    const check = { servers: `127.0.0.1:${asked.port}`, tls: 'notls' };
    const other = { servers: OTHER, tls: 'notls' };
    const { gateway } = open(t, errands, {
      verify: { store: 'check' },
      more: { backends: { check, other } },
    });
    const words = ANSWERS.notAllowed[errands.protocol === 'pop3' ? 'pop3' : 'imap'];
    await gateway.play(
      `${errands.greeting}\n${tries(errands, plain('boss', 'of the boss', 'anna'))}\n${words}`,
    );
    assert.deepEqual([gateway.dialled, asked.logins], [[], []]);
    const line = gateway.lines.find(({ event }) => event === 'login-refused');
    assert.match(String(line?.['said']), /adminPolicy/);
  });
}

const guesses = (gateway: Gateway): number =>
  gateway.lines.filter(({ event }) => event === 'login-delayed').length;

for (const [what, user, password] of [
  ['a wrong password', 'mmp2', 'guess'],
  ['a right one of somebody who may not', 'bob', 'secret'],
] as const) {
  test(`${what} makes the next login wait`, async (t) => {
    const { gateway } = open(t, IMAP, { adminPolicy: 'group', more: { penalties: {} } });
    const client = await gateway.play(
      `${IMAP.greeting}\n${tries(IMAP, plain(user, password, 'anna'))}\nS: a1 NO *`,
    );
    const next = gateway.resume(client, `${tries(IMAP, plain('boss', 'of the boss', 'anna'))}\nS: a1 OK *`);
    await gateway.logged(({ event }) => event === 'login-delayed');
    await gateway.advance(2100);
    await next;
    assert.equal(guesses(gateway), 1);
  });
}

test('failures are counted, and the log says who tried it and for whom', async (t) => {
  const { gateway } = open(t, IMAP, { adminPolicy: 'simple' });
  const guess = `${tries(IMAP, plain('mmp2', 'guess', 'anna'))}\nS: a1 NO *`;
  await gateway.play(`${IMAP.greeting}\n${guess}\n${guess}\n${guess}\nS: * BYE *\n-- eof\n-- end`);
  assertLine(await gateway.closed(), { code: 'TOO_MANY_LOGINS', user: null, tried: 'anna', admin: 'mmp2' });
  assertLine(await gateway.logged(({ event }) => event === 'login-refused'), { user: 'anna', admin: 'mmp2' });
});

test('the administrator of an address is the one who counts for those that came there', async (t) => {
  const domains = { '198.51.100.2': { adminPolicy: 'simple', admin: { user: 'root', password: 'of two' } } };
  const { gateway, logins } = open(t, IMAP, { domains });
  const script = (user: string, password: string, answer: string): string =>
    `${IMAP.greeting}\n${tries(IMAP, plain(user, password, 'anna'))}\nS: a1 ${answer}`;
  await gateway.play(script('root', 'of two', 'OK *'), { at: '198.51.100.2' });
  await gateway.play(script('mmp2', 'of the other', 'NO [AUTHENTICATIONFAILED] *'), { at: '198.51.100.2' });
  await gateway.play(script('root', 'of two', 'NO [AUTHORIZATIONFAILED] *'));
  assert.deepEqual(
    logins.map(({ authzid, user, secret }) => [authzid, user, secret]),
    [['anna', 'root', 'of two']],
  );
});

test('the next login on the same connection is nobody else again', async (t) => {
  const { gateway } = open(t, IMAP, { adminPolicy: 'simple' });
  await gateway.play(
    `${IMAP.greeting}\n${tries(IMAP, plain('mmp2', 'guess', 'anna'))}\nS: a1 NO *\n` +
      `C: a2 LOGIN bob secret\nS: a2 OK *\n${IMAP.logout}`,
  );
  assertLine(await gateway.closed(), { user: 'bob@example.com', admin: null });
});

test('a login for somebody else earns no grant', async (t) => {
  const pop3 = {
    protocol: 'pop3',
    listen: '127.0.0.1:0',
    tls: 'maytls',
    backend: 'pops',
    capabilities: ['UIDL'],
    authService: { from: ['192.0.2.7'] },
  };
  const { gateway } = openGranting(t, { popBeforeSmtp: { channel: 'tcp_intranet' }, services: { pop3 } });
  const script = (message: string): string =>
    `${POP3.greeting}\nC: AUTH PLAIN ${message}\nS: +OK *\n${POP3.logout}`;
  const ask = (answer: string): string => `${POP3.greeting}\nC: XQUERYAUTH 192.0.2.7\nS: ${answer}`;
  await gateway.play(script(plain('master', 'secret', 'anna')), { service: 'pop3' });
  await gateway.play(ask('-ERR not authenticated'), { service: 'pop3' });
  await gateway.play(script(plain('anna', 'secret')), { service: 'pop3' });
  await gateway.play(ask('+OK anna'), { service: 'pop3' });
});

test('who ends the sessions of an administrator ends those in which it acts for others too', async (t) => {
  const { gateway } = open(t, IMAP, { adminPolicy: 'group' });
  const message = plain('boss', 'of the boss', 'anna@example.com');
  await gateway.play(`${IMAP.greeting}\n${tries(IMAP, message)}\n${ANSWERS.in.imap}`);
  const of = (user: string): number => {
    const filter = readFilter({ user });
    return typeof filter === 'string' ? assert.fail(filter) : gateway.front.sessions(filter).count;
  };
  assert.deepEqual([of('Boss@example.com'), of('anna@example.com'), of('bob@example.com')], [1, 1, 0]);
});
