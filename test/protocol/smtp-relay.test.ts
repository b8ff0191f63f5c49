// Transactions between a client and its relay: what goes on, in which order, and what never may.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FrontRules } from '../../src/protocol/dialect.ts';
import { SmtpBack } from '../../src/protocol/smtp-back.ts';
import { SmtpFront } from '../../src/protocol/smtp-front.ts';
import { type RelayEnd, SmtpRelay } from '../../src/protocol/smtp-relay.ts';
import {
  ACCEPTED,
  backPlan,
  frontRules,
  outcome,
  plainMessage,
  type RulesOptions,
  ScriptedTalk,
} from '../support/scripted-talk.ts';

interface Seen {
  /** How the stretch ended: its end, or the code of the error. */
  readonly end: RelayEnd | string;
  /** Said to the client behind EHLO. */
  readonly toClient: string;
  /** Said to the relay behind EHLO. */
  readonly toRelay: string;
  readonly journal: readonly string[];
  readonly waits: readonly string[];
  readonly accepted: number;
  readonly front: SmtpFront;
  readonly client: ScriptedTalk;
  readonly relay: ScriptedTalk;
}

interface Scene {
  /** Behind EHLO, each a chunk. */
  readonly client: readonly string[];
  /** The relay's replies behind EHLO, each a chunk. */
  readonly relay: readonly string[];
  readonly keywords?: readonly string[];
  readonly rules?: RulesOptions;
  readonly before?: (scene: { front: SmtpFront; client: ScriptedTalk; relay: ScriptedTalk }) => void;
}

const KEYWORDS = ['PIPELINING', 'CHUNKING', 'SIZE 1000000', '8BITMIME'];

async function relayed(scene: Scene): Promise<Seen> {
  const journal: string[] = [];
  const client = new ScriptedTalk(['EHLO client.test\r\n', ...scene.client], { journal, name: 'C' });
  const keywords = scene.keywords ?? KEYWORDS;
  const ehlo = ['mta.test', ...keywords].map((word) => `250-${word}\r\n`).join('');
  const relay = new ScriptedTalk(['220 mta.test\r\n', `${ehlo}250 HELP\r\n`, ...scene.relay], {
    side: 'backend',
    journal,
    name: 'R',
  });
  const rules: FrontRules = frontRules({ tls: 'notls', mechanisms: ['PLAIN'], ...scene.rules });
  const front = new SmtpFront(client, rules);
  const back = new SmtpBack(relay);
  await back.open(backPlan());
  assert.equal((await front.nextCommand('between')).verb, 'EHLO');
  await front.answer({ verb: 'EHLO', argument: 'client.test' });
  client.saidSince();
  relay.saidSince();
  journal.length = 0;
  scene.before?.({ front, client, relay });
  const waits: string[] = [];
  let accepted = 0;
  const transactions = new SmtpRelay(front, back, {
    waitFor: (whom) => waits.push(whom),
    betweenTransactions: () => waits.push('idle'),
    messageAnswered: ({ code }) => (accepted += code < 300 ? 1 : 0),
  });
  const end = await transactions
    .run()
    .catch((error: unknown) => (error instanceof Error && 'code' in error ? String(error.code) : 'defect'));
  const said = { toClient: client.saidSince(), toRelay: relay.saidSince() };
  return { end, ...said, journal, waits, accepted, front, client, relay };
}

const MAIL = 'MAIL FROM:<anna@example.org>\r\n';
const RCPT = 'RCPT TO:<bert@example.com>\r\n';
const OK = ['250 2.1.0 Sender ok\r\n', '250 2.1.5 Recipient ok\r\n'];
const GO = '354 Go ahead\r\n';
const QUEUED = '250 2.0.0 Queued\r\n';
const BODY = 'Subject: x\r\n\r\n..dot\r\n.\r\n';

test('a transaction goes to the relay as it came, and the replies come back as they are', async () => {
  const seen = await relayed({
    client: [MAIL, RCPT, 'DATA\r\n', BODY, 'QUIT\r\n'],
    relay: [...OK, GO, QUEUED],
  });
  assert.equal(seen.toRelay, `${MAIL}${RCPT}DATA\r\n${BODY}QUIT\r\n`);
  assert.equal(seen.toClient, `${OK.join('')}${GO}${QUEUED}221 2.0.0 mail.test closing connection\r\n`);
  assert.deepEqual([seen.end, seen.accepted], ['quit', 1]);
});

test('parameters go on untouched, the verb in its plainest form', async () => {
  const mail = 'mail FROM:<anna@example.org> SIZE=10 RET=HDRS ENVID=x+20y BODY=8BITMIME SMTPUTF8\r\n';
  const rcpt = 'Rcpt to:<bert@example.com> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;bert@example.com\r\n';
  const seen = await relayed({ client: [mail, rcpt, 'QUIT\r\n'], relay: OK });
  assert.equal(seen.toRelay, `MAIL${mail.slice(4)}RCPT${rcpt.slice(4)}QUIT\r\n`);
});

test('BDAT goes on with the very size that was counted, whatever was around it', async () => {
  const padded = `BDAT${' '.repeat(2043)}0000000005 LAST  \r\n`;
  const seen = await relayed({
    client: [MAIL, RCPT, padded, 'abc\r\n', 'QUIT\r\n'],
    relay: [...OK, QUEUED],
  });
  assert.equal(seen.toRelay, `${MAIL}${RCPT}BDAT 5 LAST\r\nabc\r\nQUIT\r\n`);
});

test('a line that a relay might cut in two goes no further, and its longest neighbour does', async () => {
  const fits = `RCPT TO:<bert@example.com> X=${'x'.repeat(1900)}\r\n`;
  const long = `RCPT TO:<bert@example.com> X=${'x'.repeat(2100)}\r\n`;
  const seen = await relayed({ client: [MAIL, fits, long, 'QUIT\r\n'], relay: OK });
  assert.equal(seen.toRelay, `${MAIL}${fits}QUIT\r\n`);
  assert.match(seen.toClient, /500 5\.5\.2 Line too long/);
});

test('a reply that nobody asked for ends the leg before it can pass for the answer to a command', async () => {
  const stray = await relayed({ client: [MAIL, RCPT, 'QUIT\r\n'], relay: [`${OK[0]}250 stray\r\n`] });
  assert.equal(stray.end, 'BACKEND_PROTOCOL');
});

test('replies of many lines come back whole, byte by byte', async () => {
  const reply = '250-2.1.0 eins\r\n250-zw\xf6lf\r\n250 2.1.0 drei\r\n';
  const seen = await relayed({
    client: [MAIL, 'QUIT\r\n'],
    relay: [],
    before: ({ relay }) => relay.feed(Buffer.from(reply, 'latin1')),
  });
  assert.ok(seen.toClient.startsWith(reply));
});

test('commands that came together go to the relay together, replies stay in order (RFC 2920)', async () => {
  const seen = await relayed({
    client: [`${MAIL}${RCPT}RCPT TO:<carl@example.com>\r\nDATA\r\n`, BODY, 'QUIT\r\n'],
    relay: [...OK, '550 5.1.1 Nobody\r\n', GO, QUEUED],
  });
  const order = seen.journal.filter((line) => line.startsWith('R')).slice(0, 6);
  assert.deepEqual(
    order.map((line) => line.slice(0, 6)),
    ['R> MAI', 'R> RCP', 'R> RCP', 'R< 250', 'R< 250', 'R< 550'],
  );
  assert.ok(seen.toClient.startsWith(`${OK.join('')}550 5.1.1 Nobody\r\n${GO}`));
});

test('to a relay without PIPELINING they go one by one', async () => {
  const seen = await relayed({
    client: [`${MAIL}${RCPT}QUIT\r\n`],
    relay: OK,
    keywords: ['CHUNKING'],
  });
  const order = seen.journal.filter((line) => line.startsWith('R')).map((line) => line.slice(0, 6));
  assert.deepEqual(order, ['R> MAI', 'R< 250', 'R> RCP', 'R< 250', 'R> QUI']);
});

test('no more commands are on their way than limits.pipelined', async () => {
  const seen = await relayed({
    client: [`${MAIL}${RCPT.repeat(5)}QUIT\r\n`],
    relay: [OK[0] ?? '', ...Array<string>(5).fill(OK[1] ?? '')],
    rules: { limits: { pipelined: 2 } },
  });
  let flying = 0;
  for (const line of seen.journal) {
    if (/^R> (MAIL|RCPT)/.test(line)) flying += 1;
    if (line.startsWith('R<')) flying -= 1;
    assert.ok(flying <= 2, seen.journal.join('\n'));
  }
});

test('what is ours is answered behind the replies that are still to come', async () => {
  const seen = await relayed({ client: [`${MAIL}${RCPT}NOOP\r\nVRFY x\r\nQUIT\r\n`], relay: OK });
  const codes = seen.toClient.split('\r\n').map((line) => line.slice(0, 9));
  assert.deepEqual(codes.slice(0, 4), ['250 2.1.0', '250 2.1.5', '250 2.0.0', '252 2.1.5']);
});

test('RSET goes to the relay and ends the transaction: AUTH is possible behind it, not before', async () => {
  const auth = `AUTH PLAIN ${plainMessage('anna', 's')}\r\n`;
  const seen = await relayed({
    client: [MAIL, auth, 'RSET\r\n', auth],
    relay: [OK[0] ?? '', '250 2.0.0 Reset\r\n'],
  });
  assert.match(seen.toClient, /503 5\.5\.1 Not within a mail transaction\r\n250 2\.0\.0 Reset\r\n$/);
  assert.equal(seen.end, 'again');
  assert.equal((await seen.front.nextCommand('between')).verb, 'AUTH');
});

test('EHLO within a transaction resets the relay and is answered by us (RFC 5321 4.1.4)', async () => {
  const seen = await relayed({
    client: [MAIL, RCPT, 'EHLO again.test\r\n', 'DATA\r\n', 'QUIT\r\n'],
    relay: [...OK, '250 2.0.0 Reset\r\n'],
  });
  assert.equal(seen.toRelay, `${MAIL}${RCPT}RSET\r\nQUIT\r\n`);
  assert.doesNotMatch(seen.toClient, /Reset/);
  assert.match(seen.toClient, /250[- ]mail\.test\r\n(250.*\r\n)*503 5\.5\.1 MAIL first\r\n221/);
});

test('a relay that does not reset is left', async () => {
  const seen = await relayed({ client: [MAIL, 'EHLO x\r\n'], relay: [OK[0] ?? '', '451 no\r\n'] });
  assert.equal(seen.end, 'BACKEND_REFUSED');
});

test('EHLO between transactions is answered by us alone', async () => {
  const seen = await relayed({ client: ['EHLO x\r\n', 'QUIT\r\n'], relay: [] });
  assert.equal(seen.toRelay, 'QUIT\r\n');
});

test('DATA without a transaction is answered by us, and nothing is sent', async () => {
  const seen = await relayed({ client: ['DATA\r\n', 'QUIT\r\n'], relay: [] });
  assert.match(seen.toClient, /^503 5\.5\.1 MAIL first\r\n/);
  assert.equal(seen.toRelay, 'QUIT\r\n');
});

test('a sender whom the relay refused opens no transaction', async () => {
  const seen = await relayed({ client: [MAIL, 'DATA\r\n', 'QUIT\r\n'], relay: ['550 5.7.1 Not you\r\n'] });
  assert.match(seen.toClient, /^550 5\.7\.1 Not you\r\n503 5\.5\.1 MAIL first\r\n/);
});

test('where the relay does not want the data the client goes on with commands', async () => {
  const seen = await relayed({
    client: [MAIL, RCPT, 'DATA\r\n', RCPT, 'DATA\r\n', BODY, 'QUIT\r\n'],
    relay: [OK[0] ?? '', '550 5.1.1 No\r\n', '554 5.5.1 No recipients\r\n', OK[1] ?? '', GO, QUEUED],
  });
  assert.deepEqual([seen.end, seen.accepted], ['quit', 1]);
});

test('a message that the relay refuses behind its end does not count as accepted', async () => {
  const seen = await relayed({
    client: [MAIL, RCPT, 'DATA\r\n', BODY, 'QUIT\r\n'],
    relay: [...OK, GO, '554 5.6.0 Spam\r\n'],
  });
  assert.match(seen.toClient, /554 5\.6\.0 Spam\r\n221/);
  assert.deepEqual([seen.end, seen.accepted], ['quit', 0]);
});

test('a second message goes over the same relay leg', async () => {
  const one = [MAIL, RCPT, 'DATA\r\n', BODY];
  const replies = [...OK, GO, QUEUED];
  const seen = await relayed({ client: [...one, ...one, 'QUIT\r\n'], relay: [...replies, ...replies] });
  assert.deepEqual([seen.end, seen.accepted], ['quit', 2]);
});

test('commands that came behind the end of data are commands, not data', async () => {
  const seen = await relayed({
    client: [MAIL, RCPT, 'DATA\r\n', `${BODY}NOOP\r\nQUIT\r\n`],
    relay: [...OK, GO, QUEUED],
  });
  assert.equal(seen.toRelay, `${MAIL}${RCPT}DATA\r\n${BODY}QUIT\r\n`);
});

test('the end of data may come in pieces', async () => {
  const seen = await relayed({
    client: [MAIL, RCPT, 'DATA\r\n', ...BODY, 'QUIT\r\n'],
    relay: [...OK, GO, QUEUED],
  });
  assert.equal(seen.toRelay, `${MAIL}${RCPT}DATA\r\n${BODY}QUIT\r\n`);
});

for (const [what, bytes] of [
  ['LF.LF', 'x\n.\nMAIL FROM:<evil@x>\r\n'],
  ['CR.CR', 'x\r.\rMAIL FROM:<evil@x>\r\n'],
  ['a NUL', 'x\0y\r\n'],
] as const) {
  test(`${what} in DATA ends the connection, and the relay never sees an end of data`, async () => {
    const seen = await relayed({ client: [MAIL, RCPT, 'DATA\r\n', bytes, '.\r\n'], relay: [...OK, GO] });
    assert.equal(seen.end, 'BAD_LINE_ENDING');
    assert.doesNotMatch(seen.toRelay, /\r\n\.\r\n/);
    assert.equal(seen.accepted, 0);
  });
}

test('with normalise a bare LF becomes a line end and ends nothing', async () => {
  const seen = await relayed({
    client: [MAIL, RCPT, 'DATA\r\n', 'a\n.\nb\r\n.\r\n', 'QUIT\r\n'],
    relay: [...OK, GO, QUEUED],
    rules: { lineEndings: 'normalise' },
  });
  assert.equal(seen.toRelay, `${MAIL}${RCPT}DATA\r\na\r\n..\r\nb\r\n.\r\nQUIT\r\n`);
});

test('a client that leaves within DATA leaves the relay without an end of data', async () => {
  const seen = await relayed({ client: [MAIL, RCPT, 'DATA\r\n', 'half\r\n'], relay: [...OK, GO] });
  assert.equal(seen.end, 'CLIENT_CLOSED');
  assert.equal(seen.toRelay, `${MAIL}${RCPT}DATA\r\nhalf\r\n`);
});

test('a relay that leaves within DATA ends the connection, and no more is read from the client', async () => {
  const seen = await relayed({
    client: [MAIL, RCPT, 'DATA\r\n', 'one\r\n', 'two\r\n', '.\r\n'],
    relay: [...OK, GO],
    before: ({ relay }) => {
      relay.congested = true;
      relay.onFlush = () => (relay.ended = true);
    },
  });
  assert.equal(seen.end, 'BACKEND_CLOSED');
  assert.equal(seen.client.unheard, 2);
});

test('DATA goes on no faster than the relay takes it', async () => {
  let flushes = 0;
  await relayed({
    client: [MAIL, RCPT, 'DATA\r\n', 'one\r\n', 'two\r\n', '.\r\n', 'QUIT\r\n'],
    relay: [...OK, GO, QUEUED],
    before: ({ relay }) => {
      relay.congested = true;
      relay.onFlush = () => void (flushes += 1);
    },
  });
  assert.equal(flushes, 2);
});

test('the answer to the end of data is waited for by its own limit (RFC 5321 4.5.3.2.6)', async () => {
  const { waits } = await relayed({
    client: [MAIL, RCPT, 'DATA\r\n', BODY, 'QUIT\r\n'],
    relay: [...OK, GO, QUEUED],
  });
  assert.deepEqual(
    waits.filter((wait, at) => wait !== waits[at - 1]),
    [
      'client',
      'idle',
      'relay',
      'client',
      'relay',
      'client',
      'relay',
      'client',
      'end of data',
      'client',
      'idle',
    ],
  );
});

test('BDAT goes on with its octets, and only LAST ends the message (RFC 3030 2)', async () => {
  const client = [MAIL, RCPT, 'BDAT 4\r\na\r\n', 'b', 'BDAT 3 LAST\r\n\r\nc', 'QUIT\r\n'];
  const seen = await relayed({ client, relay: [...OK, '250 4 octets\r\n', QUEUED] });
  assert.equal(seen.toRelay, `${MAIL}${RCPT}BDAT 4\r\na\r\nbBDAT 3 LAST\r\n\r\ncQUIT\r\n`);
  assert.deepEqual([seen.end, seen.accepted], ['quit', 1]);
});

test('commands behind the octets of a chunk are commands', async () => {
  const seen = await relayed({
    client: [`${MAIL}${RCPT}`, 'BDAT 6 LAST\r\nQUIT\r\nNOOP\r\nQUIT\r\n'],
    relay: [...OK, QUEUED],
  });
  assert.match(seen.toClient, /Queued\r\n250 2\.0\.0 OK\r\n221/);
});

test('a CRLF may be split between two chunks, a bare CR at the very end may not stand', async () => {
  const split = [MAIL, RCPT, 'BDAT 2\r\na\r', 'BDAT 1 LAST\r\n\n', 'QUIT\r\n'];
  const good = await relayed({ client: split, relay: [...OK, '250 ok\r\n', QUEUED] });
  assert.equal(good.accepted, 1);
  const bad = await relayed({ client: [MAIL, RCPT, 'BDAT 2 LAST\r\na\r'], relay: [...OK, QUEUED] });
  assert.equal(bad.end, 'BAD_LINE_ENDING');
  const empty = [MAIL, RCPT, 'BDAT 2\r\na\r', 'BDAT 0 LAST\r\n'];
  const late = await relayed({ client: empty, relay: [...OK, '250 ok\r\n', QUEUED] });
  assert.equal(late.end, 'BAD_LINE_ENDING');
});

for (const [what, octets] of [
  ['a bare LF', 'a\nb'],
  ['a bare CR', 'a\rb'],
  ['a NUL', 'a\0b'],
] as const) {
  test(`${what} in a last chunk ends the connection before the relay has the message`, async () => {
    const seen = await relayed({ client: [MAIL, RCPT, `BDAT 3 LAST\r\n${octets}`], relay: [...OK, QUEUED] });
    assert.deepEqual([seen.end, seen.accepted], ['BAD_LINE_ENDING', 0]);
    assert.equal(seen.toRelay, `${MAIL}${RCPT}BDAT 3 LAST\r\n`);
  });
}

for (const [what, keywords, client] of [
  ['where the relay has no CHUNKING', ['PIPELINING'], [MAIL, RCPT]],
  ['without a transaction', KEYWORDS, []],
] as const) {
  test(`BDAT ${what} is refused, and its octets swallowed`, async () => {
    const seen = await relayed({
      client: [...client, 'BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n', 'QUIT\r\n'],
      relay: OK,
      keywords,
    });
    assert.match(seen.toClient, /503 5\.5\.1 MAIL and RCPT first\r\n250 2\.0\.0 OK\r\n221/);
    assert.doesNotMatch(seen.toRelay, /BDAT/);
  });
}

test('a chunk that the relay refuses does not end the transaction; RSET does', async () => {
  const seen = await relayed({
    client: [MAIL, RCPT, 'BDAT 2\r\na\r', 'RSET\r\n', MAIL, RCPT, 'BDAT 1 LAST\r\nx', 'QUIT\r\n'],
    relay: [...OK, '552 5.3.4 Too big\r\n', '250 2.0.0 Reset\r\n', ...OK, QUEUED],
  });
  assert.deepEqual([seen.end, seen.accepted], ['quit', 1]);
});

for (const [where, client, relay] of [
  ['MAIL', [MAIL, RCPT], ['421 4.3.2 bye\r\n']],
  ['RCPT among pipelined ones', [`${MAIL}${RCPT}${RCPT}`], [OK[0] ?? '', '421 4.3.2 bye\r\n']],
  ['DATA', [MAIL, RCPT, 'DATA\r\n'], [...OK, '421 4.3.2 bye\r\n']],
  ['the end of data', [MAIL, RCPT, 'DATA\r\n', BODY, 'NOOP\r\n'], [...OK, GO, '421 4.3.2 bye\r\n']],
] as const) {
  test(`421 in answer to ${where} is told to the client and ends the relaying (RFC 5321 3.8)`, async () => {
    const seen = await relayed({ client, relay });
    assert.equal(seen.end, 'refused by relay');
    assert.ok(seen.toClient.endsWith('421 4.3.2 bye\r\n'), seen.toClient);
  });
}

test('a relay that closes instead of answering ends the connection', async () => {
  assert.equal((await relayed({ client: [MAIL], relay: [] })).end, 'BACKEND_CLOSED');
});

test('a relay that has hung up between two transactions is asked for again at MAIL', async () => {
  const seen = await relayed({
    client: [MAIL],
    relay: [],
    before: ({ relay }) => (relay.ended = true),
  });
  assert.equal(seen.end, 'again');
  assert.equal((await seen.front.nextCommand('between')).verb, 'MAIL');
  assert.equal(seen.toClient, '');
});

test('where it alone knew the login, the connection ends instead', async () => {
  const seen = await relayed({
    client: [MAIL],
    relay: [],
    before: ({ front, relay }) => {
      front.admit({ ...ACCEPTED, words: '235 2.7.0 Welcome\r\n' });
      relay.ended = true;
    },
  });
  assert.equal(seen.end, 'BACKEND_CLOSED');
});

test('MAIL is held to the rules of the channel also on the second message', async () => {
  const bad = 'MAIL FROM:<a@b> BODY=BINARYMIME\r\n';
  const seen = await relayed({ client: [bad, 'MAIL a@b\r\n', 'QUIT\r\n'], relay: [] });
  assert.match(seen.toClient, /^555 5\.5\.4 .*\r\n501 5\.5\.4 .*\r\n221/);
  assert.equal(seen.toRelay, 'QUIT\r\n');
});

test('STARTTLS between transactions goes back to the steps before the relay, within one it is refused', async () => {
  const rules = { tls: 'maytls' } as const;
  const between = await relayed({ client: ['STARTTLS\r\n'], relay: [], rules });
  assert.equal(between.end, 'again');
  assert.equal((await between.front.nextCommand('between')).verb, 'STARTTLS');
  const within = await relayed({ client: [MAIL, 'STARTTLS\r\n', 'QUIT\r\n'], relay: [OK[0] ?? ''], rules });
  assert.match(within.toClient, /503 5\.5\.1 Not within a mail transaction\r\n221/);
});

test('STARTTLS or AUTH that will not be tried keeps the relay leg', async () => {
  const seen = await relayed({
    client: ['STARTTLS\r\n', `AUTH PLAIN ${plainMessage('anna', 's')}\r\n`, 'QUIT\r\n'],
    relay: [],
    rules: { sasl: 'nosasl' },
  });
  assert.match(seen.toClient, /^502 5\.5\.1 .*\r\n503 5\.5\.1 .*\r\n221/);
  assert.equal(seen.end, 'quit');
});

test('XCLIENT from a client never reaches the relay', async () => {
  const seen = await relayed({ client: ['XCLIENT ADDR=192.0.2.1\r\n', 'QUIT\r\n'], relay: [] });
  assert.match(seen.toClient, /^500 5\.5\.1 /);
  assert.equal(seen.toRelay, 'QUIT\r\n');
});

test('wrong commands within a transaction count as well', async () => {
  const seen = await relayed({
    client: [MAIL, ...Array<string>(4).fill('FROB\r\n')],
    relay: [OK[0] ?? ''],
    rules: { limits: { badCommands: 3 } },
  });
  assert.equal(seen.end, 'TOO_MANY_ERRORS');
});

test('a drain may come between transactions only', async () => {
  const seen = await relayed({
    client: [MAIL, RCPT, 'DATA\r\n', BODY, 'QUIT\r\n'],
    relay: [...OK, GO, QUEUED],
  });
  assert.equal(seen.waits.filter((wait) => wait === 'idle').length, 2);
  // EHLO, MAIL, and QUIT behind the message.
  assert.equal(seen.client.commands, 3);
  assert.equal(await outcome(seen.front.nextWish()), 'CLIENT_CLOSED');
});
