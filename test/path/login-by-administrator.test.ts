// login: proxy. The user's password is checked at a store (verify), then the administrator logs in for the user: SASL
// PLAIN with the user as the identity to act as. Whoever could not be checked is not logged in, and the administrator's
// password goes to nobody else.

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { ALL, type Errands, IMAP, plain, POP3, SMTP } from '../support/dialects.ts';
import { assertLine, type Gateway, openGateway, storeContext } from '../support/gateway.ts';
import {
  type PasswordStoreOptions,
  startPasswordStore,
  type PasswordStore,
} from '../support/password-store.ts';
import type { StoreOptions } from '../support/stores.ts';

/** The documented vector: shjorth@sun.com, admin, secret. */
const VECTOR = 'c2hqb3J0aEBzdW4uY29tAGFkbWluAHNlY3JldA==';
const USER = 'shjorth@sun.com';
const PASSWORD = 'own password';

interface Scene {
  readonly store?: PasswordStoreOptions;
  readonly backend?: StoreOptions;
  readonly to?: Readonly<Record<string, unknown>>;
  readonly service?: Readonly<Record<string, unknown>>;
}

interface Opened {
  readonly gateway: Gateway;
  readonly asked: PasswordStore;
  readonly logins: readonly { readonly authzid: string; readonly user: string; readonly secret: string }[];
}

async function open(t: TestContext, errands: Errands, scene: Scene = {}): Promise<Opened> {
  const asked = await startPasswordStore(t, { user: USER, password: PASSWORD, ...scene.store });
  const behind = errands.store({ accepts: ({ user }) => user === 'admin', ...scene.backend });
  const gateway = openGateway(t, {
    protocol: errands.protocol,
    backend: behind.script,
    service: { verify: { store: 'check' }, ...scene.service },
    to: { login: 'proxy', admin: { user: 'admin', password: 'secret' }, ...scene.to },
    backends: { check: { servers: `127.0.0.1:${asked.port}`, tls: 'notls' } },
  });
  return { gateway, asked, logins: behind.logins };
}

async function until(check: () => boolean): Promise<void> {
  for (let wait = 0; wait < 500 && !check(); wait++) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.ok(check());
}

/** A login up to its answer, with PLAIN. */
function tries({ protocol }: Errands, message: string): string {
  return {
    imap: `C: a1 AUTHENTICATE PLAIN ${message}`,
    pop3: `C: AUTH PLAIN ${message}`,
    smtp: `C: EHLO client.test\nS> 250 *\nC: AUTH PLAIN ${message}`,
  }[protocol];
}

const ACCEPTED = { imap: 'S: a1 OK *', pop3: 'S: +OK Welcome*', smtp: 'S: 235 *' };
const REFUSED = {
  imap: 'S: a1 NO [AUTHENTICATIONFAILED] *',
  pop3: 'S: -ERR [AUTH] *',
  smtp: 'S: 535 5.7.8 *',
};
const NOT_FOR_OTHERS = {
  imap: 'S: a1 NO [AUTHORIZATIONFAILED] *',
  pop3: 'S: -ERR [AUTH] *',
  smtp: 'S: 535 5.7.8 *',
};
const UNAVAILABLE = {
  imap: 'S: a1 NO [UNAVAILABLE] *',
  pop3: 'S: -ERR [SYS/TEMP] *',
  smtp: 'S: 421 4.4.1 *',
};
const LATER = { ...UNAVAILABLE, smtp: 'S: 454 4.7.0 *' };
const KICKED = {
  imap: 'S: * BYE [UNAVAILABLE] *\n-- eof\n-- end',
  pop3: 'S: -ERR [SYS/TEMP] *\n-- eof\n-- end',
  smtp: 'S: 421 4.3.2 *\n-- eof\n-- end',
};
const WIRE = {
  imap: `AUTHENTICATE PLAIN ${VECTOR}\r\n`,
  pop3: `AUTH PLAIN ${VECTOR}\r\n`,
  smtp: `AUTH PLAIN ${VECTOR}\r\n`,
};

for (const errands of ALL) {
  const { protocol, greeting, logout } = errands;

  test(`${protocol}: the administrator logs in for the user, in the documented bytes`, async (t) => {
    const { gateway, asked, logins } = await open(t, errands);
    await gateway.play(
      `${greeting}\n${tries(errands, plain(USER, PASSWORD))}\n${ACCEPTED[protocol]}\n${logout}`,
    );
    assert.ok(gateway.backendHeard.includes(WIRE[protocol]), gateway.backendHeard);
    assert.deepEqual(asked.logins, [`${USER} ${PASSWORD}`]);
    assert.deepEqual(
      logins.map(({ authzid, user, secret }) => [authzid, user, secret]),
      [[USER, 'admin', 'secret']],
    );
    assertLine(await gateway.closed(), { code: null, user: USER });
    assert.doesNotMatch(JSON.stringify(gateway.lines), /own password|"secret"|c2hqb3J0/);
  });

  test(`${protocol}: a wrong password is refused here, and no server hears of it`, async (t) => {
    const { gateway, asked } = await open(t, errands);
    const client = await gateway.play(
      `${greeting}\n${tries(errands, plain(USER, 'guess'))}\n${REFUSED[protocol]}`,
    );
    assert.deepEqual(gateway.dialled, []);
    assert.deepEqual(asked.logins, [`${USER} guess`]);
    const again = tries(errands, plain(USER, PASSWORD)).replace(/^C: EHLO.*\nS> .*\n/, '');
    await gateway.resume(client, `${again}\n${ACCEPTED[protocol]}\n${logout}`);
    assertLine(await gateway.closed(), { code: null, user: USER });
  });

  test(`${protocol}: wrong passwords are counted as those of a backend are`, async (t) => {
    const { gateway } = await open(t, errands);
    const guess = `${tries(errands, plain(USER, 'guess'))}\n${REFUSED[protocol]}`;
    await gateway.play(`${greeting}\n${guess}\n${guess}\n${guess}\nS> *Too many failed logins*\n-- eof`);
    assertLine(await gateway.closed(), { code: 'TOO_MANY_LOGINS' });
  });

  test(`${protocol}: a store that cannot say is no wrong password`, async (t) => {
    const { gateway } = await open(t, errands, { store: { verdict: 'NO [UNAVAILABLE] later' } });
    await gateway.play(`${greeting}\n${tries(errands, plain(USER, PASSWORD))}\n${UNAVAILABLE[protocol]}`);
    assert.deepEqual(gateway.dialled, []);
  });

  test(`${protocol}: an administrator whom the store refuses is no wrong password, and told for what it is`, async (t) => {
    const { gateway } = await open(t, errands, { backend: { accepts: () => false } });
    await gateway.play(`${greeting}\n${tries(errands, plain(USER, PASSWORD))}\n${LATER[protocol]}`);
    const line = await gateway.logged(({ event }) => event === 'login-failed');
    assertLine(line, { code: 'BACKEND_ADMIN_REFUSED', level: 'error', user: USER });
    assert.match(JSON.stringify(line), /admin: admin, said: [^"]*Wrong/);
    assert.doesNotMatch(JSON.stringify(gateway.lines), /own password|"secret"|c2hqb3J0/);
  });

  test(`${protocol}: nobody logs in for somebody else, though for themselves they may say so`, async (t) => {
    const { gateway, asked } = await open(t, errands);
    await gateway.play(
      `${greeting}\n${tries(errands, plain(USER, PASSWORD, 'boss'))}\n${NOT_FOR_OTHERS[protocol]}`,
    );
    assert.deepEqual([asked.logins, gateway.dialled], [[], []]);
    await gateway.play(
      `${greeting}\n${tries(errands, plain(USER, PASSWORD, USER))}\n${ACCEPTED[protocol]}\n${logout}`,
    );
  });

  test(`${protocol}: the administrator's password does not go to a far server in clear, to one with TLS it does`, async (t) => {
    const far = { servers: ['192.0.2.99:1000'] };
    const { gateway, logins } = await open(t, errands, { to: far });
    await gateway.play(`${greeting}\n${tries(errands, plain(USER, PASSWORD))}\n${UNAVAILABLE[protocol]}`);
    assert.deepEqual(logins, []);
    assert.doesNotMatch(gateway.backendHeard, new RegExp(VECTOR));
    const secured = await open(t, errands, {
      to: { ...far, tls: { mode: 'musttls', name: 'store.test' } },
      backend: { tls: storeContext() },
    });
    await secured.gateway.play(
      `${greeting}\n${tries(errands, plain(USER, PASSWORD))}\n${ACCEPTED[protocol]}\n${logout}`,
    );
    assert.equal(secured.logins[0]?.authzid, USER);
  });
}

for (const errands of ALL) {
  const { protocol, greeting } = errands;
  test(`${protocol}: a client that is kicked while its password is checked is told so at once, and no server is dialled for it`, async (t) => {
    const held = Promise.withResolvers<void>();
    const { gateway, asked } = await open(t, errands, {
      store: { held: held.promise },
      service: { capabilities: protocol === 'smtp' ? ['SIZE'] : ['UIDL'] },
    });
    const client = await gateway.play(`${greeting}\n${tries(errands, plain(USER, PASSWORD))}`);
    await until(() => asked.open() === 1);
    const dialled = gateway.dialled.length;
    const everybody = { id: null, user: null, network: null, backend: null, service: null };
    assert.equal(gateway.front.kick(everybody), 1);
    await gateway.resume(client, KICKED[protocol]);
    held.resolve();
    await until(() => asked.open() === 0);
    assertLine(await gateway.closed(), { code: 'KICKED', user: null });
    assert.equal(gateway.dialled.length, dialled);
  });
}

test('imap: a server without SASL-IR is asked first, with the same bytes', async (t) => {
  const { gateway } = await open(t, IMAP, { backend: { saslIr: false } });
  await gateway.play(`${IMAP.greeting}\nC: a1 LOGIN ${USER} "${PASSWORD}"\nS: a1 OK *\n${IMAP.logout}`);
  assert.match(gateway.backendHeard, new RegExp(`AUTHENTICATE PLAIN\\r\\n${VECTOR}\\r\\n`));
});

test('imap: a server that takes no PLAIN gets nothing', async (t) => {
  const { gateway, logins } = await open(t, IMAP, { backend: { mechanisms: ['LOGIN'] } });
  await gateway.play(
    `${IMAP.greeting}\nC: a1 LOGIN ${USER} "${PASSWORD}"\nS: a1 NO [UNAVAILABLE] *\n${IMAP.logout}`,
  );
  assert.deepEqual(logins, []);
  assertLine(await gateway.logged(({ event }) => event === 'login-failed'), { code: 'BACKEND_NO_MECHANISM' });
});

test('imap: what the store has against the user is told as it is', async (t) => {
  const refusal = '[AUTHORIZATIONFAILED] Not this one';
  const { gateway } = await open(t, IMAP, { backend: { accepts: () => false, refusal } });
  await gateway.play(
    `${IMAP.greeting}\n${tries(IMAP, plain(USER, PASSWORD))}\nS: a1 NO ${refusal}\n${IMAP.logout}`,
  );
});

test('pop3: USER and PASS become AUTH PLAIN', async (t) => {
  const { gateway } = await open(t, POP3);
  await gateway.play(
    `${POP3.greeting}\nC: USER ${USER}\nS: +OK *\nC: PASS ${PASSWORD}\nS: +OK Welcome*\n${POP3.logout}`,
  );
  assert.match(gateway.backendHeard, new RegExp(`AUTH PLAIN ${VECTOR}`));
});

const token = Buffer.from(`user=${USER}\x01auth=Bearer abc\x01\x01`).toString('base64');

test('tokens are neither offered nor taken where an administrator logs in, passwords are', async (t) => {
  const { gateway } = await open(t, IMAP, { backend: { mechanisms: ['PLAIN', 'XOAUTH2'] } });
  const client = await gateway.play(`
    S: * OK [CAPABILITY *] *
    C: c1 CAPABILITY
    S: * CAPABILITY *
    S: c1 OK *
    C: a1 AUTHENTICATE XOAUTH2 ${token}
    S: a1 NO *
    C: a1 LOGIN ${USER} "${PASSWORD}"
    S: a1 OK *`);
  assert.doesNotMatch(client.heard, /XOAUTH2/);
  await gateway.resume(client, IMAP.logout);
});

test('verify with login: replay: checked first, and then the backend gets what the client gave', async (t) => {
  const { gateway, asked, logins } = await open(t, SMTP, {
    to: { login: 'replay', admin: {} },
    backend: { accepts: () => true },
  });
  await gateway.play(
    `${SMTP.greeting}\n${tries(SMTP, plain(USER, 'guess'))}\n${REFUSED.smtp}\n${SMTP.logout}`,
  );
  assert.equal(logins.length, 0);
  await gateway.play(
    `${SMTP.greeting}\n${tries(SMTP, plain(USER, PASSWORD))}\n${ACCEPTED.smtp}\n${SMTP.logout}`,
  );
  assert.equal(asked.logins.length, 2);
  assert.deepEqual(
    logins.map(({ user, secret }) => [user, secret]),
    [[USER, PASSWORD]],
  );
});
