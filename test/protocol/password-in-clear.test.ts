// restrictPlainPasswords: in clear no password and no token is offered or taken, in three protocols; over TLS they are.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import type { FrontSession, Wish } from '../../src/protocol/dialect.ts';
import { ImapFront } from '../../src/protocol/imap-front.ts';
import { Pop3Front } from '../../src/protocol/pop3-front.ts';
import { SmtpFront } from '../../src/protocol/smtp-front.ts';
import {
  base64,
  frontRules,
  lines,
  outcome,
  plainMessage,
  type RulesOptions,
  ScriptedTalk,
  STRANGER,
} from '../support/scripted-talk.ts';

const FRONTS = { imap: ImapFront, pop3: Pop3Front, smtp: SmtpFront };
const MECHANISMS = [
  'PLAIN',
  'LOGIN',
  'OAUTHBEARER',
  'CRAM-MD5',
  'SCRAM-SHA-256',
  'SCRAM-SHA-256-PLUS',
] as const;

interface Session {
  readonly said: string;
  readonly end: Wish | string;
}

async function session(
  protocol: keyof typeof FRONTS,
  input: readonly string[],
  { secured = false, ...rules }: RulesOptions & { readonly secured?: boolean } = {},
): Promise<Session> {
  const talk = new ScriptedTalk(lines(...input), { secured });
  const all = frontRules({ restricted: true, mechanisms: MECHANISMS, ...rules });
  const visitor = { ...STRANGER, bindable: secured };
  const front: FrontSession = new FRONTS[protocol](talk, all, visitor);
  const end = await outcome(front.nextWish());
  return { said: talk.said, end };
}

const EHLO = 'EHLO client.test';

describe('imap', () => {
  test('LOGINDISABLED and the mechanisms by challenge in clear, everything in TLS', async () => {
    const clear = await session('imap', ['a CAPABILITY']);
    assert.match(clear.said, / STARTTLS LOGINDISABLED AUTH=CRAM-MD5 AUTH=SCRAM-SHA-256\r\n/);
    const secured = await session('imap', ['a CAPABILITY'], { secured: true });
    assert.match(secured.said, / AUTH=PLAIN .*AUTH=SCRAM-SHA-256-PLUS\r\n/);
    assert.doesNotMatch(secured.said, /LOGINDISABLED|STARTTLS/);
  });

  test('LOGIN, also with literals, and AUTHENTICATE PLAIN are refused for want of TLS', async () => {
    for (const command of [
      'a LOGIN anna secret',
      'a LOGIN {4}',
      'a AUTHENTICATE PLAIN {20}',
      'a AUTHENTICATE "LOGIN" {20}',
      `a AUTHENTICATE plain ${plainMessage('a', 'b')}`,
    ]) {
      const { said, end } = await session('imap', [command]);
      assert.match(said, /^a NO \[PRIVACYREQUIRED\] /);
      assert.equal(typeof end, 'string');
    }
    const { end } = await session('imap', ['a LOGIN anna secret'], { secured: true });
    assert.equal(typeof end, 'object');
  });

  test('where the name of the mechanism is a literal, that is read, and the password behind it is not asked for', async () => {
    const { said } = await session('imap', ['a AUTHENTICATE {5}', 'PLAIN {20}']);
    assert.match(said, /^\+ [^\r]*\r\na NO \[PRIVACYREQUIRED\] [^\r]*\r\n$/);
    const other = await session('imap', ['a AUTHENTICATE {13}', 'SCRAM-SHA-256 {20}']);
    assert.match(other.said, /^(\+ [^\r]*\r\n){2}$/);
  });

  test('a mechanism by challenge is taken, also where its name comes as a literal', async () => {
    const answer = base64(`tim ${'0'.repeat(32)}`);
    for (const command of [['a AUTHENTICATE CRAM-MD5'], ['a AUTHENTICATE {8}', 'CRAM-MD5']]) {
      const { end } = await session('imap', [...command, answer]);
      assert.ok(typeof end === 'object' && end.kind === 'login' && end.credentials.kind === 'challenge');
    }
  });
});

describe('pop3', () => {
  test('no USER, but the mechanisms by challenge in clear; everything in TLS', async () => {
    const clear = await session('pop3', ['CAPA']);
    assert.match(clear.said, /STLS\r\nSASL CRAM-MD5 SCRAM-SHA-256\r\n\.\r\n$/);
    assert.doesNotMatch(clear.said, /USER/);
    const secured = await session('pop3', ['CAPA'], { secured: true });
    assert.match(secured.said, /USER\r\nSASL PLAIN LOGIN OAUTHBEARER CRAM-MD5 .*-PLUS\r\n\.\r\n$/);
    assert.match((await session('pop3', ['AUTH'])).said, /follow\r\nCRAM-MD5\r\nSCRAM-SHA-256\r\n\.\r\n$/);
  });

  test('USER, PASS and AUTH PLAIN are refused for want of TLS', async () => {
    for (const command of ['USER anna', 'PASS secret', `AUTH PLAIN ${plainMessage('a', 'b')}`]) {
      assert.match((await session('pop3', [command])).said, /^-ERR \[AUTH\] Use STLS first\r\n/);
    }
    assert.match((await session('pop3', ['USER anna'], { secured: true })).said, /^\+OK/);
  });

  test('APOP is taken, where it is offered; the greeting has its stamp then', async () => {
    const talk = new ScriptedTalk(lines(`APOP anna ${'0'.repeat(32)}`));
    const front = new Pop3Front(talk, frontRules({ restricted: true, apop: true }), STRANGER);
    await front.greet();
    assert.equal(talk.said, '+OK mail.test ready <fresh.1@mail.test>\r\n');
    const end = await outcome(front.nextWish());
    assert.ok(typeof end === 'object' && end.kind === 'login' && end.credentials.mechanism === 'APOP');
    const { said } = await session('pop3', [`APOP anna ${'0'.repeat(32)}`]);
    assert.match(said, /^-ERR APOP is not available here/);
  });

  test('APOP of half an answer is none, and under musttls it waits for TLS', async () => {
    for (const [tls, expected] of [
      ['maytls', /-ERR APOP takes a name and a digest/],
      ['musttls', /-ERR \[AUTH\] Use STLS first/],
    ] as const) {
      const talk = new ScriptedTalk(lines('APOP anna'));
      const front = new Pop3Front(talk, frontRules({ apop: true, tls }), STRANGER);
      await front.greet();
      await outcome(front.nextWish());
      assert.match(talk.said, expected);
    }
  });
});

describe('smtp', () => {
  test('EHLO lists the mechanisms by challenge in clear, everything in TLS', async () => {
    assert.match((await session('smtp', [EHLO])).said, /AUTH CRAM-MD5 SCRAM-SHA-256\r\n/);
    const { said } = await session('smtp', [EHLO], { secured: true });
    assert.match(said, /AUTH PLAIN LOGIN OAUTHBEARER CRAM-MD5 SCRAM-SHA-256 SCRAM-SHA-256-PLUS\r\n/);
  });

  test('AUTH PLAIN is refused for want of TLS before anything is asked for', async () => {
    for (const command of ['AUTH PLAIN', 'AUTH login', `AUTH PLAIN ${plainMessage('a', 'b')}`])
      assert.match((await session('smtp', [EHLO, command])).said, /\r\n538 5\.7\.11 [^\r]*\r\n$/);
    const { end } = await session('smtp', [EHLO, `AUTH PLAIN ${plainMessage('a', 'b')}`], { secured: true });
    assert.equal(typeof end, 'object');
  });

  test('without a mechanism that may be used there is no AUTH', async () => {
    assert.doesNotMatch((await session('smtp', [EHLO], { mechanisms: ['PLAIN'] })).said, /AUTH/);
  });
});
