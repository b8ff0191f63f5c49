import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  isAuthority,
  isClientAuthority,
  isServerAuthority,
  parseTrust,
  trustText,
  trustWords,
} from '../../src/certdb/trust.ts';

function text(typed: string): string {
  const trust = parseTrust(typed);
  return 'problem' in trust ? trust.problem : trustText(trust);
}

test('trust is written in one way however it was typed', () => {
  assert.equal(text('CT,,'), 'CT,,');
  assert.equal(text('TC, c ,P'), 'CT,c,P');
  assert.equal(text('Cu,u,u'), 'C,,');
  assert.equal(text('C'), 'C,,');
  assert.equal(text(''), ',,');
});

test('flags that there are not are refused', () => {
  assert.match(text('X,,'), /flag "X": C \(a CA for servers\)/);
  assert.match(text('C,,,'), /has 4 fields/);
  assert.match(text('\u001B,,'), /flag "\?"/);
});

test('a CA for servers is none for clients, and the other way round', () => {
  assert.deepEqual([isServerAuthority('C,,'), isClientAuthority('C,,')], [true, false]);
  assert.deepEqual([isServerAuthority('T,,'), isClientAuthority('T,,')], [false, true]);
  assert.deepEqual([isServerAuthority(',C,'), isClientAuthority(',T,T')], [false, false]);
  assert.deepEqual([isAuthority(',,'), isAuthority('c,,'), isAuthority('P,,')], [false, true, false]);
});

test('the words are those of show-cert', () => {
  assert.deepEqual(trustWords('CTu'), ['Valid CA', 'Trusted CA', 'Trusted Client CA', 'User']);
  assert.deepEqual(trustWords(''), []);
});
