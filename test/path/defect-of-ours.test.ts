// A defect of Sallyport ends the connection it happens on, with words of the table, and a log line with the stack.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL, IMAP } from '../support/dialects.ts';
import { assertLine, openGateway } from '../support/gateway.ts';
import { cable } from '../support/wire.ts';

const WORDS = {
  imap: 'S: * BYE [SERVERBUG] Internal error*\n-- eof\n-- end',
  pop3: 'S: -ERR [SYS/TEMP] Internal error*\n-- eof\n-- end',
  smtp: 'S: 421 4.3.0 *Internal error*\n-- eof\n-- end',
} as const;

for (const errands of ALL) {
  const { protocol } = errands;
  test(`${protocol}: an unforeseen failure is answered and logged with its stack`, async (t) => {
    const gateway = openGateway(t, {
      protocol,
      backend: 'refused',
      world: {
        dial: () => {
          throw new TypeError('nobody thought of this');
        },
      },
    });
    await gateway.play(`${errands.greeting}\n${errands.tries}\n${WORDS[protocol]}`);
    const line = await gateway.closed();
    assertLine(line, { code: 'INTERNAL', level: 'error' });
    assert.match(String(line['stack']), /nobody thought of this[^]*defect-of-ours/);
    assert.doesNotMatch(JSON.stringify(line), /secret/);
  });
}

test('the next connection is served as if nothing had been', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: IMAP.store().script });
  await gateway.play(`${IMAP.greeting}\n${IMAP.login}\n${IMAP.logout}`);
  assertLine(await gateway.closed(), { code: null });
});

test('a connection for a service that is not there is cut', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: IMAP.store().script });
  const [near, far] = cable();
  gateway.front.serve('nothing', far.asSocket());
  await gateway.settle();
  assert.ok(far.destroyed);
  near.destroy();
});
