// What a worker knows of its servers, and how often it says so.

import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type net from 'node:net';
import { test } from 'node:test';
import { HealthBoard, keyOf } from '../../src/connection/server-health.ts';
import { GateError } from '../../src/errors.ts';
import { createLog } from '../../src/log.ts';
import { manualWorld, type ManualWorld } from '../support/manual-world.ts';

const PAUSE_MS = 30_000;

function board(): { board: HealthBoard; world: ManualWorld; events: () => string[] } {
  const world = manualWorld();
  const lines: { event: string; level: string }[] = [];
  const log = createLog({
    level: 'debug',
    format: 'json',
    write: (line) => void lines.push(JSON.parse(line) as { event: string; level: string }),
  });
  const made = new HealthBoard({ world, log });
  return { board: made, world, events: () => lines.map(({ event, level }) => `${level} ${event}`) };
}

const failure = new GateError('BACKEND_UNREACHABLE', { backend: 'one:143' });

test('a thousand connections that meet a dead server are one line, and its return is another', () => {
  const { board: all, world, events } = board();
  const one = all.of('stores', 'one:143');
  for (let n = 0; n < 1000; n++) one.note({ kind: 'refused' }, PAUSE_MS, failure);
  assert.deepEqual(events(), ['error backend-down']);
  world.advance(PAUSE_MS);
  one.dialled(PAUSE_MS);
  one.note({ kind: 'refused' }, PAUSE_MS, failure);
  assert.equal(one.state, 'penalty');
  assert.match(one.facts.cause ?? '', /one:143/);
  world.advance(PAUSE_MS);
  assert.equal(one.state, 'up');
  one.dialled(PAUSE_MS);
  assert.equal(one.state, 'penalty', 'one trial at a time');
  one.note({ kind: 'greeted' }, PAUSE_MS);
  one.note({ kind: 'served' }, PAUSE_MS);
  assert.deepEqual(events(), ['error backend-down', 'info backend-up']);
  assert.deepEqual([one.state, one.facts.cause], ['up', null]);
});

test('connections are counted until their sockets close', () => {
  const one = board().board.of('stores', 'one:143');
  const sockets = [new EventEmitter(), new EventEmitter()] as unknown as net.Socket[];
  for (const socket of sockets) one.count(socket);
  assert.equal(one.open, 2);
  sockets[0]?.emit('close');
  sockets[0]?.emit('close');
  assert.equal(one.open, 1);
});

test('what the prober finds up is up, if it was the host that was down; a login there ends all doubt', () => {
  const { board: all } = board();
  const host = all.of('stores', 'one:143');
  host.note({ kind: 'refused' }, PAUSE_MS, failure);
  all.notice([{ backend: 'stores', server: 'one:143', drained: false, mark: 'up' }]);
  assert.equal(host.state, 'up');
  for (const client of ['a', 'b', 'c']) host.note({ kind: 'client-failed', client }, PAUSE_MS, failure);
  all.notice([{ backend: 'stores', server: 'one:143', drained: false, mark: 'up' }]);
  assert.equal(host.state, 'penalty');
  all.notice([{ backend: 'stores', server: 'one:143', drained: false, mark: 'login' }]);
  assert.equal(host.state, 'up');
});

test('a notice that comes before the server is known is not lost, and what is no longer named is forgotten', () => {
  const { board: all } = board();
  all.notice([{ backend: 'stores', server: 'one:143', drained: true, mark: 'none' }]);
  assert.equal(all.of('stores', 'one:143').state, 'drained');
  assert.equal(all.of('others', 'one:143').state, 'up', 'another backend’s server of that name is another');
  all.keep(new Set([keyOf('others', 'one:143')]));
  assert.deepEqual(
    all.facts.map(({ backend }) => backend),
    ['others'],
  );
  assert.equal(all.of('stores', 'one:143').state, 'up');
});
