// Behind a front tier of ours limits, penalties and access rules go by the clients that it brings; the tier itself is
// neither counted nor slowed down, or all its clients would be together.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IMAP } from '../support/dialects.ts';
import { assertLine, type LogLine, openGateway } from '../support/gateway.ts';

const from = '192.0.2.8';
const service = { frontTier: { from: [from] } };
const backend = IMAP.store().script;
const refused = (line: LogLine): boolean => line['event'] === 'refused';

const bring = (address: string): string => `
  ${IMAP.greeting}
  C: i ID ("x-originating-ip" "${address}" "x-originating-port" "4000")
  S: * ID *
  S: i OK *`;

test('one client of a tier has so many connections as one address may, the tier as many as it likes', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend, service, limits: { perAddress: 2 } });
  for (let i = 0; i < 2; i++) await gateway.play(`${bring('203.0.113.9')}\n${IMAP.login}`, { from });
  for (let i = 0; i < 5; i++) await gateway.play(`${bring(`203.0.113.${20 + i}`)}\n${IMAP.login}`, { from });
  await gateway.play(`${bring('203.0.113.9')}\n${IMAP.tries}\nS: * BYE [LIMIT] *\n-- eof\n-- end`, { from });
  assertLine(await gateway.logged(refused), { code: 'ADDRESS_LIMIT', client: '203.0.113.9' });
  await gateway.play('S: * OK *', { from: '203.0.113.20' });
  await gateway.play('S: * BYE [LIMIT] *\n-- eof\n-- end', { from: '203.0.113.9' });
});

test('places of a client that the tier brought are given back at the end', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend, service, limits: { perAddress: 1, total: 1 } });
  for (let i = 1; i <= 3; i++) {
    await gateway.play(`${bring('203.0.113.9')}\n${IMAP.login}\n${IMAP.logout}`, { from });
    await gateway.closed(i);
    await gateway.settle();
  }
});

test('a guesser behind a tier waits, his neighbours behind it do not, and the tier itself never', async (t) => {
  const store = IMAP.store({ accepts: ({ secret, user }) => secret === 'secret' && user === 'bert' });
  const options = { protocol: 'imap', backend: store.script, service, penalties: {} } as const;
  const gateway = openGateway(t, options);
  const wrong = `${IMAP.tries}\n${IMAP.refused}`;
  const right = 'C: b LOGIN bert secret\nS: b OK *';
  const guesser = await gateway.play(`${bring('203.0.113.9')}\n${wrong}`, { from });
  await gateway.play(`${bring('203.0.113.10')}\n${right}`, { from });
  const itself = await gateway.play(`${IMAP.greeting}\n${wrong}`, { from });
  await gateway.resume(itself, right);
  const waiting = gateway.resume(guesser, right);
  await gateway.advance(1900);
  assert.equal(store.logins.length, 4);
  await gateway.advance(200);
  await waiting;
});

test('access rules judge the client that was brought, and a tier that brings nobody like anybody', async (t) => {
  const access = '+imap:203.0.113.0/24 EXCEPT 203.0.113.9';
  const gateway = openGateway(t, { protocol: 'imap', backend, service: { ...service, access } });
  const denied = `${IMAP.tries}\nS: * BYE Access denied\n-- eof\n-- end`;
  await gateway.play(`${bring('203.0.113.10')}\n${IMAP.login}`, { from });
  await gateway.play(`${bring('203.0.113.9')}\n${denied}`, { from });
  await gateway.play(`${IMAP.greeting}\n${denied}`, { from });
});
