// The delay of an address that guesses: as the MMP documents BGPenalty, BGMaxBadness, BGDecay and BGLinear.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  delayOf,
  endOf,
  graver,
  type Penalty,
  type PenaltyRules,
  worsened,
} from '../../src/policy/penalties.ts';

const STEP: PenaltyRules = { stepMs: 2000, maxMs: 60_000, decayMs: 900_000, linear: false };
const LINEAR: PenaltyRules = { ...STEP, linear: true };

function after(failures: number, rules = STEP, everyMs = 0): Penalty {
  let penalty: Penalty | null = null;
  for (let i = 0; i < failures; i++) penalty = worsened(penalty, { now: i * everyMs }, rules);
  return penalty ?? assert.fail();
}

test('who has not failed does not wait', () => assert.equal(delayOf(null, 5, STEP), 0));

for (const [failures, delayMs] of [
  [1, 2000],
  [2, 4000],
  [29, 58_000],
  [30, 60_000],
  [31, 60_000],
  [1000, 60_000],
] as const) {
  test(`${failures} failures make the next attempt wait ${delayMs} ms`, () => {
    assert.equal(delayOf(after(failures), 0, STEP), delayMs);
    assert.equal(delayOf(worsened(null, { now: 0, failures }, STEP), 0, STEP), delayMs, 'told at once');
  });
}

for (const [age, step, linear] of [
  [0, 4000, 4000],
  [225_000, 4000, 3000],
  [450_000, 4000, 2000],
  [899_999, 4000, 1],
  [900_000, 0, 0],
  [9_000_000, 0, 0],
  [-5000, 4000, 4000],
] as const) {
  test(`${age} ms later a wait of 4 s is ${step} ms, or fading ${linear} ms`, () => {
    assert.equal(delayOf(after(2), age, STEP), step);
    assert.equal(delayOf(after(2, LINEAR), age, LINEAR), linear);
  });
}

test('decay counts from the last failure, and a fresh failure adds to what is left', () => {
  assert.deepEqual(worsened(after(2), { now: 899_999 }, STEP), { delayMs: 6000, at: 899_999 });
  assert.deepEqual(worsened(after(2), { now: 900_000 }, STEP), { delayMs: 2000, at: 900_000 });
  assert.deepEqual(worsened(after(2, LINEAR), { now: 450_000 }, LINEAR), { delayMs: 4000, at: 450_000 });
  assert.equal(endOf(after(2), STEP), 900_000);
});

test('of two tellings the one with the longer wait counts', () => {
  const [mild, grave] = [after(1), after(3)];
  const at = { now: 10, rules: STEP };
  assert.equal(graver(mild, grave, at), grave);
  assert.equal(graver(grave, mild, at), grave);
  assert.equal(graver(null, mild, at), mild);
  assert.equal(
    graver(grave, { delayMs: 2000, at: 1_000_000 }, { now: 1_000_000, rules: STEP }).delayMs,
    2000,
  );
});

test('a shorter limit after a reload shortens what was remembered', () => {
  assert.equal(delayOf(after(30), 0, { ...STEP, maxMs: 10_000 }), 10_000);
});
