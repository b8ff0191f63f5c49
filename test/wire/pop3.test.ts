import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseCommand, parseReply } from '../../src/wire/pop3.ts';

const SYNTAX = { kind: 'malformed', reason: 'syntax' } as const;

test('a command has an upper-case verb and an argument', () => {
  assert.deepEqual(parseCommand(Buffer.from('capa')), { kind: 'command', verb: 'CAPA', argument: '' });
  assert.deepEqual(parseCommand(Buffer.from('user bob ')), {
    kind: 'command',
    verb: 'USER',
    argument: 'bob',
  });
  assert.deepEqual(parseCommand(Buffer.from('AUTH PLAIN =')), {
    kind: 'command',
    verb: 'AUTH',
    argument: 'PLAIN =',
  });
});

test('property: the password behind PASS keeps every blank (RFC 1939 7)', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(' ', 'a', '\t', 'é', '"') }), (password) => {
      const command = parseCommand(Buffer.from(`pass ${password}`));
      assert.deepEqual(command, { kind: 'command', verb: 'PASS', argument: password });
    }),
  );
});

test('control characters, bytes that are no UTF-8 and a line without a verb are no command', () => {
  for (const line of ['', ' USER bob', 'USER bob\x07', 'PASS \xff', 'PASS a\0b', '\x16\x03\x01', '+OK']) {
    assert.deepEqual(parseCommand(Buffer.from(line, 'latin1')), SYNTAX, JSON.stringify(line));
  }
});

test('a reply is +OK or -ERR, with a response code where there is one (RFC 2449 8)', () => {
  const cases: readonly (readonly [string, unknown])[] = [
    ['+OK', { kind: 'ok', code: '', text: '' }],
    ['+OK ready <1@mx>', { kind: 'ok', code: '', text: 'ready <1@mx>' }],
    ['-ERR [AUTH] no', { kind: 'err', code: 'AUTH', text: 'no' }],
    ['-ERR [SYS/TEMP]', { kind: 'err', code: 'SYS/TEMP', text: '' }],
    ['-ERR see [AUTH]', { kind: 'err', code: '', text: 'see [AUTH]' }],
    ['+ ', { kind: 'continuation', text: '' }],
    ['+', { kind: 'continuation', text: '' }],
    ['+ abc=', { kind: 'continuation', text: 'abc=' }],
  ];
  for (const [line, reply] of cases) assert.deepEqual(parseReply(Buffer.from(line)), reply, line);
  for (const line of ['', 'OK', '+OKAY', '-ERROR', '+abc', '* OK', '220 mx']) {
    assert.deepEqual(parseReply(Buffer.from(line)), SYNTAX, line);
  }
});
