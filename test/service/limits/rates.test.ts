// Permits: given back when their time is over, counted over workers, bounded.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultSettings } from '../../../src/config/load.ts';
import { Census } from '../../../src/service/limits/census.ts';
import { Rates } from '../../../src/service/limits/rates.ts';
import { ALONE, type FromGuard } from '../../../src/service/limits/sharing.ts';
import { Tally } from '../../../src/service/limits/tally.ts';
import { WorkerGuard } from '../../../src/service/limits/worker-guard.ts';
import { manualWorld } from '../../support/manual-world.ts';

const MINUTE = { count: 2, seconds: 60 };
const claim = { key: 'm:u:anna', limit: MINUTE.count };

test('a permit comes back when its time is over, not before, and leaves nothing behind', () => {
  const world = manualWorld();
  const tally = new Tally({ world, send: () => undefined });
  const rates = new Rates({ world, tally });
  assert.equal(rates.take(claim, MINUTE), null);
  world.advance(30_000);
  assert.equal(rates.take(claim, MINUTE), null);
  assert.deepEqual(rates.take(claim, MINUTE), claim);
  world.advance(29_900);
  assert.deepEqual(rates.take(claim, MINUTE), claim);
  world.advance(2100);
  assert.equal(rates.take(claim, MINUTE), null);
  world.advance(70_000);
  assert.deepEqual([rates.size, tally.countOf(claim.key), world.pending], [0, 0, 0]);
});

test('permits of a time are one group, however many; beyond the bound the oldest come back early', () => {
  const world = manualWorld();
  const tally = new Tally({ world, send: () => undefined });
  const rates = new Rates({ world, tally, max: 100 });
  for (let i = 0; i < 1000; i++) void rates.take({ key: 'm:u:anna', limit: 2000 }, MINUTE);
  assert.equal(rates.size, 1);
  for (let i = 0; i < 500; i++) void rates.take({ key: `m:u:${i}`, limit: 2 }, MINUTE);
  assert.equal(rates.size, 100);
  assert.equal(tally.countOf('m:u:anna'), 0);
  assert.equal(tally.countOf('m:u:499'), 1);
});

test('two workers together give no more than the rate, and a user is one user in any case', async () => {
  const world = manualWorld();
  const guards: WorkerGuard[] = [];
  const census = new Census({
    escort: async (keys) => guards.forEach((guard) => guard.escort(keys)),
    relax: (keys) => guards.forEach((guard) => guard.hear({ what: 'relax', keys })),
  });
  census.workers = 2;
  const limits = { ...defaultSettings().limits, messagesPerUser: { count: 9, seconds: 60 } };
  for (let index = 0; index < 2; index++) {
    const holder = {};
    const send = (note: FromGuard): void => {
      if (note.what === 'counts') census.report(holder, note.changes);
      if (note.what !== 'ask') return;
      const keys = note.claims.map(({ key }) => key);
      void census
        .ask(holder, note.claims)
        .then((full) => guards[index]?.hear({ what: 'answer', question: note.question, full, keys }));
    };
    const settings = { ...defaultSettings(), limits };
    guards.push(new WorkerGuard({ settings, world, sharing: { ...ALONE, workers: 2 }, send }));
  }
  const sendOne = async (): Promise<number> => {
    let sent = 0;
    for (let i = 0; i < 20; i++) {
      const user = i % 3 === 0 ? 'Anna' : 'anna';
      if ((await guards[i % 2]?.spend('message', { user })) === null) sent++;
    }
    return sent;
  };
  assert.equal(await sendOne(), 9);
  assert.equal(await guards[0]?.spend('recipient', { user: 'anna' }), null, 'recipients have no rate here');
  world.advance(62_000);
  assert.equal(await sendOne(), 9);
});
