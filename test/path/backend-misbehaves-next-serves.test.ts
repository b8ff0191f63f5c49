// One of two servers accepts and then misbehaves before anything was said of the client: the next one serves, within
// timeouts.connect, and the log tells it once; when it has happened three times it is left alone, and told once more.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL, type Errands, IMAP, SMTP } from '../support/dialects.ts';
import { type BackendCall, type BackendPlan, openGateway } from '../support/gateway.ts';

const BAD = '127.0.0.2:1001';
const GOOD = '127.0.0.3:1002';
const servers = [BAD, GOOD];

async function sayNothing({ talk }: BackendCall): Promise<void> {
  await talk.end();
}

/** Silent, a refusal as greeting, a reset, an answer that ends in its middle. */
const MISDEEDS: readonly (readonly [what: string, plan: (errands: Errands) => BackendPlan, code: string])[] =
  [
    ['says nothing', () => sayNothing, 'BACKEND_TIMEOUT'],
    [
      'greets with a refusal',
      ({ protocol }) =>
        ({ imap: 'S: * BYE overloaded', pop3: 'S: -ERR overloaded', smtp: 'S: 421 4.3.2 overloaded' })[
          protocol
        ],
      'BACKEND_REFUSED',
    ],
    ['closes before it greets', () => '-- end', 'BACKEND_CLOSED'],
    [
      'closes in the middle of its first answer',
      ({ protocol }) =>
        ({
          imap: 'S~ * OK [ALERT] {100}\\r\\nhalf of a lit\n-- end',
          pop3: 'S: +OK ready\nC: CAPA\nS~ +OK\\r\\nTOP\\r\\nUI\n-- end',
          smtp: 'S: 220 mta.test\nC: EHLO mail.test\nS~ 250-mta.test\\r\\n250-SI\n-- end',
        })[protocol],
      'BACKEND_CLOSED',
    ],
  ];

for (const errands of ALL) {
  for (const [what, plan, code] of MISDEEDS) {
    test(`${errands.protocol}: where a server ${what} the next serves, and after three times it is left alone`, async (t) => {
      const { protocol } = errands;
      const gateway = openGateway(t, {
        protocol,
        backend: errands.store().script,
        plans: { [BAD]: plan(errands) },
        to: { servers, balance: 'priority', failover: 100 },
        timeouts: { connect: 8 },
      });
      for (let number = 1; number <= 5; number++) {
        const client = await gateway.play(`${errands.greeting}\n${errands.tries}`);
        if (code === 'BACKEND_TIMEOUT' && number <= 3) await gateway.advance(4000);
        await gateway.resume(client, `S> *Welcome*\n${errands.logout}`);
      }
      await gateway.closed(5);
      assert.deepEqual(gateway.dialled, [BAD, GOOD, BAD, GOOD, BAD, GOOD, GOOD, GOOD]);
      const told = gateway.lines.filter(({ event }) => String(event).startsWith('backend-'));
      assert.deepEqual(
        told.map((line) => [line['event'], line['server'], line['code']]),
        [
          ['backend-failed', BAD, code],
          ['backend-failed', BAD, code],
          ['backend-failed', BAD, code],
          ['backend-down', BAD, code],
        ],
      );
    });
  }

  test(`${errands.protocol}: after its penalty one connection tries it, and when it is well again it has its place back`, async (t) => {
    const { protocol } = errands;
    const store = errands.store();
    const gateway = openGateway(t, {
      protocol,
      backend: store.script,
      plans: { [BAD]: 'refused' },
      to: { servers, balance: 'priority', failover: 100 },
    });
    const visit = async (): Promise<void> => {
      await gateway.play(`${errands.greeting}\n${errands.login}\n${errands.logout}`);
      await gateway.closed();
    };
    await visit();
    await gateway.advance(99_000);
    await visit();
    await gateway.advance(1000);
    await visit();
    assert.deepEqual(gateway.dialled, [BAD, GOOD, GOOD, BAD, GOOD]);
    gateway.plans[BAD] = store.script;
    await gateway.advance(100_000);
    await visit();
    await visit();
    assert.deepEqual(gateway.dialled.slice(5), [BAD, BAD]);
    const told = gateway.lines.filter(({ level }) => level !== 'debug').map(({ event }) => String(event));
    const events = told.filter((event) => event.startsWith('backend-'));
    assert.deepEqual(events, ['backend-failed', 'backend-down', 'backend-up']);
  });
}

test('where all servers fail the client is told once, in time, and they are all tried again for the next one', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: sayNothing,
    to: { servers },
    timeouts: { connect: 8 },
  });
  for (let number = 1; number <= 4; number++) {
    const client = await gateway.play(`${IMAP.greeting}\n${IMAP.tries}`);
    await gateway.advance(4000);
    await gateway.advance(4000);
    await gateway.resume(client, `${IMAP.unavailable}\n${IMAP.logout}`);
  }
  assert.equal(gateway.dialled.length, 8, 'a penalty alone turns nobody away');
  assert.equal(gateway.lines.filter(({ event }) => event === 'backend-down').length, 2);
});

test('failoverTimeout is what one server may take, and as many minutes are its penalty', async (t) => {
  const store = SMTP.store();
  const gateway = openGateway(t, {
    protocol: 'smtp',
    backend: store.script,
    plans: { [BAD]: 'silent' },
    to: { servers, balance: 'priority', failoverTimeout: 2 },
    timeouts: { connect: 60 },
  });
  const visit = async (waits: boolean): Promise<void> => {
    const client = await gateway.play(`${SMTP.greeting}\n${SMTP.tries}`);
    if (waits) await gateway.advance(2000);
    await gateway.resume(client, `S: 235 *\n${SMTP.logout}`);
    await gateway.closed();
  };
  for (let number = 1; number <= 3; number++) await visit(true);
  await visit(false);
  await gateway.advance(119_000);
  await visit(false);
  await gateway.advance(2000);
  await visit(true);
});
