// A script for nginx's auth_http is asked whose the mail address of a certificate is. It is told that there is no password,
// and what certificate it was; what it says no to has a password still.

import assert from 'node:assert/strict';
import http from 'node:http';
import type net from 'node:net';
import { test, type TestContext } from 'node:test';
import {
  ACCEPTED,
  enter,
  external,
  open,
  type Opened,
  REFUSED,
  type Scene,
  USER,
} from '../support/certificate-scene.ts';
import { IMAP, plain } from '../support/dialects.ts';
import { assertLine } from '../support/gateway.ts';

type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** With what it answers, by Auth-Method and Auth-User. */
async function scripted(
  t: TestContext,
  answers: Readonly<Record<string, Record<string, string>>>,
  scene: Scene = {},
): Promise<Opened & { readonly asked: readonly Headers[] }> {
  const asked: Headers[] = [];
  const server = http.createServer(({ headers }, response) => {
    asked.push(headers);
    const key = `${String(headers['auth-method'])} ${String(headers['auth-user'])}`;
    response.writeHead(200, answers[key] ?? { 'Auth-Status': 'Nobody of that name' }).end();
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as net.AddressInfo;
  const directory = { type: 'http', file: null, http: { url: `http://127.0.0.1:${port}/` } };
  const opened = open(t, IMAP, { ...scene, gateway: { directory, ...scene.gateway } });
  return { ...opened, asked };
}

const OK = { 'Auth-Status': 'OK' };

test('the user that the script names is logged in by the administrator', async (t) => {
  const answers = { [`external ${USER}`]: { ...OK, 'Auth-User': 'sh' } };
  const { gateway, shown, asked, logins } = await scripted(t, answers);
  const client = await enter(gateway, IMAP, shown);
  await gateway.resume(client, `${external(IMAP)}\n${ACCEPTED.imap}\n${IMAP.logout}`);
  assertLine(await gateway.closed(), { user: 'sh', mechanism: 'EXTERNAL' });
  assert.deepEqual(
    logins.map(({ authzid, user }) => [authzid, user]),
    [['sh', 'admin']],
  );
  const [headers] = asked;
  const { 'auth-pass': password, 'auth-ssl-verify': verify, 'auth-ssl-subject': subject } = headers ?? {};
  assert.deepEqual([password, verify, subject], ['', 'SUCCESS', 'CN=pc.sun.com']);
  assert.match(String(headers?.['auth-ssl-fingerprint']), /^[0-9a-f]{40}$/);
});

test('a password that the script has for the store goes there in place of the administrator’s login', async (t) => {
  const answers = { [`external ${USER}`]: { ...OK, 'Auth-User': 'sh', 'Auth-Pass': 'own' } };
  const { gateway, shown, logins } = await scripted(t, answers);
  const client = await enter(gateway, IMAP, shown);
  await gateway.resume(client, `${external(IMAP)}\n${ACCEPTED.imap}\n${IMAP.logout}`);
  assert.deepEqual(
    logins.map(({ authzid, user, secret }) => [authzid, user, secret]),
    [['', 'sh', 'own']],
  );
  assert.doesNotMatch(JSON.stringify(gateway.lines), /"own"/);
});

test('a script that knows the certificate says whose it is, with the password for the store, and no administrator is needed', async (t) => {
  const answers = {
    'external ': { ...OK, 'Auth-User': 'sh', 'Auth-Pass': 'own' },
    'external boss': { ...OK, 'Auth-Pass': 'own' },
  };
  const to = { admin: {} };
  const { gateway, shown, logins, asked } = await scripted(t, answers, {
    emails: [],
    gateway: { to, service: { verify: 'directory' } },
  });
  for (const [authzid, user] of [
    ['', 'sh'],
    ['boss', 'boss'],
  ] as const) {
    const client = await enter(gateway, IMAP, shown);
    await gateway.resume(client, `${external(IMAP, authzid)}\n${ACCEPTED.imap}\n${IMAP.logout}`);
    assert.deepEqual([logins.at(-1)?.user, logins.at(-1)?.secret], [user, 'own']);
  }
  assert.equal(asked.length, 2);
});

test('of a certificate that is not believed the script is told that, and no name', async (t) => {
  const { gateway, shown, asked } = await scripted(t, { [`plain ${USER}`]: OK }, { isForeign: true });
  const client = await enter(gateway, IMAP, shown);
  await gateway.resume(client, `C: a2 AUTHENTICATE PLAIN ${plain(USER, 'own')}\nS: a2 OK *\n${IMAP.logout}`);
  assert.match(String(asked[0]?.['auth-ssl-verify']), /^FAILED:/);
  const names = Object.keys(asked[0] ?? {}).filter((name) => name.startsWith('auth-ssl-'));
  assert.deepEqual(names.toSorted(), ['auth-ssl-cipher', 'auth-ssl-protocol', 'auth-ssl-verify']);
});

test('a script that knows passwords only says no, and the password is taken on the same connection', async (t) => {
  const { gateway, shown, asked } = await scripted(t, { [`plain ${USER}`]: OK });
  const client = await enter(gateway, IMAP, shown);
  await gateway.resume(client, `${external(IMAP)}\n${REFUSED.imap}`);
  const refused = gateway.lines.find(({ event }) => event === 'login-refused');
  assert.equal(refused?.['said'], `the script says "Nobody of that name" (${USER})`);
  await gateway.resume(client, `C: a2 AUTHENTICATE PLAIN ${plain(USER, 'own')}\nS: a2 OK *\n${IMAP.logout}`);
  assertLine(await gateway.closed(), { user: USER, mechanism: 'PLAIN' });
  assert.deepEqual(
    asked.map((headers) => headers['auth-method']),
    // For whom the client asks to be, and for the mail address.
    ['external', 'external', 'plain'],
  );
});

test('whoever asks to be somebody else is asked for by that name, and is not let in', async (t) => {
  const answers = {
    [`external ${USER}`]: { ...OK, 'Auth-User': 'sh' },
    'external boss': { ...OK, 'Auth-User': 'boss' },
    'external steve': { ...OK, 'Auth-User': 'sh' },
  };
  const { gateway, shown, logins } = await scripted(t, answers);
  const client = await enter(gateway, IMAP, shown);
  await gateway.resume(client, `${external(IMAP, 'boss')}\n${REFUSED.imap}`);
  assert.deepEqual(logins, []);
  await gateway.resume(client, `${external(IMAP, 'steve')}\n${ACCEPTED.imap}`);
});
