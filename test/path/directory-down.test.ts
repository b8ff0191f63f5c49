// The directory cannot be asked, or says no in its own words: what clients of each protocol are told, and that it is never
// a wrong password. The directory is a script for nginx's auth_http on loopback.

import assert from 'node:assert/strict';
import http from 'node:http';
import type net from 'node:net';
import { test, type TestContext } from 'node:test';
import { ALL, IMAP, plain } from '../support/dialects.ts';
import { assertLine, type Gateway, openGateway } from '../support/gateway.ts';

async function script(t: TestContext, headers: Readonly<Record<string, string>> | null): Promise<string> {
  const server = http.createServer((request, response) => {
    if (headers === null) request.socket.destroy();
    else response.writeHead(200, headers).end();
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as net.AddressInfo).port}/`;
}

for (const errands of ALL) {
  const { protocol, greeting } = errands;
  const open = (t: TestContext, url: string): { gateway: Gateway; logins: readonly unknown[] } => {
    const behind = errands.store({ accepts: () => true });
    const gateway = openGateway(t, {
      protocol,
      backend: behind.script,
      directory: { type: 'http', http: { url } },
      service: { verify: 'directory' },
      to: { hosts: ['127.0.0.9'] },
      penalties: {},
    });
    return { gateway, logins: behind.logins };
  };
  const tries = {
    imap: `C: a1 AUTHENTICATE PLAIN ${plain('anna', 'secret')}`,
    pop3: `C: AUTH PLAIN ${plain('anna', 'secret')}`,
    smtp: `C: EHLO client.test\nS> 250 *\nC: AUTH PLAIN ${plain('anna', 'secret')}`,
  }[protocol];
  const again = tries.replace(/^C: EHLO.*\nS> .*\n/, '');
  const answer = (imap: string, pop3: string, smtp: string): string => ({ imap, pop3, smtp })[protocol];

  test(`${protocol}: a directory that is down is a temporary failure, costs no penalty and is logged once`, async (t) => {
    const { gateway, logins } = open(t, await script(t, null));
    const words = answer(
      'S: a1 NO [UNAVAILABLE] Logins cannot be checked *',
      'S: -ERR [SYS/TEMP] Logins *',
      'S: 454 4.7.0 Logins *',
    );
    await gateway.play(`${greeting}\n${tries}\n${words}\n${again}\n${words}`);
    assert.deepEqual([logins, gateway.dialled], [[], []]);
    const events = gateway.lines.map((line) => line['event']);
    assert.equal(events.filter((event) => event === 'directory-down').length, 1);
    assert.ok(!events.includes('login-delayed'));
    assertLine(gateway.lines.find((line) => line['event'] === 'directory-down') ?? {}, {
      code: 'DIRECTORY_DOWN',
      level: 'error',
    });
    assert.doesNotMatch(JSON.stringify(gateway.lines), /secret/);
  });

  test(`${protocol}: the script's own refusal is told in its words, and ends the connection where it names no wait`, async (t) => {
    const { gateway } = open(
      t,
      await script(t, { 'Auth-Status': 'Your account is closed', 'Auth-Error-Code': '535 5.7.1' }),
    );
    const words = answer(
      'S: a1 NO [AUTHENTICATIONFAILED] Your account is closed',
      'S: -ERR [AUTH] Your account is closed',
      'S: 535 5.7.1 Your account is closed',
    );
    await gateway.play(`${greeting}\n${tries}\n${words}\nS> *Too many failed logins*\n-- eof`);
  });

  test(`${protocol}: a refusal for the moment is one`, async (t) => {
    const { gateway } = open(
      t,
      await script(t, { 'Auth-Status': 'Later', 'Auth-Error-Code': '451 4.3.0', 'Auth-Wait': '1' }),
    );
    await gateway.play(
      `${greeting}\n${tries}\n${answer('S: a1 NO [UNAVAILABLE] Later', 'S: -ERR [SYS/TEMP] Later', 'S: 451 4.3.0 Later')}`,
    );
    assert.ok(!gateway.lines.some((line) => line['event'] === 'login-delayed'));
  });
}

test('the wait that the script asks for is kept before the next attempt is read', async (t) => {
  const url = await script(t, { 'Auth-Status': 'No', 'Auth-Wait': '3' });
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: IMAP.store().script,
    directory: { type: 'http', http: { url } },
  });
  const client = await gateway.play(`${IMAP.greeting}\nC: a1 LOGIN anna x\nS: a1 NO *`);
  const next = gateway.resume(client, 'C: a2 LOGIN anna x\nS: a2 NO *');
  await gateway.advance(2000);
  assert.equal(gateway.lines.filter(({ event }) => event === 'login-refused').length, 1);
  await gateway.advance(1100);
  await next;
});

test('the script gives the store another name and password, and a host by name', async (t) => {
  const url = await script(t, {
    'Auth-Status': 'OK',
    'Auth-Server': 'imap1.internal',
    'Auth-Port': '1143',
    'Auth-User': 'box7',
    'Auth-Pass': 'of the store',
  });
  const behind = IMAP.store({ accepts: () => true });
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: behind.script,
    directory: { type: 'http', http: { url } },
    to: { hosts: ['*.internal'], allowClearBackend: true },
  });
  await gateway.play(`${IMAP.greeting}\nC: a1 LOGIN anna secret\nS: a1 OK *\n${IMAP.logout}`);
  assert.deepEqual(gateway.dialled, ['imap1.internal:1143']);
  assert.deepEqual(
    behind.logins.map(({ user, secret }) => [user, secret]),
    [['box7', 'of the store']],
  );
  assertLine(await gateway.closed(), { user: 'box7' });
  // Whoever acts for somebody else has not shown that one's password to the script.
  await gateway.play(
    `${IMAP.greeting}\nC: a1 AUTHENTICATE PLAIN ${plain('boss', 'his own', 'anna')}\nS: a1 OK *`,
  );
  assert.deepEqual(
    behind.logins.slice(1).map(({ authzid, user, secret }) => [authzid, user, secret]),
    [['box7', 'boss', 'his own']],
  );
});
