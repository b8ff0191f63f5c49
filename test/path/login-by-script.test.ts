// Logins that send no password, judged by a script for nginx's auth_http: the script has the digest, or the token, and the
// challenge; what it says is what the client hears, and the store gets the password that it gives.

import assert from 'node:assert/strict';
import http from 'node:http';
import type net from 'node:net';
import { test, type TestContext } from 'node:test';
import { apopDigest, cramDigest } from '../support/challenge-client.ts';
import type { Conversation } from '../support/conversation.ts';
import { ALL, type Errands, IMAP, POP3, SMTP } from '../support/dialects.ts';
import { assertLine, type Gateway, type GatewayOptions, openGateway } from '../support/gateway.ts';
import { mta } from '../support/mta.ts';
import type { Login } from '../support/stores.ts';

type Headers = Readonly<Record<string, string>>;

interface Opened {
  readonly gateway: Gateway;
  readonly asked: Headers[];
  readonly logins: readonly Login[];
}

async function open(
  t: TestContext,
  errands: Errands,
  {
    answer,
    settings = {},
    options = {},
  }: {
    readonly answer: (asked: Headers) => Record<string, string>;
    readonly settings?: Record<string, unknown>;
    readonly options?: Partial<GatewayOptions>;
  },
): Promise<Opened> {
  const asked: Headers[] = [];
  const server = http.createServer((request, response) => {
    const headers = Object.fromEntries(
      Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
    );
    asked.push(headers);
    response.writeHead(200, answer(headers)).end();
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as net.AddressInfo;
  const behind = errands.store({ accepts: () => true });
  const mechanisms = ['PLAIN', 'XOAUTH2', 'OAUTHBEARER', 'CRAM-MD5'];
  const { service, ...more } = options;
  const gateway = openGateway(t, {
    protocol: errands.protocol,
    backend: behind.script,
    directory: {
      type: 'http',
      http: { url: `http://127.0.0.1:${port}/`, ...settings },
      cache: { ttl: 600 },
    },
    ...more,
    service: {
      verify: 'directory',
      mechanisms: errands.protocol === 'pop3' ? [...mechanisms, 'APOP'] : mechanisms,
      ...service,
    },
  });
  return { gateway, asked, logins: behind.logins };
}

const COMMAND = { imap: 'a1 AUTHENTICATE', pop3: 'AUTH', smtp: 'AUTH' };
const ACCEPTED = { imap: /^a1 OK /, pop3: /^\+OK /, smtp: /^235 / };
const REFUSED = {
  imap: /^a1 NO \[AUTHENTICATIONFAILED\] Not you/,
  pop3: /^-ERR \[AUTH\] Not you/,
  smtp: /^535 5\.7\.0 Not you/,
};
const LATER = { imap: /^a1 NO \[UNAVAILABLE\]/, pop3: /^-ERR \[SYS\/TEMP\]/, smtp: /^454 / };
const OK = { 'Auth-Status': 'OK' };
const NO = { 'Auth-Status': 'Not you', 'Auth-Wait': '1' };

async function meet({ gateway }: Opened, errands: Errands): Promise<Conversation> {
  const client = gateway.connect();
  const hello = errands.protocol === 'smtp' ? '\nC: EHLO client.test\nS> 250 *' : '';
  await gateway.resume(client, errands.greeting + hello);
  return client;
}

async function cram(client: Conversation, errands: Errands, password = 'secret'): Promise<string> {
  const asked = await client.ask(`${COMMAND[errands.protocol]} CRAM-MD5`);
  const [, encoded = ''] = /^(?:\+|334) (.+)$/.exec(asked) ?? assert.fail(asked);
  const challenge = Buffer.from(encoded, 'base64').toString();
  return client.ask(Buffer.from(`anna ${cramDigest(password, challenge)}`).toString('base64'));
}

/** As a script that has the passwords does. */
const judges = ({ 'auth-salt': salt = '', 'auth-pass': digest }: Headers): Record<string, string> =>
  [cramDigest('secret', salt), apopDigest('secret', salt)].includes(digest ?? '')
    ? { ...OK, 'Auth-Pass': 'own' }
    : NO;

const bearer = (token: string): string =>
  Buffer.from(`user=anna\x01auth=Bearer ${token}\x01\x01`).toString('base64');

for (const errands of ALL) {
  const { protocol } = errands;

  test(`${protocol}, CRAM-MD5: the script judges each time, and its password is for the store`, async (t) => {
    const opened = await open(t, errands, { answer: judges });
    for (let time = 1; time <= 2; time++) {
      const client = await meet(opened, errands);
      assert.match(await cram(client, errands), ACCEPTED[protocol]);
      client.finish();
      assertLine(await opened.gateway.closed(time), { user: 'anna', mechanism: 'CRAM-MD5' });
    }
    const methods = opened.asked.map((headers) => headers['auth-method']);
    assert.deepEqual(methods, ['cram-md5', 'cram-md5']);
    assert.equal(new Set(opened.asked.map((headers) => headers['auth-salt'])).size, 2);
    assert.deepEqual(
      opened.logins.map(({ user, secret }) => [user, secret]),
      [
        ['anna', 'own'],
        ['anna', 'own'],
      ],
    );
    const [{ 'auth-pass': digest = '?' } = {}] = opened.asked;
    const log = JSON.stringify(opened.gateway.lines);
    assert.ok(!log.includes(digest) && !log.includes('"own"'));
  });

  test(`${protocol}, CRAM-MD5: a wrong digest is refused in the words of the script, and counted`, async (t) => {
    const opened = await open(t, errands, { answer: judges });
    const client = await meet(opened, errands);
    assert.match(await cram(client, errands, 'guess'), REFUSED[protocol]);
    await opened.gateway.advance(1000);
    assert.match(await cram(client, errands, 'another'), REFUSED[protocol]);
    assert.deepEqual(opened.gateway.dialled, []);
    const attempts = opened.asked.map((headers) => headers['auth-login-attempt']);
    assert.deepEqual(attempts, ['1', '2']);
    const refused = opened.gateway.lines.find(({ event }) => event === 'login-refused') ?? {};
    assertLine(refused, { user: 'anna', said: 'Not you' });
  });

  test(`${protocol}, XOAUTH2: a token goes to the script where it is to judge it, and to nobody else`, async (t) => {
    const answer = (headers: Headers): Record<string, string> =>
      headers['auth-pass'] === 'tok.en' ? { ...OK, 'Auth-Pass': 'own' } : NO;
    const opened = await open(t, errands, { answer, settings: { passTokens: true } });
    const login = `${COMMAND[protocol]} XOAUTH2`;
    assert.match(await (await meet(opened, errands)).ask(`${login} ${bearer('tok.en')}`), ACCEPTED[protocol]);
    assert.match(await (await meet(opened, errands)).ask(`${login} ${bearer('guess')}`), REFUSED[protocol]);
    assert.deepEqual(
      opened.asked.map((headers) => [headers['auth-method'], headers['auth-pass']]),
      [
        ['xoauth2', 'tok.en'],
        ['xoauth2', 'guess'],
      ],
    );
    assert.deepEqual(
      opened.logins.map(({ how, user, secret }) => [how === 'XOAUTH2', user, secret]),
      [[false, 'anna', 'own']],
    );
    assert.doesNotMatch(JSON.stringify(opened.gateway.lines), /tok\.en|"own"/);
  });

  test(`${protocol}, XOAUTH2: what the script has to say of a token comes before the refusal`, async (t) => {
    const error = Buffer.from('{"status":"invalid_token"}').toString('base64');
    const answer = (): Record<string, string> => ({ ...NO, 'Auth-Error-SASL': error });
    const opened = await open(t, errands, { answer, settings: { passTokens: true } });
    const client = await meet(opened, errands);
    const said = await client.ask(`${COMMAND[protocol]} XOAUTH2 ${bearer('guess')}`);
    assert.equal(said, `${protocol === 'smtp' ? '334' : '+'} ${error}`);
    assert.match(await client.ask('AQ=='), REFUSED[protocol]);
  });

  test(`${protocol}, XOAUTH2: a script that is not shown tokens says where the store is that judges them`, async (t) => {
    const store = errands.store({ mechanisms: ['PLAIN', 'XOAUTH2'], accepts: () => true });
    const answer = (headers: Headers): Record<string, string> =>
      headers['auth-method'] === 'xoauth2' && headers['auth-pass'] === '' ? OK : NO;
    const opened = await open(t, errands, { answer, options: { backend: store.script } });
    const client = await meet(opened, errands);
    const said = await client.ask(`${COMMAND[protocol]} XOAUTH2 ${bearer('tok.en')}`);
    assert.match(said, ACCEPTED[protocol]);
    assert.equal(store.logins[0]?.how, 'XOAUTH2');
    assert.doesNotMatch(JSON.stringify(opened.asked), /tok\.en/);
  });
}

test('pop3, APOP: the script is given the stamp of the greeting', async (t) => {
  const opened = await open(t, POP3, { answer: judges });
  const client = opened.gateway.connect();
  const [stamp = ''] = /<[^>]+>$/.exec(await client.line()) ?? [];
  assert.match(await client.ask(`APOP anna ${apopDigest('guess', stamp)}`), REFUSED.pop3);
  const again = opened.gateway.connect();
  const [fresh = ''] = /<[^>]+>$/.exec(await again.line()) ?? [];
  assert.match(await again.ask(`APOP anna ${apopDigest('secret', fresh)}`), ACCEPTED.pop3);
  assert.deepEqual(
    opened.asked.map((headers) => [headers['auth-method'], headers['auth-salt']]),
    [
      ['apop', stamp],
      ['apop', fresh],
    ],
  );
});

test('the password of the script is the store’s also where an administrator could log in', async (t) => {
  const options = { to: { admin: { user: 'admin', password: 'storepass' } } };
  const opened = await open(t, IMAP, { answer: judges, options });
  assert.match(await cram(await meet(opened, IMAP), IMAP), ACCEPTED.imap);
  assert.deepEqual(
    opened.logins.map(({ user, secret }) => [user, secret]),
    [['anna', 'own']],
  );
});

for (const errands of [IMAP, POP3]) {
  test(`${errands.protocol}: a script that takes every digest and knows no password lets nobody in, not even by an administrator`, async (t) => {
    const options = { to: { admin: { user: 'admin', password: 'storepass' } } };
    const opened = await open(t, errands, { answer: () => OK, options });
    assert.match(await cram(await meet(opened, errands), errands), LATER[errands.protocol]);
    assert.deepEqual(opened.logins, []);
    assert.ok(
      opened.gateway.lines.some(
        ({ event, cause }) => event === 'directory-down' && /no Auth-Pass/.test(JSON.stringify(cause)),
      ),
    );
  });
}

test('smtp: a relay that is told who it is is not logged in to, as with nginx', async (t) => {
  const relay = mta({ xclient: 'NAME ADDR PORT LOGIN HELO PROTO', mechanisms: [] });
  const options = { backend: relay.script, to: { client: ['xclient'] } };
  const opened = await open(t, SMTP, { answer: judges, options });
  assert.match(await cram(await meet(opened, SMTP), SMTP), ACCEPTED.smtp);
  assert.match(relay.introductions.join(), /LOGIN=anna/);
  assert.equal(opened.asked[0]?.['client-host'], '[UNAVAILABLE]');
});

test('a token that the script has taken needs no store that knows tokens, nor a password where there is an administrator', async (t) => {
  const options = { to: { login: 'proxy', admin: { user: 'admin', password: 'storepass' } } };
  const opened = await open(t, IMAP, { answer: () => OK, settings: { passTokens: true }, options });
  const client = await meet(opened, IMAP);
  assert.match(await client.ask(`${COMMAND.imap} XOAUTH2 ${bearer('tok.en')}`), ACCEPTED.imap);
  assert.deepEqual(
    opened.logins.map(({ user, authzid }) => [user, authzid]),
    [['admin', 'anna']],
  );
});
