// A Redis that goes, that hangs, that comes back: one line for each change, nobody waits, and no password anywhere.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { createLog } from '../../src/log.ts';
import { openRedis } from '../../src/state/redis.ts';
import { realWorld } from '../../src/world.ts';
import { freePort } from '../support/ports.ts';
import { until } from '../support/program.ts';
import { startRedis } from '../support/redis.ts';

const redis = await startRedis({ password: 'knock' });
after(() => redis.stop());

async function open(url: string) {
  const lines: Readonly<Record<string, unknown>>[] = [];
  const write = (line: string): void =>
    void lines.push(JSON.parse(line) as Readonly<Record<string, unknown>>);
  const log = createLog({ level: 'info', format: 'json', write });
  const states: string[] = [];
  const store = await openRedis({ url, world: realWorld, log });
  store.onState((state) => states.push(state));
  after(() => store.close());
  return { store, lines, states, events: () => lines.map((line) => line['event']) };
}

const expiresAt = Date.now() + 60_000;

test('a Redis that stops and comes back is told of once each, and used again by itself', async () => {
  const { store, states, events, lines } = await open(redis.url);
  assert.equal(store.state, 'up');
  await redis.stop();
  await until(
    () => states.includes('down'),
    5000,
    () => states.join(),
  );
  for (let i = 0; i < 20; i++) {
    const started = performance.now();
    await assert.rejects(store.put('t', [{ key: 'k', value: 'v', expiresAt }]));
    assert.ok(performance.now() - started < 100, 'nobody waits for what is not there');
  }
  await redis.start();
  await until(
    () => states.includes('up'),
    10_000,
    () => states.join(),
  );
  await store.put('t', [{ key: 'k', value: 'v', expiresAt }]);
  assert.deepEqual(events(), ['redis-lost', 'redis-back']);
  assert.doesNotMatch(JSON.stringify(lines), /knock/);
});

test('a Redis that accepts and does not answer counts as lost after half a second', async () => {
  const { store, states, events } = await open(redis.url);
  redis.freeze();
  const started = performance.now();
  await assert.rejects(store.get('t', 'k'));
  assert.ok(performance.now() - started < 2000);
  assert.equal(store.state, 'down');
  redis.thaw();
  await until(
    () => states.at(-1) === 'up',
    10_000,
    () => states.join(),
  );
  assert.equal(await store.get('t', 'nobody'), null);
  assert.deepEqual(events(), ['redis-lost', 'redis-back']);
});

test('one that is not there at the start is a warning, and no failure', async () => {
  const { store, events } = await open(`redis://127.0.0.1:${await freePort()}`);
  assert.equal(store.state, 'down');
  assert.deepEqual(events(), ['redis-lost']);
});

test('a wrong password is a warning without the password', async () => {
  const { store, lines } = await open(redis.url.replace('knock', 'sesame'));
  assert.equal(store.state, 'down');
  assert.equal(lines.length, 1);
  assert.match(String(lines[0]?.['cause']), /WRONGPASS|NOAUTH/);
  assert.doesNotMatch(JSON.stringify(lines), /sesame|knock/);
});
