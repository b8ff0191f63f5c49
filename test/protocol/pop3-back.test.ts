// POP3 towards a store that nobody trusts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BackPlan, ClientFacts, Replayable, Verdict } from '../../src/protocol/dialect.ts';
import { Pop3Back } from '../../src/protocol/pop3-back.ts';
import { backPlan, base64, lines, plainMessage, ScriptedTalk } from '../support/scripted-talk.ts';

const PASSWORD = { kind: 'password', mechanism: 'USER', authzid: '', user: 'anna', password: 's' } as const;

interface Options {
  readonly plan?: Partial<BackPlan>;
  readonly greeting?: string;
  readonly secured?: boolean;
}

function begin(chunks: readonly string[], options: Options = {}): [Pop3Back, ScriptedTalk] {
  const { greeting = '+OK ready', secured = false } = options;
  const talk = new ScriptedTalk([`${greeting}\r\n`, ...chunks], { side: 'backend', secured });
  return [new Pop3Back(talk), talk];
}

function capa(...list: readonly string[]): string {
  return ['+OK', ...list, '.'].map((line) => `${line}\r\n`).join('');
}

async function open(chunks: readonly string[], options: Options = {}): Promise<[Pop3Back, ScriptedTalk]> {
  const [back, talk] = begin(chunks, options);
  await back.open(backPlan(options.plan));
  talk.saidSince();
  return [back, talk];
}

async function refusal(chunks: readonly string[], options: Options = {}): Promise<string> {
  const [back] = begin(chunks, options);
  const error: unknown = await back.open(backPlan(options.plan)).catch((caught: unknown) => caught);
  assert.ok(error instanceof Error && 'code' in error, 'it was opened');
  return String(error.code);
}

interface Login {
  readonly sasl?: string;
  readonly replies: readonly string[];
  readonly credentials?: Replayable;
  readonly utf8?: boolean;
}

async function logIn(login: Login): Promise<[said: string, verdict: Verdict]> {
  const { sasl, replies, credentials = PASSWORD, utf8 = false } = login;
  const [back, talk] = await open([
    capa(...(sasl === undefined ? [] : [`SASL ${sasl}`])),
    ...lines(...replies),
  ]);
  const verdict = await back.login(credentials, { utf8 });
  return [talk.saidSince(), verdict];
}

test('capabilities are asked for, as far as the store has CAPA', async () => {
  const [back] = await open([capa('TOP', 'UIDL', 'SASL PLAIN LOGIN')]);
  assert.deepEqual(back.capabilities, ['TOP', 'UIDL', 'SASL PLAIN LOGIN']);
  assert.deepEqual(back.mechanisms, ['PLAIN', 'LOGIN']);
  const [old] = await open(lines('-ERR what'));
  assert.deepEqual([old.capabilities, old.mechanisms], [[], []]);
});

for (const tls of ['maytls', 'musttls'] as const) {
  test(`under ${tls} STLS is used where it is offered, and the list is asked for again`, async () => {
    const [back, talk] = begin([capa('STLS', 'SASL PLAIN'), '+OK go\r\n', capa('SASL LOGIN')]);
    await back.open(backPlan({ tls }));
    assert.equal(talk.said, 'CAPA\r\nSTLS\r\nCAPA\r\n');
    assert.equal(talk.secured, true);
    assert.deepEqual(back.mechanisms, ['LOGIN']);
  });
}

test('STLS is not used under notls, nor on a leg that is secured already', async () => {
  const [, clear] = await open([capa('STLS')], { plan: { tls: 'notls' } });
  assert.equal(clear.secured, false);
  const [back, secured] = begin([capa('STLS')], { secured: true });
  await back.open(backPlan({ tls: 'musttls' }));
  assert.equal(secured.said, 'CAPA\r\n');
});

test('a store without STLS, or that takes it back, is refused under musttls and taken under maytls', async () => {
  const plan = { tls: 'musttls' } as const;
  assert.equal(await refusal([capa('TOP')], { plan }), 'BACKEND_TLS_MISSING');
  assert.equal(await refusal([capa('STLS'), '-ERR no\r\n'], { plan }), 'BACKEND_TLS_MISSING');
  await open([capa('TOP')]);
  await open([capa('STLS'), '-ERR no\r\n']);
});

test('text between the answer to STLS and the handshake ends the attempt', async () => {
  assert.equal(await refusal([capa('STLS'), '+OK go\r\n+OK more\r\n']), 'BACKEND_INJECTION');
});

for (const [what, greeting, code] of [
  ['-ERR', '-ERR too busy', 'BACKEND_REFUSED'],
  ['the words of another protocol', '* OK IMAP', 'BACKEND_PROTOCOL'],
  ['a challenge', '+ hm', 'BACKEND_PROTOCOL'],
] as const) {
  test(`a greeting that is ${what} ends the attempt with ${code}`, async () => {
    assert.equal(await refusal([], { greeting }), code);
  });
}

test('a list of capabilities without an end is cut off', async () => {
  assert.equal(await refusal([`+OK\r\n${'X\r\n'.repeat(200)}`]), 'BACKEND_PROTOCOL');
});

test('a list that just fits is read', async () => {
  const [back] = await open([capa(...Array<string>(100).fill('X'))]);
  assert.equal(back.capabilities.length, 100);
});

test('a bare line feed in a list ends the attempt', async () => {
  assert.equal(await refusal(['+OK\r\nTOP\n.\r\n']), 'BACKEND_PROTOCOL');
});

test('USER and PASS are used for what came as USER and PASS', async () => {
  const [said, verdict] = await logIn({ sasl: 'PLAIN', replies: ['+OK', '+OK 2 messages'] });
  assert.equal(said, 'USER anna\r\nPASS s\r\n');
  assert.deepEqual(verdict, { accepted: true, temporary: false, words: '2 messages', extra: [] });
});

test('a refused USER ends the login, and no password is sent', async () => {
  const [said, verdict] = await logIn({ replies: ['-ERR [AUTH] no'] });
  assert.equal(said, 'USER anna\r\n');
  assert.equal(verdict.accepted, false);
});

test('PLAIN is used for what came by SASL, with its authzid', async () => {
  const credentials = { ...PASSWORD, mechanism: 'PLAIN', authzid: 'boss' } as const;
  const [said] = await logIn({ sasl: 'PLAIN', replies: ['+OK in'], credentials });
  assert.equal(said, `AUTH PLAIN ${plainMessage('anna', 's', 'boss')}\r\n`);
});

test('what came by SASL goes by USER and PASS where the store has no PLAIN and it fits', async () => {
  const credentials = { ...PASSWORD, mechanism: 'LOGIN' } as const;
  const [said] = await logIn({ sasl: 'CRAM-MD5', replies: ['+OK', '+OK in'], credentials });
  assert.equal(said, 'USER anna\r\nPASS s\r\n');
});

for (const [what, part] of [
  ['a password in UTF-8', { password: 'ä' }],
  ['a password with a tab', { password: 'a\tb' }],
  ['a name with a blank', { user: 'an na' }],
  ['an authzid', { authzid: 'boss' }],
] as const) {
  test(`${what} goes by PLAIN, and nowhere where there is no PLAIN`, async () => {
    const credentials = { ...PASSWORD, ...part };
    const [said] = await logIn({ sasl: 'PLAIN', replies: ['+OK in'], credentials });
    assert.match(said, /^AUTH PLAIN \S+\r\n$/);
    await assert.rejects(logIn({ replies: ['+OK', '+OK in'], credentials }), {
      code: 'BACKEND_NO_MECHANISM',
    });
  });
}

test('a password with blanks goes by PASS as it is', async () => {
  const credentials = { ...PASSWORD, password: ' a b ' };
  const [said] = await logIn({ replies: ['+OK', '+OK in'], credentials });
  assert.equal(said, 'USER anna\r\nPASS  a b \r\n');
});

test('a long message waits for the challenge, since a line has 255 octets (RFC 5034 4)', async () => {
  const credentials = { ...PASSWORD, mechanism: 'PLAIN', password: 'x'.repeat(180) } as const;
  const [said] = await logIn({ sasl: 'PLAIN', replies: ['+ ', '+OK in'], credentials });
  assert.equal(said, `AUTH PLAIN\r\n${plainMessage('anna', 'x'.repeat(180))}\r\n`);
});

test('UTF8 goes first where the client had asked for it (RFC 6856 2.1)', async () => {
  const [said] = await logIn({ replies: ['+OK', '+OK', '+OK in'], utf8: true });
  assert.equal(said, 'UTF8\r\nUSER anna\r\nPASS s\r\n');
  const [without] = await logIn({ replies: ['+OK', '+OK in'] });
  assert.doesNotMatch(without, /UTF8/);
});

for (const [words, temporary] of [
  ['[AUTH] Wrong', false],
  ['Wrong', false],
  ['[SYS/TEMP] Later', true],
  ['[SYS/PERM] Never', true],
  ['[IN-USE] Locked', true],
  ['[LOGIN-DELAY] Wait', true],
] as const) {
  test(`-ERR ${words} is ${temporary ? 'not about' : 'about'} the credentials, and its words are kept`, async () => {
    const [, verdict] = await logIn({ replies: ['+OK', `-ERR ${words}`] });
    assert.deepEqual(verdict, { accepted: false, temporary, words, extra: [] });
  });
}

test('a challenge in answer to PASS ends the attempt', async () => {
  await assert.rejects(logIn({ replies: ['+OK', '+ more'] }), { code: 'BACKEND_PROTOCOL' });
});

function bearer(ask: (challenge: string) => Promise<string>): Replayable {
  return { kind: 'bearer', mechanism: 'OAUTHBEARER', user: 'anna', message: 'dG9rZW4=', ask };
}

test('a token goes as it came, the error challenge to the client and its answer back', async () => {
  const asked: string[] = [];
  const credentials = bearer(async (challenge) => {
    asked.push(challenge);
    return 'AQ==';
  });
  const replies = [`+ ${base64('{}')}`, '-ERR [AUTH] Wrong'];
  const [said, verdict] = await logIn({ sasl: 'OAUTHBEARER', replies, credentials });
  assert.equal(said, 'AUTH OAUTHBEARER dG9rZW4=\r\nAQ==\r\n');
  assert.deepEqual(asked, [base64('{}')]);
  assert.equal(verdict.accepted, false);
});

test('a token is not sent to a store without the mechanism', async () => {
  await assert.rejects(logIn({ sasl: 'PLAIN', replies: ['+OK'], credentials: bearer(async () => '') }), {
    code: 'BACKEND_NO_MECHANISM',
  });
});

test('challenges without an end are cut off, and the password is sent once', async () => {
  const credentials = { ...PASSWORD, mechanism: 'PLAIN' } as const;
  const replies = Array<string>(20).fill('+ more');
  await assert.rejects(logIn({ sasl: 'PLAIN', replies, credentials }), { code: 'BACKEND_PROTOCOL' });
});

const CLIENT: ClientFacts = {
  sessionId: 'ab12-1',
  ttl: 5,
  address: '192.0.2.7',
  port: 50_001,
  localAddress: '198.51.100.1',
  localPort: 995,
  name: null,
  helo: null,
  esmtp: true,
  secured: true,
  tlsVersion: null,
  tlsCipher: null,
  login: null,
};

const TOLD = 'XCLIENT ADDR=192.0.2.7 PORT=50001 SESSION=ab12-1 TTL=5\r\n';

test('a greeting of `+OK [XCLIENT]` offers XCLIENT, and the client is told by it', async () => {
  const [back, talk] = await open([capa('TOP'), '+OK thanks\r\n'], { greeting: '+OK [XCLIENT] ready' });
  assert.equal(await back.introduce('xclient', CLIENT), true);
  assert.equal(talk.saidSince(), TOLD);
});

test('XCLIENT in CAPA offers it too, with the attributes that it lists', async () => {
  const [back, talk] = await open([capa('XCLIENT ADDR PORT HELO'), '+OK thanks\r\n']);
  assert.equal(await back.introduce('xclient', CLIENT), true);
  assert.equal(talk.saidSince(), 'XCLIENT ADDR=192.0.2.7 PORT=50001\r\n');
});

test('the offer of the greeting outlives STLS', async () => {
  const chunks = [capa('STLS'), '+OK go\r\n', capa('TOP'), '+OK thanks\r\n'];
  const [back, talk] = await open(chunks, { greeting: '+OK [XCLIENT] ready' });
  assert.equal(await back.introduce('xclient', CLIENT), true);
  assert.equal(talk.saidSince(), TOLD);
});

test('a store that does not offer XCLIENT, or refuses it, was told nothing', async () => {
  const [without] = await open([capa('TOP')]);
  assert.equal(await without.introduce('xclient', CLIENT), false);
  const [refuses] = await open([capa('XCLIENT'), '-ERR no\r\n']);
  assert.equal(await refuses.introduce('xclient', CLIENT), false);
});

test('a store that lists XCLIENT without the address does not learn who the client is', async () => {
  const [back] = await open([capa('XCLIENT SESSION TTL'), '+OK thanks\r\n']);
  assert.equal(await back.introduce('xclient', CLIENT), false);
});

test('a client on a Unix socket is told without an address', async () => {
  const [back, talk] = await open([capa('XCLIENT'), '+OK thanks\r\n']);
  assert.equal(await back.introduce('xclient', { ...CLIENT, address: '', port: 0 }), true);
  assert.doesNotMatch(talk.saidSince(), /ADDR/);
});

test('goodbye is said without waiting for an answer', async () => {
  const [back, talk] = await open([capa()]);
  back.quit();
  assert.equal(talk.saidSince(), 'QUIT\r\n');
});
