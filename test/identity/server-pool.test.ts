import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LdapFailure, type LdapServer, serverName } from '../../src/identity/ldap/connection.ts';
import { ServerPool, type ServerPoolOptions } from '../../src/identity/server-pool.ts';
import { createLog } from '../../src/log.ts';
import { manualWorld } from '../support/manual-world.ts';

interface Fake {
  isOpen: boolean;
  readonly openedMs: number;
  readonly name: string;
  close(): void;
}

const SERVERS: readonly LdapServer[] = ['one', 'two'].map((host) => ({ host, port: 389, tls: 'none' }));

function rig(changes: Partial<ServerPoolOptions<LdapServer, Fake>> = {}) {
  const world = manualWorld();
  const events: string[] = [];
  const dead = new Set<string>();
  const opened: Fake[] = [];
  const connect = (server: LdapServer): Promise<Fake> => {
    if (dead.has(server.host)) return Promise.reject(new LdapFailure('server', `${server.host} is dead`));
    const made: Fake = {
      name: server.host,
      isOpen: true,
      openedMs: world.monotonic(),
      close() {
        made.isOpen = false;
      },
    };
    opened.push(made);
    return Promise.resolve(made);
  };
  const pool = new ServerPool<LdapServer, Fake>({
    servers: SERVERS,
    nameOf: serverName,
    connect,
    connectionsMax: 2,
    waitingMax: 2,
    timeoutMs: 1000,
    refreshMs: 60_000,
    retryMs: 5000,
    world,
    log: createLog({
      level: 'info',
      format: 'text',
      write: (line) => void events.push(line.trim().split(' ').slice(2).join(' ')),
    }),
    ...changes,
  });
  const ask = (): Promise<string> =>
    pool.ask((connection) =>
      dead.has(connection.name)
        ? Promise.reject(new LdapFailure('server', 'it hung up'))
        : Promise.resolve(connection.name),
    );
  return { world, events, dead, opened, pool, ask };
}

/** Lets what was started beside the questions finish. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('one connection serves one question after the other', async () => {
  const { ask, opened } = rig();
  assert.deepEqual([await ask(), await ask(), await ask()], ['one', 'one', 'one']);
  assert.equal(opened.length, 1);
});

test('a server that fails is left, told once, and asked again when it is back', async () => {
  const { ask, dead, events, world } = rig();
  await ask();
  dead.add('one');
  assert.deepEqual([await ask(), await ask()], ['two', 'two']);
  world.advance(5000);
  assert.equal(await ask(), 'two');
  await settle();
  dead.delete('one');
  assert.equal(await ask(), 'two');
  world.advance(5000);
  assert.equal(await ask(), 'two');
  await settle();
  assert.equal(await ask(), 'one');
  assert.deepEqual(
    events.map((event) => event.split(' reason')[0]),
    ['directory server down server=ldap://one:389', 'directory server up server=ldap://one:389'],
  );
});

test('when all are dead each is tried, and the directory is down', async () => {
  const { ask, dead } = rig();
  dead.add('one').add('two');
  await assert.rejects(ask(), { code: 'DIRECTORY_DOWN' });
  dead.delete('two');
  assert.equal(await ask(), 'two');
});

test('a question that makes no sense is not asked again, and no server is to blame', async () => {
  const { pool, events, opened } = rig();
  await assert.rejects(
    pool.ask(() => Promise.reject(new LdapFailure('question', 'no such attribute'))),
    /no such attribute/,
  );
  assert.deepEqual([events.length, opened.length, opened[0]?.isOpen], [0, 1, true]);
});

test('a connection that was closed while it lay idle is no failure of its server', async () => {
  const { pool, ask, opened, events } = rig();
  await ask();
  let isFirst = true;
  const answer = await pool.ask((connection) => {
    if (!isFirst) return Promise.resolve(connection.name);
    isFirst = false;
    connection.close();
    return Promise.reject(new LdapFailure('server', 'closed'));
  });
  assert.deepEqual([answer, opened.length, events.length], ['one', 2, 0]);
});

test('after its time a connection is made anew', async () => {
  const { ask, opened, world } = rig();
  await ask();
  world.advance(60_000);
  await ask();
  assert.deepEqual(
    opened.map(({ isOpen }) => isOpen),
    [false, true],
  );
});

test('so many at once, so many wait, the rest is refused; who waits too long too', async () => {
  const { pool, world, opened } = rig();
  const { promise, resolve } = Promise.withResolvers<string>();
  const busy = [pool.ask(() => promise), pool.ask(() => promise)];
  const waiting = [pool.ask(() => promise), pool.ask(() => promise)];
  await assert.rejects(
    pool.ask(() => promise),
    /too many questions wait/,
  );
  world.advance(1000);
  for (const one of waiting) await assert.rejects(one, /the wait for a connection was too long/);
  resolve('answer');
  assert.deepEqual(await Promise.all(busy), ['answer', 'answer']);
  assert.equal(opened.length, 2);
  const next = pool.ask(() => Promise.resolve('next'));
  assert.equal(await next, 'next');
  assert.equal(world.pending, 0);
});

test('who waits is asked when a place is free', async () => {
  const { pool, opened } = rig({ connectionsMax: 1 });
  const { promise, resolve } = Promise.withResolvers<string>();
  const first = pool.ask(() => promise);
  const second = pool.ask(() => Promise.resolve('second'));
  resolve('first');
  assert.deepEqual(await Promise.all([first, second]), ['first', 'second']);
  assert.equal(opened.length, 1);
});

for (const [waitedMs, fails, expected] of [
  [900, 'silence', []],
  [900, 'a refusal', ['directory server down server=ldap://one:389 reason="it hung up"']],
  [100, 'silence', ['directory server down server=ldap://one:389 reason="no answer"']],
] as const) {
  test(`${fails} after ${waitedMs} of 1000 ms of waiting for a connection: ${expected.length} servers down`, async () => {
    const { pool, world, events } = rig({ connectionsMax: 1, servers: SERVERS.slice(0, 1) });
    const { promise, resolve } = Promise.withResolvers<string>();
    const first = pool.ask(() => promise);
    const second = pool.ask((_, ms) => {
      if (fails === 'a refusal') return Promise.reject(new LdapFailure('server', 'it hung up'));
      const { promise: never, reject } = Promise.withResolvers<string>();
      world.after(ms, () => reject(new LdapFailure('server', 'no answer')));
      return never;
    });
    const failed = assert.rejects(second, { code: 'DIRECTORY_DOWN' });
    world.advance(waitedMs);
    resolve('first');
    await first;
    await settle();
    world.advance(1000 - waitedMs);
    await failed;
    assert.deepEqual(events, expected);
  });
}

test('closed, whoever still asks is answered and nothing is kept', async () => {
  const { pool, ask, opened } = rig();
  await ask();
  pool.close();
  assert.equal(opened[0]?.isOpen, false);
  assert.equal(await ask(), 'one');
  assert.deepEqual(
    opened.map(({ isOpen }) => isOpen),
    [false, false],
  );
});
