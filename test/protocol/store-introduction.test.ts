// IMAP's ID and POP3's XCLIENT from a front tier of ours, and from anybody else.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GateError } from '../../src/errors.ts';
import { ImapFront } from '../../src/protocol/imap-front.ts';
import { Pop3Front } from '../../src/protocol/pop3-front.ts';
import { frontRules, lines, outcome, ScriptedTalk } from '../support/scripted-talk.ts';
import { Tier, type TierOptions } from '../support/tier.ts';

const FRONTS = { imap: ImapFront, pop3: Pop3Front };

async function session(
  protocol: keyof typeof FRONTS,
  input: readonly string[],
  options: TierOptions = {},
): Promise<{ said: string; tier: Tier; end: unknown; front: ImapFront | Pop3Front }> {
  const talk = new ScriptedTalk(lines(...input));
  const tier = new Tier(options);
  const front = new FRONTS[protocol](talk, frontRules(), tier);
  await front.greet();
  const end = await outcome(front.nextWish());
  return { said: talk.said, tier, end, front };
}

const STRANGER = { isFrontTier: false };
const ID = 'a ID ("x-originating-ip" "203.0.113.9" "x-originating-port" "51234" "x-proxy-ttl" "4")';
const XCLIENT = 'XCLIENT ADDR=203.0.113.9 PORT=51234 SESSION=x1 TTL=4';

test('imap: ID of a front tier introduces the client and is answered as ever', async () => {
  const { said, tier } = await session('imap', [ID]);
  assert.deepEqual(tier.told, [{ address: '203.0.113.9', port: 51234, ttl: 4 }]);
  assert.match(said, /\r\n\* ID \("name" "Sallyport"\)\r\na OK ID done\r\n$/);
});

test('imap: ID of a front tier that is only about itself introduces nobody', async () => {
  const { said, tier } = await session('imap', ['a ID ("name" "monitor")', 'b ID NIL']);
  assert.deepEqual(tier.told, []);
  assert.match(said, /a OK ID done\r\n.*\r\nb OK ID done\r\n$/);
});

test('imap: ID of a stranger says nothing, however it is written', async () => {
  const input = [ID, 'b ID ("x-originating-ip" "nonsense")', 'c ID (odd)'];
  const { said, tier } = await session('imap', input, STRANGER);
  assert.deepEqual(tier.told, []);
  assert.equal(said.match(/ OK ID done/g)?.length, 3);
});

test('imap: a malformed introduction ends the connection in dialect', async () => {
  const { tier, end, front } = await session('imap', ['a ID ("x-originating-ip" "nonsense")']);
  assert.deepEqual([end, tier.told], ['BAD_INTRODUCTION', []]);
  const error = new GateError('BAD_INTRODUCTION');
  assert.match(front.wordsFor(error), /^\* BYE \[CLIENTBUG\] What was said of the client/);
  assert.equal(front.ends(error), true);
});

test('imap: a loop ends the connection with words that no client takes for a reason to try again', async () => {
  const refusal = new GateError('PROXY_LOOP');
  const { end, front } = await session('imap', [ID], { refusal });
  assert.equal(end, 'PROXY_LOOP');
  assert.match(front.wordsFor(refusal), /^\* BYE \[CANNOT\] The proxies lead to each other/);
  assert.equal(front.ends(refusal), true);
});

test('pop3: XCLIENT is greeted and taken, and a name that was given before is forgotten', async () => {
  const { said, tier } = await session('pop3', ['USER anna', XCLIENT, 'PASS secret']);
  assert.match(said, /^\+OK \[XCLIENT\] mail\.test ready\r\n/);
  assert.deepEqual(tier.told, [{ address: '203.0.113.9', port: 51234, sessionId: 'x1', ttl: 4 }]);
  assert.match(said, /\+OK Updated\r\n-ERR USER first\r\n$/);
});

test('pop3: a stranger is not greeted with it, and has no such command', async () => {
  const { said, tier } = await session('pop3', [XCLIENT, 'XCLIENT'], STRANGER);
  assert.deepEqual(tier.told, []);
  assert.equal(said, '+OK mail.test ready\r\n-ERR Log in first\r\n-ERR Log in first\r\n');
});

test('pop3: a malformed introduction and a loop end the connection in dialect', async () => {
  const bad = await session('pop3', ['XCLIENT ADDR=nonsense']);
  assert.deepEqual([bad.end, bad.tier.told], ['BAD_INTRODUCTION', []]);
  const loop = new GateError('PROXY_LOOP');
  const { end, front } = await session('pop3', [XCLIENT], { refusal: loop });
  assert.equal(end, 'PROXY_LOOP');
  assert.match(front.wordsFor(new GateError('BAD_INTRODUCTION')), /^-ERR What was said of the client/);
  assert.match(front.wordsFor(loop), /^-ERR \[SYS\/PERM\] The proxies lead to each other/);
  assert.deepEqual([front.ends(loop), front.ends(new GateError('BAD_INTRODUCTION'))], [true, true]);
});
