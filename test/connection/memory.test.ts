// What a connection holds. Garbage does not accumulate, and a relayed connection keeps no buffer of its own.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import v8 from 'node:v8';
import vm from 'node:vm';
import { assertLine, openGateway } from '../support/gateway.ts';
import { IMAP } from '../support/dialects.ts';
import { imapStore } from '../support/stores.ts';
import type { Conversation } from '../support/conversation.ts';

v8.setFlagsFromString('--expose-gc');
const collectGarbage = vm.runInNewContext('gc') as () => void;

async function buffersNow(): Promise<number> {
  for (let round = 0; round < 4; round++) {
    collectGarbage();
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  return process.memoryUsage().arrayBuffers;
}

test('a logged-in connection keeps neither what the legs had read nor the login', async (t) => {
  const store = imapStore({ commands: { NOOP: () => undefined } });
  const gateway = openGateway(t, { protocol: 'imap', backend: store.script, cable: { split: 'whole' } });
  const clients: Conversation[] = [];
  // Room for what is made once.
  clients.push(await gateway.play(`${IMAP.greeting}\n${IMAP.login}`));
  const before = await buffersNow();
  const count = 20;
  const noops = 'x NOOP\r\n'.repeat(2500);
  for (let made = 0; made < count; made++) {
    const client = await gateway.play(IMAP.greeting);
    client.send(`a1 LOGIN anna secret\r\n${noops}`);
    await client.line();
    clients.push(client);
  }
  await gateway.settle();
  for (const call of gateway.calls) Object.assign(call.talk, { heard: '' });
  const each = ((await buffersNow()) - before) / count;
  assert.ok(each < 10_000, `${Math.round(each)} bytes of buffers are held for each connection`);
  assert.equal(gateway.front.counters()['open'], count + 1);
});

test('a hundred clients with ten megabytes of garbage cost no more than their limit', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: imapStore().script,
    cable: { split: 'whole', bufferBytes: 65_536 },
  });
  const before = await buffersNow();
  const garbage = Buffer.alloc(50_000, 'x');
  const clients = await Promise.all(Array.from({ length: 100 }, () => gateway.play(IMAP.greeting)));
  for (let sent = 0; sent < 100_000; sent += garbage.length)
    for (const client of clients) client.send(garbage);
  for (const client of clients) await client.end();
  const held = (await buffersNow()) - before;
  assertLine(await gateway.closed(100), { code: 'LINE_TOO_LONG' });
  assert.ok(held < 20_000_000, `${held} bytes are held`);
});

test('when all have gone, nothing of them is left', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: imapStore().script });
  for (let round = 0; round < 5; round++) {
    await gateway.play(`${IMAP.greeting}\n${IMAP.starttls}\n${IMAP.login}\n${IMAP.logout}`);
  }
  await gateway.closed();
  await gateway.advance(6000);
  assert.equal(gateway.front.counters()['open'], 0);
  assert.equal(gateway.world.pending, 1, 'the look at all waits is the only timer');
});
