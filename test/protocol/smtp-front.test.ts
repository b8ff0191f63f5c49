// SMTP towards a client: everything that is answered without the relay, and what may go on to it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GateError } from '../../src/errors.ts';
import type { Wish } from '../../src/protocol/dialect.ts';
import { SmtpFront } from '../../src/protocol/smtp-front.ts';
import { smtp } from '../../src/protocol/smtp.ts';
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
  readonly front: SmtpFront;
  readonly end: Wish | string;
}

interface Options extends RulesOptions {
  readonly secured?: boolean;
}

async function session(input: readonly (string | Buffer)[], options: Options = {}): Promise<Session> {
  const { secured = false, ...rules } = options;
  const talk = new ScriptedTalk(input, { secured });
  const front = new SmtpFront(talk, frontRules(rules), STRANGER);
  return { talk, front, end: await outcome(front.nextWish()) };
}

/** The last reply's code. */
function codeOf({ talk }: Session): string {
  return /(\d{3}) [^\r\n]*\r\n$/.exec(talk.said)?.[1] ?? talk.said;
}

async function keywords(options: Options): Promise<readonly string[]> {
  const { talk } = await session(lines('EHLO client.test'), options);
  const [first, ...rest] = talk.said.trimEnd().split('\r\n');
  assert.match(first ?? '', /^250[- ]mail\.test$/);
  return rest.map((line) => line.slice(4));
}

const AUTH_LINE = 'AUTH PLAIN LOGIN XOAUTH2 OAUTHBEARER';

test('the greeting names the host and ESMTP', async () => {
  const talk = new ScriptedTalk([]);
  await new SmtpFront(talk, frontRules(), STRANGER).greet();
  assert.equal(talk.said, '220 mail.test ESMTP ready\r\n');
});

test('EHLO carries over what the relay has, its parameters included, and adds what is ours', async () => {
  const capabilities = ['PIPELINING', 'SIZE 35882577', '8BITMIME', 'DSN'];
  assert.deepEqual(await keywords({ capabilities }), [...capabilities, 'STARTTLS', AUTH_LINE]);
});

test('HELO offers nothing', async () => {
  const { talk } = await session(lines('HELO client.test'), { capabilities: ['SIZE 10'] });
  assert.equal(talk.said, '250 mail.test\r\n');
});

test('neither the EHLO nor the HELO reply carries an enhanced status code (RFC 2034 4)', async () => {
  const { talk } = await session(lines('EHLO client.test', 'HELO client.test'));
  assert.doesNotMatch(talk.said, /2\.\d\.\d/);
});

for (const tls of ['notls', 'maytls', 'musttls'] as const) {
  for (const sasl of ['nosasl', 'maysasl', 'mustsasl'] as const) {
    for (const secured of [false, true]) {
      const starttls = tls !== 'notls' && !secured;
      const auth = sasl !== 'nosasl' && (tls !== 'musttls' || secured);
      const where = secured ? 'inside TLS' : 'in clear';
      const offered = `${starttls ? 'STARTTLS' : 'no STARTTLS'} and ${auth ? 'AUTH' : 'no AUTH'}`;
      test(`under ${tls} and ${sasl}, ${where}, EHLO offers ${offered}`, async () => {
        const list = await keywords({ tls, sasl, secured });
        assert.deepEqual(list, [...(starttls ? ['STARTTLS'] : []), ...(auth ? [AUTH_LINE] : [])]);
      });
    }
  }
}

test('without a mechanism there is no AUTH line', async () => {
  assert.deepEqual(await keywords({ mechanisms: [], tls: 'notls' }), []);
});

test('REQUIRETLS is offered under TLS only (RFC 8689 4.2.1)', async () => {
  const capabilities = ['REQUIRETLS', 'DSN'];
  assert.ok(!(await keywords({ capabilities })).includes('REQUIRETLS'));
  assert.ok((await keywords({ capabilities, secured: true })).includes('REQUIRETLS'));
});

test('of the keywords of a relay the known ones pass, whatever their case', () => {
  const known = ['SIZE 10', '8BITMIME', 'PIPELINING', 'DSN', 'SMTPUTF8', 'CHUNKING', 'ENHANCEDSTATUSCODES'];
  assert.deepEqual(smtp.shown(known, []), known);
  assert.deepEqual(smtp.shown(['size 10', 'Dsn'], []), ['size 10', 'Dsn']);
});

test('unknown keywords pass only where the settings name them', () => {
  assert.deepEqual(smtp.shown(['XFROB', 'ETRN', 'BURL imap'], []), []);
  assert.deepEqual(smtp.shown(['XFROB', 'ETRN', 'BURL imap'], ['ETRN', 'BURL']), ['ETRN', 'BURL imap']);
});

test('what is ours or leads around us never passes, also where the settings name it', () => {
  const never = [
    'STARTTLS',
    'AUTH PLAIN',
    'AUTH=LOGIN',
    'XCLIENT ADDR',
    'XFORWARD ADDR',
    'XPEHLO',
    'BINARYMIME',
  ];
  assert.deepEqual(
    smtp.shown(never, ['STARTTLS', 'AUTH', 'XCLIENT', 'XFORWARD', 'XPEHLO', 'BINARYMIME']),
    [],
  );
});

// Every command before EHLO, after it in clear, and after it inside TLS: the code of the answer.
const PLAIN = `AUTH PLAIN ${plainMessage('anna', 'secret')}`;
const TABLE = [
  ['NOOP', ['250', '250', '250']],
  ['NOOP with words', ['250', '250', '250']],
  ['RSET', ['250', '250', '250']],
  ['HELP', ['214', '214', '214']],
  ['VRFY anna', ['252', '252', '252']],
  ['EXPN staff', ['500', '500', '500']],
  ['STARTTLS', ['220', '220', '503']],
  ['STARTTLS now', ['501', '501', '503']],
  [PLAIN, ['503', 'login', 'login']],
  ['AUTH', ['503', '501', '501']],
  ['AUTH CRAM-MD5', ['503', '504', '504']],
  ['AUTH PLAIN !!', ['503', '501', '501']],
  ['AUTH PLAIN = =', ['503', '501', '501']],
  ['MAIL FROM:<anna@example.org>', ['503', 'mail', 'mail']],
  ['MAIL FROM:<>', ['503', 'mail', 'mail']],
  ['MAIL anna@example.org', ['503', '501', '501']],
  ['MAIL FROM:anna@example.org', ['503', '501', '501']],
  ['MAIL FROM:<a@b> BODY=BINARYMIME', ['503', '555', '555']],
  ['MAIL FROM:<a@b> body=binarymime', ['503', '555', '555']],
  ['MAIL FROM:<a@b> BODY=8BITMIME SIZE=5', ['503', 'mail', 'mail']],
  ['MAIL FROM:<a@b> REQUIRETLS', ['503', '530', 'mail']],
  ['RCPT TO:<bert@example.com>', ['503', '503', '503']],
  ['DATA', ['503', '503', '503']],
  ['QUIT', ['quit', 'quit', 'quit']],
  ['XCLIENT ADDR=192.0.2.1', ['500', '500', '500']],
  ['XFORWARD ADDR=192.0.2.1', ['500', '500', '500']],
  ['XPEHLO client.test', ['500', '500', '500']],
  ['ETRN example.org', ['500', '500', '500']],
  ['GET / HTTP/1.1', ['500', '500', '500']],
  ['', ['500', '500', '500']],
] as const;

const BEFORE = [
  ['before EHLO', [], false],
  ['after EHLO', ['EHLO client.test'], false],
  ['after EHLO inside TLS', ['EHLO client.test'], true],
] as const;

const WISHES: Readonly<Record<string, string>> = {
  login: 'leads to a login',
  mail: 'leads to the relay',
  quit: 'ends the session',
};

for (const [command, codes] of TABLE) {
  for (const [index, [state, greeting, secured]] of BEFORE.entries()) {
    const expected = codes[index] ?? '';
    const what = WISHES[expected] ?? `is answered ${expected}`;
    test(`"${command.slice(0, 36)}" ${what} ${state}`, async () => {
      const seen = await session(lines(...greeting, command), { secured });
      assert.equal(typeof seen.end === 'object' ? seen.end.kind : codeOf(seen), expected, seen.talk.said);
    });
  }
}

test('under notls STARTTLS is not known', async () => {
  assert.equal(codeOf(await session(lines('STARTTLS'), { tls: 'notls' })), '502');
});

test('under musttls in clear neither AUTH nor MAIL goes on: 530 (RFC 3207 4)', async () => {
  for (const command of [PLAIN, 'MAIL FROM:<a@b>']) {
    const seen = await session(lines('EHLO client.test', command), { tls: 'musttls' });
    assert.match(seen.talk.said, /530 5\.7\.0 Must issue a STARTTLS command first\r\n$/);
  }
});

test('under musttls inside TLS both go on', async () => {
  for (const [command, kind] of [
    [PLAIN, 'login'],
    ['MAIL FROM:<a@b>', 'mail'],
  ] as const) {
    const { end } = await session(lines('EHLO client.test', command), { tls: 'musttls', secured: true });
    assert.equal((end as Wish).kind, kind);
  }
});

test('under mustsasl MAIL waits for AUTH: 530, and goes on once the login was accepted', async () => {
  const input = lines('EHLO client.test', 'MAIL FROM:<a@b>', PLAIN, 'MAIL FROM:<a@b>');
  const { talk, front, end } = await session(input, { sasl: 'mustsasl' });
  assert.match(talk.said, /530 5\.7\.0 No AUTH command has been given\.\r\n$/);
  assert.equal((end as Wish).kind, 'login');
  front.admit({ ...ACCEPTED, words: '235 2.7.0 Welcome\r\n' });
  assert.equal(front.authenticated, true);
  assert.deepEqual(await front.nextWish(), { kind: 'mail' });
});

test('a login that was refused opens nothing', async () => {
  const input = lines('EHLO client.test', PLAIN, 'MAIL FROM:<a@b>');
  const { talk, front } = await session(input, { sasl: 'mustsasl' });
  front.refuse({ ...REFUSED, words: '535 5.7.8 Wrong\r\n' });
  assert.equal(front.authenticated, false);
  assert.equal(await outcome(front.nextWish()), 'CLIENT_CLOSED');
  assert.match(talk.said, /535 5\.7\.8 Wrong\r\n530 /);
});

test('under nosasl AUTH is not available, and mail goes on without', async () => {
  const { talk, end } = await session(lines('EHLO client.test', PLAIN, 'MAIL FROM:<a@b>'), {
    sasl: 'nosasl',
  });
  assert.match(talk.said, /503 5\.5\.1 AUTH is not available here\r\n$/);
  assert.deepEqual(end, { kind: 'mail' });
});

test('AUTH works once on a connection (RFC 4954 4)', async () => {
  const { talk, front } = await session(lines('EHLO client.test', PLAIN, PLAIN));
  front.admit({ ...ACCEPTED, words: '235 2.7.0 Welcome\r\n' });
  assert.equal(await outcome(front.nextWish()), 'CLIENT_CLOSED');
  assert.match(talk.said, /503 5\.5\.1 Authenticated already\r\n$/);
});

test('after STARTTLS the client starts anew: EHLO and login are forgotten (RFC 3207 4.2)', async () => {
  const { talk, front } = await session(lines('EHLO client.test', PLAIN, 'STARTTLS', 'MAIL FROM:<a@b>'));
  front.admit({ ...ACCEPTED, words: '235 2.7.0 Welcome\r\n' });
  assert.equal(await outcome(front.nextWish()), 'CLIENT_CLOSED');
  assert.deepEqual([front.authenticated, front.helo], [false, null]);
  assert.match(talk.said, /220 2\.0\.0 Ready to start TLS\r\n503 5\.5\.1 EHLO first\r\n$/);
});

test('a command sent in clear behind STARTTLS ends the connection and is never answered', async () => {
  const { talk, end, front } = await session(['STARTTLS\r\nMAIL FROM:<a@b>\r\n']);
  assert.equal(end, 'STARTTLS_INJECTION');
  assert.equal(talk.said, '');
  assert.match(front.wordsFor(new GateError('STARTTLS_INJECTION')), /^521 5\.5\.1 mail\.test No command/);
});

test('AUTH asks its questions in the form of SMTP (RFC 4954 4)', async () => {
  const { talk, end } = await session(lines('EHLO c', 'AUTH LOGIN', base64('anna'), base64('secret')));
  assert.match(talk.said, new RegExp(`334 ${base64('Username:')}\r\n334 ${base64('Password:')}\r\n$`));
  assert.equal((end as Wish).kind, 'login');
});

test('AUTH cancelled is answered 501, and the next try may succeed', async () => {
  const { talk, end } = await session(lines('EHLO c', 'AUTH PLAIN', '*', PLAIN));
  assert.match(talk.said, /334 \r\n501 5\.7\.0 AUTH cancelled\r\n$/);
  assert.equal((end as Wish).kind, 'login');
});

for (const [what, line] of [
  ['no name', 'EHLO'],
  ['a name with a blank', 'EHLO two words'],
  ['a name that is too long', `EHLO ${'x'.repeat(256)}`],
] as const) {
  test(`EHLO with ${what} is answered 501 and does not count`, async () => {
    const { talk, front } = await session(lines(line, 'MAIL FROM:<a@b>'));
    assert.match(talk.said, /^501 .*\r\n503 /);
    assert.equal(front.helo, null);
  });
}

test('the name and the verb of the latest greeting are kept for XCLIENT', async () => {
  const { front } = await session(lines('EHLO one.test', 'HELO [192.0.2.7]'));
  assert.deepEqual(front.helo, { name: '[192.0.2.7]', esmtp: false });
});

test('BDAT out of place is refused, and its octets are not taken for commands (RFC 3030 2)', async () => {
  const input = ['EHLO c\r\n', 'BDAT 16 LAST\r\nQUIT\r\nQUIT\r\n', 'ABCDNOOP\r\n'];
  const { talk } = await session(input);
  assert.match(talk.said, /503 5\.5\.1 MAIL and RCPT first\r\n250 2\.0\.0 OK\r\n$/);
});

test('BDAT of no octets is refused and swallows nothing', async () => {
  const { talk } = await session(['BDAT 0 LAST\r\nNOOP\r\n']);
  assert.match(talk.said, /^503 .*\r\n250 2\.0\.0 OK\r\n$/);
});

test('BDAT without a size ends the connection, since nobody knows what are commands then', async () => {
  assert.equal((await session(lines('BDAT LAST'))).end, 'BAD_LINE_ENDING');
  assert.equal((await session(lines('BDAT -1'))).end, 'BAD_LINE_ENDING');
});

test('commands that came together are answered in their order', async () => {
  const { talk, end } = await session(['EHLO c\r\nNOOP\r\nVRFY x\r\nRSET\r\nQUIT\r\n'], {
    tls: 'notls',
    mechanisms: [],
  });
  assert.deepEqual(
    talk.said.split('\r\n').map((line) => line.slice(0, 3)),
    ['250', '250', '252', '250', '221', ''],
  );
  assert.deepEqual(end, { kind: 'quit' });
});

test('lines that are no UTF-8, or hold control characters, are commands that nobody knows', async () => {
  const { talk } = await session([Buffer.from([0x4e, 0xff, 13, 10]), 'NOOP \x07\r\n']);
  assert.equal(talk.said, '500 5.5.1 Command not known\r\n'.repeat(2));
});

test('a NUL or a bare line feed ends the connection', async () => {
  assert.equal((await session(['NO\0OP\r\n'])).end, 'BAD_LINE_ENDING');
  assert.equal((await session(['NOOP\nNOOP\r\n'])).end, 'BAD_LINE_ENDING');
});

test('more wrong commands than the limit end the connection, fewer do not', async () => {
  const under = await session(lines('A', 'B', 'C', 'NOOP'), { limits: { badCommands: 3 } });
  assert.equal(codeOf(under), '250');
  assert.equal(
    (await session(lines('A', 'B', 'C', 'D'), { limits: { badCommands: 3 } })).end,
    'TOO_MANY_ERRORS',
  );
});

test('MAIL waits as it came for whoever relays it', async () => {
  const { front, end } = await session(
    lines('EHLO c', 'mail from:<a@b> SIZE=10 ENVID=x+20y', 'RCPT TO:<c@d>'),
  );
  assert.deepEqual(end, { kind: 'mail' });
  const command = await front.nextCommand('between');
  assert.deepEqual([command.verb, command.argument], ['MAIL', 'from:<a@b> SIZE=10 ENVID=x+20y']);
  assert.equal((await front.nextCommand('in transaction')).verb, 'RCPT');
});

test('a drain may come between transactions and not within one', async () => {
  const { front, talk } = await session(lines('EHLO c', 'MAIL FROM:<a@b>', 'RCPT TO:<c@d>'));
  const before = talk.commands;
  await front.nextCommand('between'); // the MAIL that waits
  await front.nextCommand('in transaction');
  assert.equal(talk.commands, before);
});

test('the reply of the relay reaches the client byte by byte, also where it is no ASCII', async () => {
  const { front, talk } = await session(lines('EHLO c', PLAIN));
  talk.saidSince();
  const words = `535-5.7.8 ${Buffer.from('é').toString('latin1')}\r\n535 5.7.8 \xe9\r\n`;
  front.refuse({ ...REFUSED, words });
  assert.equal(talk.saidSince(), words);
  front.admit({ ...ACCEPTED, words: `235 2.7.0 \xfc\r\n` });
  assert.equal(talk.saidSince(), '235 2.7.0 \xfc\r\n');
});

test('an error ends an SMTP connection with the row’s words behind our name, unless only the login failed', async () => {
  const front = new SmtpFront(new ScriptedTalk([]), frontRules(), STRANGER);
  assert.equal(front.ends(new GateError('SERVER_FULL')), true);
  assert.equal(front.ends(new GateError('BACKEND_UNREACHABLE')), true);
  assert.equal(front.ends(new GateError('USER_LIMIT')), false);
  assert.equal(
    front.wordsFor(new GateError('USER_LIMIT')),
    '454 4.7.0 Too many connections of this user\r\n',
  );
  assert.equal(
    front.wordsFor(new GateError('SERVER_FULL')),
    '421 4.3.2 mail.test Too many connections, please try again later\r\n',
  );
  assert.equal(front.wordsFor(new GateError('TLS_HANDSHAKE_FAILED')), '');
});
