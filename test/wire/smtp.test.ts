import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decodeXtext,
  encodeXtext,
  formatReply,
  parseBdat,
  parseCommand,
  parseEhloKeyword,
  parsePath,
  parseReplyLine,
  xclientAddress,
} from '../../src/wire/smtp.ts';

const SYNTAX = { kind: 'malformed', reason: 'syntax' } as const;
const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');

test('a command is a verb in upper case and an argument without the blanks around it', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['quit', 'QUIT', ''],
    ['EHLO  mx.example.org  ', 'EHLO', 'mx.example.org'],
    ['mail FROM:<a@b> SIZE=1', 'MAIL', 'FROM:<a@b> SIZE=1'],
    ['X-ANYTHING goes', 'X-ANYTHING', 'goes'],
    ['RCPT TO:<jürgen@exämple.org>', 'RCPT', 'TO:<jürgen@exämple.org>'],
  ];
  for (const [line, verb, argument] of cases) {
    assert.deepEqual(parseCommand(Buffer.from(line)), { kind: 'command', verb, argument });
  }
});

test('control characters, bytes that are no UTF-8 and a line without a verb are no command', () => {
  for (const line of [
    '',
    ' NOOP',
    '250 OK',
    'EHLO a\x07',
    'NOOP\t',
    'EHLO \xff',
    'EHLO \x7f',
    '\x16\x03\x01\x02',
  ]) {
    assert.deepEqual(parseCommand(latin1(line)), SYNTAX, JSON.stringify(line));
  }
});

function path(argument: string, keyword: 'FROM' | 'TO' = 'FROM'): unknown {
  const result = parsePath(argument, keyword);
  return result.kind === 'path' ? [result.address, Object.fromEntries(result.parameters)] : result.reason;
}

test('a path takes what RFC 5321 4.1.2 allows and what mail in the wild has', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['FROM:<a@b.example>', 'a@b.example'],
    ['from: <a@b.example>', 'a@b.example'],
    ['FROM:<>', ''],
    ['FROM:<"a b>c\\"d"@b.example>', '"a b>c\\"d"@b.example'],
    ['FROM:<a@[192.0.2.1]>', 'a@[192.0.2.1]'],
    ['FROM:<a@[IPv6:2001:db8::1]>', 'a@[IPv6:2001:db8::1]'],
    ['FROM:<@one.example,@two.example:a@b.example>', 'a@b.example'],
    ['FROM:<a..b.@b_c.example>', 'a..b.@b_c.example'],
    ['FROM:<user+tag/x=y@b.example>', 'user+tag/x=y@b.example'],
    ['FROM:<postmaster>', 'postmaster'],
    ['FROM:<jürgen@exämple.org>', 'jürgen@exämple.org'],
  ];
  for (const [argument, address] of cases) assert.deepEqual(path(argument), [address, {}], argument);
});

test('parameters are kept by upper-case name, with null where there is no value', () => {
  assert.deepEqual(path('FROM:<a@b> SIZE=12 smtputf8  AUTH=<> BODY=8BITMIME '), [
    'a@b',
    { SIZE: '12', SMTPUTF8: null, AUTH: '<>', BODY: '8BITMIME' },
  ]);
  assert.deepEqual(path('TO:<a@b> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a+2Bb@c', 'TO'), [
    'a@b',
    { NOTIFY: 'SUCCESS,FAILURE', ORCPT: 'rfc822;a+2Bb@c' },
  ]);
});

test('a path that two programs could read differently is refused', () => {
  const wrong = [
    'FROM:a@b',
    'FROM:<a@b',
    'FROM:a@b>',
    'FROM:<<a@b>>',
    'FROM:<a@b><c@d>',
    'FROM:<a@b>SIZE=1',
    'FROM:<a@b> SIZE=1 size=2',
    'FROM:<a@b> SIZE=',
    'FROM:<a@b> =1',
    'FROM:<a b@c>',
    'FROM:<a@b c>',
    'FROM:< a@b>',
    'FROM:<a@>',
    'FROM:<@b>',
    'FROM:<@b:>',
    'FROM:<"a@b>',
    'FROM:<"a"b@c>',
    'FROM:<a@[192.0.2.1>',
    'FROM:<a@b\r\nRCPT TO:<c@d>',
    'FROM:<a\0@b>',
    'FROM <a@b>',
    'TO:<a@b>',
    '',
  ];
  for (const argument of wrong) assert.equal(path(argument), 'syntax', JSON.stringify(argument));
  assert.equal(path('TO:<>', 'TO'), 'syntax');
  assert.deepEqual(path('TO:<a@b>', 'TO'), ['a@b', {}]);
});

test('an address of 256 bytes passes and one of 257 is too long, counted in UTF-8', () => {
  const domain = '@b.example';
  assert.deepEqual(path(`FROM:<${'a'.repeat(246)}${domain}>`), [`${'a'.repeat(246)}${domain}`, {}]);
  assert.equal(path(`FROM:<${'a'.repeat(247)}${domain}>`), 'too-long');
  assert.equal(path(`FROM:<${'ä'.repeat(124)}${domain}>`), 'too-long');
});

test('property: no argument makes the path parser throw, and no address holds a control character', () => {
  const piece = fc.constantFrom(
    'FROM:',
    '<',
    '>',
    '@',
    'a',
    '"',
    '\\',
    ' ',
    ',',
    ':',
    'SIZE=1',
    '\n',
    '[',
    ']',
    '.',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30, size: 'max' }), (pieces) => {
      const result = parsePath(`FROM:${pieces.join('')}`, 'FROM');
      if (result.kind === 'path') assert.doesNotMatch(result.address, /\p{Cc}/u);
    }),
    { numRuns: 5000 },
  );
});

test('a hostile path of many kilobytes is judged in linear time', () => {
  const started = process.cpuUsage();
  for (const unit of ['@a,', '"\\', '\\"', 'a.', '<', ' A=1', '[', '@a:']) {
    parsePath(`FROM:<${unit.repeat(20_000)}`, 'FROM');
    parsePath(`FROM:<"${unit.repeat(20_000)}`, 'FROM');
  }
  assert.ok(process.cpuUsage(started).user < 2_000_000);
});

test('BDAT has a size and perhaps LAST (RFC 3030 2)', () => {
  assert.deepEqual(parseBdat('1000'), { kind: 'bdat', bytes: 1000, last: false });
  assert.deepEqual(parseBdat('0 last'), { kind: 'bdat', bytes: 0, last: true });
  for (const argument of ['', '-1', '1e3', '12 FIRST', 'LAST', '9'.repeat(16), '12LAST', '0x10']) {
    assert.deepEqual(parseBdat(argument), SYNTAX, argument);
  }
});

test('a reply line has a code of 200 to 599 and says whether it is the last', () => {
  assert.deepEqual(parseReplyLine(latin1('250-SIZE 1')), {
    kind: 'reply',
    code: 250,
    last: false,
    text: 'SIZE 1',
  });
  assert.deepEqual(parseReplyLine(latin1('354 go')), { kind: 'reply', code: 354, last: true, text: 'go' });
  assert.deepEqual(parseReplyLine(latin1('220')), { kind: 'reply', code: 220, last: true, text: '' });
  for (const line of ['199 a', '600 a', '25 a', '2500 a', '250+a', 'a', '', '+OK']) {
    assert.deepEqual(parseReplyLine(latin1(line)), SYNTAX, line);
  }
});

test('every line of a reply carries the code and the enhanced status code (RFC 2034 4)', () => {
  assert.equal(formatReply(250, '2.1.0', 'Ok'), '250 2.1.0 Ok\r\n');
  assert.equal(formatReply(250, null, ['mx', 'SIZE', 'HELP']), '250-mx\r\n250-SIZE\r\n250 HELP\r\n');
  assert.equal(formatReply(550, '5.7.1', ['no', 'never']), '550-5.7.1 no\r\n550 5.7.1 never\r\n');
  assert.equal(formatReply(250, null, []), '250 \r\n');
});

test('property: a formatted reply is made of lines of 512 octets at most that parse back, whatever the text', () => {
  const text = fc.string({ unit: 'binary', maxLength: 700 });
  fc.assert(
    fc.property(
      fc.integer({ min: 200, max: 599 }),
      fc.array(text, { minLength: 1, maxLength: 4 }),
      (code, texts) => {
        const lines = formatReply(code, '2.0.0', texts).split('\r\n');
        assert.equal(lines.pop(), '');
        assert.equal(lines.length, texts.length);
        for (const [index, line] of lines.entries()) {
          assert.ok(Buffer.byteLength(line) <= 510);
          assert.doesNotMatch(line, /\p{Cc}/u);
          const parsed = parseReplyLine(Buffer.from(line));
          assert.ok(parsed.kind === 'reply' && parsed.code === code);
          assert.equal(parsed.last, index === lines.length - 1);
        }
      },
    ),
  );
});

test('an EHLO line is a keyword with parameters, and the old AUTH= form is one too', () => {
  assert.deepEqual(parseEhloKeyword('SIZE 1000'), { keyword: 'SIZE', parameters: ['1000'] });
  assert.deepEqual(parseEhloKeyword('auth PLAIN LOGIN'), { keyword: 'AUTH', parameters: ['PLAIN', 'LOGIN'] });
  assert.deepEqual(parseEhloKeyword('AUTH=PLAIN LOGIN'), { keyword: 'AUTH', parameters: ['PLAIN', 'LOGIN'] });
  assert.deepEqual(parseEhloKeyword(''), { keyword: '', parameters: [] });
  assert.equal(parseEhloKeyword('X '.repeat(1000)).parameters.length, 64);
});

test('xtext escapes everything but printable ASCII without + and = (RFC 3461 4)', () => {
  assert.equal(encodeXtext('a+b=c d'), 'a+2Bb+3Dc+20d');
  assert.equal(encodeXtext('é'), '+C3+A9');
  for (const text of ['a=b', 'a b', '+', '+2', '+zz', '+FF', 'é'])
    assert.equal(decodeXtext(text), null, text);
});

test('property: xtext gives back every text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.match(encodeXtext(text), /^[!-~]*$/);
      assert.equal(decodeXtext(encodeXtext(text)), text);
    }),
  );
});

test('XCLIENT addresses have the prefix that Postfix wants for IPv6', () => {
  assert.equal(xclientAddress('192.0.2.1'), '192.0.2.1');
  assert.equal(xclientAddress('2001:DB8:0::1'), 'IPV6:2001:db8::1');
  assert.equal(xclientAddress('::ffff:192.0.2.1'), '192.0.2.1');
  assert.equal(xclientAddress('/run/socket'), '[UNAVAILABLE]');
});
