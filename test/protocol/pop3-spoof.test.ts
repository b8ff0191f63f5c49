// The POP3 mailbox that stands in for a store: every command in it, and which files make a message.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GateError } from '../../src/errors.ts';
import { Pop3Spoof, readSpoof, type SpoofMessage, spoofWelcome } from '../../src/protocol/pop3-spoof.ts';
import { ScriptedTalk } from '../support/scripted-talk.ts';

const FILE = 'Subject: Maintenance\nFrom: postmaster@example.com\n\nfirst line\n.second line\nthird line\n';

function message(file = FILE): SpoofMessage {
  const read = readSpoof(file);
  if (typeof read === 'string') assert.fail(read);
  return read;
}

async function talk(commands: readonly string[], found: SpoofMessage | null = message()): Promise<string[]> {
  const script = new ScriptedTalk(commands.map((command) => `${command}\r\n`));
  await new Pop3Spoof(script, found, 20).run();
  return script.said.split('\r\n').slice(0, -1);
}

test('the message is one, with its size, its lines as they are on the wire, and a dot stuffed', async () => {
  const { octets, uidl, text } = message();
  assert.equal(octets, Buffer.byteLength(FILE.replaceAll('\n', '\r\n')));
  assert.deepEqual(await talk(['STAT', 'LIST', 'list 1', 'UIDL', 'UIDL 1', 'QUIT']), [
    `+OK 1 ${octets}`,
    '+OK List follows',
    `1 ${octets}`,
    '.',
    `+OK 1 ${octets}`,
    '+OK List follows',
    `1 ${uidl}`,
    '.',
    `+OK 1 ${uidl}`,
    '+OK Goodbye',
  ]);
  const retrieved = await talk(['RETR 1', 'QUIT']);
  assert.equal(retrieved[0], `+OK ${octets} octets`);
  assert.deepEqual(
    retrieved.slice(1, -2).map((line) => line.replace(/^\.\./, '.')),
    text.split('\r\n').slice(0, -1),
  );
  assert.ok(retrieved.includes('..second line'));
  assert.equal(retrieved.at(-2), '.');
});

test('TOP gives the header and as many lines as were asked for', async () => {
  const header = ['+OK ', 'Subject: Maintenance', 'From: postmaster@example.com', ''];
  assert.deepEqual(await talk(['TOP 1 0', 'QUIT']), [...header, '.', '+OK Goodbye']);
  assert.deepEqual(await talk(['TOP 1 2', 'QUIT']), [
    ...header,
    'first line',
    '..second line',
    '.',
    '+OK Goodbye',
  ]);
  assert.deepEqual((await talk(['TOP 1 999', 'QUIT'])).slice(-3), ['third line', '.', '+OK Goodbye']);
});

test('DELE marks within the session, RSET takes it back, and the next session has the message again', async () => {
  const { octets } = message();
  assert.deepEqual(await talk(['DELE 1', 'STAT', 'LIST', 'RETR 1', 'DELE 1', 'RSET', 'STAT', 'QUIT']), [
    '+OK Marked',
    '+OK 0 0',
    '+OK List follows',
    '.',
    '-ERR No such message',
    '-ERR No such message',
    '+OK ',
    `+OK 1 ${octets}`,
    '+OK Goodbye',
  ]);
  assert.deepEqual(await talk(['DELE 1', 'QUIT']), ['+OK Marked', '+OK Goodbye']);
  assert.deepEqual(await talk(['STAT', 'QUIT']), [`+OK 1 ${octets}`, '+OK Goodbye']);
});

test('an empty mailbox has nothing and says so', async () => {
  assert.deepEqual(await talk(['STAT', 'UIDL', 'LIST 1', 'RETR 1', 'NOOP', 'QUIT'], null), [
    '+OK 0 0',
    '+OK List follows',
    '.',
    '-ERR No such message',
    '-ERR No such message',
    '+OK ',
    '+OK Goodbye',
  ]);
  assert.deepEqual(
    [spoofWelcome(null), /^1 message \(\d+ octets\)$/.test(spoofWelcome(message()))],
    ['No messages', true],
  );
});

test('CAPA says what there is, and what there is not is refused', async () => {
  const capabilities = await talk(['CAPA', 'QUIT']);
  assert.deepEqual(capabilities.slice(0, 3), ['+OK Capabilities follow', 'TOP', 'UIDL']);
  const wrong = [
    'RETR',
    'RETR 2',
    'RETR x',
    'RETR 1 1',
    'TOP 1',
    'TOP 1 -1',
    'LIST 0',
    'STLS',
    'PASS x',
    '\x01',
  ];
  const answers = await talk([...wrong, 'QUIT']);
  assert.deepEqual(
    answers.map((line) => line.slice(0, 4)),
    [...wrong.map(() => '-ERR'), '+OK '],
  );
});

test('wrong commands without end are ended', async () => {
  await assert.rejects(talk(Array.from({ length: 50 }, () => 'XYZZY')), (error) => {
    return error instanceof GateError && error.code === 'TOO_MANY_ERRORS';
  });
});

test('UIDL is the same for the same text, however its lines end, and another for another text', () => {
  const { uidl } = message();
  assert.equal(message(FILE.replaceAll('\n', '\r\n')).uidl, uidl);
  assert.equal(message(`${FILE}.\n`).uidl, uidl, 'the final dot of the files of the MMP is no text');
  assert.notEqual(message(FILE.replace('first', 'other')).uidl, uidl);
  assert.match(uidl, /^[\x21-\x7e]{1,70}$/);
});

test('what is no message, or not one for the wire, is refused in a sentence', () => {
  for (const [file, said] of [
    ['', /begins with header lines/],
    ['We are away.\n', /begins with header lines/],
    ['Subject: x\n\na\0b\n', /no NUL/],
    ['Subject: x\n\na\rb\n', /no CR without LF/],
    [`Subject: x\n\n${'x'.repeat(999)}\n`, /at most 998/],
  ] as const) {
    const read = readSpoof(file);
    assert.match(typeof read === 'string' ? read : 'taken', said, file.slice(0, 20));
  }
  assert.equal(typeof readSpoof(`Subject: x\n\n${'x'.repeat(998)}\n`), 'object');
});
