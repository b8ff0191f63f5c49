// saslswitchchannel to a channel with another relay: the login is checked by both before the client hears of it, and
// the mail goes to the second.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plain, SEND, SMTP } from '../support/dialects.ts';
import { assertLine, type GatewayOptions, openGateway } from '../support/gateway.ts';
import { mta, type Mta } from '../support/mta.ts';

const CHANNELS = {
  tcp_local: { keywords: 'maysaslserver saslswitchchannel tcp_auth', relay: 'behind' },
  tcp_auth: { keywords: 'mustsaslserver noswitchchannel', relay: 'users' },
};

function options(first: Mta, users: Mta, more: Partial<GatewayOptions> = {}): GatewayOptions {
  return {
    protocol: 'smtp',
    backend: first.script,
    relays: { users: users.script },
    channels: CHANNELS,
    service: { channel: 'tcp_local', ...more.service },
    to: { client: 'xclient?' },
  };
}

test('both relays take the login, the client is told once, and its mail goes to the second', async (t) => {
  const first = mta();
  const users = mta({ replies: { QUIT: '221 2.0.0 Bye' }, xclient: 'ADDR LOGIN' });
  const gateway = openGateway(t, options(first, users));
  const client = await gateway.play(`${SMTP.greeting}\n${SMTP.login}`);
  assert.equal(client.heard.match(/^235 /gm)?.length, 1);
  assert.deepEqual([first.logins.length, users.logins.length], [1, 1]);
  assert.equal(first.commands.at(-1), 'QUIT');
  assert.match(users.introductions[0] ?? '', /ADDR=192\.0\.2\.7/);
  await gateway.resume(client, `${SEND}\n${SEND}\n${SMTP.logout}`);
  assertLine(await gateway.closed(), {
    code: null,
    user: 'anna',
    messages: 2,
    backend: '127.0.0.2:25',
    rule: 'tcp_local → tcp_auth (saslswitchchannel)',
  });
  assert.deepEqual([first.messages.length, users.messages.length], [0, 2]);
  const { logins, loginsFailed } = gateway.front.counters();
  assert.deepEqual([logins, loginsFailed], [1, 0]);
});

test("the second relay's refusal is the client's answer, and nothing is switched", async (t) => {
  const first = mta();
  const users = mta({ accepts: ({ user }) => user === 'bert', refusal: '535 5.7.8 Not one of ours' });
  const gateway = openGateway(t, options(first, users));
  const client = await gateway.play(`
    ${SMTP.greeting}
    ${SMTP.tries}
    S: 535 5.7.8 Not one of ours
    C: MAIL FROM:<a@example.org>
    S: 250 2.1.0 *
    C: RSET
    S: 250 *`);
  assert.doesNotMatch(client.heard, /235/);
  await gateway.resume(client, `C: AUTH PLAIN ${plain('bert', 'secret')}\nS: 235 2.7.0 Welcome\n${SEND}`);
  await gateway.resume(client, SMTP.logout);
  assertLine(await gateway.closed(), { code: null, user: 'bert', messages: 1, channel: 'tcp_auth' });
  assert.deepEqual([first.messages.length, users.messages.length], [0, 1]);
  await gateway.settle();
  assert.equal(gateway.front.counters()['loginsFailed'], 1);
});

test('what the first relay refuses the second never hears of', async (t) => {
  const users = mta();
  const gateway = openGateway(t, options(mta({ accepts: () => false }), users));
  await gateway.play(`${SMTP.greeting}\n${SMTP.tries}\n${SMTP.refused}\n${SMTP.logout}`);
  assertLine(await gateway.closed(), { code: null, user: null, channel: 'tcp_local' });
  assert.deepEqual(users.commands, []);
});

test('a second relay that is down, or has no AUTH, is a temporary failure and no login', async (t) => {
  for (const [users, code] of [
    [mta({ replies: { EHLO: '421 4.3.2 Later' } }), 'BACKEND_REFUSED'],
    [mta({ mechanisms: [] }), 'BACKEND_NO_MECHANISM'],
  ] as const) {
    const gateway = openGateway(t, options(mta(), users));
    const client = await gateway.play(`${SMTP.greeting}\n${SMTP.tries}\n${SMTP.unavailable}`);
    assert.doesNotMatch(client.heard, /235/);
    assertLine(await gateway.closed(), { user: null, tried: 'anna', code, channel: 'tcp_local' });
    assert.equal(gateway.front.counters()['logins'], 0);
  }
});

test('a token goes to both, and the challenge of the one that refuses comes to the client', async (t) => {
  const first = mta({ mechanisms: ['XOAUTH2'], accepts: () => true });
  const users = mta({ mechanisms: ['XOAUTH2'], accepts: () => false, challenge: '{"status":"401"}' });
  const gateway = openGateway(t, options(first, users));
  const token = Buffer.from('user=anna\u0001auth=Bearer t0k3n\u0001\u0001').toString('base64');
  await gateway.play(`
    ${SMTP.greeting}
    C: EHLO client.test
    S> 250 *
    C: AUTH XOAUTH2 ${token}
    S: 334 ${Buffer.from('{"status":"401"}').toString('base64')}
    C:
    S: 535 5.7.8 Wrong
    ${SMTP.logout}`);
  assert.deepEqual([first.logins.length, users.logins.length], [1, 1]);
  assertLine(await gateway.closed(), { code: null, user: null });
});

test('one relay for both channels is asked once', async (t) => {
  const relay = mta();
  const channels = { ...CHANNELS, tcp_auth: { keywords: 'mustsaslserver' } };
  const gateway = openGateway(t, {
    protocol: 'smtp',
    backend: relay.script,
    channels,
    service: { channel: 'tcp_local' },
  });
  await gateway.play(`${SMTP.greeting}\n${SMTP.login}\n${SEND}\n${SMTP.logout}`);
  assertLine(await gateway.closed(), { code: null, messages: 1, channel: 'tcp_auth' });
  assert.deepEqual([relay.logins.length, gateway.calls.length], [1, 1]);
});

test('EHLO shows what the relay of the current channel has', async (t) => {
  const first = mta({ keywords: ['SIZE 1000'] });
  const users = mta({ keywords: ['SIZE 2000', 'DSN'] });
  const gateway = openGateway(t, options(first, users, { service: { capabilities: 'probe' } }));
  const client = await gateway.play(`
    ${SMTP.greeting}
    C: EHLO client.test
    S: 250-mail.test
    S: 250-SIZE 1000
    S: 250 AUTH PLAIN LOGIN
    C: AUTH PLAIN ${plain('anna', 'secret')}
    S: 235 2.7.0 Welcome
    C: EHLO client.test
    S: 250-mail.test
    S: 250-SIZE 2000
    S: 250-DSN
    S: 250 AUTH PLAIN LOGIN`);
  await gateway.resume(client, SMTP.logout);
  assertLine(await gateway.closed(), { code: null, channel: 'tcp_auth' });
});

const WITH_CHANNEL = 'anna: { password: secret, channel: tcp_auth }\nbert: { password: secret }\n';
const PLAIN = { tcp_local: { keywords: 'maysaslserver', relay: 'behind' }, tcp_auth: CHANNELS.tcp_auth };

test('the channel of a user comes before that of the keywords, and has its own relay', async (t) => {
  const [first, users] = [mta(), mta({ replies: { QUIT: '221 2.0.0 Bye' }, xclient: 'ADDR LOGIN' })];
  const gateway = openGateway(t, {
    ...options(first, users),
    service: { channel: 'tcp_local', verify: 'directory' },
    channels: PLAIN,
    users: WITH_CHANNEL,
  });
  const client = await gateway.play(`${SMTP.greeting}\n${SMTP.login}`);
  await gateway.resume(client, `${SEND}\n${SMTP.logout}`);
  assertLine(await gateway.closed(), {
    code: null,
    user: 'anna',
    backend: '127.0.0.2:25',
    rule: 'tcp_local → tcp_auth (mailSMTPSubmitChannel)',
  });
  assert.deepEqual([first.messages.length, users.messages.length], [0, 1]);
});
