// IMAP towards the store, step by step: STARTTLS by the plan, the mechanism, challenges, the list after the login.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BackPlan, Replayable, Verdict } from '../../src/protocol/dialect.ts';
import { ImapBack } from '../../src/protocol/imap-back.ts';
import { backPlan, base64, lines, plainMessage, ScriptedTalk } from '../support/scripted-talk.ts';

const PASSWORD = { kind: 'password', mechanism: 'LOGIN', authzid: '', user: 'anna', password: 's' } as const;
const greet = (capabilities: string): string => `* OK [CAPABILITY ${capabilities}] ready\r\n`;

async function open(
  greeting: string,
  replies: readonly string[] = [],
  options: { readonly plan?: Partial<BackPlan>; readonly secured?: boolean } = {},
): Promise<[ImapBack, ScriptedTalk]> {
  const talk = new ScriptedTalk([greeting, ...replies], {
    side: 'backend',
    secured: options.secured ?? false,
  });
  const back = new ImapBack(talk);
  await back.open(backPlan(options.plan));
  return [back, talk];
}

async function logIn(
  capabilities: string,
  replies: readonly string[],
  credentials: Replayable = PASSWORD,
): Promise<[said: string, verdict: Verdict]> {
  const [back, talk] = await open(greet(capabilities), replies);
  talk.saidSince();
  const verdict = await back.login(credentials);
  return [talk.saidSince(), verdict];
}

const OK = 's1 OK [CAPABILITY IMAP4rev1 IDLE] Logged in\r\n';

test('capabilities are asked for where the greeting has none', async () => {
  const [back, talk] = await open('* OK hi\r\n', lines('* CAPABILITY IMAP4rev1 AUTH=LOGIN', 's1 OK done'));
  assert.equal(talk.said, 's1 CAPABILITY\r\n');
  assert.deepEqual(back.mechanisms, ['LOGIN']);
});

for (const tls of ['maytls', 'musttls'] as const) {
  test(`under ${tls} STARTTLS is used where it is offered, and what was learnt before is forgotten`, async () => {
    const replies = lines('s1 OK go', '* CAPABILITY IMAP4rev1 AUTH=XOAUTH2', 's2 OK done');
    const [back, talk] = await open(greet('IMAP4rev1 STARTTLS AUTH=PLAIN X'), replies, { plan: { tls } });
    assert.equal(talk.said, 's1 STARTTLS\r\ns2 CAPABILITY\r\n');
    assert.deepEqual([talk.secured, back.capabilities], [true, ['IMAP4REV1', 'AUTH=XOAUTH2']]);
  });

  test(`under ${tls} a store without STARTTLS, or that takes it back, is ${tls === 'maytls' ? 'taken' : 'refused'}`, async () => {
    const plan = { tls };
    for (const [words, replies] of [
      ['IMAP4rev1', []],
      ['IMAP4rev1 STARTTLS', ['s1 NO not now\r\n']],
    ] as const) {
      const opened = open(greet(words), replies, { plan });
      if (tls === 'musttls') await assert.rejects(opened, { code: 'BACKEND_TLS_MISSING' });
      else assert.equal((await opened)[1].secured, false);
    }
  });
}

test('STARTTLS is not used under notls, nor on a leg that is secured already', async () => {
  const [, clear] = await open(greet('IMAP4rev1 STARTTLS'), [], { plan: { tls: 'notls' } });
  assert.deepEqual([clear.secured, clear.said], [false, '']);
  const [, secured] = await open(greet('IMAP4rev1 STARTTLS'), [], {
    plan: { tls: 'musttls' },
    secured: true,
  });
  assert.equal(secured.said, '');
});

test('text between the answer to STARTTLS and the handshake ends the attempt', async () => {
  const injected = ['s1 OK go\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n'];
  await assert.rejects(open(greet('IMAP4rev1 STARTTLS'), injected), { code: 'BACKEND_INJECTION' });
});

for (const [what, greeting, code] of [
  ['PREAUTH', '* PREAUTH welcome anna\r\n', 'BACKEND_PREAUTH'],
  ['BYE', '* BYE too busy\r\n', 'BACKEND_REFUSED'],
  ['nothing', '', 'BACKEND_CLOSED'],
] as const) {
  test(`a greeting that is ${what} ends the attempt with ${code}`, async () => {
    await assert.rejects(open(greeting), { code });
  });
}

test('lines without an end are cut off, and the limit is for one reply, not for the conversation', async () => {
  await assert.rejects(open('* OK hi\r\n', ['* X\r\n'.repeat(5000)]), { code: 'BACKEND_PROTOCOL' });
  const long = `* X ${'x'.repeat(6000)}\r\n`;
  const replies = [long, 's1 OK done\r\n', long, 's2 OK in\r\n', 's3 OK done\r\n'];
  const [back] = await open('* OK hi\r\n', replies);
  assert.equal((await back.login(PASSWORD)).accepted, true);
});

for (const [what, capabilities, replies, credentials, said] of [
  [
    'PLAIN at once with SASL-IR',
    'AUTH=PLAIN SASL-IR',
    [OK],
    {},
    `s1 AUTHENTICATE PLAIN ${plainMessage('anna', 's')}\r\n`,
  ],
  [
    'PLAIN at the challenge without',
    'AUTH=PLAIN',
    ['+ \r\n', OK],
    {},
    `s1 AUTHENTICATE PLAIN\r\n${plainMessage('anna', 's')}\r\n`,
  ],
  [
    'PLAIN with its authzid',
    'AUTH=PLAIN SASL-IR',
    [OK],
    { authzid: 'boss' },
    `s1 AUTHENTICATE PLAIN ${plainMessage('anna', 's', 'boss')}\r\n`,
  ],
  ['LOGIN, quoted', 'IDLE', [OK], { user: 'an na', password: 'a"b\\c' }, 's1 LOGIN "an na" "a\\"b\\\\c"\r\n'],
  [
    'the mechanism LOGIN, never at once',
    'LOGINDISABLED AUTH=LOGIN SASL-IR',
    ['+ \r\n', '+ \r\n', OK],
    {},
    `s1 AUTHENTICATE LOGIN\r\n${base64('anna')}\r\n${base64('s')}\r\n`,
  ],
] as const) {
  test(`a password goes by ${what}, to a store with ${capabilities}`, async () => {
    const seen = await logIn(`IMAP4rev1 ${capabilities}`, replies, { ...PASSWORD, ...credentials });
    assert.deepEqual([seen[0], seen[1].accepted], [said, true]);
  });
}

test('an authzid goes nowhere where there is no PLAIN', async () => {
  const acting = { ...PASSWORD, authzid: 'boss' };
  await assert.rejects(logIn('IMAP4rev1 AUTH=LOGIN', [OK], acting), { code: 'BACKEND_NO_MECHANISM' });
});

test('a store that refuses a literal has refused the login, and gets no password', async () => {
  const [said, verdict] = await logIn('IMAP4rev1', ['s1 NO too big\r\n'], { ...PASSWORD, password: 'ä' });
  assert.deepEqual([said, verdict.accepted], ['s1 LOGIN {4}\r\n', false]);
});

test('a store that asks for a third literal is not served', async () => {
  const asking = logIn('IMAP4rev1', ['+ go\r\n', '+ go\r\n', '+ more\r\n'], { ...PASSWORD, password: 'ä' });
  await assert.rejects(asking, { code: 'BACKEND_PROTOCOL' });
});

test('a challenge after the password is answered with a star, not with the password again', async () => {
  const [said] = await logIn('IMAP4rev1 AUTH=PLAIN SASL-IR', ['+ more\r\n', 's1 BAD cancelled\r\n']);
  assert.match(said, /\r\n\*\r\n$/);
});

test('where the OK has no capabilities the untagged list of the login is passed on', async () => {
  const line = '* CAPABILITY IMAP4rev1 IDLE\r\n';
  assert.deepEqual((await logIn('IMAP4rev1', [line, 's1 OK in\r\n']))[1].extra, [line]);
});

test('where the store says no list at all it is asked for one (RFC 9051 6.2.3)', async () => {
  const line = '* CAPABILITY IMAP4rev1 IDLE\r\n';
  const [said, verdict] = await logIn('IMAP4rev1', ['s1 OK in\r\n', line, 's2 OK done\r\n']);
  assert.deepEqual([said, verdict.extra], ['s1 LOGIN "anna" "s"\r\ns2 CAPABILITY\r\n', [line]]);
  const silent = await logIn('IMAP4rev1', ['s1 OK in\r\n', 's2 BAD what\r\n']);
  assert.deepEqual(silent[1].extra, []);
});

function bearer(ask: (challenge: string) => Promise<string>): Replayable {
  return { kind: 'bearer', mechanism: 'XOAUTH2', user: 'anna', message: 'dG9rZW4=', ask };
}

test('a token goes as it came, the error challenge to the client and its answer back (RFC 7628 3.2.3)', async () => {
  const asked: string[] = [];
  const credentials = bearer(async (challenge) => {
    asked.push(challenge);
    return 'AQ==';
  });
  const replies = ['+ e30=\r\n', 's1 NO [AUTHENTICATIONFAILED] Wrong\r\n'];
  const [said, verdict] = await logIn('IMAP4rev1 AUTH=XOAUTH2 SASL-IR', replies, credentials);
  assert.deepEqual([said, asked], ['s1 AUTHENTICATE XOAUTH2 dG9rZW4=\r\nAQ==\r\n', ['e30=']]);
  assert.equal(verdict.accepted, false);
});

test('a token is not sent to a store without the mechanism', async () => {
  const sent = logIn(
    'IMAP4rev1 AUTH=PLAIN',
    [OK],
    bearer(async () => ''),
  );
  await assert.rejects(sent, { code: 'BACKEND_NO_MECHANISM' });
});
