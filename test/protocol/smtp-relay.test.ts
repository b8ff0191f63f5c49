// Transactions between a client and its relay: what goes on, in which order, and what never may.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BODY, GO, MAIL, OK, QUEUED, RCPT, relayed } from '../support/relayed.ts';
import { ACCEPTED, outcome, plainMessage } from '../support/scripted-talk.ts';

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

test('where the channel has another relay by now the leg starts anew, but not within a transaction', async () => {
  const isElsewhere = (): boolean => true;
  const between = await relayed({ client: ['NOOP\r\n', MAIL], relay: [], isElsewhere });
  assert.deepEqual([between.end, between.toRelay], ['again', '']);
  assert.match(between.toClient, /^250 2\.0\.0 /);
  const client = [MAIL, 'NOOP\r\n', 'QUIT\r\n'];
  const within = await relayed({ client, relay: [OK[0] ?? ''], isElsewhere });
  assert.equal(within.end, 'quit');
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
  // EHLO, MAIL, and QUIT behind the message.
  assert.equal(seen.client.commands, 3);
  assert.equal(await outcome(seen.front.nextWish()), 'CLIENT_CLOSED');
});
