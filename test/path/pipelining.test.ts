// PIPELINING (RFC 2920) through the front: replies come in order, whole messages may follow one another, and what must
// stand alone stands alone.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SEND, SMTP } from '../support/dialects.ts';
import { mta } from '../support/mta.ts';
import { assertLine, openGateway } from '../support/gateway.ts';

const EHLO = `${SMTP.greeting}\nC: EHLO client.test\nS> 250 *`;
const GROUP =
  'MAIL FROM:<a@example.org>\\r\\nRCPT TO:<b@example.com>\\r\\nRCPT TO:<no@example.com>\\r\\nDATA\\r\\n';
const NO = { 'RCPT TO:<no@example.com>': '550 5.1.1 Unknown' };

for (const split of ['whole', 'bytes', 'seeded'] as const) {
  test(`MAIL, two RCPT and DATA in one packet are answered in order (${split})`, async (t) => {
    const relay = mta({ replies: NO });
    const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script, cable: { split } });
    await gateway.play(`
      ${EHLO}
      C~ ${GROUP}
      S: 250 2.1.0 *
      S: 250 2.1.5 *
      S: 550 5.1.1 Unknown
      S: 354 *
      C~ text\\r\\n.\\r\\nQUIT\\r\\n
      S: 250 2.0.0 Queued as 1
      S: 221 *
      -- eof
      -- end`);
    assertLine(await gateway.closed(), { code: null, messages: 1, end: 'quit' });
    assert.deepEqual(relay.messages, [
      { from: '<a@example.org>', to: ['<b@example.com>'], data: 'text\r\n' },
    ]);
  });

  test(`a message whose next one follows at once is not mixed up with it (${split})`, async (t) => {
    const relay = mta();
    const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script, cable: { split } });
    const next = 'MAIL FROM:<c@example.org>\\r\\nRCPT TO:<d@example.com>\\r\\nDATA\\r\\n';
    await gateway.play(`
      ${EHLO}
      C~ MAIL FROM:<a@example.org>\\r\\nRCPT TO:<b@example.com>\\r\\nDATA\\r\\n
      S: 250 *
      S: 250 *
      S: 354 *
      C~ one\\r\\n.\\r\\n${next}
      S: 250 2.0.0 Queued as 1
      S: 250 *
      S: 250 *
      S: 354 *
      C~ two\\r\\n.\\r\\nRSET\\r\\nNOOP\\r\\nQUIT\\r\\n
      S: 250 2.0.0 Queued as 2
      S: 250 2.0.0 OK
      S: 250 2.0.0 OK
      S: 221 *
      -- eof
      -- end`);
    assertLine(await gateway.closed(), { code: null, messages: 2 });
    assert.deepEqual(
      relay.messages.map(({ from, data }) => [from, data]),
      [
        ['<a@example.org>', 'one\r\n'],
        ['<c@example.org>', 'two\r\n'],
      ],
    );
  });

  test(`BDAT chunks and the commands behind them may come in one packet (${split})`, async (t) => {
    const relay = mta();
    const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script, cable: { split } });
    await gateway.play(`
      ${EHLO}
      C~ MAIL FROM:<a@example.org>\\r\\nRCPT TO:<b@example.com>\\r\\nBDAT 6\\r\\none\\r\\n.BDAT 2 LAST\\r\\n\\r\\nQUIT\\r\\n
      S: 250 2.1.0 *
      S: 250 2.1.5 *
      S: 250 2.0.0 6 octets received
      S: 250 2.0.0 Queued as 1
      S: 221 *
      -- eof
      -- end`);
    assert.equal(relay.messages[0]?.data, 'one\r\n.\r\n');
  });
}

test('commands go to the relay together where it pipelines, one by one where it does not', async (t) => {
  for (const keywords of [['PIPELINING'], []]) {
    const relay = mta({ keywords });
    const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script, cable: { split: 'whole' } });
    const rcpts = Array.from({ length: 20 }, (_, index) => `RCPT TO:<r${index}@example.com>\\r\\n`).join('');
    await gateway.play(`
      ${EHLO}
      C~ MAIL FROM:<a@example.org>\\r\\n${rcpts}
      S: 250 2.1.0 *
      ${'S: 250 2.1.5 *\n'.repeat(20)}
      ${SMTP.logout}`);
    assert.equal(relay.commands.filter((line) => line.startsWith('RCPT')).length, 20);
  }
});

test('more commands than limits.pipelined are all answered', async (t) => {
  const relay = mta();
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script, limits: { pipelined: 3 } });
  const rcpts = Array.from({ length: 50 }, (_, index) => `RCPT TO:<r${index}@example.com>\\r\\n`).join('');
  await gateway.play(`
    ${EHLO}
    C~ MAIL FROM:<a@example.org>\\r\\n${rcpts}
    S: 250 2.1.0 *
    ${'S: 250 2.1.5 *\n'.repeat(50)}
    ${SMTP.logout}`);
  assertLine(await gateway.closed(), { code: null });
});

test('a MAIL that the relay refuses leaves no transaction behind, whatever was pipelined', async (t) => {
  const relay = mta({ replies: { 'MAIL FROM:<a@example.org>': '550 5.7.1 Not you' } });
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script });
  await gateway.play(`
    ${EHLO}
    C~ ${GROUP}
    S: 550 5.7.1 Not you
    S: 503 *
    S: 503 *
    S: 503 5.5.1 MAIL first
    ${SEND}
    ${SMTP.logout}`);
  assertLine(await gateway.closed(), { code: null, messages: 1 });
});

test('a DATA that the relay refuses leaves the client where it was', async (t) => {
  const relay = mta({ replies: { DATA: '554 5.5.1 No valid recipients' } });
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script });
  await gateway.play(`
    ${EHLO}
    C~ ${GROUP}
    S: 250 *
    S: 250 *
    S: 250 *
    S: 554 5.5.1 *
    C: RSET
    S: 250 2.0.0 Reset
    ${SMTP.logout}`);
  assertLine(await gateway.closed(), { code: null, messages: 0 });
});

test('parameters of MAIL and RCPT reach the relay unchanged', async (t) => {
  const relay = mta({ keywords: ['DSN', 'SMTPUTF8', '8BITMIME', 'SIZE'] });
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script });
  const mail = 'MAIL FROM:<a@example.org> SIZE=1000 BODY=8BITMIME RET=HDRS ENVID=QQ314159 SMTPUTF8';
  const rcpt = 'RCPT TO:<b@example.com> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b+2B@example.com';
  await gateway.play(`${EHLO}\nC: ${mail}\nS: 250 *\nC: ${rcpt}\nS: 250 *\n${SMTP.logout}`);
  assert.ok(relay.commands.includes(mail) && relay.commands.includes(rcpt));
});

test('EHLO in a transaction ends it at the relay too (RFC 5321 4.1.4)', async (t) => {
  const relay = mta();
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script });
  await gateway.play(`
    ${EHLO}
    C: MAIL FROM:<a@example.org>
    S: 250 *
    C: EHLO client.test
    S> 250 *
    ${SEND}
    ${SMTP.logout}`);
  assert.ok(relay.commands.includes('RSET'));
  assert.equal(relay.messages.length, 1);
  assertLine(await gateway.closed(), { code: null, messages: 1 });
});
