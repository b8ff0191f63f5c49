// IMAP literals and lists without end: refused before they are read, and memory stays bounded.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IMAP } from '../support/dialects.ts';
import { pour } from '../support/conversation.ts';
import { assertLine, openGateway } from '../support/gateway.ts';

const TOO_LONG = 'S: * BYE [TOOBIG] Command too long\n-- eof';

test('imap: a synchronising literal of a gigabyte is refused before a byte of it is asked for', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: IMAP.store().script });
  await gateway.play(`${IMAP.greeting}\nC: a1 LOGIN {1000000000}\n${TOO_LONG}`);
  assertLine(await gateway.closed(), { code: 'LINE_TOO_LONG' });
});

test('imap: a literal with a size that no number holds is refused', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: IMAP.store().script });
  await gateway.play(`${IMAP.greeting}\nC: a1 LOGIN {99999999999999999999999999}\n${TOO_LONG}`);
  assertLine(await gateway.closed(), { code: 'LINE_TOO_LONG' });
});

test('imap: a LITERAL- of more than 4096 bytes is refused', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: IMAP.store().script });
  const client = await gateway.play(IMAP.greeting);
  client.say('a1 LOGIN {4097+}');
  client.send('x'.repeat(4097));
  await gateway.resume(client, TOO_LONG);
  assertLine(await gateway.closed(), { code: 'LINE_TOO_LONG' });
});

test('imap: many small literals together are limited as one', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: IMAP.store().script });
  const client = await gateway.play(IMAP.greeting);
  client.say('a1 LOGIN {4000+}');
  await pour(client, 400_000, `${'x'.repeat(4000)} {4000+}\r\n`);
  await gateway.resume(client, TOO_LONG);
  assertLine(await gateway.closed(), { code: 'LINE_TOO_LONG' });
});

test('imap: name and password may come as literals of both kinds', async (t) => {
  const store = IMAP.store();
  const gateway = openGateway(t, { protocol: 'imap', backend: store.script });
  await gateway.play(`
    ${IMAP.greeting}
    C: a1 LOGIN {4}
    S: + *
    C~ anna {6+}\\r\\nsecret\\r\\n
    S: a1 OK *
    ${IMAP.logout}`);
  assertLine(await gateway.closed(), { code: null, user: 'anna' });
  assert.equal(store.logins[0]?.secret, 'secret');
});

test('imap: a million parentheses are one wrong command, or one that is too long', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: IMAP.store().script });
  const client = await gateway.play(IMAP.greeting);
  client.say(`a1 LOGIN ${'('.repeat(15_000)}`);
  assert.match(await client.line(), /^a1 BAD /);
  await pour(client, 1_000_000, '('.repeat(10_000));
  await gateway.resume(client, TOO_LONG);
  assertLine(await gateway.closed(), { code: 'LINE_TOO_LONG' });
});
