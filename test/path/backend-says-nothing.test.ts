// A backend that accepts and then keeps silent: the client is not left waiting longer than timeouts.connect
// for the greeting and timeouts.reply for the login.

import { test } from 'node:test';
import { ALL, IMAP, SEND, SMTP } from '../support/dialects.ts';
import { type BackendCall, assertLine, openGateway } from '../support/gateway.ts';

async function sayNothing({ talk }: BackendCall): Promise<void> {
  await talk.end();
}

for (const errands of ALL) {
  const { protocol } = errands;
  test(`${protocol}: a backend that does not even greet is given up after timeouts.connect`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: sayNothing, timeouts: { connect: 5 } });
    const client = await gateway.play(`${errands.greeting}\n${errands.tries}`);
    await gateway.call();
    await gateway.advance(5000);
    await gateway.resume(client, errands.unavailable);
    await gateway.logged((line) => line['code'] === 'BACKEND_TIMEOUT' && line['level'] !== 'info');
    if (errands !== SMTP) await gateway.resume(client, errands.logout);
    assertLine(await gateway.closed(), { code: errands === SMTP ? 'BACKEND_TIMEOUT' : null });
  });

  test(`${protocol}: a backend that answers just in time is waited for`, async (t) => {
    const store = errands.store();
    let start: () => void = () => undefined;
    const started = new Promise<void>((resolve) => {
      start = resolve;
    });
    const gateway = openGateway(t, {
      protocol,
      timeouts: { connect: 5, reply: 5 },
      backend: async (call) => {
        await started;
        if (typeof store.script !== 'string') await store.script(call);
      },
    });
    const client = await gateway.play(`${errands.greeting}\n${errands.tries}`);
    await gateway.call();
    await gateway.advance(4900);
    start();
    await gateway.settle();
    await gateway.advance(4900);
    await gateway.resume(client, `S> *Welcome*\n${errands.logout}`);
    assertLine(await gateway.closed(), { code: null, user: 'anna' });
  });
}

test('imap: a backend that is silent after the password is given up too', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    timeouts: { reply: 5 },
    backend: `
      S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hello
      C: s1 AUTHENTICATE PLAIN *
      -- eof`,
  });
  const client = await gateway.play(`${IMAP.greeting}\n${IMAP.tries}`);
  await gateway.advance(5000);
  await gateway.resume(client, `${IMAP.unavailable}\n${IMAP.logout}`);
  assertLine(await gateway.logged((line) => line['event'] === 'login-failed'), { code: 'BACKEND_TIMEOUT' });
});

const RELAY = `
  S: 220 mta.test
  C: EHLO mail.test
  S: 250 mta.test
  C: MAIL *
  S: 250 2.1.0 ok
  C: RCPT *`;

test('smtp: a relay that stops answering in a transaction is given up after timeouts.reply', async (t) => {
  const gateway = openGateway(t, { protocol: 'smtp', timeouts: { reply: 5 }, backend: `${RELAY}\n-- eof` });
  const client = await gateway.play(`
    ${SMTP.greeting}
    C: EHLO client.test
    S> 250 *
    C: MAIL FROM:<anna@example.org>
    S: 250 2.1.0 *
    C: RCPT TO:<bert@example.com>`);
  await gateway.advance(5000);
  await gateway.resume(client, SMTP.unavailable);
  assertLine(await gateway.closed(), { code: 'BACKEND_TIMEOUT' });
});

test('smtp: the answer to a whole message may take as long as timeouts.data', async (t) => {
  let accept: () => void = () => undefined;
  const accepted = new Promise<void>((resolve) => {
    accept = resolve;
  });
  const gateway = openGateway(t, {
    protocol: 'smtp',
    timeouts: { reply: 5, data: 50 },
    backend: async ({ talk }) => {
      talk.say('220 mta.test');
      for (;;) {
        const line = await talk.line();
        if (line === '.') break;
        if (line === 'DATA') talk.say('354 go');
        else if (/^(EHLO|MAIL|RCPT)/.test(line))
          talk.say(line.startsWith('MAIL') ? '250 2.1.0 a' : '250 2.1.5 b');
      }
      await accepted;
      talk.say('250 2.0.0 Queued as 1');
      await talk.end();
    },
  });
  const client = gateway.connect();
  const done = gateway.resume(client, `${SMTP.greeting}\n${SEND}\n${SMTP.logout}`);
  await gateway.call();
  await gateway.settle();
  await gateway.settle();
  await gateway.advance(49_000);
  accept();
  await done;
  assertLine(await gateway.closed(), { code: null, messages: 1 });
});
