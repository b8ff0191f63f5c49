// One side goes away in the middle of a message: the other must never take the part for the whole.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SEND, SENT, SMTP } from '../support/dialects.ts';
import { assertLine, openGateway } from '../support/gateway.ts';

const UP_TO_DATA = SEND.slice(0, SEND.indexOf('C: Subject'));
const ENVELOPE = UP_TO_DATA.slice(0, UP_TO_DATA.indexOf('C: DATA'));

for (const [how, leave] of [
  ['closes', (client: { finish: () => void }) => client.finish()],
  ['is cut off', (client: { socket: unknown }) => (client.socket as { reset: () => void }).reset()],
] as const) {
  test(`a client that ${how} in DATA leaves no message behind`, async (t) => {
    const relay = SMTP.store();
    const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script });
    const client = await gateway.play(`${SMTP.greeting}\n${UP_TO_DATA}\nC: Subject: half\nC:\nC: text`);
    await gateway.settle();
    leave(client);
    const line = await gateway.closed();
    assert.match(String(line['code']), /^CLIENT_(CLOSED|RESET)$/);
    assertLine(line, { messages: 0 });
    const { talk } = await gateway.call();
    await talk.end().catch(() => undefined);
    assert.match(talk.heard, /Subject: half\r\n\r\ntext\r\n$/);
    assert.deepEqual('messages' in relay ? relay.messages : [], []);
  });
}

test('a client that closes in the middle of a BDAT chunk leaves no message behind', async (t) => {
  const relay = SMTP.store();
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script });
  const client = await gateway.play(`${SMTP.greeting}\n${ENVELOPE}\nC: BDAT 20 LAST\nC~ half of it`);
  await gateway.settle();
  client.finish();
  assertLine(await gateway.closed(), { code: 'CLIENT_CLOSED', messages: 0 });
  assert.deepEqual('messages' in relay ? relay.messages : [], []);
});

test('a client that closes behind the end of its message has sent it', async (t) => {
  const relay = SMTP.store();
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script });
  const client = await gateway.play(`${SMTP.greeting}\n${UP_TO_DATA}`);
  client.send(`${SENT}.\r\n`);
  client.finish();
  assert.match(await client.end(), /^250 2.0.0 Queued/);
  assertLine(await gateway.closed(), { code: 'CLIENT_CLOSED', messages: 1 });
  assert.equal('messages' in relay && Array.isArray(relay.messages) ? relay.messages.length : 0, 1);
});
