// Step 9: last words where they can be said, both sockets end, one line tells it all.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteRelay } from '../../src/connection/byte-relay.ts';
import { close } from '../../src/connection/close.ts';
import { isRefusal } from '../../src/connection/refusals.ts';
import { ERRORS, type ErrorCode, GateError } from '../../src/errors.ts';
import { settle, testBack, testClient, testGate, TIMEOUTS } from '../support/gates.ts';

const LEVELS = { info: 'info', warn: 'warn', error: 'error' } as const;

for (const code of Object.keys(ERRORS) as ErrorCode[]) {
  for (const protocol of ['imap', 'pop3', 'smtp'] as const) {
    test(`${code} ends an ${protocol} connection with the words of its row, and one line at its level`, async () => {
      const gate = testGate({ protocol });
      const { client, talk } = testClient(gate);
      client.leg.attach();
      close(client, new GateError(code));
      const said = await talk.end();
      const { text, level, smtp, imap, pop3 } = ERRORS[code];
      const silent = { smtp, imap, pop3 }[protocol] === null;
      assert.equal(said.includes(text) && said.endsWith('\r\n'), !silent, said);
      assert.equal(said === '', silent);
      const [event, end] = isRefusal(new GateError(code)) ? ['refused', undefined] : ['closed', 'error'];
      assert.deepEqual(
        gate.lines.map((line) => [line['event'], line['level'], line['code'], line['end']]),
        [[event, LEVELS[level], code, end]],
      );
    });
  }
}

test('a connection that ends well ends without words, and the line says how', async () => {
  const gate = testGate({ protocol: 'imap' });
  const { client, talk } = testClient(gate);
  client.leg.attach();
  client.ending = 'client closed';
  client.user = 'anna';
  gate.world.advance(1234);
  close(client, null);
  assert.equal(await talk.end(), '');
  const [line] = gate.lines;
  assert.deepEqual(
    ['service', 'session', 'client', 'port', 'user', 'end', 'code', 'ms'].map((key) => line?.[key]),
    ['mail', 'ab-1', '192.0.2.7', 50_001, 'anna', 'client closed', null, 1234],
  );
});

test('messages are counted on the line of SMTP alone', () => {
  for (const [protocol, messages] of [
    ['smtp', 0],
    ['imap', undefined],
    ['pop3', undefined],
  ] as const) {
    const gate = testGate({ protocol });
    close(testClient(gate).client, null);
    assert.equal(gate.lines[0]?.['messages'], messages);
  }
});

test('whoever came to the wrong port is told of on the line, so that the operator can help', () => {
  for (const [code, hinted] of [
    ['TLS_ON_PLAIN_PORT', true],
    ['PLAIN_ON_TLS_PORT', true],
    ['LOGIN_TIMEOUT', false],
  ] as const) {
    const gate = testGate({ protocol: 'imap' });
    close(testClient(gate).client, new GateError(code));
    assert.equal(gate.lines[0]?.['hint'] !== undefined, hinted, code);
  }
});

test('a defect of ours has its stack on the line, a failure of the table has its context', () => {
  const gate = testGate({ protocol: 'imap' });
  close(testClient(gate).client, new GateError('INTERNAL', {}, new TypeError('oops')));
  assert.match(String(gate.lines[0]?.['stack']), /TypeError: oops\n +at /);
  assert.match(String(gate.lines[0]?.['cause']), /oops/);
  close(testClient(gate).client, new GateError('BACKEND_UNREACHABLE', { backend: 'store:143' }));
  assert.match(String(gate.lines[1]?.['cause']), /backend: store:143/);
  assert.equal(gate.lines[1]?.['stack'], undefined);
});

test('on a socket that is gone nothing is said, and the connection is reported at once', async () => {
  const gate = testGate({ protocol: 'imap' });
  const { client, near, closed } = testClient(gate);
  near.destroy();
  await settle();
  close(client, new GateError('LOGIN_TIMEOUT'));
  assert.deepEqual([closed.length, gate.lines.length, client.leg.bytesOut], [1, 1, 0]);
});

test('a connection is reported once, when its socket is really closed', async () => {
  const gate = testGate({ protocol: 'imap' });
  const { client, talk, closed } = testClient(gate);
  client.leg.attach();
  close(client, null);
  await talk.end();
  assert.deepEqual([closed.length, client.phase], [0, 'closing']);
  talk.finish();
  await settle();
  assert.deepEqual(closed, [client]);
});

test('a client that does not close is cut, and then reported', async () => {
  const gate = testGate({ protocol: 'imap' });
  const { client, closed } = testClient(gate);
  client.leg.attach();
  close(client, new GateError('TOO_MANY_ERRORS'));
  await settle();
  client.check(gate.world.monotonic());
  gate.world.advance(TIMEOUTS.closeMs);
  client.check(gate.world.monotonic());
  await settle();
  assert.equal(closed.length, 1);
});

test('what a client still sends behind its last words is thrown away', async () => {
  const gate = testGate({ protocol: 'imap' });
  const { client, talk, near } = testClient(gate);
  client.leg.attach();
  close(client, new GateError('TOO_MANY_ERRORS'));
  for (let i = 0; i < 20; i++) talk.send(Buffer.alloc(50_000));
  await settle(200);
  assert.ok(near.undelivered <= 100_000, `${near.undelivered}`);
  assert.equal(client.leg.pendingBytes, 0);
});

test('the backend is left with the end of our half', async () => {
  const gate = testGate({ protocol: 'smtp' });
  const { client } = testClient(gate);
  const { back, talk } = testBack(gate);
  client.back = back;
  close(client, new GateError('CLIENT_CLOSED'));
  assert.equal(await talk.end(), '');
  assert.equal(client.back, null);
});

for (const [what, down, words] of [
  [
    'a whole response',
    '* 1 EXISTS\r\n',
    '* BYE [UNAVAILABLE] Server is shutting down, please connect again\r\n',
  ],
  ['half of one', '* 1 EXI', ''],
] as const) {
  test(`in a byte relay, behind ${what}, ${words === '' ? 'nothing is' : 'words are'} put in`, async () => {
    const gate = testGate({ protocol: 'imap' });
    const { client, talk } = testClient(gate);
    const { back, talk: store } = testBack(gate);
    client.leg.attach();
    client.back = back;
    client.relayed = new ByteRelay(client.leg.release(), back.leg.release(), 'imap');
    client.enter('bytes');
    const end = client.relayed.run().catch((error: unknown) => error);
    store.send(down);
    await settle();
    client.relayed.finish(new GateError('DRAINING'));
    close(client, (await end) as GateError);
    assert.equal(await talk.end(), `${down}${words}`);
  });
}

test('a client whom the relay has told goodbye is not told again', async () => {
  const gate = testGate({ protocol: 'smtp' });
  const { client, talk } = testClient(gate);
  client.leg.attach();
  client.leg.send('421 4.3.2 bye\r\n');
  client.dismissed = true;
  close(client, new GateError('BACKEND_CLOSED'));
  assert.equal(await talk.end(), '421 4.3.2 bye\r\n');
});
