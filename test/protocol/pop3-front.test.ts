// POP3 before login, as a client meets it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GateError } from '../../src/errors.ts';
import type { Wish } from '../../src/protocol/dialect.ts';
import { Pop3Front } from '../../src/protocol/pop3-front.ts';
import { pop3 } from '../../src/protocol/pop3.ts';
import {
  ACCEPTED,
  base64,
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
  readonly front: Pop3Front;
  readonly end: Wish | string;
}

interface Options extends RulesOptions {
  readonly secured?: boolean;
}

async function session(input: readonly (string | Buffer)[], options: Options = {}): Promise<Session> {
  const { secured = false, ...rules } = options;
  const talk = new ScriptedTalk(input, { secured });
  const front = new Pop3Front(talk, frontRules(rules), STRANGER);
  return { talk, front, end: await outcome(front.nextWish()) };
}

async function capabilities(options: Options): Promise<readonly string[]> {
  const { talk } = await session(lines('CAPA'), options);
  const [first, ...rest] = talk.said.split('\r\n');
  assert.match(first ?? '', /^\+OK /);
  assert.deepEqual(rest.slice(-2), ['.', '']);
  return rest.slice(0, -2);
}

const credentials = { kind: 'password', mechanism: 'USER', authzid: '', user: 'anna', password: 'secret' };
const LOGIN = { kind: 'login', credentials, utf8: false };

test('the greeting has no timestamp, so nobody tries APOP (RFC 1939 7)', async () => {
  const talk = new ScriptedTalk([]);
  await new Pop3Front(talk, frontRules(), STRANGER).greet();
  assert.equal(talk.said, '+OK mail.test ready\r\n');
});

test('in clear under maytls CAPA offers STLS, USER and the mechanisms', async () => {
  assert.deepEqual(await capabilities({ capabilities: ['TOP', 'UIDL'], mechanisms: ['PLAIN', 'XOAUTH2'] }), [
    'TOP',
    'UIDL',
    'RESP-CODES',
    'AUTH-RESP-CODE',
    'STLS',
    'USER',
    'SASL PLAIN XOAUTH2',
  ]);
});

test('in clear under musttls CAPA offers STLS and no way to log in (RFC 2595 2.1)', async () => {
  assert.deepEqual(await capabilities({ tls: 'musttls' }), ['RESP-CODES', 'AUTH-RESP-CODE', 'STLS']);
});

test('under notls CAPA offers login and no STLS', async () => {
  const list = await capabilities({ tls: 'notls' });
  assert.ok(list.includes('USER') && !list.includes('STLS'));
});

for (const tls of ['maytls', 'musttls'] as const) {
  test(`inside TLS under ${tls} CAPA offers login and no STLS`, async () => {
    const list = await capabilities({ tls, secured: true });
    assert.ok(list.includes('USER') && list.includes('SASL PLAIN LOGIN XOAUTH2 OAUTHBEARER'));
    assert.ok(!list.includes('STLS'));
  });
}

test('without mechanisms there is USER and no SASL line', async () => {
  const list = await capabilities({ mechanisms: [] });
  assert.ok(list.includes('USER') && !list.some((line) => line.startsWith('SASL')));
});

test('a client is shown what concerns the maildrop, and nothing that concerns the other leg', () => {
  const ours = [
    'SASL PLAIN',
    'STLS',
    'USER',
    'XCLIENT ADDR',
    'IMPLEMENTATION x',
    'RESP-CODES',
    'AUTH-RESP-CODE',
  ];
  const theirs = ['TOP', 'UIDL', 'PIPELINING', 'UTF8 USER', 'LANG', 'EXPIRE 60', 'LOGIN-DELAY 900'];
  assert.deepEqual(pop3.shown([...ours, ...theirs], []), theirs);
});

const STATES = [
  ['notls in clear', { tls: 'notls' }],
  ['maytls in clear', { tls: 'maytls' }],
  ['musttls in clear', { tls: 'musttls' }],
  ['maytls inside TLS', { tls: 'maytls', secured: true }],
  ['musttls inside TLS', { tls: 'musttls', secured: true }],
] as const;

const COMMANDS = [
  ['CAPA', ['+OK', '+OK', '+OK', '+OK', '+OK']],
  ['NOOP', ['+OK', '+OK', '+OK', '+OK', '+OK']],
  ['QUIT', ['quit', 'quit', 'quit', 'quit', 'quit']],
  ['STLS', ['-ERR', '+OK', '+OK', '-ERR', '-ERR']],
  ['USER anna', ['+OK', '+OK', '-ERR', '+OK', '+OK']],
  ['USER anna\r\nPASS secret', ['login', 'login', '-ERR', 'login', 'login']],
  ['PASS secret', ['-ERR', '-ERR', '-ERR', '-ERR', '-ERR']],
  ['AUTH', ['+OK', '+OK', '-ERR', '+OK', '+OK']],
  [`AUTH PLAIN ${plainMessage('anna', 'secret')}`, ['login', 'login', '-ERR', 'login', 'login']],
  ['AUTH CRAM-MD5', ['-ERR', '-ERR', '-ERR', '-ERR', '-ERR']],
  ['UTF8', ['+OK', '+OK', '+OK', '+OK', '+OK']],
  ['APOP anna 0123', ['-ERR', '-ERR', '-ERR', '-ERR', '-ERR']],
  ['XCLIENT ADDR=1.2.3.4', ['-ERR', '-ERR', '-ERR', '-ERR', '-ERR']],
  ['STAT', ['-ERR', '-ERR', '-ERR', '-ERR', '-ERR']],
  ['RETR 1', ['-ERR', '-ERR', '-ERR', '-ERR', '-ERR']],
  ['DELE 1', ['-ERR', '-ERR', '-ERR', '-ERR', '-ERR']],
  ['FROB', ['-ERR', '-ERR', '-ERR', '-ERR', '-ERR']],
] as const;

const WHAT_FOLLOWS = {
  '+OK': 'is answered +OK',
  '-ERR': 'is answered -ERR',
  login: 'leads to a login',
  quit: 'ends the session',
} as const;

for (const [command, answers] of COMMANDS) {
  for (const [index, [state, options]] of STATES.entries()) {
    const expected = answers[index] ?? '+OK';
    const name = command.replace('\r\n', ', ').slice(0, 24);
    test(`${name} ${WHAT_FOLLOWS[expected]} under ${state}`, async () => {
      const input = lines(...command.split('\r\n'));
      const { talk, end } = await session(input, { ...options, capabilities: ['UTF8'] });
      if (typeof end === 'object') return assert.equal(end.kind, expected);
      // The answer of the last command.
      const said = talk.said.split('\r\n').filter((line) => /^(\+OK|-ERR)( |$)/.test(line));
      assert.ok(said.at(-1)?.startsWith(expected), talk.said);
    });
  }
}

test('where TLS is required the client is told so before it says its password', async () => {
  const { talk } = await session(lines('USER anna'), { tls: 'musttls' });
  assert.equal(talk.said, '-ERR [AUTH] Use STLS first\r\n');
});

test('USER is answered alike for every name, so that nobody learns which exist (RFC 1939 7)', async () => {
  const { talk } = await session(lines('USER anna', 'USER nobody', 'USER root'));
  assert.equal(new Set(talk.said.trim().split('\r\n')).size, 1);
});

test('after STLS the client starts anew: its USER is forgotten (RFC 2595 4)', async () => {
  const { talk } = await session(lines('USER anna', 'STLS', 'PASS secret'));
  assert.deepEqual(talk.said.split('\r\n').slice(1), ['+OK Begin TLS now', '-ERR USER first', '']);
  const { end } = await session(lines('STLS', 'USER anna', 'PASS secret'));
  assert.deepEqual(end, LOGIN);
});

test('UTF8 from before STLS is forgotten too', async () => {
  const input = lines('UTF8', 'STLS', 'USER anna', 'PASS secret');
  assert.deepEqual((await session(input, { capabilities: ['UTF8'] })).end, LOGIN);
});

test('a command sent in clear behind STLS ends the connection and is never answered', async () => {
  const { talk, end } = await session(['STLS\r\nUSER anna\r\n']);
  assert.equal(end, 'STARTTLS_INJECTION');
  assert.equal(talk.said, '');
});

test('a password keeps its blanks, at both ends and inside', async () => {
  const { end } = await session(lines('USER anna', 'PASS  pass word '));
  assert.deepEqual(end, { ...LOGIN, credentials: { ...credentials, password: ' pass word ' } });
});

test('a password in UTF-8 is taken, other bytes are not', async () => {
  const good = await session(lines('USER anna', 'PASS pässwörd'));
  assert.deepEqual(good.end, { ...LOGIN, credentials: { ...credentials, password: 'pässwörd' } });
  const latin1 = Buffer.concat([Buffer.from('PASS p'), Buffer.of(0xe4), Buffer.from('ss\r\n')]);
  assert.match((await session(['USER anna\r\n', latin1])).talk.said, /-ERR Command not understood\r\n$/);
});

test('an empty password is refused here, and USER has to come again', async () => {
  const { talk } = await session(lines('USER anna', 'PASS ', 'PASS secret'));
  assert.deepEqual(talk.said.split('\r\n').slice(1), [
    '-ERR [AUTH] The password may not be empty',
    '-ERR USER first',
    '',
  ]);
});

test('USER without a name is refused', async () => {
  assert.match((await session(lines('USER', 'USER '))).talk.said, /^(-ERR USER takes a name\r\n){2}$/);
});

test('AUTH alone lists the mechanisms, as old clients ask', async () => {
  const { talk } = await session(lines('AUTH'), { mechanisms: ['PLAIN', 'LOGIN'] });
  assert.equal(talk.said, '+OK Mechanisms follow\r\nPLAIN\r\nLOGIN\r\n.\r\n');
});

test('AUTH asks its questions in the form of POP3 (RFC 5034 4)', async () => {
  const { talk, end } = await session(lines('AUTH LOGIN', base64('anna'), base64('secret')));
  assert.equal(talk.said, `+ ${base64('Username:')}\r\n+ ${base64('Password:')}\r\n`);
  assert.deepEqual(end, { ...LOGIN, credentials: { ...credentials, mechanism: 'LOGIN' } });
});

test('AUTH cancelled, malformed, unknown or with too many words is answered -ERR', async () => {
  const { talk } = await session(
    lines('AUTH PLAIN', '*', 'AUTH PLAIN !!', 'AUTH CRAM-MD5', 'AUTH PLAIN = ='),
  );
  assert.deepEqual(talk.said.split('\r\n'), [
    '+ ',
    '-ERR AUTH cancelled',
    '-ERR That is not a valid SASL message',
    '-ERR [AUTH] Mechanism not offered',
    '-ERR AUTH takes a mechanism',
    '',
  ]);
});

test('UTF8 is remembered for the backend where the backend has it, and refused where not', async () => {
  const input = lines('UTF8', 'USER anna', 'PASS secret');
  const offered = await session(input, { capabilities: ['UTF8 USER'] });
  assert.deepEqual(offered.end, { ...LOGIN, utf8: true });
  const missing = await session(input, { capabilities: ['TOP'] });
  assert.match(missing.talk.said, /^-ERR UTF8 is not available here\r\n/);
  assert.deepEqual(missing.end, LOGIN);
});

test('control characters and lines that are no command are refused', async () => {
  const { talk } = await session(lines('USER an\x07na', '', '   ', 'USER\tanna'));
  assert.equal(talk.said, '-ERR Command not understood\r\n'.repeat(4));
});

test('more wrong commands than the limit end the connection, fewer do not', async () => {
  const wrong = ['A', 'B', 'C'];
  const under = await session(lines(...wrong, 'NOOP'), { limits: { badCommands: 3 } });
  assert.match(under.talk.said, /\+OK \r\n$/);
  const over = await session(lines(...wrong, 'D'), { limits: { badCommands: 3 } });
  assert.equal(over.end, 'TOO_MANY_ERRORS');
  assert.equal(
    over.front.wordsFor(new GateError('TOO_MANY_ERRORS')),
    '-ERR Too many errors, closing the connection\r\n',
  );
});

test('QUIT is answered and ends the session', async () => {
  const { talk, end } = await session(lines('QUIT'));
  assert.deepEqual(end, { kind: 'quit' });
  assert.equal(talk.said, '+OK Goodbye\r\n');
});

test('the verdict of the backend is told in its own words', async () => {
  const { talk, front } = await session(lines('USER anna', 'PASS secret'));
  talk.saidSince();
  front.refuse({ ...REFUSED, words: '[AUTH] Wrong' });
  front.admit({ ...ACCEPTED, words: '2 messages' });
  assert.equal(talk.saidSince(), '-ERR [AUTH] Wrong\r\n+OK 2 messages\r\n');
});

test('after a refusal the client has to say USER again', async () => {
  const { front, talk } = await session(lines('USER anna', 'PASS wrong', 'PASS secret'));
  front.refuse({ ...REFUSED, words: 'Wrong' });
  assert.equal(await outcome(front.nextWish()), 'CLIENT_CLOSED');
  assert.match(talk.said, /-ERR USER first\r\n$/);
});

test('a backend that is down is told with SYS/TEMP, and only the login has failed (RFC 3206)', async () => {
  const down = new GateError('BACKEND_UNREACHABLE');
  const { front } = await session(lines('USER anna', 'PASS secret'));
  assert.equal(front.ends(down), false);
  assert.match(front.wordsFor(down), /^-ERR \[SYS\/TEMP\] The mail server behind/);
  assert.equal(front.ends(new GateError('DRAINING')), true);
  await outcome(front.nextWish());
  assert.equal(front.ends(down), true);
  assert.equal(front.wordsFor(new GateError('CLIENT_CLOSED')), '');
});
