import assert from 'node:assert/strict';
import { test } from 'node:test';

import { SettingsError } from '../../../src/errors.ts';
import type { TokenKeeper } from '../../../src/service/tokens/keeper.ts';
import { TokenWatch } from '../../../src/service/tokens/watch.ts';
import { manualWorld } from '../../support/manual-world.ts';

function watch() {
  const world = manualWorld();
  const state = {
    lost: [] as string[],
    present: true,
    refusal: null as SettingsError | null,
    failure: null as string | null,
    asked: 0,
  };
  const events: string[] = [];
  const note = (event: string): void => void events.push(event);
  const tokens: Pick<TokenKeeper, 'lost' | 'arePresent'> = {
    lost: () => state.lost,
    arePresent() {
      state.asked++;
      return state.present;
    },
  };
  const made = new TokenWatch({
    tokens: tokens as TokenKeeper,
    async refresh() {
      note('refresh');
      if (state.refusal !== null) throw state.refusal;
      state.lost = [];
    },
    async replaceWorkers() {
      note('replace');
      return { failure: state.failure };
    },
    world,
    log: { debug: note, info: note, warn: note, error: note, at: (_level, event) => note(event) },
  });
  return { made, state, events, world };
}

test('a token that is there is left alone', async () => {
  const { made, state, events } = watch();
  await made.look();
  assert.deepEqual(events, []);
  assert.equal(state.asked, 0);
});

test('a token that is gone is said to be so once; when it is back, it is proven and the workers are replaced', async () => {
  const { made, state, events } = watch();
  Object.assign(state, { lost: ['card'], present: false });
  await made.look();
  await made.look();
  assert.deepEqual(events, ['token-lost']);
  state.present = true;
  await made.look();
  await made.look();
  assert.deepEqual(events, ['token-lost', 'refresh', 'token-back', 'replace']);
});

test('a token that is back and refuses is said to do so once for each reason, and is asked again', async () => {
  const { made, state, events } = watch();
  Object.assign(state, { lost: ['card'], refusal: new SettingsError(['the PIN is wrong']) });
  await made.look();
  // The keeper has let go of it by then.
  state.lost = [];
  await made.look();
  assert.deepEqual(events, ['token-lost', 'refresh', 'token-refused', 'refresh']);
  state.refusal = null;
  await made.look();
  assert.deepEqual(events.slice(4), ['refresh', 'token-back', 'replace']);
});

test('a round of replacement that fails is tried again at the next look', async () => {
  const { made, state, events } = watch();
  Object.assign(state, { lost: ['card'], failure: 'workers are being replaced already' });
  await made.look();
  state.failure = null;
  await made.look();
  await made.look();
  assert.equal(events.filter((event) => event === 'replace').length, 2);
});

test('workers that report a key they could not use are replaced, rarely', async () => {
  const { made, events, world } = watch();
  made.reported();
  await made.look();
  await made.look();
  assert.deepEqual(events, ['token-unused', 'refresh', 'replace']);
  made.reported();
  await made.look();
  world.advance(29_000);
  await made.look();
  assert.equal(events.length, 3);
  world.advance(2000);
  await made.look();
  assert.equal(events.length, 6);
  made.reported();
  world.advance(31_000);
  await made.look();
  assert.equal(events.length, 6, 'the second wait is longer');
  world.advance(31_000);
  await made.look();
  assert.equal(events.length, 9);
});

test('looks are taken at the interval, and no more after the end', async () => {
  const { made, state, events, world } = watch();
  Object.assign(state, { lost: ['card'], present: false });
  made.follow(1000);
  world.advance(1000);
  assert.deepEqual(events, ['token-lost']);
  made.close();
  assert.equal(world.pending, 0);
});
