// A line, a literal, a list without end: the answer is a clear error and the door, and memory stays bounded.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pour } from '../support/conversation.ts';
import { ALL } from '../support/dialects.ts';
import { assertLine, openGateway } from '../support/gateway.ts';

const TOO_LONG = {
  imap: 'S: * BYE [TOOBIG] Command too long\n-- eof',
  pop3: 'S: -ERR Command too long\n-- eof',
  smtp: 'S: 521 5.5.2 mail.test Command too long\n-- eof',
} as const;

for (const errands of ALL) {
  const { protocol } = errands;
  test(`${protocol}: ten megabytes without a line end are refused at limits.commandBytes`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: errands.store().script });
    const client = await gateway.play(errands.greeting);
    await pour(client, 10_000_000);
    await gateway.resume(client, TOO_LONG[protocol]);
    const line = await gateway.closed();
    assertLine(line, { code: 'LINE_TOO_LONG', user: null });
    assert.ok(Number(line['bytesIn']) < 200_000, `took ${String(line['bytesIn'])} bytes`);
  });

  test(`${protocol}: a line just under the limit is answered`, async (t) => {
    const gateway = openGateway(t, {
      protocol,
      backend: errands.store().script,
      limits: { commandBytes: 2000 },
    });
    const client = await gateway.play(errands.greeting);
    client.say(`${protocol === 'imap' ? 'a1 ' : ''}NOOP${' '.repeat(1900)}`);
    assert.match(await client.line(), /^(a1 OK|\+OK|250 )/);
    await gateway.resume(client, errands.logout);
    assertLine(await gateway.closed(), { code: null });
  });

  test(`${protocol}: many short lines without a pause are all answered`, async (t) => {
    const gateway = openGateway(t, {
      protocol,
      backend: errands.store().script,
      limits: { badCommands: 1000 },
    });
    const client = await gateway.play(errands.greeting);
    const lines = 9000;
    const done = (async () => {
      for (let count = 0; count < lines; count++) await client.line();
    })();
    await pour(client, lines * 9, `${protocol === 'imap' ? 'a NOOP' : 'NOOP  '} \r\n`.repeat(1000));
    await done;
    await gateway.resume(client, errands.logout);
    assertLine(await gateway.closed(), { code: null });
  });

  test(`${protocol}: commands that lead nowhere end in TOO_MANY_ERRORS, ten for a wrong one`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: errands.store().script, limits: { badCommands: 3 } });
    const client = await gateway.play(errands.greeting);
    for (let count = 0; count < 30; count++) {
      client.say(protocol === 'imap' ? 'a NOOP' : 'NOOP');
      assert.match(await client.line(), /^(a OK|\+OK|250 )/);
    }
    client.say(`${protocol === 'imap' ? 'a NOOP' : 'NOOP'}\r\n`.repeat(10).trimEnd());
    assert.match(await client.end(), /Too many errors/);
    assertLine(await gateway.closed(), { code: 'TOO_MANY_ERRORS' });
  });
}
