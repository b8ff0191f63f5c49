// SASL EXTERNAL: the client has shown a certificate in the handshake, and is the user whose mail address is in it. The
// store gets the administrator's login for that user; the client showed no password, and needs none. Whoever has no
// certificate that counts has a password as before.

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { Issued } from '../support/authority.ts';
import { clientAuthority, trustIn } from '../support/certified.ts';
import { ALL, type Errands, plain, SMTP } from '../support/dialects.ts';
import { assertLine, clientTls, type Gateway, type GatewayOptions, openGateway } from '../support/gateway.ts';
import type { Conversation } from '../support/conversation.ts';

/** The documented vector: shjorth@sun.com, admin, secret. */
const VECTOR = 'c2hqb3J0aEBzdW4uY29tAGFkbWluAHNlY3JldA==';
const USER = 'shjorth@sun.com';
const USERS = `
${USER}:
other@sun.com: { mail: [other@sun.com, another@sun.com] }
away@sun.com: { status: inactive }
held@sun.com: { status: hold }
near@sun.com: { access: "+imap,pop,smtp:192.0.2.200" }
"anna@sun.com": { mail: anna@example.com }
bert: { mail: [bert@sun.com, twin@sun.com] }
twin: { mail: twin@sun.com }
"*@pattern.test":
"@domain.test":
`;

interface Scene {
  readonly gateway?: Partial<GatewayOptions>;
  readonly emails?: readonly (string | Buffer)[];
  readonly required?: boolean;
  readonly isRevoked?: boolean;
  /** The certificate is of a CA that nobody trusts. */
  readonly isForeign?: boolean;
}

interface Opened {
  readonly gateway: Gateway;
  readonly shown: Issued;
  readonly logins: readonly { readonly authzid: string; readonly user: string; readonly secret: string }[];
}

function open(t: TestContext, errands: Errands, scene: Scene = {}): Opened {
  const authority = clientAuthority(t);
  const signer = scene.isForeign === true ? clientAuthority(t, 'Foreign CA') : authority;
  const shown = signer.issue({ names: ['pc.sun.com'], purpose: 'client', emails: scene.emails ?? [USER] });
  const behind = errands.store({ accepts: ({ user, secret }) => user === 'admin' || secret === 'own' });
  const crls = scene.isRevoked === true ? [authority.crl([shown.serial])] : [];
  const gateway = openGateway(t, {
    protocol: errands.protocol,
    backend: behind.script,
    tls: 'implicit',
    clients: trustIn([authority], { crls }),
    users: USERS,
    world: { now: () => Date.now() },
    ...scene.gateway,
    to: { admin: { user: 'admin', password: 'secret' }, ...scene.gateway?.to },
  });
  return { gateway, shown, logins: behind.logins };
}

/** TLS with the certificate, and the greeting. */
async function enter(gateway: Gateway, errands: Errands, shown?: Issued): Promise<Conversation> {
  const client = gateway.connect();
  await client.startTls(clientTls(shown === undefined ? {} : { shown }));
  const hello = errands.protocol === 'smtp' ? '\nC: EHLO client.test\nS> 250 *' : '';
  await gateway.resume(client, `${errands.greeting}${hello}`);
  return client;
}

const START = { imap: 'a1 AUTHENTICATE', pop3: 'AUTH', smtp: 'AUTH' };
const ACCEPTED = { imap: 'S: a1 OK *', pop3: 'S: +OK Welcome*', smtp: 'S: 235 *' };
const REFUSED = {
  imap: 'S: a1 NO [AUTHENTICATIONFAILED] Wrong user name or password',
  pop3: 'S: -ERR [AUTH] Wrong user name or password',
  smtp: 'S: 535 5.7.8 Wrong user name or password',
};
const GO_ON = { imap: 'S: +', pop3: 'S: +', smtp: 'S: 334' };
const UNKNOWN = {
  imap: 'S: a1 NO [CANNOT] Mechanism not offered',
  pop3: 'S: -ERR [AUTH] Mechanism not offered',
  smtp: 'S: 504 5.5.4 Mechanism not offered',
};
const base64 = (text: string): string => (text === '' ? '=' : Buffer.from(text).toString('base64'));

function external({ protocol }: Errands, identity = ''): string {
  return `C: ${START[protocol]} EXTERNAL ${base64(identity)}`;
}

function withPassword({ protocol }: Errands, user: string): string {
  return `C: ${START[protocol]} PLAIN ${plain(user, 'own')}\n${ACCEPTED[protocol]}`;
}

const WIRE = {
  imap: `AUTHENTICATE PLAIN ${VECTOR}\r\n`,
  pop3: `AUTH PLAIN ${VECTOR}\r\n`,
  smtp: `AUTH PLAIN ${VECTOR}\r\n`,
};

const MECHANISMS = {
  imap: ['C: c1 CAPABILITY', (has: string) => `S: * CAPABILITY *${has}*\nS: c1 OK *`],
} as const;
void MECHANISMS;

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
      `C: ${START[protocol]} EXTERNAL\n${GO_ON[protocol]} \nC:\n${ACCEPTED[protocol]}\n${logout}`,
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
void SMTP;
