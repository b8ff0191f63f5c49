// Where TLS or AUTH is required, nothing that needs it goes on without it, and everything goes on with it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IMAP, plain, POP3, SEND, SMTP } from '../support/dialects.ts';
import { mta } from '../support/mta.ts';
import { assertLine, openGateway } from '../support/gateway.ts';

test('smtp: a musttls channel answers MAIL and AUTH with 530 5.7.0 in clear, and takes both inside TLS', async (t) => {
  const relay = mta();
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script, tls: 'musttls' });
  const client = await gateway.play(`
    ${SMTP.greeting}
    C: EHLO client.test
    S> 250 STARTTLS
    C: MAIL FROM:<a@example.org>
    S: 530 5.7.0 Must issue a STARTTLS command first
    C: AUTH PLAIN ${plain('anna', 'secret')}
    S: 530 5.7.0 *
    C: NOOP
    S: 250 *`);
  assert.equal(gateway.calls.length, 0);
  assert.doesNotMatch(client.heard, /AUTH/);
  await gateway.resume(client, `${SMTP.starttls}\n${SMTP.login}\n${SEND}\n${SMTP.logout}`);
  const line = await gateway.closed();
  assertLine(line, { code: null, user: 'anna', messages: 1 });
  assert.equal((line['tls'] as { version: string }).version, 'TLSv1.3');
});

test('smtp: what was said before STARTTLS is forgotten, EHLO too (RFC 3207 4.2)', async (t) => {
  const gateway = openGateway(t, { protocol: 'smtp', backend: mta().script });
  const client = await gateway.play(`
    ${SMTP.greeting}
    C: EHLO client.test
    S> 250 *
    ${SMTP.starttls}
    C: MAIL FROM:<a@example.org>
    S: 503 5.5.1 EHLO first
    C: STARTTLS
    S: 503 5.5.1 *
    C: EHLO client.test
    S> 250 *`);
  assert.doesNotMatch(client.heardSecured, /STARTTLS/);
});

test('smtp: a mustsasl channel answers MAIL with 530 5.7.0 before AUTH', async (t) => {
  const relay = mta();
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script, sasl: 'mustsaslserver' });
  const client = await gateway.play(`
    ${SMTP.greeting}
    C: EHLO client.test
    S> 250 *
    C: MAIL FROM:<a@example.org>
    S: 530 5.7.0 No AUTH command has been given.
    C: RCPT TO:<b@example.com>
    S: 503 5.5.1 *`);
  assert.equal(gateway.calls.length, 0);
  await gateway.resume(client, `${SMTP.login}\n${SEND}\n${SMTP.logout}`);
  assertLine(await gateway.closed(), { code: null, user: 'anna', messages: 1 });
});

test('smtp: after STARTTLS an earlier AUTH counts no more', async (t) => {
  const gateway = openGateway(t, { protocol: 'smtp', backend: mta().script, sasl: 'mustsaslserver' });
  await gateway.play(`
    ${SMTP.greeting}
    ${SMTP.login}
    ${SMTP.starttls}
    C: EHLO client.test
    S> 250 *
    C: MAIL FROM:<a@example.org>
    S: 530 5.7.0 No AUTH command has been given.
    ${SMTP.logout}`);
  assertLine(await gateway.closed(), { code: null, messages: 0 });
});

test('smtp: a nosasl channel neither shows nor takes AUTH, and a notls one no STARTTLS', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'smtp',
    backend: mta().script,
    tls: 'notls',
    sasl: 'nosaslserver',
  });
  const client = await gateway.play(`
    ${SMTP.greeting}
    C: EHLO client.test
    S> 250 *
    C: AUTH PLAIN ${plain('anna', 'secret')}
    S: 503 5.5.1 *
    C: STARTTLS
    S: 502 5.5.1 *
    ${SEND}
    C: AUTH PLAIN ${plain('anna', 'secret')}
    S: 503 5.5.1 *
    C: STARTTLS
    S: 502 5.5.1 *
    ${SEND}
    ${SMTP.logout}`);
  assert.doesNotMatch(client.heard, /250.AUTH|250.STARTTLS/);
  assertLine(await gateway.closed(), { code: null, messages: 2, user: null });
});

test('imap: under musttls LOGINDISABLED is shown and no password is taken in clear', async (t) => {
  const store = IMAP.store();
  const gateway = openGateway(t, { protocol: 'imap', backend: store.script, tls: 'musttls' });
  const client = await gateway.play(`
    S: * OK [CAPABILITY *STARTTLS LOGINDISABLED] *
    C: a1 LOGIN anna secret
    S: a1 NO [PRIVACYREQUIRED] *
    C: a2 AUTHENTICATE PLAIN ${plain('anna', 'secret')}
    S: a2 NO [PRIVACYREQUIRED] *`);
  assert.doesNotMatch(client.heard, /AUTH=/);
  assert.deepEqual(store.logins, []);
  await gateway.resume(
    client,
    `${IMAP.starttls}
    C: c1 CAPABILITY
    S: * CAPABILITY *AUTH=PLAIN*
    S: c1 OK *
    ${IMAP.login}
    ${IMAP.logout}`,
  );
  assert.doesNotMatch(client.heardSecured, /STARTTLS|LOGINDISABLED/);
  assertLine(await gateway.closed(), { code: null, user: 'anna' });
});

test('pop3: under musttls USER and AUTH are refused in clear and not shown', async (t) => {
  const store = POP3.store();
  const gateway = openGateway(t, { protocol: 'pop3', backend: store.script, tls: 'musttls' });
  const client = await gateway.play(`
    ${POP3.greeting}
    C: CAPA
    S> .
    C: USER anna
    S: -ERR [AUTH] Use STLS first
    C: PASS secret
    S: -ERR [AUTH] Use STLS first
    C: AUTH PLAIN ${plain('anna', 'secret')}
    S: -ERR [AUTH] Use STLS first`);
  assert.match(client.heard, /STLS\r\n/);
  assert.doesNotMatch(client.heard, /USER\r\n|SASL/);
  await gateway.resume(client, `${POP3.starttls}\nC: CAPA\nS> .\n${POP3.login}\n${POP3.logout}`);
  assert.match(client.heardSecured, /USER\r\nSASL PLAIN/);
  assert.doesNotMatch(client.heardSecured, /STLS/);
  assertLine(await gateway.closed(), { code: null, user: 'anna' });
});

test('a service without a certificate offers no TLS', async (t) => {
  for (const errands of [IMAP, POP3]) {
    const gateway = openGateway(t, {
      protocol: errands.protocol,
      backend: errands.store().script,
      tls: 'notls',
    });
    const refusal = errands === IMAP ? 'C: t1 STARTTLS\nS: t1 BAD *' : 'C: STLS\nS: -ERR *';
    const client = await gateway.play(`${errands.greeting}\n${refusal}\n${errands.login}\n${errands.logout}`);
    assert.doesNotMatch(client.heard, /\bSTARTTLS\b(?!.*BAD)|STLS\r/);
    assertLine(await gateway.closed(), { code: null, user: 'anna', tls: null });
  }
});
