// SASL EXTERNAL: the client has shown a certificate in the handshake, and is the user whose mail address is in it. The
// store gets the administrator's login for that user; the client showed no password, and needs none. Whoever has no
// certificate that counts has a password as before.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test, type TestContext } from 'node:test';
import { believed, V2, V2_TLS } from '../support/balancer.ts';
import {
  ACCEPTED,
  answerTo,
  enter,
  enterBehind,
  external,
  open,
  type Opened,
  REFUSED,
  type Scene,
  UNKNOWN,
  USER,
  withPassword,
} from '../support/certificate-scene.ts';
import { ALL, IMAP, plain, SEND, SMTP } from '../support/dialects.ts';
import { assertLine } from '../support/gateway.ts';
import { type Mta, mta } from '../support/mta.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('base64');

/** The documented vector: shjorth@sun.com, admin, secret. */
const VECTOR = 'c2hqb3J0aEBzdW4uY29tAGFkbWluAHNlY3JldA==';

const GO_ON = { imap: 'S: +', pop3: 'S: +', smtp: 'S: 334' };
const WIRE = {
  imap: `AUTHENTICATE PLAIN ${VECTOR}\r\n`,
  pop3: `AUTH PLAIN ${VECTOR}\r\n`,
  smtp: `AUTH PLAIN ${VECTOR}\r\n`,
};

for (const errands of ALL) {
  const { protocol, logout } = errands;

  test(`${protocol}: a certificate alone logs in, in the documented bytes towards the store`, async (t) => {
    const { gateway, shown, logins } = open(t, errands);
    const client = await enter(gateway, errands, shown);
    await gateway.resume(client, `${external(errands)}\n${ACCEPTED[protocol]}\n${logout}`);
    assert.ok(gateway.backendHeard.includes(WIRE[protocol]), gateway.backendHeard);
    assert.deepEqual(
      logins.map(({ authzid, user, secret }) => [authzid, user, secret]),
      [[USER, 'admin', 'secret']],
    );
    const line = await gateway.closed();
    assertLine(line, { code: null, user: USER, mechanism: 'EXTERNAL' });
    assert.doesNotMatch(JSON.stringify(gateway.lines), /"secret"|c2hqb3J0/);
  });

  test(`${protocol}: without an initial response the client is asked, and an empty line is an answer`, async (t) => {
    const { gateway, shown } = open(t, errands);
    const client = await enter(gateway, errands, shown);
    await gateway.resume(
      client,
      `${external(errands).replace(' =', '')}\n${GO_ON[protocol]} \nC:\n${ACCEPTED[protocol]}\n${logout}`,
    );
    assertLine(await gateway.closed(), { user: USER });
  });

  test(`${protocol}: the identity that is asked for must be the certificate's own, in any spelling`, async (t) => {
    const { gateway, shown, logins } = open(t, errands);
    const client = await enter(gateway, errands, shown);
    await gateway.resume(client, `${external(errands, 'other@sun.com')}\n${REFUSED[protocol]}`);
    assert.deepEqual(logins, []);
    await gateway.resume(client, `${external(errands, 'SHJORTH@Sun.Com')}\n${ACCEPTED[protocol]}\n${logout}`);
    assertLine(await gateway.closed(), { user: USER });
    const refused = gateway.lines.find(({ event }) => event === 'login-refused');
    assert.match(JSON.stringify(refused), /stands for shjorth@sun\.com, not for/);
  });

  test(`${protocol}: without a certificate there is no EXTERNAL, and the password is taken as before`, async (t) => {
    const { gateway, logins } = open(t, errands);
    const client = await enter(gateway, errands);
    await gateway.resume(client, `${external(errands)}\n${UNKNOWN[protocol]}`);
    await gateway.resume(client, `${withPassword(errands, USER)}\n${logout}`);
    assert.deepEqual(
      logins.map(({ user }) => user),
      [USER],
    );
  });

  for (const [what, scene] of Object.entries({
    revoked: { isRevoked: true },
    'of a CA that is not trusted': { isForeign: true },
  })) {
    test(`${protocol}: one that is ${what} offers nothing, and the password is taken`, async (t) => {
      const { gateway, shown } = open(t, errands, scene);
      const client = await enter(gateway, errands, shown);
      await gateway.resume(client, `${external(errands)}\n${UNKNOWN[protocol]}`);
      await gateway.resume(client, `${withPassword(errands, USER)}\n${logout}`);
      assertLine(await gateway.closed(), { user: USER, mechanism: 'PLAIN' });
    });
  }

  test(`${protocol}: one that stands for two users is nobody's, and the password is taken on the same connection`, async (t) => {
    const { gateway, shown, logins } = open(t, errands, { emails: ['twin@sun.com'] });
    const client = await enter(gateway, errands, shown);
    await gateway.resume(client, `${external(errands)}\n${REFUSED[protocol]}`);
    assert.deepEqual(logins, []);
    const refused = gateway.lines.find(({ event }) => event === 'login-refused');
    assert.match(JSON.stringify(refused), /that of bert and twin/);
    await gateway.resume(client, `${withPassword(errands, USER)}\n${logout}`);
    assertLine(await gateway.closed(), { user: USER });
  });
}

test('a user on hold is told to come again', async (t) => {
  const { gateway, shown } = open(t, IMAP, { emails: ['held@sun.com'] });
  const client = await enter(gateway, IMAP, shown);
  await gateway.resume(client, `${external(IMAP)}\nS: a1 NO [UNAVAILABLE] *`);
  assert.deepEqual(gateway.dialled, []);
});

test('an administrator whom the store refuses is the operator’s matter', async (t) => {
  const { gateway, shown } = open(t, IMAP, {
    gateway: { to: { admin: { user: 'admin', password: 'old' } } },
  });
  gateway.backend = IMAP.store({ accepts: () => false }).script;
  const client = await enter(gateway, IMAP, shown);
  await gateway.resume(client, `${external(IMAP)}\nS: a1 NO [UNAVAILABLE] *`);
  const line = await gateway.logged(({ event }) => event === 'login-failed');
  assertLine(line, { code: 'BACKEND_ADMIN_REFUSED', mechanism: 'EXTERNAL', user: USER });
});

test('a refusal counts as a failed login, and the connection ends with the last', async (t) => {
  const { gateway, shown } = open(t, IMAP, {
    emails: ['nobody@sun.com'],
    gateway: { limits: { authAttempts: 2 } },
  });
  const client = await enter(gateway, IMAP, shown);
  await gateway.resume(
    client,
    `${external(IMAP)}\n${REFUSED.imap}\n${external(IMAP)}\n${REFUSED.imap}\nS: * BYE *`,
  );
  assertLine(await gateway.closed(), { code: 'TOO_MANY_LOGINS' });
});

test('a certificate that stands for nobody costs its address nothing, somebody else’s name does', async (t) => {
  const gateway = { penalties: { step: 2, max: 60, decay: 900, linear: false, excluded: [] } };
  const nobody = await answerTo(t, { emails: ['nobody@sun.com'], gateway });
  assert.equal(nobody.gateway.guard.delayOf('192.0.2.7'), 0);
  const { gateway: other, shown } = open(t, IMAP, { gateway });
  const client = await enter(other, IMAP, shown);
  await other.resume(client, `${external(IMAP, 'other@sun.com')}\n${REFUSED.imap}`);
  assert.notEqual(other.guard.delayOf('192.0.2.7'), 0);
});

test('EXTERNAL is shown to those with a certificate, and only where the backend has an administrator', async (t) => {
  const capability = async (scene: Scene, isShown: boolean): Promise<string> => {
    const { gateway, shown } = open(t, IMAP, scene);
    const client = await enter(gateway, IMAP, isShown ? shown : undefined);
    await gateway.resume(client, 'C: c1 CAPABILITY\nS: * CAPABILITY *\nS: c1 OK *');
    return client.heardSecured;
  };
  assert.match(await capability({}, true), /AUTH=EXTERNAL/);
  assert.doesNotMatch(await capability({}, false), /AUTH=EXTERNAL/);
  assert.doesNotMatch(await capability({ gateway: { to: { admin: {} } } }, true), /AUTH=EXTERNAL/);
  assert.doesNotMatch(
    await capability({ gateway: { service: { mechanisms: ['PLAIN'] } } }, true),
    /AUTH=EXTERNAL/,
  );
});

test('the certificate of a front tier is not that of its client', async (t) => {
  const { gateway, shown } = open(t, IMAP, { gateway: { service: { frontTier: { from: ['192.0.2.7'] } } } });
  const client = await enter(gateway, IMAP, shown);
  const id =
    'C: i1 ID ("x-originating-ip" "198.51.100.9" "x-originating-port" "4000")\nS: * ID *\nS: i1 OK *';
  await gateway.resume(client, `${id}\n${external(IMAP)}\n${UNKNOWN.imap}`);
  await gateway.resume(client, `${withPassword(IMAP, USER)}`);
});

test('nor is that of a balancer that has ended the TLS of its client', async (t) => {
  const { gateway, shown } = open(t, IMAP, { gateway: { service: believed('require') } });
  const client = await enterBehind(gateway, shown, V2_TLS);
  await gateway.resume(client, `${external(IMAP)}\n${UNKNOWN.imap}\n${withPassword(IMAP, USER)}`);
});

test('behind a balancer that passes TLS on, the certificate is the client’s', async (t) => {
  const { gateway, shown } = open(t, IMAP, { gateway: { service: believed('require') } });
  const client = await enterBehind(gateway, shown, V2);
  await gateway.resume(client, `${external(IMAP)}\n${ACCEPTED.imap}`);
});

const XCLIENT = 'NAME ADDR PORT PROTO HELO LOGIN';

function toldRelay(
  t: TestContext,
  { xclient = XCLIENT, to = {}, ...how }: { xclient?: string; to?: object; hangsUpAfterMessage?: true } = {},
): Opened & { readonly relay: Mta } {
  const relay = mta({ xclient, ...how });
  const opened = open(t, SMTP, {
    gateway: { backend: relay.script, to: { admin: {}, client: ['xclient'], ...to } },
  });
  return { ...opened, relay };
}

test('smtp: a relay without an administrator is told who it is by XCLIENT', async (t) => {
  const { gateway, shown, relay } = toldRelay(t);
  const client = await enter(gateway, SMTP, shown);
  await gateway.resume(client, `${external(SMTP)}\nS: 235 2.7.0 Authentication successful\n${SEND}`);
  assert.match(relay.introductions.join(' '), new RegExp(`LOGIN=${USER.replace('.', '\\.')}`));
  assert.deepEqual(relay.logins, []);
  assert.equal(relay.messages.length, 1);
  await gateway.resume(client, SMTP.logout);
  assertLine(await gateway.closed(), { user: USER, mechanism: 'EXTERNAL', messages: 1 });
});

test('smtp: once that relay has hung up, no other mail goes in the name of the login', async (t) => {
  const { gateway, shown, relay } = toldRelay(t, { hangsUpAfterMessage: true });
  const client = await enter(gateway, SMTP, shown);
  await gateway.resume(client, `${external(SMTP)}\nS: 235 *\n${SEND}`);
  await gateway.settle();
  await gateway.resume(client, 'C: MAIL FROM:<anna@example.org>\nS: 421 *\n-- eof\n-- end');
  assert.equal(relay.introductions.length, 1);
});

test('smtp: a relay whose XCLIENT has no LOGIN is no relay for such a login', async (t) => {
  const { gateway, shown, relay } = toldRelay(t, { xclient: 'NAME ADDR PORT' });
  const client = await enter(gateway, SMTP, shown);
  await gateway.resume(client, `${external(SMTP)}\nS: 421 *\n-- eof\n-- end`);
  assert.deepEqual(relay.introductions, []);
});

test('smtp: where telling is optional, or nobody is told, there is no EXTERNAL', async (t) => {
  for (const to of [{ client: ['xclient?'] }, { client: 'none' }]) {
    const { gateway, shown } = toldRelay(t, { to });
    const client = await enter(gateway, SMTP, shown);
    await gateway.resume(client, `${external(SMTP)}\n${UNKNOWN.smtp}`);
    await gateway.resume(client, `C: AUTH PLAIN ${plain(USER, 'secret')}\nS: 235 *`);
  }
});

test('smtp: a session that is mailed for by certificate may require it of everybody', async (t) => {
  const { gateway, shown } = open(t, SMTP, { gateway: { sasl: 'mustsaslserver' } });
  const client = await enter(gateway, SMTP, shown);
  await gateway.resume(client, 'C: MAIL FROM:<anna@example.org>\nS: 530 5.7.0 *');
  await gateway.resume(client, `${external(SMTP)}\nS: 235 *\n${SEND}`);
});

test('where there is no directory, nobody is logged in by certificate', async (t) => {
  const { gateway, shown } = open(t, IMAP, { gateway: { directory: { type: 'none', file: null } } });
  const client = await enter(gateway, IMAP, shown);
  await gateway.resume(client, `${external(IMAP)}\n${UNKNOWN.imap}\n${withPassword(IMAP, USER)}`);
});

test('the administrator of the store logs in for everybody where the backend says so, by certificate too', async (t) => {
  const hashed = `${USER}: { password: "{SHA256}${sha256('own')}" }\n`;
  const { gateway, shown, logins } = open(t, IMAP, {
    gateway: { users: hashed, service: { verify: 'directory' }, to: { login: 'proxy' } },
  });
  const client = await enter(gateway, IMAP, shown);
  await gateway.resume(client, `${external(IMAP)}\n${ACCEPTED.imap}\n${IMAP.logout}`);
  const other = await enter(gateway, IMAP, shown);
  await gateway.resume(other, `${withPassword(IMAP, USER)}\n${IMAP.logout}`);
  assert.deepEqual(
    logins.map(({ authzid, user }) => [authzid, user]),
    [
      [USER, 'admin'],
      [USER, 'admin'],
    ],
  );
});
