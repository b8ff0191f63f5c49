// The contents of messages on their way to the relay, by DATA and by BDAT: what ends them, and what never may.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BODY, GO, KEYWORDS, MAIL, OK, QUEUED, RCPT, relayed } from '../support/relayed.ts';

test('BDAT goes on with the very size that was counted, whatever was around it', async () => {
  const padded = `BDAT${' '.repeat(2043)}0000000005 LAST  \r\n`;
  const seen = await relayed({
    client: [MAIL, RCPT, padded, 'abc\r\n', 'QUIT\r\n'],
    relay: [...OK, QUEUED],
  });
  assert.equal(seen.toRelay, `${MAIL}${RCPT}BDAT 5 LAST\r\nabc\r\nQUIT\r\n`);
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
    client: [MAIL, RCPT, 'DATA\r\n', ...Array.from(BODY), 'QUIT\r\n'],
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
    ['client', 'relay', 'client', 'relay', 'client', 'relay', 'client', 'end of data', 'client'],
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
