// Before the login a client sees what all stores have in common; behind it, its own store's list, so that it uses what
// is really there (RFC 9051 6.2.3).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IMAP, POP3, SMTP } from '../support/dialects.ts';
import { mta } from '../support/mta.ts';
import { assertLine, openGateway } from '../support/gateway.ts';
import { imapStore, pop3Store } from '../support/stores.ts';

test('imap: capabilities that come in the answer to the login reach the client with it', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: imapStore().script });
  await gateway.play(`
    ${IMAP.greeting}
    C: a1 LOGIN anna secret
    S: a1 OK [CAPABILITY IMAP4rev1 IDLE LOGGED-IN] Welcome anna
    ${IMAP.logout}`);
});

for (const [what, answer] of [
  ['untagged in front of it', 'S: * CAPABILITY IMAP4rev1 LOGGED-IN\nS: s2 OK Welcome anna'],
  [
    'when they are asked for',
    'S: s2 OK Welcome anna\nC: s3 CAPABILITY\nS: * CAPABILITY IMAP4rev1 LOGGED-IN\nS: s3 OK done',
  ],
] as const) {
  test(`imap: capabilities that the store gives ${what} reach the client before the answer`, async (t) => {
    const gateway = openGateway(t, {
      protocol: 'imap',
      backend: `
        S: * OK hello
        C: s1 CAPABILITY
        S: * CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR
        S: s1 OK done
        C: s2 AUTHENTICATE PLAIN *
        ${answer}
        C: z1 LOGOUT
        S: * BYE
        S: z1 OK
        -- end`,
    });
    await gateway.play(`
      ${IMAP.greeting}
      C: a1 LOGIN anna secret
      S: * CAPABILITY IMAP4rev1 LOGGED-IN
      S: a1 OK Welcome anna
      C: z1 LOGOUT
      S: * BYE
      S: z1 OK
      -- eof
      -- end`);
    assertLine(await gateway.closed(), { code: null, user: 'anna' });
    await gateway.scriptsDone();
  });
}

test('imap: before the login, the list is what all the servers behind have in common', async (t) => {
  const lists = [
    'IMAP4rev1 IDLE MOVE AUTH=PLAIN STARTTLS ID',
    'IMAP4rev1 IDLE CONDSTORE AUTH=PLAIN AUTH=XOAUTH2',
  ];
  const gateway = openGateway(t, {
    protocol: 'imap',
    service: { capabilities: 'probe' },
    to: { servers: ['127.0.0.1:143', '127.0.0.2:143'], tls: 'notls' },
    backend: async ({ talk, number }) => {
      talk.say(`* OK [CAPABILITY ${lists[number - 1]}] hello`);
      assert.match(await talk.line(), / LOGOUT$/);
      talk.finish();
    },
  });
  const client = await gateway.play('S: * OK [CAPABILITY *] *');
  const shown = /CAPABILITY ([^\]]*)/.exec(client.heard)?.[1]?.split(' ') ?? [];
  assert.deepEqual(shown, [
    'IMAP4rev1',
    'LITERAL-',
    'SASL-IR',
    'ID',
    'IDLE',
    'STARTTLS',
    'AUTH=PLAIN',
    'AUTH=LOGIN',
  ]);
  assert.equal(gateway.calls.length, 2);
  await gateway.scriptsDone();
});

test('imap: probed capabilities are believed for a while and then renewed behind the scenes', async (t) => {
  let list = 'IMAP4rev1 AUTH=PLAIN OLD';
  const gateway = openGateway(t, {
    protocol: 'imap',
    service: { capabilities: 'probe' },
    backend: async ({ talk }) => {
      talk.say(`* OK [CAPABILITY ${list}] hello`);
      await talk.line();
      talk.finish();
    },
  });
  await gateway.play('S: *OLD*');
  list = 'IMAP4rev1 AUTH=PLAIN NEW';
  await gateway.play('S: *OLD*');
  assert.equal(gateway.calls.length, 1);
  await gateway.advance(301_000);
  await gateway.play('S: *OLD*');
  await gateway.call(2);
  await gateway.settle();
  await gateway.play('S: *NEW*');
});

test('pop3: CAPA shows the store’s own extensions and our logins', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'pop3',
    service: { capabilities: 'probe' },
    backend: pop3Store({ client: true }).script,
  });
  const client = await gateway.play(`${POP3.greeting}\nC: CAPA\nS> .`);
  assert.deepEqual(client.heard.split('\r\n').slice(2, -2).toSorted(), [
    'AUTH-RESP-CODE',
    'RESP-CODES',
    'SASL PLAIN LOGIN',
    'STLS',
    'TOP',
    'UIDL',
    'USER',
    'UTF8',
  ]);
});

test('smtp: EHLO carries over what is known and leaves out the rest', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'smtp',
    service: { capabilities: 'probe' },
    backend: mta({ keywords: ['SIZE 10240000', 'DSN', 'X-SECRET', 'CHUNKING', 'REQUIRETLS', 'ETRN'] }).script,
  });
  const client = await gateway.play(`${SMTP.greeting}\nC: EHLO client.test\nS> 250 *`);
  const shown = client.heard.split('\r\n').slice(2, -1);
  assert.deepEqual(
    shown.map((line) => line.slice(4)),
    ['SIZE 10240000', 'DSN', 'CHUNKING', 'STARTTLS', 'AUTH PLAIN LOGIN'],
  );
  await gateway.resume(client, `${SMTP.starttls}\nC: EHLO client.test\nS> 250 AUTH*`);
  assert.match(client.heardSecured, /250-REQUIRETLS\r\n/);
});
