// Every IMAP command before login, in every state of TLS; literals and their limits; capability texts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GateError } from '../../src/errors.ts';
import type { Credentials, Wish } from '../../src/protocol/dialect.ts';
import { ImapFront } from '../../src/protocol/imap-front.ts';
import { imap } from '../../src/protocol/imap.ts';
import {
  frontRules,
  lines,
  outcome,
  plainMessage,
  REFUSED,
  type RulesOptions,
  ScriptedTalk,
  STRANGER,
} from '../support/scripted-talk.ts';

interface Session {
  readonly talk: ScriptedTalk;
  readonly front: ImapFront;
  /** How the wait for a wish ended. */
  readonly end: Wish | string;
}

interface Options extends RulesOptions {
  readonly secured?: boolean;
}

async function session(input: readonly (string | Buffer)[], options: Options = {}): Promise<Session> {
  const { secured = false, ...rules } = options;
  const talk = new ScriptedTalk(input, { secured });
  const front = new ImapFront(talk, frontRules(rules), STRANGER);
  return { talk, front, end: await outcome(front.nextWish()) };
}

function passwordOf(end: Wish | string): Extract<Credentials, { kind: 'password' }> {
  assert.ok(typeof end === 'object' && end.kind === 'login', JSON.stringify(end));
  assert.ok(end.credentials.kind === 'password');
  return end.credentials;
}

async function capabilities(options: Options): Promise<readonly string[]> {
  const { talk } = await session(lines('a CAPABILITY'), options);
  const [list = '', done] = talk.said.split('\r\n');
  assert.equal(done, 'a OK CAPABILITY done');
  return list.split(' ').slice(2);
}

const LOGIN = { kind: 'password', mechanism: 'LOGIN', authzid: '', user: 'anna', password: 'secret' };

for (const [tls, secured, present, absent] of [
  ['notls', false, ['AUTH=PLAIN'], ['STARTTLS', 'LOGINDISABLED']],
  ['maytls', false, ['STARTTLS', 'AUTH=PLAIN', 'AUTH=XOAUTH2'], ['LOGINDISABLED']],
  ['musttls', false, ['STARTTLS', 'LOGINDISABLED'], ['AUTH=PLAIN', 'AUTH=XOAUTH2']],
  ['maytls', true, ['AUTH=PLAIN', 'AUTH=OAUTHBEARER'], ['STARTTLS', 'LOGINDISABLED']],
  ['musttls', true, ['AUTH=PLAIN', 'AUTH=OAUTHBEARER'], ['STARTTLS', 'LOGINDISABLED']],
] as const) {
  test(`under ${tls} ${secured ? 'inside TLS' : 'in clear'} the list has ${present.join(', ')}, and not ${absent.join(', ')}`, async () => {
    const list = await capabilities({ tls, secured });
    for (const item of present) assert.ok(list.includes(item), item);
    for (const item of absent) assert.ok(!list.includes(item), item);
  });
}

test('the versions come first, spelled as in the RFCs; what is ours follows; each word comes once', async () => {
  const list = await capabilities({ capabilities: ['IDLE', 'IMAP4REV1', 'IMAP4REV2', 'UIDPLUS'] });
  const start = ['IMAP4rev1', 'IMAP4rev2', 'LITERAL-', 'SASL-IR', 'ID', 'IDLE', 'UIDPLUS'];
  assert.deepEqual(list.slice(0, start.length), start);
  assert.equal(new Set(list).size, list.length);
});

test('a store that nobody could ask still makes an IMAP4rev1 server', async () => {
  assert.equal((await capabilities({ capabilities: [] }))[0], 'IMAP4rev1');
});

test('a client is shown what concerns the mailbox, and nothing that concerns the other leg', () => {
  const ours = [
    'AUTH=PLAIN',
    'STARTTLS',
    'LOGINDISABLED',
    'SASL-IR',
    'ID',
    'LITERAL+',
    'LITERAL-',
    'XCLIENT',
  ];
  const theirs = ['IMAP4REV1', 'IDLE', 'COMPRESS=DEFLATE', 'UTF8=ACCEPT', 'NAMESPACE', 'ENABLE'];
  assert.deepEqual(imap.shown([...ours, ...theirs], []), theirs);
});

const STATES = [
  ['notls in clear', { tls: 'notls' }],
  ['maytls in clear', { tls: 'maytls' }],
  ['musttls in clear', { tls: 'musttls' }],
  ['maytls inside TLS', { tls: 'maytls', secured: true }],
  ['musttls inside TLS', { tls: 'musttls', secured: true }],
] as const;

const COMMANDS = [
  ['CAPABILITY', ['OK', 'OK', 'OK', 'OK', 'OK']],
  ['NOOP', ['OK', 'OK', 'OK', 'OK', 'OK']],
  ['ID NIL', ['OK', 'OK', 'OK', 'OK', 'OK']],
  ['LOGOUT', ['quit', 'quit', 'quit', 'quit', 'quit']],
  ['STARTTLS', ['BAD', 'OK', 'OK', 'BAD', 'BAD']],
  ['LOGIN anna secret', ['login', 'login', 'NO', 'login', 'login']],
  [`AUTHENTICATE PLAIN ${plainMessage('anna', 'secret')}`, ['login', 'login', 'NO', 'login', 'login']],
  ['AUTHENTICATE SCRAM-SHA-1', ['NO', 'NO', 'NO', 'NO', 'NO']],
  ['SELECT INBOX', ['BAD', 'BAD', 'BAD', 'BAD', 'BAD']],
  ['APPEND INBOX', ['BAD', 'BAD', 'BAD', 'BAD', 'BAD']],
  ['FROBNICATE', ['BAD', 'BAD', 'BAD', 'BAD', 'BAD']],
] as const;

const WHAT_FOLLOWS = {
  OK: 'is answered OK',
  NO: 'is answered NO',
  BAD: 'is answered BAD',
  login: 'leads to a login',
  quit: 'ends the session',
} as const;

for (const [command, answers] of COMMANDS) {
  for (const [index, [state, options]] of STATES.entries()) {
    const expected = answers[index] ?? 'OK';
    test(`${command.slice(0, 24)} ${WHAT_FOLLOWS[expected]} under ${state}`, async () => {
      const { talk, end } = await session(lines(`t1 ${command}`), options);
      if (typeof end === 'object') return assert.equal(end.kind, expected);
      assert.match(talk.said, new RegExp(`^t1 ${expected} `, 'm'));
    });
  }
}

const PRIVACY = 'NO [PRIVACYREQUIRED] Use STARTTLS first\r\n';

for (const line of [
  'a LOGIN anna secret',
  'a LOGIN {4}',
  'a LOGIN "anna" {6}',
  'a LOGIN {4+}\r\nanna {6}',
  'a AUTHENTICATE PLAIN',
  'a AUTHENTICATE PLAIN {20}',
]) {
  test(`where TLS is required nothing more is asked of ${JSON.stringify(line)} (RFC 5530 3)`, async () => {
    assert.equal((await session(lines(line), { tls: 'musttls' })).talk.said, `a ${PRIVACY}`);
  });
}

test('where TLS is required the literals of an ID are taken all the same', async () => {
  const { talk } = await session(['a ID ({4}\r\n', 'name "x")\r\n'], { tls: 'musttls' });
  assert.match(talk.said, /^\+ Ready for the literal\r\n\* ID .*\r\na OK/);
});

test('after STARTTLS the client may log in, by literals too', async () => {
  const input = ['a STARTTLS\r\n', 'b LOGIN {4}\r\n', 'anna {6}\r\n', 'secret\r\n'];
  const { talk, end } = await session(input, { tls: 'musttls' });
  assert.match(talk.said, /^a OK [^\r]*\r\n(\+ Ready for the literal\r\n){2}$/);
  assert.deepEqual(passwordOf(end), LOGIN);
});

test('a command sent in clear behind STARTTLS ends the connection and is never answered', async () => {
  const { talk, end } = await session(['a STARTTLS\r\nb LOGIN anna secret\r\n']);
  assert.deepEqual([end, talk.said], ['STARTTLS_INJECTION', '']);
});

for (const [how, input] of [
  ['atoms', ['a LOGIN anna secret\r\n']],
  ['quoted strings', ['a LOGIN "anna" "secret"\r\n']],
  ['synchronising literals', ['a LOGIN {4}\r\n', 'anna {6}\r\n', 'secret\r\n']],
  ['non-synchronising literals in one piece (RFC 7888)', ['a LOGIN {4+}\r\nanna {6+}\r\nsecret\r\n']],
  ['a quoted name and a literal password', ['a LOGIN "anna" {6}\r\n', 'secret\r\n']],
  ['any case', ['a lOgIn anna secret\r\n']],
  ['single bytes', Array.from('a LOGIN "anna" secret\r\n')],
] as const) {
  test(`LOGIN takes name and password as ${how}`, async () => {
    assert.deepEqual(passwordOf((await session(input)).end), LOGIN);
  });
}

test('LOGIN takes a UTF-8 password quoted and as a literal, and refuses bytes that are no UTF-8', async () => {
  assert.equal(passwordOf((await session(lines('a LOGIN anna "pässwörd"'))).end).password, 'pässwörd');
  const literal = await session(['a LOGIN anna {10}\r\n', 'pässwörd\r\n']);
  assert.equal(passwordOf(literal.end).password, 'pässwörd');
  const latin1 = Buffer.concat([Buffer.from('a LOGIN anna "p'), Buffer.of(0xe4), Buffer.from('ss"\r\n')]);
  assert.match((await session([latin1])).talk.said, /^a BAD /);
});

for (const [what, input] of [
  ['a literal larger than the command limit', ['a LOGIN {9000}\r\n']],
  ['literals that are larger together', ['a LOGIN {5000}\r\n', `${'x'.repeat(5000)} {5000}\r\n`]],
  ['a non-synchronising literal over 4096 bytes (RFC 7888 5)', ['a LOGIN {4097+}\r\n']],
  ['a literal of more than 32 bits', ['a LOGIN {99999999999}\r\n']],
  ['lines that are larger together than the limit', ['a ID {1}\r\n', `x ${'y'.repeat(8190)}\r\n`]],
] as const) {
  test(`${what} ends the connection with TOOBIG`, async () => {
    const { end, front } = await session(input);
    assert.equal(end, 'LINE_TOO_LONG');
    assert.equal(front.wordsFor(new GateError('LINE_TOO_LONG')), '* BYE [TOOBIG] Command too long\r\n');
  });
}

test('a literal that just fits is taken', async () => {
  const password = 'x'.repeat(4096);
  const { end } = await session([`a LOGIN anna {4096+}\r\n${password}\r\n`]);
  assert.equal(passwordOf(end).password, password);
});

test('thousands of parentheses are a malformed command, not a crash', async () => {
  const { talk } = await session(lines(`a ID ${'('.repeat(8000)}`, 'b NOOP'));
  assert.match(talk.said, /^a BAD .*\r\nb OK/);
});

test('more wrong commands than the limit end the connection, fewer do not', async () => {
  const wrong = Array.from({ length: 3 }, (_, i) => `a${i} FROB`);
  const under = await session(lines(...wrong, 'b NOOP'), { limits: { badCommands: 3 } });
  assert.match(under.talk.said, /b OK NOOP done\r\n$/);
  assert.equal(
    (await session(lines(...wrong, 'b FROB'), { limits: { badCommands: 3 } })).end,
    'TOO_MANY_ERRORS',
  );
});

test('a refused login is told in the words of the store, and another may follow', async () => {
  const { talk, front } = await session(lines('a LOGIN anna wrong', 'b LOGIN anna secret'));
  front.refuse({ ...REFUSED, words: '[AUTHENTICATIONFAILED] Wrong' });
  assert.equal(talk.said, 'a NO [AUTHENTICATIONFAILED] Wrong\r\n');
  assert.deepEqual(passwordOf(await front.nextWish()), LOGIN);
});

test('only the start of a command is a point at which a drain may come', async () => {
  const { talk } = await session(['a NOOP\r\n', 'b LOGIN {4}\r\n', 'anna {6}\r\n', 'secret\r\n']);
  assert.equal(talk.commands, 2);
});
