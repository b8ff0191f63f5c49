// XQUERYAUTH: who has a grant for an address, asked before any login, by those that the service lets ask. To everybody
// else there is no such command.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { POP3 } from '../support/dialects.ts';
import { assertLine } from '../support/gateway.ts';
import { openGranting } from '../support/granting.ts';

const ASKER = '198.51.100.25';
const popBeforeSmtp = { channel: 'tcp_intranet' };
// The service of mailboxes that lets ask is a third one, so that imap need not have the setting.
const asking = {
  protocol: 'pop3',
  listen: '127.0.0.1:0',
  tls: 'maytls',
  backend: 'behind',
  capabilities: ['UIDL'],
  authService: { from: [`${ASKER}/32`] },
};

function open(t: Parameters<typeof openGranting>[0], more: Record<string, unknown> = {}) {
  const listen = '127.0.0.1:0';
  const pop3 = { protocol: 'pop3', listen, tls: 'maytls', backend: 'pops', capabilities: ['UIDL'] };
  return openGranting(t, { popBeforeSmtp, services: { pop3, asking: { ...asking, ...more } } });
}

test('who may ask is told the user of an address, and that another has nobody', async (t) => {
  const { gateway, logIn } = open(t);
  await logIn();
  await gateway.play(
    `${POP3.greeting}
    C: XQUERYAUTH 192.0.2.7
    S: +OK anna
    C: XQUERYAUTH ::ffff:192.0.2.7
    S: +OK anna
    C: XQUERYAUTH 192.0.2.8
    S: -ERR not authenticated
    C: XQUERYAUTH mail.example.com
    S: -ERR XQUERYAUTH takes an IP address
    C: XQUERYAUTH
    S: -ERR XQUERYAUTH takes an IP address
    ${POP3.logout}`,
    { from: ASKER, service: 'asking' },
  );
  assertLine(await gateway.closed(), { code: null, user: null });
});

test('to anybody else it is no command, nor at a service that lets nobody ask', async (t) => {
  const { gateway, logIn } = open(t);
  await logIn();
  const script = `${POP3.greeting}\nC: XQUERYAUTH 192.0.2.7\nS: -ERR Log in first\n${POP3.logout}`;
  await gateway.play(script, { from: '198.51.100.26', service: 'asking' });
  await gateway.play(script, { from: ASKER, service: 'pop3' });
});

test('where TLS is required nothing is told in clear', async (t) => {
  const { gateway, logIn } = open(t, { tls: 'musttls' });
  await logIn();
  await gateway.play(
    `${POP3.greeting}
    C: XQUERYAUTH 192.0.2.7
    S: -ERR [AUTH] Use STLS first
    ${POP3.starttls}
    C: XQUERYAUTH 192.0.2.7
    S: +OK anna
    ${POP3.logout}`,
    { from: ASKER, service: 'asking' },
  );
});

test('questions are limited as other commands that lead nowhere are', async (t) => {
  const { gateway } = open(t);
  const asked = 'C: XQUERYAUTH 192.0.2.7\nS: -ERR not authenticated\n'.repeat(109);
  const over = 'C: XQUERYAUTH 192.0.2.7\nS: -ERR *\n-- eof\n-- end';
  await gateway.play(`${POP3.greeting}\n${asked}\n${over}`, { from: ASKER, service: 'asking' });
  assertLine(await gateway.closed(), { code: 'TOO_MANY_ERRORS' });
  assert.equal(gateway.calls.length, 0);
});
