// A server that an administrator drains gets no new login, and the sessions that it has go on.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL, IMAP } from '../support/dialects.ts';
import { assertLine, openGateway } from '../support/gateway.ts';

const FIRST = '127.0.0.2:1001';
const NEXT = '127.0.0.3:1002';

const notice = (server: string, drained: boolean) =>
  [{ backend: 'behind', server, drained, mark: 'none' }] as const;

for (const errands of ALL) {
  const { protocol } = errands;
  test(`${protocol}: new logins go to the other server, an open session goes on, and later it is in use again`, async (t) => {
    const gateway = openGateway(t, {
      protocol,
      backend: errands.store().script,
      to: { servers: [FIRST, NEXT], balance: 'priority' },
    });
    const early = await gateway.play(`${errands.greeting}\n${errands.login}`);
    gateway.front.notice(notice(FIRST, true));
    await gateway.play(`${errands.greeting}\n${errands.login}\n${errands.logout}`);
    assertLine(await gateway.closed(1), { code: null, backend: NEXT });
    const shown = gateway.front.servers().map(({ server, open }) => [server, open]);
    assert.deepEqual(shown[0], [FIRST, 1]);
    await gateway.resume(early, errands.logout);
    assertLine(await gateway.closed(2), { code: null, backend: FIRST });
    gateway.front.notice(notice(FIRST, false));
    await gateway.play(`${errands.greeting}\n${errands.login}\n${errands.logout}`);
    assertLine(await gateway.closed(3), { code: null, backend: FIRST });
  });

  test(`${protocol}: where every server is drained clients are told to come later`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: errands.store().script, to: { servers: [FIRST] } });
    gateway.front.notice(notice(FIRST, true));
    await gateway.play(`${errands.greeting}\n${errands.tries}\n${errands.unavailable}`);
    assert.deepEqual(gateway.dialled, []);
  });
}

test('a server that the prober calls down is used only for want of another', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: IMAP.store().script,
    to: { servers: [FIRST, NEXT], balance: 'priority' },
  });
  const visit = async (): Promise<unknown> => {
    await gateway.play(`${IMAP.greeting}\n${IMAP.login}\n${IMAP.logout}`);
    return (await gateway.closed())['backend'];
  };
  const mark = (server: string, found: 'down' | 'up'): void =>
    gateway.front.notice([{ backend: 'behind', server, drained: false, mark: found }]);
  mark(FIRST, 'down');
  assert.equal(await visit(), NEXT);
  mark(NEXT, 'down');
  assert.equal(await visit(), FIRST);
  mark(FIRST, 'up');
  assert.equal(await visit(), FIRST);
});
