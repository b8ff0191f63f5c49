// Silence after the login: each protocol has its own patience, and IMAP's IDLE a longer one (RFC 2177).

import { test } from 'node:test';
import { ALL, IMAP, POP3, SEND, SMTP } from '../support/dialects.ts';
import { assertLine, openGateway } from '../support/gateway.ts';

const TIMEOUTS = { imap: 1800, imapIdle: 2100, pop3: 600, smtp: 300 };
const GOODBYE = {
  imap: 'S: * BYE Idle for too long*\n-- eof\n-- end',
  pop3: 'S: -ERR [SYS/TEMP] Idle for too long*\n-- eof\n-- end',
  smtp: 'S: 421 4.4.2 *Idle for too long*\n-- eof\n-- end',
} as const;

for (const errands of ALL) {
  const { protocol } = errands;
  const limitMs = TIMEOUTS[protocol] * 1000;

  test(`${protocol}: silence for timeouts.${protocol} ends the session with a goodbye`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: errands.store().script, timeouts: TIMEOUTS });
    const client = await gateway.play(`${errands.greeting}\n${errands.login}`);
    await gateway.advance(limitMs - 1000);
    await gateway.advance(1200);
    await gateway.resume(client, GOODBYE[protocol]);
    assertLine(await gateway.closed(), { code: 'IDLE_TIMEOUT', user: 'anna', level: 'info' });
    await gateway.scriptsDone();
  });

  test(`${protocol}: a word in time starts the silence anew`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: errands.store().script, timeouts: TIMEOUTS });
    const client = await gateway.play(`${errands.greeting}\n${errands.login}`);
    for (let round = 0; round < 3; round++) {
      await gateway.advance(limitMs - 1000);
      client.say(protocol === 'imap' ? 'n1 NOOP' : 'NOOP');
      await client.line();
    }
    await gateway.resume(client, errands.logout);
    assertLine(await gateway.closed(), { code: null, user: 'anna' });
  });
}

test('imap: a client in IDLE may keep silent for timeouts.imapIdle', async (t) => {
  const store = IMAP.store();
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: store.script,
    timeouts: TIMEOUTS,
    cable: { split: 'whole' },
  });
  const client = await gateway.play(`${IMAP.greeting}\n${IMAP.login}\nC: i IDLE\nS: + idling`);
  await gateway.advance(2_000_000);
  await gateway.resume(client, 'C: DONE\nS: i OK Idled');
  await gateway.advance(1_700_000);
  await gateway.resume(client, 'C: i IDLE\nS: + idling');
  await gateway.advance(2_101_000);
  await gateway.resume(client, GOODBYE.imap);
  assertLine(await gateway.closed(), { code: 'IDLE_TIMEOUT' });
});

test('imap: news of the store during IDLE keeps the connection', async (t) => {
  const store = IMAP.store();
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: store.script,
    timeouts: TIMEOUTS,
    cable: { split: 'whole' },
  });
  const client = await gateway.play(`${IMAP.greeting}\n${IMAP.login}\nC: i IDLE\nS: + idling`);
  const { talk } = await gateway.call();
  for (let hour = 0; hour < 3; hour++) {
    await gateway.advance(2_000_000);
    talk.say('* 5 EXISTS');
    await gateway.resume(client, 'S: * 5 EXISTS');
  }
  await gateway.resume(client, `C: DONE\nS: i OK Idled\n${IMAP.logout}`);
  assertLine(await gateway.closed(), { code: null });
});

test('pop3: in the middle of a message nothing is put in, the connection just ends', async (t) => {
  const store = POP3.store({
    commands: { RETR: (talk) => talk.send('+OK 2000 octets\r\nSubject: half\r\n') },
  });
  const gateway = openGateway(t, {
    protocol: 'pop3',
    backend: store.script,
    timeouts: TIMEOUTS,
    cable: { split: 'whole' },
  });
  const client = await gateway.play(`
    ${POP3.greeting}
    ${POP3.login}
    C: RETR 1
    S: +OK 2000 octets
    S: Subject: half`);
  await gateway.advance(601_000);
  await gateway.resume(client, '-- eof');
  assertLine(await gateway.closed(), { code: 'IDLE_TIMEOUT' });
});

test('smtp: a client that stops in the middle of a message is shown out after timeouts.smtp', async (t) => {
  const relay = SMTP.store();
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script, timeouts: TIMEOUTS });
  const client = await gateway.play(`${SMTP.greeting}\n${SEND.slice(0, SEND.indexOf('C: ..a'))}`);
  await gateway.advance(301_000);
  await gateway.resume(client, GOODBYE.smtp);
  assertLine(await gateway.closed(), { code: 'IDLE_TIMEOUT', messages: 0 });
});
