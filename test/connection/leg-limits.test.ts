// What a leg holds, and when it stops reading: whatever is sent, at most its limit and one chunk wait unread.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { GateError } from '../../src/errors.ts';
import { BACKEND_ROLE, CLIENT_ROLE, Leg } from '../../src/connection/leg.ts';
import type { Upgrader } from '../../src/connection/upgrader.ts';
import type { TlsFacts } from '../../src/tls/facts.ts';
import { settle } from '../support/gates.ts';
import { cable, type CableEnd } from '../support/wire.ts';

const LIMIT = 1000;
/** What a cable delivers at once when it is not split. */
const CHUNK = 65_536;

interface Pair {
  readonly leg: Leg;
  readonly near: CableEnd;
  readonly far: CableEnd;
}

function pair(upgrader: Upgrader | null = null, role = CLIENT_ROLE): Pair {
  const [near, far] = cable({ split: 'whole' });
  const leg = new Leg(near.asSocket(), { role, upgrader, lineBytesMax: LIMIT });
  leg.attach();
  far.on('error', () => far.destroy());
  return { leg, near, far };
}

async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'nothing',
    (error: { code: unknown }) => error.code,
  );
}

test('of 10 MB without a line end, which nobody reads, the leg holds its limit and one chunk', async () => {
  const { leg, near, far } = pair();
  const garbage = Buffer.alloc(10_000, 0x78);
  let most = 0;
  for (let i = 0; i < 1000; i++) {
    far.write(garbage);
    if (i % 50 === 0) await settle(4);
    most = Math.max(most, leg.pendingBytes);
  }
  await settle();
  assert.ok(most <= LIMIT + CHUNK, `${most}`);
  assert.equal(near.isPaused(), true);
});

test('of the same, while a line is waited for, it holds no more, and the wait ends', async () => {
  const { leg, far } = pair();
  const code = codeOf(leg.line());
  for (let i = 0; i < 20; i++) far.write(Buffer.alloc(10_000, 0x78));
  assert.equal(await code, 'LINE_TOO_LONG');
  await settle();
  assert.ok(leg.pendingBytes <= LIMIT + CHUNK, `${leg.pendingBytes}`);
});

for (const [what, text] of [
  ['a line of exactly the limit', 'y'.repeat(LIMIT)],
  ['a line one byte below it', 'y'.repeat(LIMIT - 1)],
] as const) {
  test(`${what} is read also where the leg had stopped reading before`, async () => {
    const { leg, far } = pair();
    far.write(`x\r\n${text}`);
    await settle();
    assert.equal((await leg.line()).toString(), 'x');
    const line = leg.line();
    await settle();
    far.write('\r\n');
    await settle();
    leg.fail(new GateError('INTERNAL'));
    assert.equal((await line.catch(() => '')).length, text.length);
  });
}

test('a line one byte above it is too long, before its end has come', async () => {
  const { leg, far } = pair();
  far.write('y'.repeat(LIMIT + 1));
  assert.equal(await codeOf(leg.line()), 'LINE_TOO_LONG');
});

test('whatever is read, in whatever pieces, arrives whole and without a standstill', async () => {
  const text = fc.array(fc.integer({ min: 0, max: LIMIT }), { minLength: 1, maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(text, fc.integer(), async (lengths, seed) => {
      const [near, far] = cable({ seed });
      const leg = new Leg(near.asSocket(), { role: CLIENT_ROLE, upgrader: null, lineBytesMax: LIMIT });
      leg.attach();
      for (const length of lengths) far.write(`${'z'.repeat(length)}\r\n`);
      far.end();
      const seen: number[] = [];
      for (;;) {
        const line = await leg.line().catch(() => null);
        if (line === null) break;
        seen.push(line.length);
      }
      assert.deepEqual(seen, lengths);
    }),
    { numRuns: 50 },
  );
});

test('a leg whose client does not read its answers does not read either', async () => {
  const { leg, far, near } = pair();
  far.pause();
  leg.send(Buffer.alloc(1_000_000));
  let line: Buffer | null = null;
  const wait = leg.line().then((taken) => (line = taken));
  far.write('NOOP\r\n');
  await settle();
  assert.equal(line, null);
  assert.equal(near.writableNeedDrain, true);
  far.resume();
  await wait;
});

const FACTS = { version: 'TLSv1.3' } as TlsFacts;

test('STARTTLS says its go-ahead, and reads on from the new socket', async () => {
  const [inner, outer] = cable({ split: 'whole' });
  const { leg, far } = pair({ upgrade: async () => ({ socket: inner.asSocket(), facts: FACTS }) });
  const heard: string[] = [];
  far.on('data', (chunk: Buffer) => heard.push(chunk.toString()));
  await leg.startTls('220 go\r\n');
  outer.write('EHLO x\r\n');
  assert.equal((await leg.line()).toString(), 'EHLO x');
  await settle();
  assert.deepEqual([heard, leg.secured, leg.facts], [['220 go\r\n'], true, FACTS]);
});

test('what came with an opening does not keep the secured leg from pausing', async () => {
  const [inner, outer] = cable({ split: 'whole' });
  const [near, far] = cable({ split: 'whole' });
  const upgrader = { upgrade: async () => ({ socket: inner.asSocket(), facts: FACTS }) };
  const leg = new Leg(near.asSocket(), { role: CLIENT_ROLE, upgrader, lineBytesMax: LIMIT });
  far.write(`header${'x'.repeat(2 * LIMIT)}`);
  await leg.opening((came) => (came.length < 2 * LIMIT ? null : 'header'.length));
  await leg.startTls('');
  let most = 0;
  for (let i = 0; i < 100; i++) {
    outer.write(Buffer.alloc(10_000, 0x78));
    if (i % 5 === 0) await settle(4);
    most = Math.max(most, leg.pendingBytes);
  }
  await settle();
  assert.ok(most <= LIMIT + CHUNK, `${most}`);
  assert.equal(await codeOf(leg.line()), 'LINE_TOO_LONG');
});

for (const [role, code] of [
  [CLIENT_ROLE, 'STARTTLS_INJECTION'],
  [BACKEND_ROLE, 'BACKEND_INJECTION'],
] as const) {
  test(`bytes in clear behind the command are ${code}, and no go-ahead is said`, async () => {
    const { leg, far } = pair({ upgrade: () => Promise.reject(new Error('it was tried')) }, role);
    const heard: string[] = [];
    far.on('data', (chunk: Buffer) => heard.push(chunk.toString()));
    far.write('STARTTLS\r\nMAIL FROM:<evil@x>\r\n');
    await leg.line();
    assert.equal(await codeOf(leg.startTls('220 go\r\n')), code);
    await settle();
    assert.deepEqual([heard, leg.secured], [[], false]);
  });
}

test('a handshake that fails ends the leg with what failed', async () => {
  const failed = new GateError('TLS_HANDSHAKE_FAILED');
  const { leg } = pair({ upgrade: () => Promise.reject(failed) });
  assert.equal(await codeOf(leg.startTls('')), 'TLS_HANDSHAKE_FAILED');
  assert.deepEqual([leg.ended, leg.secured], [true, false]);
});

test('a leg that failed during the handshake does not come to life by it', async () => {
  const [inner] = cable();
  const { leg } = pair({
    async upgrade() {
      leg.fail(new GateError('BACKEND_TIMEOUT'));
      return { socket: inner.asSocket(), facts: FACTS };
    },
  });
  assert.equal(await codeOf(leg.startTls('')), 'BACKEND_TIMEOUT');
  assert.deepEqual([inner.destroyed, leg.secured], [true, false]);
});

test('a leg without a certificate cannot be secured: that is a defect', async () => {
  assert.equal(await codeOf(pair().leg.startTls('')), 'INTERNAL');
});

test('flushed() ends where the socket does, and where the leg fails', async () => {
  const broken = pair();
  broken.far.pause();
  broken.leg.send(Buffer.alloc(1_000_000));
  const wait = codeOf(broken.leg.flushed());
  broken.far.reset();
  assert.ok(['CLIENT_RESET', 'nothing'].includes(String(await wait)));
  const failing = pair();
  failing.far.pause();
  failing.leg.send(Buffer.alloc(1_000_000));
  const late = codeOf(failing.leg.flushed());
  await settle(2);
  failing.leg.fail(new GateError('IDLE_TIMEOUT'));
  assert.equal(await late, 'IDLE_TIMEOUT');
});

test('a drain that comes while a leg gives way to others ends the wait for the next command', async () => {
  const [near] = cable();
  const leg = new Leg(near.asSocket(), { role: CLIENT_ROLE, upgrader: null, lineBytesMax: 8192 });
  leg.attach();
  near.emit('data', Buffer.from('NOOP\r\n'.repeat(32)));
  for (let count = 0; count < 32; count++) await leg.command();
  const next = leg.command().then(
    () => 'a command',
    (error: unknown) => (error instanceof GateError ? error.code : 'defect'),
  );
  await Promise.resolve();
  leg.dismiss(new GateError('DRAINING'));
  assert.equal(await next, 'DRAINING');
});
