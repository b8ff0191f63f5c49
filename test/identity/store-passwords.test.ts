// Passwords asked of the stores of a backend: one after the other, so many at once, within a time.

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { StorePasswords } from '../../src/identity/store-passwords.ts';
import { BackendTls } from '../../src/tls/client.ts';
import { realWorld, type World } from '../../src/world.ts';
import { manualWorld } from '../support/manual-world.ts';
import { startPasswordStore, type PasswordStoreOptions } from '../support/password-store.ts';

const rules = {
  mode: 'notls',
  verify: true,
  ca: null,
  name: null,
  minVersion: 'TLSv1.2',
  ciphers: 'default',
} as const;

async function stores(
  t: TestContext,
  scenes: readonly PasswordStoreOptions[],
  more: { atOnceMax?: number; waitingMax?: number; budgetMs?: number; ttlMs?: number; world?: World } = {},
): Promise<{
  check: (password: string) => Promise<string>;
  all: readonly { logins: string[]; most: () => number }[];
  told: readonly string[];
}> {
  const all = await Promise.all(scenes.map((scene) => startPasswordStore(t, scene)));
  const told: string[] = [];
  const passwords = new StorePasswords({
    backend: 'stores',
    target: { mode: 'notls', tls: new BackendTls(rules), allowClear: false },
    stores: () =>
      all.map(({ port }, index) => ({
        endpoint: { kind: 'tcp', host: '127.0.0.1', port },
        begin: () => void told.push(`begin ${index}`),
        end: ({ kind }) => void told.push(`end ${index} ${kind}`),
      })),
    storeMs: null,
    budgetMs: 5000,
    remember: { size: 10, ttlMs: more.ttlMs ?? 0 },
    world: realWorld,
    ...more,
  });
  const check = (password: string): Promise<string> =>
    passwords
      .check({ user: 'anna', whose: 'anna', password, address: '192.0.2.7' })
      .catch((error: { code: string }) => error.code);
  return { check, all, told };
}

test('one store is enough to know', async (t) => {
  const { check, all } = await stores(t, [{}, {}]);
  assert.equal(await check('secret'), 'right');
  assert.equal(await check('guess'), 'wrong');
  assert.deepEqual(all[1]?.logins, [], 'a wrong password is not tried elsewhere');
});

test('where a store cannot say, the next one is asked, and how each did is told', async (t) => {
  const { check, told } = await stores(t, [{ greeting: null }, { verdict: 'NO [UNAVAILABLE] x' }, {}], {
    budgetMs: 900,
  });
  assert.equal(await check('secret'), 'right');
  assert.deepEqual(told, [
    'begin 0',
    'end 0 unreached',
    'begin 1',
    'end 1 undecided',
    'begin 2',
    'end 2 answered',
  ]);
});

test('where none can say, that is no wrong password', async (t) => {
  const { check } = await stores(t, [{ verdict: 'NO [UNAVAILABLE] x' }]);
  assert.equal(await check('secret'), 'BACKEND_REFUSED');
});

test('so many are asked at once, others wait, and those that are too many are told to come later', async (t) => {
  const { check, all } = await stores(t, [{}], { atOnceMax: 2, waitingMax: 4 });
  const answers = await Promise.all(Array.from({ length: 8 }, () => check('secret')));
  assert.equal(answers.filter((answer) => answer === 'right').length, 6);
  assert.equal(answers.filter((answer) => answer === 'BACKEND_TIMEOUT').length, 2);
  assert.ok((all[0]?.most() ?? 0) <= 3, `${all[0]?.most()} at once`);
  assert.equal(await check('secret'), 'right', 'places are free again');
});

test('a store that fails once it has the password is the last that gets it', async (t) => {
  const { check, all, told } = await stores(t, [{ verdict: null }, {}]);
  assert.match(await check('secret'), /^BACKEND_(CLOSED|UNREACHABLE)$/);
  assert.deepEqual(told, ['begin 0', 'end 0 failed']);
  assert.deepEqual(all[1]?.logins, []);
});

test('a store that calls a login malformed has failed at it, not before', async (t) => {
  const { check, told } = await stores(t, [{ verdict: 'BAD what is that' }, {}]);
  assert.match(await check('secret'), /^BACKEND_/);
  assert.deepEqual(told, ['begin 0', 'end 0 failed']);
});

test('who waits behind others waits no longer than the budget, and leaves the queue', async () => {
  const world = manualWorld();
  let asked = 0;
  const passwords = new StorePasswords({
    backend: 'stores',
    target: { mode: 'notls', tls: new BackendTls(rules), allowClear: false },
    stores: () => {
      asked++;
      return [];
    },
    storeMs: null,
    budgetMs: 5000,
    remember: { size: 10, ttlMs: 0 },
    world,
    atOnceMax: 0,
    waitingMax: 2,
  });
  const check = (): Promise<string> =>
    passwords
      .check({ user: 'anna', whose: 'anna', password: 'secret', address: '192.0.2.7' })
      .catch((error: { code: string }) => error.code);
  const first = [check(), check()];
  assert.equal(await check(), 'BACKEND_TIMEOUT', 'the queue is full');
  world.advance(5000);
  assert.deepEqual(await Promise.all(first), ['BACKEND_TIMEOUT', 'BACKEND_TIMEOUT']);
  const second = check();
  world.advance(5000);
  assert.equal(await second, 'BACKEND_TIMEOUT', 'there was room in it again');
  assert.deepEqual([asked, world.pending], [0, 0]);
});

test('a password that was right is asked for once within its time, and a wrong one each time', async (t) => {
  let now = 0;
  const world = { ...realWorld, monotonic: () => now };
  const { check, all } = await stores(t, [{}], { ttlMs: 900_000, world });
  const asked = (): number => all[0]?.logins.length ?? -1;
  assert.deepEqual(await Promise.all([check('secret'), check('secret'), check('secret')]), [
    'right',
    'right',
    'right',
  ]);
  assert.equal(asked(), 1, 'of several at once one asks');
  now = 899_999;
  assert.equal(await check('secret'), 'right');
  assert.equal(asked(), 1);
  assert.deepEqual([await check('guess'), await check('guess')], ['wrong', 'wrong']);
  assert.equal(asked(), 3);
  now = 900_000;
  assert.equal(await check('secret'), 'right');
  assert.equal(asked(), 4, 'it is over');
});

test('what could not be asked is not remembered', async (t) => {
  const { check, all } = await stores(t, [{ verdict: 'NO [UNAVAILABLE] x' }], { ttlMs: 900_000 });
  assert.deepEqual([await check('secret'), await check('secret')], ['BACKEND_REFUSED', 'BACKEND_REFUSED']);
  assert.equal(all[0]?.logins.length, 2);
});
