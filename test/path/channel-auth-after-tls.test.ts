// Sun's pair of channels for "AUTH only after TLS": a channel without AUTH whose tlsswitchchannel leads to one with it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plain, SEND, SMTP } from '../support/dialects.ts';
import { assertLine, openGateway } from '../support/gateway.ts';
import { mta } from '../support/mta.ts';

const PAIR = {
  tcp_local: { keywords: 'smtp mx maytlsserver tlsswitchchannel tcp_tls' },
  tcp_tls: { keywords: 'smtp mx maytlsserver maysaslserver saslswitchchannel tcp_auth' },
  tcp_auth: { keywords: 'smtp mx mustsaslserver noswitchchannel' },
};
const service = { channel: 'tcp_local' };
const AUTH = `AUTH PLAIN ${plain('anna', 'secret')}`;

test('in clear there is no AUTH, not even unoffered; mail goes on without', async (t) => {
  const relay = mta();
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script, channels: PAIR, service });
  await gateway.play(`
    ${SMTP.greeting}
    C: EHLO client.test
    S> 250 STARTTLS
    C: ${AUTH}
    S: 503 5.5.1 AUTH is not available here
    ${SEND}
    C: ${AUTH}
    S: 503 5.5.1 AUTH is not available here
    ${SMTP.logout}`);
  assertLine(await gateway.closed(), { code: null, messages: 1, channel: 'tcp_local', rule: 'tcp_local' });
  assert.deepEqual(relay.logins, []);
  assert.equal(gateway.front.counters()['channel tcp_local by nosaslserver'], 2);
});

test('inside TLS AUTH is offered and leads on to tcp_auth, and the log and counters say how', async (t) => {
  const relay = mta();
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script, channels: PAIR, service });
  const client = await gateway.play(`
    ${SMTP.greeting}
    C: EHLO client.test
    S> 250 STARTTLS
    ${SMTP.starttls}
    C: EHLO client.test
    S> 250 AUTH PLAIN LOGIN *
    C: ${AUTH}
    S: 235 2.7.0 Welcome
    C: EHLO client.test
    S> 250 AUTH PLAIN LOGIN *
    ${SEND}
    ${SMTP.logout}`);
  assert.doesNotMatch(client.heardSecured, /STARTTLS/);
  assertLine(await gateway.closed(), {
    code: null,
    messages: 1,
    user: 'anna',
    channel: 'tcp_auth',
    rule: 'tcp_local → tcp_tls (tlsswitchchannel) → tcp_auth (saslswitchchannel)',
  });
  assert.equal(relay.logins.length, 1);
  const counters = gateway.front.counters();
  assert.equal(counters['channel tcp_tls by tlsswitchchannel'], 1);
  assert.equal(counters['channel tcp_auth by saslswitchchannel'], 1);
});

test('on an implicit-TLS port tlsswitchchannel applies before the first word', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'smtp',
    backend: mta().script,
    tls: 'implicit',
    channels: PAIR,
    service,
  });
  await gateway.play(`
    -- tls
    ${SMTP.greeting}
    C: EHLO client.test
    S> 250 AUTH PLAIN *
    ${SMTP.logout}`);
  const rule = 'tcp_local → tcp_tls (tlsswitchchannel)';
  assertLine(await gateway.closed(), { code: null, channel: 'tcp_tls', rule });
});

test('a refused login leads nowhere; the next one that is taken does', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'smtp',
    backend: mta().script,
    tls: 'implicit',
    channels: PAIR,
    service,
  });
  const client = await gateway.play(`
    -- tls
    ${SMTP.greeting}
    C: EHLO client.test
    S> 250 AUTH PLAIN *
    C: AUTH PLAIN ${plain('anna', 'wrong')}
    S: 535 5.7.8 Wrong`);
  assert.equal(gateway.front.counters()['channel tcp_auth by saslswitchchannel'], undefined);
  await gateway.resume(client, `C: ${AUTH}\nS: 235 2.7.0 Welcome\n${SMTP.logout}`);
  assertLine(await gateway.closed(), { code: null, user: 'anna', channel: 'tcp_auth' });
});

test('STARTTLS behind a login in clear forgets it, and the channel that it led to', async (t) => {
  const relay = mta();
  const gateway = openGateway(t, {
    protocol: 'smtp',
    backend: relay.script,
    channels: {
      ...PAIR,
      tcp_local: { keywords: 'maytlsserver maysaslserver saslswitchchannel tcp_in tlsswitchchannel tcp_tls' },
      tcp_in: { keywords: 'maytlsserver nosaslserver' },
    },
    service,
  });
  await gateway.play(`
    ${SMTP.greeting}
    ${SMTP.login}
    ${SMTP.starttls}
    C: EHLO client.test
    S> 250 AUTH PLAIN *
    C: ${AUTH}
    S: 235 2.7.0 Welcome
    ${SMTP.logout}`);
  const rule = 'tcp_local → tcp_tls (tlsswitchchannel) → tcp_auth (saslswitchchannel)';
  assertLine(await gateway.closed(), { code: null, channel: 'tcp_auth', rule });
  assert.equal(relay.logins.length, 2);
});

test('a mustsasl channel behind TLS lets no mail through without AUTH', async (t) => {
  const relay = mta();
  const gateway = openGateway(t, {
    protocol: 'smtp',
    backend: relay.script,
    channels: {
      tcp_local: { keywords: 'maytlsserver tlsswitchchannel tcp_users' },
      tcp_users: { keywords: 'mustsaslserver' },
    },
    service,
  });
  await gateway.play(`
    ${SMTP.greeting}
    ${SMTP.starttls}
    C: EHLO client.test
    S> 250 AUTH PLAIN *
    C: MAIL FROM:<a@example.org>
    S: 530 5.7.0 No AUTH command has been given.
    C: ${AUTH}
    S: 235 2.7.0 Welcome
    ${SEND}
    ${SMTP.logout}`);
  assertLine(await gateway.closed(), { code: null, messages: 1, channel: 'tcp_users' });
  assert.equal(gateway.front.counters()['channel tcp_users by mustsaslserver'], 1);
});
