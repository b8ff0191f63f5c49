// 10,000 wrong passwords from 50 addresses, on a test clock: the delays are those that the MMP documents, others do not
// notice, and the table stays as small as it was told to be.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultSettings } from '../../src/config/load.ts';
import { WorkerGuard } from '../../src/service/limits/worker-guard.ts';
import { PenaltyBook } from '../../src/service/limits/penalty-book.ts';
import { ALONE } from '../../src/service/limits/sharing.ts';
import { IMAP } from '../support/dialects.ts';
import { openGateway } from '../support/gateway.ts';
import { manualWorld } from '../support/manual-world.ts';

const GUESSES = 10_000;
const ADDRESSES = 50;
const addressOf = (i: number): string => `198.51.100.${i % ADDRESSES}`;

/** What MMP's rule makes of it: 2 s a failure, a minute at most. */
const documented = (failures: number): number => Math.min(failures * 2000, 60_000);

test('the wait of each of 50 addresses is as documented before every one of 10,000 guesses', () => {
  const world = manualWorld();
  const guard = new WorkerGuard({ settings: defaultSettings(), world });
  const failures = new Map<string, number>();
  for (let i = 0; i < GUESSES; i++) {
    const address = addressOf(i);
    const before = failures.get(address) ?? 0;
    assert.equal(guard.delayOf(address), documented(before), `${address} after ${before}`);
    world.advance(1);
    guard.failed(address);
    failures.set(address, before + 1);
    assert.equal(guard.delayOf('192.0.2.7'), 0);
  }
  world.advance(899_000);
  assert.equal(guard.delayOf(addressOf(0)), 60_000, 'held whole until the end');
  world.advance(1100);
  for (let i = 0; i < ADDRESSES; i++) assert.equal(guard.delayOf(addressOf(i)), 0);
});

test('over connections too: a guesser gets as many tries as its waits allow, and a user logs in meanwhile', async (t) => {
  const store = IMAP.store({ accepts: ({ secret }) => secret === 'secret' });
  const gateway = openGateway(t, {
    protocol: 'imap',
    backend: store.script,
    limits: { authAttempts: 100 },
    timeouts: { login: 3600 },
    penalties: {},
  });
  const guessers = await Promise.all(
    Array.from({ length: ADDRESSES }, (_, i) => gateway.play(IMAP.greeting, { from: addressOf(i) })),
  );
  // Each sends 200 guesses at once: 10,000.
  for (const guesser of guessers) {
    for (let i = 0; i < GUESSES / ADDRESSES; i++) guesser.send(`g${i} LOGIN anna guess${i}\r\n`);
  }
  await gateway.settle();
  assert.equal(store.logins.length, ADDRESSES, 'one try each is free');
  // 2 + 4 + 6 + 8 + 10 = 30 s: five more.
  for (let second = 0; second < 31; second++) await gateway.advance(1000);
  assert.equal(store.logins.length, ADDRESSES * 6);
  const started = gateway.world.monotonic();
  await gateway.play(`${IMAP.greeting}\n${IMAP.login}\n${IMAP.logout}`, { from: '192.0.2.7' });
  assert.equal(gateway.world.monotonic(), started, 'a user elsewhere waits for nothing');
});

test('guesses from ever new addresses leave `remembered` of them, in the worker and in the supervisor', () => {
  const world = manualWorld();
  const rules = { ...defaultSettings().penalties, remembered: 1000 };
  const announced: number[] = [];
  const book = new PenaltyBook({ world, announce: (changes) => announced.push(changes.length) });
  book.update(rules);
  const guard = new WorkerGuard({
    settings: { ...defaultSettings(), penalties: rules },
    world,
    sharing: { ...ALONE, workers: 2 },
    send: (note) => {
      if (note.what === 'misdeeds') book.hear(note.misdeeds);
    },
  });
  for (let i = 0; i < GUESSES; i++) {
    guard.failed(`10.0.${i >> 8}.${i & 255}`);
    if (i % 2 === 0) guard.failed('203.0.113.9');
    if (i % 100 === 0) world.advance(50);
  }
  world.advance(50);
  assert.equal(book.size, 1000);
  assert.equal(guard.delayOf('10.0.0.1'), 0, 'the oldest are forgotten');
  assert.equal(guard.delayOf('10.0.39.15'), 2000);
  assert.equal(guard.delayOf('203.0.113.9'), 60_000, 'who goes on is not');
  assert.ok(announced.length <= GUESSES / 100 + 1, 'told in batches');
});
