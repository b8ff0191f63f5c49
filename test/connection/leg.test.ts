// One half of a connection: lines and bytes whatever way they are cut, limits, failures, the one place of TLS.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { GateError } from '../../src/errors.ts';
import { manualWorld } from '../support/manual-world.ts';
import { legPair } from '../support/legs.ts';
import { SEED } from '../support/wire.ts';

const settle = async (turns = 20): Promise<void> => {
  for (let turn = 0; turn < turns; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
};

test('lines and byte counts come out the same for any cut of the stream', async (t) => {
  const piece = fc.oneof(
    fc.record({ line: fc.stringMatching(/^[\x20-\x7e]{0,60}$/) }),
    fc.record({ bytes: fc.uint8Array({ minLength: 1, maxLength: 200 }) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 12 }), fc.nat(), async (pieces, seed) => {
      const { leg, talk } = legPair(t, { seed });
      for (const one of pieces) talk.send('line' in one ? `${one.line}\r\n` : Buffer.from(one.bytes));
      for (const one of pieces) {
        if ('line' in one) assert.equal((await leg.line()).toString('latin1'), one.line);
        else assert.deepEqual(await leg.bytes(one.bytes.length), Buffer.from(one.bytes));
      }
      assert.equal(leg.pendingBytes, 0);
    }),
    { seed: SEED, numRuns: 60 },
  );
});

test('what is put back comes first', async (t) => {
  const { leg, talk } = legPair(t, { split: 'whole' });
  talk.send('one\r\ntwo\r\n');
  const all = await leg.chunk();
  leg.putBack(all.subarray(3));
  leg.putBack(all.subarray(0, 3));
  assert.equal((await leg.line()).toString(), 'one');
  assert.equal(leg.lineReady, true);
  assert.equal((await leg.line()).toString(), 'two');
  assert.equal(leg.lineReady, false);
});

for (const [role, bytes, code] of [
  ['client', 'x'.repeat(300), 'LINE_TOO_LONG'],
  ['client', 'a\nb\r\n', 'BAD_LINE_ENDING'],
  ['client', 'a\rb\r\n', 'BAD_LINE_ENDING'],
  ['client', 'a\0b\r\n', 'BAD_LINE_ENDING'],
  ['client', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 'TLS_ON_PLAIN_PORT'],
  ['client', '\x16\x03\x01\x02\x0a\x01\x00', 'TLS_ON_PLAIN_PORT'],
  ['backend', 'x'.repeat(300), 'BACKEND_PROTOCOL'],
  ['backend', 'a\nb\r\n', 'BACKEND_PROTOCOL'],
  ['backend', '\x16\x03\x01\x02\x00', 'BACKEND_PROTOCOL'],
] as const) {
  test(`${role}: ${JSON.stringify(bytes.slice(0, 12))} is ${code}`, async (t) => {
    const { leg, talk } = legPair(t, { role, leg: { lineBytesMax: 200 } });
    talk.send(bytes);
    await assert.rejects(leg.line(), { code });
  });
}

for (const role of ['client', 'backend'] as const) {
  const [closed, reset] =
    role === 'client'
      ? (['CLIENT_CLOSED', 'CLIENT_RESET'] as const)
      : (['BACKEND_CLOSED', 'BACKEND_CLOSED'] as const);

  test(`${role}: an end is told behind the last whole line`, async (t) => {
    const { leg, talk } = legPair(t, { role });
    talk.send('one\r\nhalf');
    talk.finish();
    assert.equal((await leg.line()).toString(), 'one');
    await assert.rejects(leg.line(), { code: closed });
    assert.equal(leg.ended, true);
  });

  test(`${role}: a connection that breaks is told to who waits and to who comes later`, async (t) => {
    const { leg, far } = legPair(t, { role });
    const waiting = leg.line();
    far.reset();
    await assert.rejects(waiting, { code: reset });
    await assert.rejects(leg.chunk(), { code: reset });
  });
}

test('a failure from outside ends the wait that is going on, and every later one', async (t) => {
  const { leg, talk } = legPair(t);
  const waiting = leg.line();
  leg.fail(new GateError('LOGIN_TIMEOUT'));
  await assert.rejects(waiting, { code: 'LOGIN_TIMEOUT' });
  talk.say('too late');
  await settle();
  await assert.rejects(leg.bytes(100), { code: 'LOGIN_TIMEOUT' });
});

test('a dismissal waits for the command that is half there', async (t) => {
  const { leg, talk } = legPair(t, { split: 'whole' });
  const waiting = leg.command();
  talk.send('NO');
  await settle();
  leg.dismiss(new GateError('DRAINING'));
  talk.send('OP\r\n');
  assert.equal((await waiting).toString(), 'NOOP');
  await assert.rejects(leg.command(), { code: 'DRAINING' });
});

test('a dismissal ends an idle wait for a command, and no other wait', async (t) => {
  const idle = legPair(t);
  const command = idle.leg.command();
  await settle();
  assert.equal(idle.leg.atCommand, true);
  idle.leg.dismiss(new GateError('DRAINING'));
  await assert.rejects(command, { code: 'DRAINING' });

  const busy = legPair(t);
  const line = busy.leg.line();
  await settle();
  assert.equal(busy.leg.atCommand, false);
  busy.leg.dismiss(new GateError('DRAINING'));
  busy.talk.say('answer');
  assert.equal((await line).toString(), 'answer');
});

test('no more than the limit is held unread, and reading goes on when there is room', async (t) => {
  const { leg, talk, far } = legPair(t, { leg: { lineBytesMax: 1000 }, bufferBytes: 1000 });
  const lines = 50_000;
  for (let count = 0; count < lines; count++) talk.send('0123456789\r\n');
  await settle(200);
  // One chunk may go over the limit, and a chunk is no more than what was being written at once.
  assert.ok(leg.pendingBytes < 150_000, `${leg.pendingBytes} bytes held`);
  assert.ok(far.writableLength > 300_000, 'the sender feels it');
  for (let count = 0; count < lines; count++) assert.equal((await leg.line()).length, 10);
});

test('bytes that come while the answers drain are not lost', async (t) => {
  const { leg, talk } = legPair(t, { bufferBytes: 500, split: 'whole' });
  const done = (async () => {
    for (let count = 0; count < 2000; count++) {
      await leg.line();
      leg.send('an answer that is longer than the question\r\n');
    }
  })();
  for (let count = 0; count < 20; count++) talk.send('question\r\n'.repeat(100));
  await done;
});

test('bytes that came in clear behind STARTTLS are an injection', async (t) => {
  for (const [role, code] of [
    ['client', 'STARTTLS_INJECTION'],
    ['backend', 'BACKEND_INJECTION'],
  ] as const) {
    const upgrader = { upgrade: () => assert.fail('no handshake may begin') };
    const { leg, talk } = legPair(t, { role, split: 'whole', leg: { upgrader } });
    talk.send('STARTTLS\r\nNOOP\r\n');
    await leg.line();
    await assert.rejects(leg.startTls('go\r\n'), { code });
    assert.equal(talk.heard, '');
  }
});

test('STARTTLS without a certificate is a defect of ours', async (t) => {
  const { leg } = legPair(t);
  await assert.rejects(leg.startTls(''), { code: 'INTERNAL' });
});

test('last words are sent, what still comes is thrown away, and the socket goes after its time', async (t) => {
  const world = manualWorld();
  const { leg, talk, near } = legPair(t);
  leg.finish('goodbye\r\n');
  leg.destroySoon(world, 5000);
  assert.equal(await talk.end(), 'goodbye\r\n');
  talk.send('x'.repeat(100_000));
  await settle(100);
  assert.equal(leg.pendingBytes, 0);
  assert.equal(near.destroyed, false);
  world.advance(5000);
  assert.equal(near.destroyed, true);
  await settle();
  assert.equal(world.pending, 0);
});

test('a socket that closes by itself leaves no timer behind', async (t) => {
  const world = manualWorld();
  const { leg, talk } = legPair(t);
  leg.finish('');
  leg.destroySoon(world, 5000);
  talk.finish();
  await talk.end();
  await settle();
  assert.equal(world.pending, 0);
});

test('released, a leg holds nothing of what was read, and counts what it handed over no more', async (t) => {
  const { leg, talk } = legPair(t, { split: 'whole' });
  talk.send('login\r\nrest');
  await leg.line();
  const { socket, rest, ended } = leg.release();
  assert.deepEqual([rest.toString(), ended, leg.pendingBytes, leg.bytesIn], ['rest', false, 0, 7]);
  assert.equal(socket.listenerCount('data'), 0);
  assert.ok(socket.listenerCount('error') > 0, 'an error of the socket stays answered');
});
