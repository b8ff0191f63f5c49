// Attacks on the seam between two readers of one stream: what the front and a real Postfix count differently would be
// run as commands on a connection that Postfix trusts. Each attack has its legitimate twin.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { Dialogue } from '../support/dialogue.ts';
import { startSite } from '../support/site.ts';

const site = await startSite();
after(() => site.stop());

const SPOOFED = 'Subject: spoofed\r\n\r\nfrom 203.0.113.99, says Postfix\r\n';

async function envelope(recipient: string): Promise<Dialogue> {
  const dialogue = await Dialogue.connect({ port: site.ports.smtp, localAddress: '127.0.0.66' });
  await dialogue.expect(/^220 /);
  await dialogue.ask('EHLO client.example.net', /^250 /);
  await dialogue.ask('MAIL FROM:<stranger@example.net>', /^250 /);
  await dialogue.ask(`RCPT TO:<${recipient}>`, /^250 /);
  return dialogue;
}

/** Commands that only Sallyport may send, and a message in somebody else's name. */
function hidden(recipient: string): string {
  const commands = [
    'RSET',
    'XCLIENT ADDR=203.0.113.99 NAME=trusted.example LOGIN=ceo@example.com',
    'EHLO spoof',
    'MAIL FROM:<ceo@example.com>',
    `RCPT TO:<${recipient}>`,
    `BDAT ${SPOOFED.length} LAST`,
  ];
  return `${commands.join('\r\n')}\r\n${SPOOFED}`;
}

test('a BDAT line that Postfix would cut at 2,048 octets hides no commands in its chunk', async () => {
  const recipient = 'smuggled@example.com';
  await using dialogue = await envelope(recipient);
  const body = hidden(recipient);
  const padding = ' '.repeat(2048 - 'BDAT'.length - 1);
  dialogue.sendOctets(Buffer.from(`BDAT${padding}0${String(body.length).padStart(9, '0')} LAST\r\n${body}`));
  await dialogue.expect(/^250 /);
  const [delivered] = await site.arrived(recipient, 1);
  assert.match(delivered?.trace ?? '', /127\.0\.0\.66/);
  assert.doesNotMatch(delivered?.trace ?? '', /203\.0\.113\.99/);
  // Postfix ends the empty header before a body that begins with no header line.
  assert.equal(delivered?.message.toString('latin1').trimStart(), body);
  assert.doesNotMatch(site.postfix.logText(), /client=trusted\.example/);
});

test('an honest BDAT in two chunks arrives octet for octet', async () => {
  const recipient = 'chunked@example.com';
  await using dialogue = await envelope(recipient);
  const [first, second] = ['Subject: two chunks\r\n\r\n.one\r', '\ntwo\r\n'] as const;
  dialogue.sendOctets(Buffer.from(`BDAT ${first.length}\r\n${first}`));
  await dialogue.expect(/^250 /);
  dialogue.sendOctets(Buffer.from(`BDAT ${second.length} LAST\r\n${second}`));
  await dialogue.expect(/^250 /);
  const [delivered] = await site.arrived(recipient, 1);
  assert.equal(delivered?.message.toString('latin1'), `${first}${second}`);
});

for (const [name, end] of [
  ['LF . LF', '\n.\n'],
  ['LF . CRLF', '\n.\r\n'],
  ['CRLF . LF', '\r\n.\n'],
  ['CR . CR', '\r.\r'],
  ['CRLF NUL . CRLF', '\r\n\0.\r\n'],
] as const) {
  test(`${name} ends no message, it ends the connection, and Postfix delivers nothing`, async () => {
    const recipient = `ending-${Buffer.from(end).toString('hex')}@example.com`;
    await using dialogue = await envelope(recipient);
    await dialogue.ask('DATA', /^354 /);
    dialogue.sendOctets(Buffer.from(`Subject: x\r\n\r\nx${end}${hidden(recipient)}\r\n.\r\n`));
    await dialogue.expect(/^521 5\.5\.2 /);
    await dialogue.closed();
    assert.deepEqual(site.postfix.messages(recipient), []);
  });
}
