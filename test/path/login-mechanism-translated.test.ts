// What the client says in one mechanism goes to the backend in one that it has, and nothing is dropped on the way: an
// authorisation identity that cannot be carried ends the login.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL, plain, SMTP } from '../support/dialects.ts';
import { assertLine, openGateway } from '../support/gateway.ts';

const WORDS = {
  imap: { start: '', auth: 'a1 AUTHENTICATE', ask: '+' },
  pop3: { start: '', auth: 'AUTH', ask: '+' },
  smtp: { start: 'C: EHLO client.test\nS> 250 *', auth: 'AUTH', ask: '334' },
} as const;

for (const errands of ALL) {
  const { protocol } = errands;
  const words = WORDS[protocol];

  test(`${protocol}: PLAIN with an authorisation identity goes through as it is`, async (t) => {
    const store = errands.store({ mechanisms: ['PLAIN', 'LOGIN'] });
    const gateway = openGateway(t, { protocol, backend: store.script });
    await gateway.play(`${errands.greeting}\n${words.start}
      C: ${words.auth} PLAIN ${plain('anna', 'secret', 'bert')}
      S: *Welcome*
      ${errands.logout}`);
    assert.deepEqual(store.logins, [{ how: 'PLAIN', authzid: 'bert', user: 'anna', secret: 'secret' }]);
    const who = protocol === 'smtp' ? { user: 'anna', admin: null } : { user: 'bert', admin: 'anna' };
    assertLine(await gateway.closed(), { code: null, ...who });
  });

  test(`${protocol}: an authorisation identity is never dropped on the way to a backend with LOGIN only`, async (t) => {
    const store = errands.store({ mechanisms: ['LOGIN'] });
    const gateway = openGateway(t, { protocol, backend: store.script });
    await gateway.play(`${errands.greeting}\n${words.start}
      C: ${words.auth} PLAIN ${plain('anna', 'secret', 'bert')}
      ${errands.unavailable}`);
    await gateway.logged((line) => line['code'] === 'BACKEND_NO_MECHANISM');
    assert.deepEqual(store.logins, []);
  });

  test(`${protocol}: LOGIN of the client becomes PLAIN for the backend`, async (t) => {
    const store = errands.store({ mechanisms: ['PLAIN'], noLogin: true });
    const gateway = openGateway(t, { protocol, backend: store.script });
    await gateway.play(`${errands.greeting}\n${words.start}
      C: ${words.auth} LOGIN
      S: ${words.ask} VXNlcm5hbWU6
      C: ${Buffer.from('anna').toString('base64')}
      S: ${words.ask} UGFzc3dvcmQ6
      C: ${Buffer.from('secret').toString('base64')}
      S: *Welcome*
      ${errands.logout}`);
    assert.deepEqual(store.logins, [{ how: 'PLAIN', authzid: '', user: 'anna', secret: 'secret' }]);
    assertLine(await gateway.closed(), { code: null, mechanism: 'LOGIN' });
  });

  test(`${protocol}: PLAIN of the client becomes what a backend without PLAIN takes`, async (t) => {
    const store = errands.store({ mechanisms: ['LOGIN'], noLogin: true });
    const gateway = openGateway(t, { protocol, backend: store.script });
    await gateway.play(`${errands.greeting}\n${words.start}
      C: ${words.auth} PLAIN ${plain('anna', 'secret')}
      S: *Welcome*
      ${errands.logout}`);
    const how = protocol === 'pop3' ? 'USER' : 'LOGIN';
    assert.deepEqual(store.logins, [{ how, authzid: '', user: 'anna', secret: 'secret' }]);
    assertLine(await gateway.closed(), { code: null, mechanism: 'PLAIN' });
  });
}

test('imap: a name and password that no quoted string can hold go as literals to a backend without PLAIN', async (t) => {
  const store = ALL[0].store({ mechanisms: [] });
  const gateway = openGateway(t, { protocol: 'imap', backend: store.script });
  await gateway.play(`${ALL[0].greeting}
    C: a1 AUTHENTICATE PLAIN ${plain('änna', 'secret')}
    S: a1 OK *`);
  assert.match(gateway.backendHeard, /LOGIN \{5\}\r\n/);
  assert.equal(store.logins[0]?.user, 'änna');
});

test('imap: the answer to a challenge goes on for a backend without SASL-IR', async (t) => {
  const store = ALL[0].store({ saslIr: false });
  const gateway = openGateway(t, { protocol: 'imap', backend: store.script });
  await gateway.play(`${ALL[0].greeting}\n${ALL[0].login}\n${ALL[0].logout}`);
  assert.equal(store.logins[0]?.how, 'PLAIN');
});

test('smtp: a relay without AUTH cannot take a login', async (t) => {
  const relay = SMTP.store({ mechanisms: [] });
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script });
  await gateway.play(`${SMTP.greeting}\n${SMTP.tries}\n${SMTP.unavailable}`);
  assertLine(await gateway.closed(), { code: 'BACKEND_NO_MECHANISM' });
});
