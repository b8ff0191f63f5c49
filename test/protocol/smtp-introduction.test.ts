// XCLIENT and XPEHLO towards a front tier of ours, and towards anybody else.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GateError } from '../../src/errors.ts';
import type { Wish } from '../../src/protocol/dialect.ts';
import { SmtpFront } from '../../src/protocol/smtp-front.ts';
import {
  frontRules,
  lines,
  outcome,
  plainMessage,
  type RulesOptions,
  ScriptedTalk,
} from '../support/scripted-talk.ts';
import { Tier, type TierOptions } from '../support/tier.ts';

interface Options extends RulesOptions {
  readonly secured?: boolean;
  readonly tier?: TierOptions;
  /** The right password. */
  readonly password?: string;
}

interface Session {
  readonly front: SmtpFront;
  readonly tier: Tier;
  readonly talk: ScriptedTalk;
  /** The code of each reply, and what followed it in the last line. */
  readonly replies: readonly string[];
  readonly end: Wish | string;
}

async function session(input: readonly string[], options: Options = {}): Promise<Session> {
  const { secured = false, tier: tierOptions = {}, password, ...rules } = options;
  const talk = new ScriptedTalk(lines(...input), { secured });
  const tier = new Tier(tierOptions);
  const isTierPassword = password === undefined ? null : (shown: string): boolean => shown === password;
  const front = new SmtpFront(talk, frontRules({ isTierPassword, ...rules }), tier);
  const end = await outcome(front.nextWish());
  const replies = talk.said.split('\r\n').filter((line) => /^\d{3} /.test(line));
  return { front, tier, talk, replies, end };
}

function keywordsOf({ talk }: Session): readonly string[] {
  return talk.said.split('\r\n').flatMap((line) => /^250[- ](X\w+.*)$/.exec(line)?.[1] ?? []);
}

const XCLIENT_LINE = 'XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT TTL SESSION';
const XPEHLO = 'XPEHLO laptop PASSWORD=secret ADDR=203.0.113.9 PORT=51234';

test('EHLO lists XCLIENT to a front tier, XPEHLO too where there is a password, and to others neither', async () => {
  assert.deepEqual(keywordsOf(await session(['EHLO t'])), [XCLIENT_LINE]);
  assert.deepEqual(keywordsOf(await session(['EHLO t'], { password: 'secret' })), [XCLIENT_LINE, 'XPEHLO']);
  const stranger = { tier: { isFrontTier: false }, password: 'secret' };
  assert.deepEqual(keywordsOf(await session(['EHLO t'], stranger)), []);
});

test('where TLS is needed nothing of it is listed or taken before TLS', async () => {
  const input = ['EHLO t', 'XCLIENT ADDR=203.0.113.9', XPEHLO];
  const before = await session(input, { tls: 'musttls', password: 'secret' });
  assert.deepEqual(keywordsOf(before), []);
  assert.deepEqual(
    before.replies.slice(1).map((reply) => reply.slice(0, 9)),
    ['530 5.7.0', '530 5.7.0'],
  );
  assert.deepEqual(before.tier.told, []);
  const secured = await session(['EHLO t', 'XCLIENT ADDR=203.0.113.9'], { tls: 'musttls', secured: true });
  assert.equal(secured.tier.told.length, 1);
});

test('XCLIENT is answered with the greeting, and the session begins anew', async () => {
  const { tier, replies } = await session([
    'EHLO tier.test',
    'XCLIENT ADDR=203.0.113.9 PORT=51234 HELO=laptop',
    'MAIL FROM:<a@example.org>',
    'EHLO laptop',
  ]);
  assert.deepEqual(tier.told, [{ address: '203.0.113.9', port: 51234, helo: 'laptop' }]);
  assert.equal(replies[1], '220 mail.test ESMTP ready');
  assert.equal(replies[2], '503 5.5.1 EHLO first');
  assert.match(replies[3] ?? '', /^250 /);
});

test('several XCLIENT commands are one introduction', async () => {
  const { tier } = await session([
    'XCLIENT NAME=host.example.org PROTO=SMTP',
    'XCLIENT ADDR=203.0.113.9 TTL=4',
    'XCLIENT LOGIN=anna SESSION=x1',
  ]);
  const first = { name: 'host.example.org', esmtp: false };
  const second = { ...first, address: '203.0.113.9', ttl: 4 };
  assert.deepEqual(tier.told, [{ ...first }, { ...second }, { ...second, login: 'anna', sessionId: 'x1' }]);
});

test('LOGIN= counts as a login: mail may go, AUTH may not, and it can be given to a relay again', async () => {
  const input = [
    'XCLIENT ADDR=203.0.113.9 LOGIN=anna',
    'EHLO laptop',
    `AUTH PLAIN ${plainMessage('eve', 'x')}`,
  ];
  const { end, front, replies } = await session([...input, 'MAIL FROM:<a@example.org>'], {
    sasl: 'mustsasl',
  });
  assert.match(replies.at(-1) ?? '', /^503 5\.5\.1 Authenticated already/);
  assert.deepEqual(end, { kind: 'mail' });
  assert.deepEqual([front.authenticated, front.isVouchedFor], [true, true]);
});

test('LOGIN=[UNAVAILABLE] is no login, and an earlier one is forgotten', async () => {
  const mail = ['EHLO laptop', 'MAIL FROM:<a@example.org>'];
  for (const input of [
    ['XCLIENT ADDR=203.0.113.9 LOGIN=[UNAVAILABLE]', ...mail],
    ['XCLIENT LOGIN=anna', 'XCLIENT ADDR=203.0.113.9 LOGIN=[UNAVAILABLE]', ...mail],
  ]) {
    const { replies, front } = await session(input, { sasl: 'mustsasl' });
    assert.match(replies.at(-1) ?? '', /^530 5\.7\.0 No AUTH/);
    assert.deepEqual([front.authenticated, front.isVouchedFor], [false, false]);
  }
});

test('a login of an earlier client of the same tier is forgotten with XCLIENT', async () => {
  const { front } = await session([`EHLO t`, `AUTH PLAIN ${plainMessage('anna', 's')}`]);
  front.admit({ accepted: true, temporary: false, words: '235 ok\r\n', extra: [] });
  await front.answer({ verb: 'XCLIENT', argument: 'ADDR=203.0.113.9' });
  assert.equal(front.authenticated, false);
});

test('after an introduction there is no STARTTLS', async () => {
  const { talk, replies } = await session(['XCLIENT ADDR=203.0.113.9', 'EHLO laptop', 'STARTTLS']);
  assert.doesNotMatch(talk.said, /250.STARTTLS/);
  assert.match(replies.at(-1) ?? '', /^503 5\.5\.1 STARTTLS comes before/);
  const twin = await session(['EHLO laptop']);
  assert.match(twin.talk.said, /250.STARTTLS/);
});

test('XPEHLO with the password is an EHLO of the client', async () => {
  const { tier, talk, replies, front } = await session(['EHLO t', `${XPEHLO} NAME=h.example.org TTL=3`], {
    password: 'secret',
    capabilities: ['SIZE 10'],
  });
  assert.deepEqual(tier.told, [
    { address: '203.0.113.9', port: 51234, name: 'h.example.org', ttl: 3, helo: 'laptop' },
  ]);
  assert.equal(replies.length, 2);
  const [, answer = ''] = talk.said.split('XPEHLO\r\n');
  assert.equal(answer, '250-mail.test\r\n250-SIZE 10\r\n250 AUTH PLAIN LOGIN XOAUTH2 OAUTHBEARER\r\n');
  assert.deepEqual(front.helo, { name: 'laptop', esmtp: true });
});

for (const [what, line] of [
  ['a wrong password', XPEHLO.replace('secret', 'Secret')],
  ['none', XPEHLO.replace(' PASSWORD=secret', '')],
] as const) {
  test(`XPEHLO with ${what} ends the connection with 550, and nobody is introduced`, async () => {
    const { tier, end, front } = await session(['EHLO t', line], { password: 'secret' });
    assert.deepEqual([end, tier.told], ['INTRODUCTION_DENIED', []]);
    assert.match(
      front.wordsFor(new GateError('INTRODUCTION_DENIED')),
      /^550 5\.7\.1 mail\.test Not with this/,
    );
  });
}

test('XPEHLO is taken once, and not beside XCLIENT', async () => {
  for (const [first, second] of [
    [XPEHLO, XPEHLO],
    [XPEHLO, 'XCLIENT ADDR=192.0.2.1'],
    ['XCLIENT ADDR=192.0.2.1', XPEHLO],
  ] as const) {
    const { tier, replies } = await session([first, second], { password: 'secret' });
    assert.equal(tier.told.length, 1);
    assert.match(replies.at(-1) ?? '', /^503 5\.5\.1 The client is introduced already/);
  }
});

test('a channel is asked for, and one that is not to be had ends the connection', async () => {
  const line = `${XPEHLO} CHANNEL=tcp_intranet`;
  const had = await session([line], { password: 'secret', tier: { channels: ['tcp_intranet'] } });
  assert.deepEqual([had.tier.asked, had.front.helo?.name], [['tcp_intranet'], 'laptop']);
  for (const tier of [{ channels: ['tcp_local'] }, {}]) {
    const { end } = await session([line], { password: 'secret', tier });
    assert.equal(end, 'BAD_INTRODUCTION');
  }
});

for (const line of ['XCLIENT', 'XCLIENT ADDR=nonsense', 'XPEHLO laptop PASSWORD=secret', `${XPEHLO} FOO=x`]) {
  test(`"${line}" of a front tier ends the connection with 501, and nobody is introduced`, async () => {
    const { tier, end, front } = await session(['EHLO t', line], { password: 'secret' });
    assert.deepEqual([end, tier.told], ['BAD_INTRODUCTION', []]);
    assert.match(front.wordsFor(new GateError('BAD_INTRODUCTION')), /^501 5\.5\.4 /);
  });
}

test('what the visitor says against an introduction ends the connection', async () => {
  const refusal = new GateError('PROXY_LOOP');
  const { end, front } = await session(['XCLIENT ADDR=203.0.113.9 TTL=1'], { tier: { refusal } });
  assert.equal(end, 'PROXY_LOOP');
  assert.match(front.wordsFor(refusal), /^554 5\.4\.6 mail\.test The proxies lead to each other/);
});

test('of a stranger both are commands that nobody knows, and so is XPEHLO without a password', async () => {
  const stranger = await session(['EHLO t', 'XCLIENT ADDR=203.0.113.9', XPEHLO], {
    tier: { isFrontTier: false },
    password: 'secret',
  });
  assert.deepEqual(stranger.replies.slice(1), ['500 5.5.1 Command not known', '500 5.5.1 Command not known']);
  assert.deepEqual(stranger.tier.told, []);
  const { replies } = await session([XPEHLO]);
  assert.deepEqual(replies, ['500 5.5.1 Command not known']);
});
