// A drain says goodbye where nothing is under way, waits for what is, and cuts nothing in two.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ALL, IMAP, plain, POP3, SEND, SMTP } from '../support/dialects.ts';
import { mta } from '../support/mta.ts';
import { assertLine, openGateway } from '../support/gateway.ts';
import { MAIL } from '../support/stores.ts';

const GOODBYE = {
  imap: 'S: * BYE [UNAVAILABLE] Server is shutting down*\n-- eof\n-- end',
  pop3: 'S: -ERR [SYS/TEMP] Server is shutting down*\n-- eof\n-- end',
  smtp: 'S: 421 4.3.2 *Server is shutting down*\n-- eof\n-- end',
} as const;

for (const errands of ALL) {
  const { protocol } = errands;
  test(`${protocol}: a client that is not logged in is told at once`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: errands.store().script });
    const client = await gateway.play(errands.greeting);
    const drained = gateway.front.drain(30_000);
    await gateway.resume(client, GOODBYE[protocol]);
    assertLine(await gateway.closed(), { code: 'DRAINING', user: null });
    await drained;
    assert.equal(gateway.front.counters()['cut'], 0);
  });

  test(`${protocol}: a client that is logged in and quiet is told so`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: errands.store().script });
    const client = await gateway.play(`${errands.greeting}\n${errands.starttls}\n${errands.login}`);
    const drained = gateway.front.drain(30_000);
    await gateway.advance(500);
    await gateway.resume(client, GOODBYE[protocol]);
    assertLine(await gateway.closed(), { code: 'DRAINING', user: 'anna' });
    await drained;
    assert.equal(gateway.front.counters()['cut'], 0);
  });

  test(`${protocol}: a client that comes during the drain is told behind the greeting`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: errands.store().script });
    void gateway.front.drain(30_000);
    await gateway.play(`${errands.greeting}\n${GOODBYE[protocol]}`);
    assertLine(await gateway.closed(), { code: 'DRAINING' });
  });

  test(`${protocol}: a client in the middle of SASL is told when it is through`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: errands.store().script });
    const start = {
      imap: 'C: a1 AUTHENTICATE PLAIN\nS: + *',
      pop3: 'C: AUTH PLAIN\nS: + *',
      smtp: 'C: EHLO client.test\nS> 250 *\nC: AUTH PLAIN\nS: 334 *',
    };
    const client = await gateway.play(`${errands.greeting}\n${start[protocol]}`);
    const drained = gateway.front.drain(30_000);
    await gateway.advance(500);
    await gateway.resume(client, `C: *\nS: *cancelled\n${GOODBYE[protocol]}`);
    assertLine(await gateway.closed(), { code: 'DRAINING' });
    await drained;
  });

  test(`${protocol}: who does not end in time is cut`, async (t) => {
    const gateway = openGateway(t, { protocol, backend: errands.store().script });
    const start = { imap: 'C~ a1 LOG', pop3: 'C~ US', smtp: 'C~ EH' };
    await gateway.play(`${errands.greeting}\n${start[protocol]}`);
    await gateway.settle();
    const drained = gateway.front.drain(30_000);
    await gateway.advance(30_100);
    await drained;
    assert.equal(gateway.front.counters()['cut'], 1);
    await gateway.closed();
  });
}

test('smtp: a transaction in flight is finished and then answered 421', async (t) => {
  const relay = mta();
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script });
  const cut = SEND.indexOf('C: RCPT');
  const client = await gateway.play(`${SMTP.greeting}\n${SEND.slice(0, cut)}`);
  const drained = gateway.front.drain(30_000);
  await gateway.advance(1000);
  await gateway.resume(client, `${SEND.slice(cut)}\n${GOODBYE.smtp}`);
  assertLine(await gateway.closed(), { code: 'DRAINING', messages: 1 });
  await drained;
  assert.equal(relay.messages.length, 1);
});

test('smtp: a message in the middle of DATA is finished and then answered 421', async (t) => {
  const relay = mta();
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script });
  const cut = SEND.indexOf('C: ..a');
  const client = await gateway.play(`${SMTP.greeting}\n${SEND.slice(0, cut)}`);
  const drained = gateway.front.drain(30_000);
  await gateway.advance(1000);
  await gateway.resume(client, `${SEND.slice(cut)}\n${GOODBYE.smtp}`);
  assertLine(await gateway.closed(), { code: 'DRAINING', messages: 1 });
  await drained;
  assert.equal(relay.messages.length, 1);
});

test('smtp: a logged-in client between two transactions is told at once', async (t) => {
  const gateway = openGateway(t, { protocol: 'smtp', backend: mta().script });
  const client = await gateway.play(`${SMTP.greeting}\n${SEND}`);
  void gateway.front.drain(30_000);
  await gateway.resume(client, GOODBYE.smtp);
  assertLine(await gateway.closed(), { code: 'DRAINING', messages: 1 });
});

for (const [what, part] of [
  ['a line end inside the literal', 300],
  ['the announcement of the literal', -1],
] as const) {
  for (const split of ['whole', 'bytes'] as const) {
    test(`imap: ${what} is no place for a goodbye (${split})`, async (t) => {
      const whole = `* 1 FETCH (BODY[] {${MAIL.length}}\r\n${MAIL})\r\nf1 OK Fetched\r\n`;
      const at = part < 0 ? whole.indexOf('\r\n') + 2 : whole.indexOf('\r\n', part) + 2;
      const store = IMAP.store({ commands: { FETCH: (talk) => talk.send(whole.slice(0, at)) } });
      const gateway = openGateway(t, {
        protocol: 'imap',
        backend: store.script,
        cable: { split: 'whole' },
        backendCable: { split },
      });
      const client = await gateway.play(`${IMAP.greeting}\n${IMAP.login}\nC: f1 FETCH 1 BODY[]`);
      assert.equal(await client.bytes(at), whole.slice(0, at));
      const drained = gateway.front.drain(30_000);
      await gateway.advance(5000);
      assert.equal(client.pending, '');
      (await gateway.call()).talk.send(whole.slice(at));
      assert.equal(await client.bytes(whole.length - at), whole.slice(at));
      if (split === 'bytes') return;
      await gateway.advance(5000);
      await gateway.resume(client, GOODBYE.imap);
      assertLine(await gateway.closed(), { code: 'DRAINING' });
      await drained;
    });
  }
}

test('imap: a client in IDLE hears the goodbye', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: IMAP.store().script,
    cable: { split: 'whole' },
  });
  const client = await gateway.play(`${IMAP.greeting}\n${IMAP.login}\nC: i IDLE\nS: + idling`);
  void gateway.front.drain(30_000);
  await gateway.advance(500);
  await gateway.resume(client, GOODBYE.imap);
  assertLine(await gateway.closed(), { code: 'DRAINING' });
});

test('imap: into a compressed stream nothing is put, the connection is cut at the grace limit', async (t) => {
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: IMAP.store().script,
    cable: { split: 'whole' },
  });
  const client = await gateway.play(`${IMAP.greeting}\n${IMAP.login}\nC: c COMPRESS DEFLATE\nS: c OK *`);
  const drained = gateway.front.drain(30_000);
  await gateway.advance(30_100);
  assert.equal(await client.end(), '');
  await drained;
  assert.equal(gateway.front.counters()['cut'], 1);
});

test('pop3: in the middle of a message nothing is put in, behind it the goodbye comes', async (t) => {
  const store = POP3.store({ commands: { RETR: (talk) => talk.send('+OK 20 octets\r\nSubject: half\r\n') } });
  const gateway = openGateway(t, { protocol: 'pop3', backend: store.script, cable: { split: 'whole' } });
  const client = await gateway.play(`
    ${POP3.greeting}
    ${POP3.login}
    C: RETR 1
    S: +OK 20 octets
    S: Subject: half`);
  const drained = gateway.front.drain(30_000);
  await gateway.advance(5000);
  assert.equal(client.pending, '');
  (await gateway.call()).talk.send('\r\ntext\r\n.\r\n');
  await gateway.resume(client, 'S:\nS: text\nS: .');
  await gateway.advance(500);
  await gateway.resume(client, GOODBYE.pop3);
  assertLine(await gateway.closed(), { code: 'DRAINING' });
  await drained;
});

test('a drain of a front without connections is over at once', async (t) => {
  const gateway = openGateway(t, { protocol: 'imap', backend: IMAP.store().script });
  await gateway.front.drain(30_000);
  assert.equal(gateway.front.counters()['open'], 0);
});

test('smtp: a login under way is answered before the goodbye', async (t) => {
  let accept: () => void = () => undefined;
  const accepted = new Promise<void>((resolve) => {
    accept = resolve;
  });
  const relay = mta();
  const gateway = openGateway(t, {
    protocol: 'smtp',
    backend: async (call) => {
      await accepted;
      if (typeof relay.script !== 'string') await relay.script(call);
    },
  });
  const client = await gateway.play(
    `${SMTP.greeting}\nC: EHLO client.test\nS> 250 *\nC: AUTH PLAIN ${plain('anna', 'secret')}`,
  );
  await gateway.call();
  void gateway.front.drain(30_000);
  accept();
  await gateway.resume(client, `S: 235 2.7.0 Welcome\n${GOODBYE.smtp}`);
  assertLine(await gateway.closed(), { code: 'DRAINING', user: 'anna' });
});
