// SMTP smuggling: two programs that disagree about where a message or a line ends. Here nothing ends a message but
// CRLF.CRLF, and what could be read as an end by anybody else is refused before it reaches the relay.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SEND, SMTP } from '../support/dialects.ts';
import { mta } from '../support/mta.ts';
import { assertLine, openGateway } from '../support/gateway.ts';
import { unescapeBytes } from '../support/transcript.ts';

const REFUSED = 'S: 521 5.5.2 mail.test Bare CR, bare LF or NUL *\n-- eof\n-- end';
const UP_TO_DATA = `${SMTP.greeting}\n${SEND.slice(0, SEND.indexOf('C: Subject'))}`;
const ENVELOPE = UP_TO_DATA.slice(0, UP_TO_DATA.indexOf('C: DATA'));
const HIDDEN =
  'MAIL FROM:<evil@example.org>\\r\\nRCPT TO:<bert@example.com>\\r\\nDATA\\r\\nhidden\\r\\n.\\r\\n';

const ENDINGS = [
  '\\n.\\n',
  '\\n.\\r\\n',
  '\\r.\\r',
  '\\r.\\r\\n',
  '\\r\\n.\\n',
  '\\r\\n.\\r',
  '\\r\\n.\\rX',
  '\\r\\n\\0.\\r\\n',
  '\\r\\n.\\0\\r\\n',
  '\\r\\n.\\r\\0\\n',
  '\\r\\r\\n.\\r\\n',
  '\\r\\n\\n.\\r\\n',
  '\\n\\r.\\n\\r',
  '\\0',
] as const;

for (const split of ['whole', 'bytes', 'seeded'] as const) {
  for (const ending of ENDINGS) {
    test(`DATA: ${ending} ends no message, it ends the connection (${split})`, async (t) => {
      const relay = mta();
      const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script, cable: { split } });
      await gateway.play(`${UP_TO_DATA}\nC~ text${ending}${HIDDEN}\n${REFUSED}`);
      assertLine(await gateway.closed(), { code: 'BAD_LINE_ENDING', messages: 0, level: 'warn' });
      await gateway.scriptsDone();
      assert.deepEqual(relay.messages, []);
      const behindData = (await gateway.call()).talk.heard.replace(/^.*?DATA\r\n/s, '');
      // Nothing that even the laxest MTA could take for an end of data, and nothing hidden behind it.
      assert.doesNotMatch(behindData, /[\r\n]\0*\.\0*[\r\n]|evil/);
    });
  }
}

for (const ending of ENDINGS) {
  test(`BDAT: ${ending} in a chunk leaves the message undelivered`, async (t) => {
    const relay = mta();
    const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script });
    const text = `text${ending}more`;
    const { length } = unescapeBytes(text);
    await gateway.play(`${ENVELOPE}\nC~ BDAT ${length} LAST\\r\\n${text}\n${REFUSED}`);
    assertLine(await gateway.closed(), { code: 'BAD_LINE_ENDING', messages: 0 });
    await gateway.scriptsDone();
    assert.deepEqual(relay.messages, []);
  });
}

test('BDAT: a CR as the very last octet leaves the message undelivered', async (t) => {
  const relay = mta();
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script });
  await gateway.play(`${ENVELOPE}\nC~ BDAT 5 LAST\\r\\ntext\\r\n${REFUSED}`);
  assertLine(await gateway.closed(), { code: 'BAD_LINE_ENDING', messages: 0 });
  await gateway.scriptsDone();
  assert.deepEqual(relay.messages, []);
});

test('BDAT: a CR at the end of one chunk and an empty last chunk leave the message undelivered', async (t) => {
  const relay = mta();
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script });
  await gateway.play(`${ENVELOPE}\nC~ BDAT 5\\r\\ntext\\r\nS: 250 *\nC: BDAT 0 LAST\n${REFUSED}`);
  assertLine(await gateway.closed(), { code: 'BAD_LINE_ENDING', messages: 0 });
  await gateway.scriptsDone();
  assert.deepEqual(relay.messages, []);
});

test('BDAT: a CRLF split between two chunks is a CRLF', async (t) => {
  const relay = mta();
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script });
  await gateway.play(`
    ${ENVELOPE}
    C~ BDAT 5\\r\\ntext\\r
    S: 250 *
    C~ BDAT 6 LAST\\r\\n\\nmore\\n
    ${REFUSED}`);
  const twin = openGateway(t, { protocol: 'smtp', backend: relay.script });
  await twin.play(`
    ${ENVELOPE}
    C~ BDAT 5\\r\\ntext\\r
    S: 250 *
    C~ BDAT 7 LAST\\r\\n\\nmore\\r\\n
    S: 250 2.0.0 Queued *
    ${SMTP.logout}`);
  assertLine(await twin.closed(), { code: null, messages: 1 });
  assert.deepEqual(
    relay.messages.map(({ data }) => data),
    ['text\r\nmore\r\n'],
  );
});

test('BDAT: a lone dot is text like any other', async (t) => {
  const relay = mta();
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script });
  await gateway.play(`
    ${ENVELOPE}
    C~ BDAT 18 LAST\\r\\nbefore\\r\\n.\\r\\nafter\\r\\n
    S: 250 2.0.0 Queued *
    ${SMTP.logout}`);
  assert.equal(relay.messages[0]?.data, 'before\r\n.\r\nafter\r\n');
});

test('BDAT without a size ends the connection, for nobody knows how much to skip', async (t) => {
  const gateway = openGateway(t, { protocol: 'smtp', backend: mta().script });
  await gateway.play(`${ENVELOPE}\nC: BDAT LAST\nS: 521 *\n-- eof\n-- end`);
  assertLine(await gateway.closed(), { end: 'error', messages: 0 });
});

test('BDAT out of order is read over and answered 503', async (t) => {
  const gateway = openGateway(t, { protocol: 'smtp', backend: mta().script });
  await gateway.play(`
    ${SMTP.greeting}
    C: EHLO client.test
    S> 250 *
    C~ BDAT 6 LAST\\r\\nQUIT\\r\\nNOOP\\r\\n
    S: 503 5.5.1 *
    S: 250 2.0.0 OK
    ${SMTP.logout}`);
  assertLine(await gateway.closed(), { code: null });
});

for (const command of [
  'MAIL FROM:<a@example.org>\\nRCPT TO:<b@example.org>\\r\\n',
  'RSET\\rNOOP\\r\\n',
  'NO\\0OP\\r\\n',
]) {
  test(`a command line with ${command} in it never reaches the relay`, async (t) => {
    const relay = mta();
    const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script });
    await gateway.play(`${ENVELOPE}\nC~ ${command}\n${REFUSED}`);
    assertLine(await gateway.closed(), { code: 'BAD_LINE_ENDING' });
    await gateway.scriptsDone();
    assert.equal(relay.commands.length, 3, 'EHLO, MAIL, RCPT');
  });
}

for (const split of ['whole', 'bytes'] as const) {
  for (const ending of ENDINGS.filter((text) => !text.includes('\\0'))) {
    test(`normalise: ${ending} becomes text with CRLF, and still ends no message (${split})`, async (t) => {
      const relay = mta();
      const gateway = openGateway(t, {
        protocol: 'smtp',
        backend: relay.script,
        cable: { split },
        service: { lineEndings: 'normalise' },
      });
      const client = await gateway.play(`${UP_TO_DATA}\nC~ text${ending}tail\\r\\n.\\r\\n`);
      // An attack that contains a true end is over there; what is behind it are commands, and bad ones.
      const line = await client.line();
      assert.match(line, /^250 2.0.0 Queued as 1/);
      const [message] = relay.messages;
      assert.doesNotMatch(message?.data ?? '', /(?<!\r)\n|\r(?!\n)/);
      assert.equal(relay.messages.length, 1);
    });
  }
}

test('normalise: a NUL is dropped', async (t) => {
  const relay = mta();
  const service = { lineEndings: 'normalise' };
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script, service });
  await gateway.play(`${UP_TO_DATA}\nC~ te\\0xt\\r\\n.\\r\\n\nS: 250 *\n${SMTP.logout}`);
  assert.equal(relay.messages[0]?.data, 'text\r\n');
});

test('a message with dots, long lines and every other octet passes as it is', async (t) => {
  const relay = mta();
  const gateway = openGateway(t, { protocol: 'smtp', backend: relay.script });
  const octets = Array.from({ length: 255 }, (_, index) => String.fromCharCode(index + 1))
    .join('')
    .replaceAll(/[\r\n]/g, '');
  const text = `..\r\n.. two\r\n${octets}\r\n${'x'.repeat(70_000)}\r\n\r\n\r\n`;
  const client = await gateway.play(UP_TO_DATA);
  client.send(`${text}.\r\n`);
  await gateway.resume(client, `S: 250 *\n${SMTP.logout}`);
  assert.equal(relay.messages[0]?.data, text);
  assertLine(await gateway.closed(), { code: null, messages: 1 });
});
