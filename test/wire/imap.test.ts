import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  capabilitiesIn,
  formatId,
  literalAtEnd,
  MAX_TOKENS,
  parseCommand,
  parseResponse,
  quoted,
} from '../../src/wire/imap.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

/** A command as one readable string: atoms bare, strings in guillemets. */
function command(...pieces: readonly string[]): string {
  const result = parseCommand(pieces.map(bytes));
  if (result.kind === 'malformed') return `${result.reason} ${result.tag}`;
  const args = result.args.map((token) => {
    if (token.kind === 'string') return `«${token.value.toString('latin1')}»`;
    return token.kind === 'atom' ? token.text : token.kind;
  });
  return [result.tag, result.name, ...args].join(' ');
}

test('a literal is announced at the end of a line, with + where the client does not wait (RFC 7888)', () => {
  const literal = (size: number, synchronising: boolean): unknown => ({
    kind: 'literal',
    bytes: size,
    synchronising,
  });
  assert.deepEqual(literalAtEnd(bytes('a LOGIN {5}')), literal(5, true));
  assert.deepEqual(literalAtEnd(bytes('a LOGIN {0+}')), literal(0, false));
  assert.deepEqual(literalAtEnd(bytes(' {4294967295}')), literal(4294967295, true));
});

test('a line that merely looks like a literal is none', () => {
  for (const line of [
    '',
    'a NOOP',
    'a LOGIN "x{3}"',
    'a LOGIN {3} ',
    'a LOGIN {}',
    'a LOGIN {+}',
    'a {3-}',
    'a {x3}',
    '}',
  ]) {
    assert.deepEqual(literalAtEnd(bytes(line)), { kind: 'none' }, line);
  }
});

test('a literal whose size does not fit in 32 bits is refused', () => {
  for (const size of ['4294967296', '00000000001', '9'.repeat(5000)]) {
    assert.deepEqual(literalAtEnd(bytes(`a LOGIN {${size}}`)), { kind: 'malformed', reason: 'too-long' });
  }
});

test('a command has a tag, a name and arguments as atoms, strings, nil and brackets', () => {
  assert.equal(command('a1 noop'), 'a1 NOOP');
  assert.equal(command('. login bob "p \\"w\\\\"'), '. LOGIN bob «p "w\\»');
  assert.equal(command('a ID ("name" "x" "os" NIL)'), 'a ID open «name» «x» «os» nil close');
  assert.equal(command('a ID nil'), 'a ID nil');
  assert.equal(command('a AUTHENTICATE PLAIN AGEr+b/YQ=='), 'a AUTHENTICATE PLAIN AGEr+b/YQ==');
  assert.equal(command('a AUTHENTICATE PLAIN ='), 'a AUTHENTICATE PLAIN =');
  assert.equal(command('a LOGIN bob p*ss%]'), 'a LOGIN bob p*ss%]');
  assert.equal(command('a LOGIN "" "\xe9"'), 'a LOGIN «» «\xe9»');
  assert.equal(command('a NOOP '), 'a NOOP');
});

test('literals stand where strings may stand, and their bytes are kept exactly', () => {
  assert.equal(command('a LOGIN {3}', 'b b', ' {4+}', '"\r\n(', ''), 'a LOGIN «b b» «"\r\n(»');
  assert.equal(command('a ID ({1}', 'k', ' ~{1}', 'v', ')'), 'a ID open «k» «v» close');
  assert.equal(command('a LOGIN {0}', '', ' {0}', '', ''), 'a LOGIN «» «»');
});

test('a literal that is glued to a word, of another size, without an end, or followed by a word is refused', () => {
  assert.equal(command('a LOGIN b{3}', 'bob', ' x'), 'syntax a');
  assert.equal(command('a LOGIN {3}', 'bo', ' x'), 'syntax a');
  assert.equal(command('a LOGIN {3}', 'bob'), 'syntax a');
  assert.equal(command('a LOGIN {3}', 'bob', 'x'), 'syntax a');
  assert.equal(command('a LOGIN "x {3}', 'bob', ' x'), 'syntax a');
  assert.equal(command('a LOGIN {3}'), 'syntax a');
  assert.equal(command('a{3}', 'bob', ' NOOP'), 'syntax null');
});

test('a NUL is refused in a line and in a literal', () => {
  assert.equal(command('a LOGIN {3}', 'b\0b', ' x'), 'nul a');
  assert.equal(command('a LOGIN "b\0b" x'), 'nul a');
});

test('a malformed command names its tag where it has one, so that the client can be answered', () => {
  for (const line of [
    'a',
    'a (',
    'a  NOOP',
    'a LOGIN "b',
    'a LOGIN "b"c',
    'a LOGIN b\xe9',
    'a LOGIN "\\x"',
    'a LOGIN b(c',
  ]) {
    assert.equal(command(line), 'syntax a', line);
  }
  for (const line of ['', ' NOOP', '+ NOOP', 'a+b NOOP', '* OK', '(a NOOP', '\x16\x03\x01', 'a\tNOOP']) {
    assert.equal(command(line), 'syntax null', JSON.stringify(line));
  }
  assert.equal(parseCommand([]).kind, 'malformed');
});

test('a command of 64 arguments passes, 65 or a million brackets are refused at once', () => {
  assert.equal(command(`a ID ${'('.repeat(MAX_TOKENS)}`).split(' ').length, MAX_TOKENS + 2);
  assert.equal(command(`a ID ${'x '.repeat(MAX_TOKENS + 1)}`), 'too-long a');
  assert.equal(command(`a ID ${'('.repeat(1_000_000)}`), 'too-long a');
  const literals = Array.from({ length: MAX_TOKENS + 1 }, () => [' {0}', '']).flat();
  assert.equal(command('a ID {0}', '', ...literals, ''), 'too-long a');
});

test('property: every value that can be quoted is read back from a command', () => {
  const value = fc.string({
    unit: fc.integer({ min: 1, max: 127 }).map((code) => String.fromCharCode(code)),
  });
  fc.assert(
    fc.property(value, (text) => {
      const string = quoted(text);
      if (string === null) return assert.match(text, /[\r\n]/);
      const result = parseCommand([bytes(`a LOGIN ${string}`)]);
      return assert.deepEqual(result, {
        kind: 'command',
        tag: 'a',
        name: 'LOGIN',
        args: [{ kind: 'string', value: bytes(text) }],
      });
    }),
  );
});

test('property: no pieces make the parser throw or return more than its limit', () => {
  const piece = fc.constantFrom(
    'a ',
    'LOGIN',
    ' ',
    '"',
    '\\',
    '(',
    ')',
    '{3}',
    '{1+}',
    'NIL',
    '\0',
    '\xff',
    '[',
    '*',
  );
  const line = fc.array(piece, { maxLength: 12 }).map((pieces) => bytes(`a LOGIN${pieces.join('')}`));
  fc.assert(
    fc.property(fc.array(line, { maxLength: 4 }), (pieces) => {
      const result = parseCommand(pieces);
      if (result.kind === 'command') assert.ok(result.args.length <= MAX_TOKENS);
    }),
    { numRuns: 3000 },
  );
});

test('an answer is tagged, untagged or a continuation, with its response code taken out of the text', () => {
  const cases: readonly (readonly [string, unknown])[] = [
    ['a OK done', { kind: 'tagged', tag: 'a', status: 'OK', code: '', text: 'done' }],
    [
      'a no [UNAVAILABLE] later',
      { kind: 'tagged', tag: 'a', status: 'NO', code: 'UNAVAILABLE', text: 'later' },
    ],
    ['a BAD', { kind: 'tagged', tag: 'a', status: 'BAD', code: '', text: '' }],
    ['* OK [CAPABILITY A B] hi', { kind: 'untagged', status: 'OK', code: 'CAPABILITY A B', text: 'hi' }],
    ['* PREAUTH hi', { kind: 'untagged', status: 'PREAUTH', code: '', text: 'hi' }],
    ['* BYE [x', { kind: 'untagged', status: 'BYE', code: '', text: '[x' }],
    ['* CAPABILITY [A]', { kind: 'untagged', status: 'CAPABILITY', code: '', text: '[A]' }],
    ['* ID NIL', { kind: 'untagged', status: 'ID', code: '', text: 'NIL' }],
    ['* 3 EXISTS', { kind: 'untagged', status: 'OTHER', code: '', text: '3 EXISTS' }],
    ['* OKAY', { kind: 'untagged', status: 'OTHER', code: '', text: 'OKAY' }],
    ['+ go', { kind: 'continuation', text: 'go' }],
    ['+', { kind: 'continuation', text: '' }],
  ];
  for (const [line, response] of cases) assert.deepEqual(parseResponse(bytes(line)), response, line);
  for (const line of ['', '*', '* ', 'a', 'a MAYBE', '+OK hi', 'a  OK', '220 mx ESMTP']) {
    assert.deepEqual(parseResponse(bytes(line)), { kind: 'malformed', reason: 'syntax' }, line);
  }
});

test('capabilities come from the untagged answer or the response code, in upper case, once each, 200 at most', () => {
  const of = (line: string): readonly string[] | null => capabilitiesIn(parseResponse(bytes(line)));
  assert.deepEqual(of('* CAPABILITY IMAP4rev1 auth=plain  AUTH=PLAIN ID'), ['IMAP4REV1', 'AUTH=PLAIN', 'ID']);
  assert.deepEqual(of('* OK [CAPABILITY IMAP4rev1 SASL-IR] ready'), ['IMAP4REV1', 'SASL-IR']);
  assert.deepEqual(of('a OK [CAPABILITY IDLE] in'), ['IDLE']);
  assert.deepEqual(of('* OK [CAPABILITY] ready'), []);
  assert.deepEqual(of('* CAPABILITY A "B" (C) {3}'), ['A']);
  for (const line of ['* OK ready', '* OK [CAPABILITYX A] hi', '+ CAPABILITY A', '* ID NIL', '']) {
    assert.equal(of(line), null, line);
  }
  const many = Array.from({ length: 1000 }, (_, n) => `X${n}`).join(' ');
  assert.equal(of(`* CAPABILITY ${many}`)?.length, 200);
});

test('what needs a literal is not quoted', () => {
  assert.equal(quoted('a"b\\c'), '"a\\"b\\\\c"');
  assert.equal(quoted(Buffer.from('')), '""');
  for (const text of ['a\rb', 'a\nb', 'a\0b', 'é']) {
    assert.equal(quoted(text), null);
    assert.equal(quoted(Buffer.from(text)), null);
  }
});

test('property: ID keeps to the limits of RFC 2971 3.3 and parses back, whatever the fields hold', () => {
  const field = fc.tuple(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.string({ unit: 'binary', maxLength: 1200 }),
  );
  fc.assert(
    fc.property(fc.array(field, { maxLength: 40 }), (fields) => {
      const id = formatId(new Map(fields));
      assert.match(id, /^(?:NIL|\("(?:[\x20-\x7e]*)"\))$/);
      if (fields.length > 30) return;
      const result = parseCommand([bytes(`a ID ${id}`)]);
      assert.ok(result.kind === 'command' && result.args.length <= 62);
      const strings = result.args.flatMap((token) => (token.kind === 'string' ? [token.value.length] : []));
      assert.ok(strings.every((length, index) => length <= (index % 2 === 0 ? 30 : 1024)));
    }),
  );
});

test('ID fields are quoted pairs, and no field at all is NIL', () => {
  const fields = new Map([
    ['x-originating-ip', '192.0.2.1'],
    ['na"me', 'a\r\nb\\é'],
  ]);
  assert.equal(formatId(fields), '("x-originating-ip" "192.0.2.1" "na\\"me" "ab\\\\")');
  assert.equal(formatId(new Map()), 'NIL');
});
