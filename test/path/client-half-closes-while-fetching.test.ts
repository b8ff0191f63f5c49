// Half-close is passed on: who has said all may still listen, on either side.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IMAP, POP3 } from '../support/dialects.ts';
import { assertLine, openGateway } from '../support/gateway.ts';
import { MAIL } from '../support/stores.ts';

const FETCH = {
  imap: {
    command: 'f1 FETCH 1 BODY[]',
    answer: `* 1 FETCH (BODY[] {${MAIL.length}}\r\n${MAIL})\r\nf1 OK Fetched\r\n`,
  },
  pop3: { command: 'RETR 1', answer: `+OK ${MAIL.length} octets\r\n${MAIL}\r\n.\r\n` },
} as const;

for (const errands of [IMAP, POP3]) {
  const protocol = errands.protocol === 'imap' ? 'imap' : 'pop3';
  const { command, answer } = FETCH[protocol];

  for (const tls of ['in clear', 'inside TLS'] as const) {
    test(`${protocol}: a client that ends its half behind the command gets the whole answer, ${tls}`, async (t) => {
      const gateway = openGateway(t, { protocol, backend: errands.store().script });
      const client = await gateway.play(
        `${errands.greeting}\n${tls === 'in clear' ? '' : errands.starttls}\n${errands.login}`,
      );
      client.say(command);
      client.finish();
      assert.equal(await client.end(), answer);
      assertLine(await gateway.closed(), { code: null, end: 'client closed', user: 'anna' });
      await gateway.scriptsDone();
    });
  }

  test(`${protocol}: a client that ends its half before the answer to its login is still answered`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: errands.store().script });
    const client = await gateway.play(errands.greeting);
    client.send(protocol === 'imap' ? 'a1 LOGIN anna secret\r\n' : 'USER anna\r\nPASS secret\r\n');
    client.finish();
    assert.match(await client.end(), /Welcome anna\r\n$/);
    assertLine(await gateway.closed(), { user: 'anna', code: null });
  });

  test(`${protocol}: a backend that closes after the login closes the client's connection`, async (t) => {
    const verb = protocol === 'imap' ? 'FETCH' : 'RETR';
    const store = errands.store({
      commands: {
        [verb]: (talk) => {
          talk.send(answer.slice(0, 100));
          talk.finish();
        },
      },
    });
    const gateway = openGateway(t, { protocol, backend: store.script });
    const client = await gateway.play(`${errands.greeting}\n${errands.login}\nC: ${command}`);
    assert.equal(await client.end(), answer.slice(0, 100));
    client.finish();
    assertLine(await gateway.closed(), { code: 'BACKEND_CLOSED', end: 'error' });
  });

  test(`${protocol}: a backend whose connection breaks after the login is no defect of ours`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: errands.store().script });
    const client = await gateway.play(`${errands.greeting}\n${errands.login}`);
    (await gateway.call()).end.reset();
    await client.end();
    assertLine(await gateway.closed(), { code: 'BACKEND_CLOSED', end: 'error' });
  });
}

test('imap: the closing line counts the bytes of both directions, pipelined ones once', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: IMAP.store().script,
    cable: { split: 'whole' },
  });
  const client = await gateway.play(IMAP.greeting);
  client.send('a1 LOGIN anna secret\r\nn1 NOOP\r\nz1 LOGOUT\r\n');
  await client.end();
  client.finish();
  const line = await gateway.closed();
  assertLine(line, { bytesIn: 42, bytesOut: client.heard.length, code: null });
});
