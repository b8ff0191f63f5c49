// SMTP towards a relay that nobody trusts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BackPlan, ClientFacts, Replayable, Verdict } from '../../src/protocol/dialect.ts';
import { SmtpBack } from '../../src/protocol/smtp-back.ts';
import { backPlan, base64, plainMessage, ScriptedTalk } from '../support/scripted-talk.ts';

const PASSWORD = { kind: 'password', mechanism: 'PLAIN', authzid: '', user: 'anna', password: 's' } as const;

interface Options {
  readonly plan?: Partial<BackPlan>;
  readonly greeting?: string;
  readonly secured?: boolean;
}

function begin(chunks: readonly string[], options: Options = {}): [SmtpBack, ScriptedTalk] {
  const { greeting = '220 mta.test ESMTP\r\n', secured = false } = options;
  const talk = new ScriptedTalk([greeting, ...chunks], { side: 'backend', secured });
  return [new SmtpBack(talk), talk];
}

function ehlo(...keywords: readonly string[]): string {
  const all = ['mta.test', ...keywords];
  return all.map((word, at) => `250${at === all.length - 1 ? ' ' : '-'}${word}\r\n`).join('');
}

async function open(chunks: readonly string[], options: Options = {}): Promise<[SmtpBack, ScriptedTalk]> {
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

async function logIn(
  auth: string,
  replies: readonly string[],
  credentials: Replayable = PASSWORD,
): Promise<[said: string, verdict: Verdict]> {
  const [back, talk] = await open([ehlo(auth), ...replies]);
  const verdict = await back.login(credentials);
  return [talk.saidSince(), verdict];
}

const WELCOME = '235 2.7.0 Welcome\r\n';

test('EHLO is said in our name, and what the relay lists is kept', async () => {
  const [back, talk] = begin([ehlo('SIZE 10', 'AUTH PLAIN LOGIN', 'pipelining')]);
  await back.open(backPlan());
  assert.equal(talk.said, 'EHLO mail.test\r\n');
  assert.deepEqual(back.capabilities, ['SIZE 10', 'AUTH PLAIN LOGIN', 'pipelining']);
  assert.deepEqual(back.mechanisms, ['PLAIN', 'LOGIN']);
  assert.deepEqual([back.has('PIPELINING'), back.has('CHUNKING')], [true, false]);
});

test('the AUTH=LOGIN of old relays counts as AUTH LOGIN', async () => {
  const [back] = await open([ehlo('AUTH=LOGIN PLAIN')]);
  assert.deepEqual(back.mechanisms, ['LOGIN', 'PLAIN']);
});

test('a relay without EHLO is greeted with HELO (RFC 5321 3.2)', async () => {
  const [back, talk] = begin(['502 what\r\n', '250 mta.test\r\n']);
  await back.open(backPlan());
  assert.equal(talk.said, 'EHLO mail.test\r\nHELO mail.test\r\n');
  assert.deepEqual(back.capabilities, []);
});

test('a greeting of many lines is read whole', async () => {
  const [back] = await open([ehlo('SIZE 10')], { greeting: '220-mta.test\r\n220-hello\r\n220 ESMTP\r\n' });
  assert.deepEqual(back.capabilities, ['SIZE 10']);
});

for (const tls of ['maytls', 'musttls'] as const) {
  test(`under ${tls} STARTTLS is used where it is offered, and EHLO said again`, async () => {
    const [back, talk] = begin([ehlo('STARTTLS', 'INJECTED'), '220 go\r\n', ehlo('SIZE 10')]);
    await back.open(backPlan({ tls }));
    assert.equal(talk.said, 'EHLO mail.test\r\nSTARTTLS\r\nEHLO mail.test\r\n');
    assert.deepEqual([talk.secured, back.capabilities], [true, ['SIZE 10']]);
  });
}

test('what was learnt before TLS is forgotten also where there is only HELO behind it (RFC 3207 4.2)', async () => {
  const [back] = await open([ehlo('STARTTLS', 'XCLIENT ADDR'), '220 go\r\n', '502 no\r\n', '250 hi\r\n']);
  assert.deepEqual(back.capabilities, []);
});

test('STARTTLS is not used under notls, nor on a leg that is secured already', async () => {
  const [, clear] = await open([ehlo('STARTTLS')], { plan: { tls: 'notls' } });
  assert.equal(clear.secured, false);
  const [back, secured] = begin([ehlo('STARTTLS')], { secured: true });
  await back.open(backPlan({ tls: 'musttls' }));
  assert.equal(secured.said, 'EHLO mail.test\r\n');
});

test('a relay without STARTTLS, or that takes it back, is refused under musttls and taken under maytls', async () => {
  const plan = { tls: 'musttls' } as const;
  assert.equal(await refusal([ehlo('SIZE')], { plan }), 'BACKEND_TLS_MISSING');
  assert.equal(await refusal([ehlo('STARTTLS'), '454 later\r\n'], { plan }), 'BACKEND_TLS_MISSING');
  await open([ehlo('SIZE')]);
  await open([ehlo('STARTTLS'), '454 later\r\n']);
});

test('text between the answer to STARTTLS and the handshake ends the attempt', async () => {
  assert.equal(await refusal([ehlo('STARTTLS'), '220 go\r\n250 more\r\n']), 'BACKEND_INJECTION');
});

for (const [what, greeting, code] of [
  ['421', '421 4.3.2 too busy\r\n', 'BACKEND_REFUSED'],
  ['554', '554 no\r\n', 'BACKEND_REFUSED'],
  ['the words of another protocol', '+OK POP3\r\n', 'BACKEND_PROTOCOL'],
  ['a line with a bare line feed', '220 mta\n', 'BACKEND_PROTOCOL'],
  ['lines with two codes (RFC 5321 4.2.1)', '220-mta\r\n250 test\r\n', 'BACKEND_PROTOCOL'],
  ['lines without an end', '220-mta\r\n'.repeat(5000), 'BACKEND_PROTOCOL'],
  ['nothing', '', 'BACKEND_CLOSED'],
] as const) {
  test(`a greeting that is ${what} ends the attempt with ${code}`, async () => {
    assert.equal(await refusal([], { greeting }), code);
  });
}

test('a temporary refusal of EHLO ends the attempt, a permanent one of HELO too', async () => {
  assert.equal(await refusal(['421 4.7.0 no\r\n']), 'BACKEND_REFUSED');
  assert.equal(await refusal(['500 what\r\n', '550 no\r\n']), 'BACKEND_REFUSED');
});

test('a reply keeps its lines as they came', async () => {
  const [back, talk] = await open([ehlo()]);
  talk.feed('250-2.1.0 one\r\n', '250-\r\n', '250 2.1.0 three\r\n');
  const raw = '250-2.1.0 one\r\n250-\r\n250 2.1.0 three\r\n';
  assert.deepEqual(await back.readReply(), { code: 250, texts: ['2.1.0 one', '', '2.1.0 three'], raw });
});

test('a password goes by PLAIN where the relay has it, with its authzid', async () => {
  const [said, verdict] = await logIn('AUTH LOGIN PLAIN', [WELCOME], { ...PASSWORD, authzid: 'boss' });
  assert.equal(said, `AUTH PLAIN ${plainMessage('anna', 's', 'boss')}\r\n`);
  assert.deepEqual(verdict, { accepted: true, temporary: false, words: WELCOME, extra: [] });
});

test('it goes by LOGIN where that is all there is, question by question', async () => {
  const [said] = await logIn('AUTH LOGIN', ['334 x\r\n', '334 y\r\n', WELCOME]);
  assert.equal(said, `AUTH LOGIN\r\n${base64('anna')}\r\n${base64('s')}\r\n`);
});

test('an authzid does not go by LOGIN, and nothing goes to a relay without AUTH', async () => {
  const code = { code: 'BACKEND_NO_MECHANISM' };
  await assert.rejects(logIn('AUTH LOGIN', [WELCOME], { ...PASSWORD, authzid: 'boss' }), code);
  await assert.rejects(logIn('AUTH CRAM-MD5', [WELCOME]), code);
  await assert.rejects(logIn('SIZE 10', [WELCOME]), code);
});

test('a message too long for a command line waits for the challenge (RFC 4954 4)', async () => {
  const password = 'x'.repeat(400);
  const [said] = await logIn('AUTH PLAIN', ['334 \r\n', WELCOME], { ...PASSWORD, password });
  assert.equal(said, `AUTH PLAIN\r\n${plainMessage('anna', password)}\r\n`);
});

for (const [reply, temporary] of [
  ['535 5.7.8 Wrong\r\n', false],
  ['535-5.7.8 Wrong\r\n535 5.7.8 Really\r\n', false],
  ['454 4.7.0 Later\r\n', true],
  ['501 5.5.2 What\r\n', false],
] as const) {
  test(`${reply.slice(0, 9)} is ${temporary ? 'temporary' : 'about the credentials'}, and kept as it came`, async () => {
    const [, verdict] = await logIn('AUTH PLAIN', [reply]);
    assert.deepEqual(verdict, { accepted: false, temporary, words: reply, extra: [] });
  });
}

test('421 in answer to AUTH is no verdict: the relay is gone', async () => {
  await assert.rejects(logIn('AUTH PLAIN', ['421 4.3.2 bye\r\n']), { code: 'BACKEND_REFUSED' });
});

test('only 235 lets anybody in', async () => {
  const [, verdict] = await logIn('AUTH PLAIN', ['250 fine\r\n']);
  assert.equal(verdict.accepted, false);
});

test('a challenge after the password is answered with a star, and challenges without an end are cut off', async () => {
  const [said] = await logIn('AUTH PLAIN', ['334 more\r\n', '501 cancelled\r\n']);
  assert.match(said, /\r\n\*\r\n$/);
  await assert.rejects(logIn('AUTH PLAIN', Array<string>(20).fill('334 more\r\n')), {
    code: 'BACKEND_PROTOCOL',
  });
});

function bearer(ask: (challenge: string) => Promise<string>): Replayable {
  return { kind: 'bearer', mechanism: 'XOAUTH2', user: 'anna', message: 'dG9rZW4=', ask };
}

test('a token goes as it came, the error challenge to the client and its answer back', async () => {
  const asked: string[] = [];
  const credentials = bearer(async (challenge) => {
    asked.push(challenge);
    return '=';
  });
  const [said, verdict] = await logIn('AUTH XOAUTH2', ['334 e30=\r\n', '535 5.7.8 Wrong\r\n'], credentials);
  assert.equal(said, 'AUTH XOAUTH2 dG9rZW4=\r\n=\r\n');
  assert.deepEqual(asked, ['e30=']);
  assert.equal(verdict.accepted, false);
});

test('a token is not sent to a relay without the mechanism', async () => {
  await assert.rejects(
    logIn(
      'AUTH PLAIN',
      [WELCOME],
      bearer(async () => ''),
    ),
    { code: 'BACKEND_NO_MECHANISM' },
  );
});

const CLIENT: ClientFacts = {
  sessionId: 'ab12-1',
  ttl: 5,
  address: '192.0.2.7',
  port: 50_001,
  localAddress: '198.51.100.1',
  localPort: 587,
  name: 'client.example',
  helo: 'client.test',
  esmtp: true,
  secured: true,
  tlsVersion: null,
  tlsCipher: null,
  login: null,
};

const EVERYTHING = 'XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT';

async function introduce(offer: string, client: Partial<ClientFacts> = {}): Promise<string> {
  const [back, talk] = await open([ehlo(offer), '220 hi\r\n', ehlo('SIZE 10'), ehlo('SIZE 10')]);
  assert.equal(await back.introduce('xclient', { ...CLIENT, ...client }), true);
  return talk.saidSince();
}

test('every attribute that the relay lists is told, then EHLO is said in the client’s name', async () => {
  assert.equal(
    await introduce(EVERYTHING),
    'XCLIENT NAME=client.example ADDR=192.0.2.7 PORT=50001 PROTO=ESMTP HELO=client.test' +
      ' LOGIN=[UNAVAILABLE] DESTADDR=198.51.100.1 DESTPORT=587\r\nEHLO client.test\r\n',
  );
});

test('what the relay does not list, or nobody knows, is left out', async () => {
  assert.match(await introduce('XCLIENT addr FROB HELO'), /^XCLIENT addr=192\.0\.2\.7 HELO=client\.test\r\n/);
});

test('a client that said HELO is repeated with HELO and PROTO=SMTP', async () => {
  const said = await introduce(EVERYTHING, { esmtp: false });
  assert.match(said, / PROTO=SMTP .*\r\nHELO client\.test\r\n$/);
});

test('a client that greeted with nothing is unavailable by name, and we greet for it', async () => {
  const said = await introduce(EVERYTHING, { helo: null, name: null });
  assert.match(said, /NAME=\[UNAVAILABLE\] .*PROTO=ESMTP HELO=\[UNAVAILABLE\] .*\r\nEHLO mail\.test\r\n$/);
});

test('an IPv6 address has its prefix, and a client without an address is unavailable', async () => {
  assert.match(await introduce(EVERYTHING, { address: '2001:db8::7' }), / ADDR=IPV6:2001:db8::7 /);
  assert.match(await introduce(EVERYTHING, { address: '' }), / ADDR=\[UNAVAILABLE\] /);
});

test('values go as xtext, so that none becomes another attribute', async () => {
  const said = await introduce(EVERYTHING, { helo: 'a b+c=d\u00e9', login: 'anna ADDR=1.2.3.4' });
  assert.match(said, / HELO=a\+20b\+2Bc\+3Dd\+C3\+A9 /);
  assert.match(said, / LOGIN=anna\+20ADDR\+3D1\.2\.3\.4 /);
});

test('attributes that do not fit on one line of 512 octets are told on several', async () => {
  const [back, talk] = await open([ehlo(EVERYTHING), '220 hi\r\n', '220 hi\r\n', ehlo()]);
  await back.introduce('xclient', { ...CLIENT, helo: 'x'.repeat(250), name: 'y'.repeat(250) });
  const said = talk.saidSince().split('\r\n');
  assert.ok(said.filter((line) => line.startsWith('XCLIENT ')).length === 2);
  for (const line of said.slice(0, 2)) assert.ok(line.length + 2 <= 512, line);
  assert.match(said.join(' '), /NAME=y+ .*HELO=x+ .*DESTPORT=587/);
});

test('capabilities are those of the EHLO behind XCLIENT', async () => {
  const [back] = await open([ehlo('XCLIENT ADDR', 'AUTH PLAIN'), '220 hi\r\n', ehlo('SIZE 10')]);
  await back.introduce('xclient', CLIENT);
  assert.deepEqual([back.capabilities, back.mechanisms], [['SIZE 10'], []]);
});

for (const [what, offer] of [
  ['without XCLIENT', 'SIZE 10'],
  ['with XCLIENT but without the address', 'XCLIENT NAME HELO'],
  ['with a bare XCLIENT', 'XCLIENT'],
] as const) {
  test(`a relay ${what} is told nothing`, async () => {
    const [back, talk] = await open([ehlo(offer), '220 hi\r\n', ehlo()]);
    assert.equal(await back.introduce('xclient', CLIENT), false);
    assert.equal(talk.saidSince(), '');
  });
}

test('a relay that refuses what it offered gets no mail from us', async () => {
  const [back] = await open([ehlo(EVERYTHING), '550 5.7.0 not you\r\n']);
  await assert.rejects(back.introduce('xclient', CLIENT), { code: 'BACKEND_NO_CLIENT_INFO' });
});

test('a relay that refuses the client by its greeting is told of as refusing', async () => {
  const [back] = await open([ehlo(EVERYTHING), '220 hi\r\n', '421 4.7.0 go away\r\n']);
  await assert.rejects(back.introduce('xclient', CLIENT), { code: 'BACKEND_REFUSED' });
});

test('goodbye is said without waiting for an answer', async () => {
  const [back, talk] = await open([ehlo()]);
  back.quit();
  assert.equal(talk.saidSince(), 'QUIT\r\n');
});
