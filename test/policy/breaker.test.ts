// "The host is down" and "this client is refused" are told apart.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  afterDial,
  afterOutcome,
  type Breaker,
  CLOSED,
  FAILURES_MAX,
  isUsable,
  type Outcome,
  WINDOW_MS,
} from '../../src/policy/breaker.ts';

const PAUSE_MS = 30_000;

/** Outcomes with the milliseconds between them. */
function after(...events: (Outcome | number)[]): { breaker: Breaker; now: number } {
  let breaker = CLOSED;
  let now = 1000;
  for (const event of events) {
    if (typeof event === 'number') now += event;
    else breaker = afterOutcome(breaker, event, { now, pauseMs: PAUSE_MS });
  }
  return { breaker, now };
}

const refused: Outcome = { kind: 'refused' };
const failed: Outcome = { kind: 'failed' };
const greeted: Outcome = { kind: 'greeted' };
const served: Outcome = { kind: 'served' };
const turnedAway = (client: string): Outcome => ({ kind: 'client-failed', client });

test('a host that refuses connections is left alone at once', () => {
  assert.equal(after(refused).breaker.phase, 'open');
});

test('a host that fails is left alone at the third time within the window', () => {
  assert.equal(after(failed, failed).breaker.phase, 'closed');
  assert.equal(after(failed, failed, failed).breaker.phase, 'open');
  assert.equal(after(failed, failed, WINDOW_MS, failed).breaker.phase, 'closed');
  assert.equal(FAILURES_MAX, 3);
});

test('a host that greets in between has not failed', () => {
  assert.equal(after(failed, failed, greeted, failed, failed).breaker.phase, 'closed');
});

test('one client, however often it is turned away, takes no host out', () => {
  const often = Array.from({ length: 1000 }, () => turnedAway('192.0.2.7'));
  assert.equal(after(...often).breaker.phase, 'closed');
});

test('two clients neither, three do', () => {
  const two = [turnedAway('a'), turnedAway('b'), turnedAway('a'), turnedAway('b')];
  assert.equal(after(...two).breaker.phase, 'closed');
  const { breaker } = after(...two, turnedAway('c'));
  assert.deepEqual([breaker.phase, breaker.because], ['open', 'clients']);
});

test('whoever is served in between speaks for the host, whoever is only greeted does not', () => {
  assert.equal(after(turnedAway('a'), turnedAway('b'), served, turnedAway('c')).breaker.phase, 'closed');
  assert.equal(after(turnedAway('a'), turnedAway('b'), greeted, turnedAway('c')).breaker.phase, 'open');
});

test('clients that were turned away long ago are forgotten', () => {
  const { breaker } = after(turnedAway('a'), turnedAway('b'), WINDOW_MS, turnedAway('c'));
  assert.equal(breaker.phase, 'closed');
});

test('what is remembered of clients is bounded', () => {
  const { breaker } = after(...Array.from({ length: 1000 }, (_, n) => turnedAway(`client ${n}`)));
  assert.ok(breaker.suspects.size <= 4);
});

test('an open one is left alone for its pause; then one connection tries it', () => {
  const { breaker, now } = after(refused);
  assert.equal(isUsable(breaker, now + PAUSE_MS - 1), false);
  const later = { now: now + PAUSE_MS, pauseMs: PAUSE_MS };
  assert.equal(isUsable(breaker, later.now), true);
  const trial = afterDial(breaker, later);
  assert.equal(trial.phase, 'trial');
  assert.equal(isUsable(trial, later.now), false, 'the second connection goes elsewhere');
  assert.equal(isUsable(trial, later.now + PAUSE_MS), true, 'a trial that was lost is not for ever');
});

test('a trial that fails once is one more pause, one that succeeds is the end of it', () => {
  const { breaker, now } = after(refused);
  const later = { now: now + PAUSE_MS, pauseMs: PAUSE_MS };
  const trial = afterDial(breaker, later);
  const again = afterOutcome(trial, failed, later);
  assert.deepEqual([again.phase, again.retryAt], ['open', later.now + PAUSE_MS]);
  assert.equal(afterOutcome(trial, greeted, later).phase, 'closed');
});

test('what clients have opened is closed by a client that is served, not by a greeting', () => {
  const { breaker, now } = after(turnedAway('a'), turnedAway('b'), turnedAway('c'));
  const later = { now: now + PAUSE_MS, pauseMs: PAUSE_MS };
  const trial = afterOutcome(afterDial(breaker, later), greeted, later);
  assert.equal(trial.phase, 'trial');
  assert.equal(afterOutcome(trial, served, later).phase, 'closed');
  const again = afterOutcome(trial, turnedAway('d'), later);
  assert.deepEqual([again.phase, again.retryAt], ['open', later.now + PAUSE_MS], 'one is enough on trial');
});

test('a client that was turned away before is no trial, the next one is', () => {
  const { breaker, now } = after(turnedAway('a'), turnedAway('b'), turnedAway('c'));
  const later = { now: now + PAUSE_MS, pauseMs: PAUSE_MS };
  const trial = afterDial(breaker, later);
  assert.equal(isUsable(trial, later.now), false);
  const undecided = afterOutcome(trial, turnedAway('b'), later);
  assert.equal(isUsable(undecided, later.now), true);
  assert.equal(afterOutcome(afterDial(undecided, later), served, later).phase, 'closed');
});

test('failures of one that is tried for want of another do not make its penalty longer', () => {
  const { breaker, now } = after(refused);
  const next = afterOutcome(breaker, refused, { now: now + 10_000, pauseMs: PAUSE_MS });
  assert.equal(next.retryAt, breaker.retryAt);
});
