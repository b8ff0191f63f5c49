// Three real Dovecots behind one name, each user on the same one: one is killed, one hangs, one has a wall before it that
// bans a client as soon as it hears of it. Everybody logs in where they should, within the budget; the ban takes no
// store out; the prober's login brings stores back.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { makeAuthority } from '../support/authority.ts';
import { Dialogue } from '../support/dialogue.ts';
import { type Dovecot, startDovecot } from '../support/dovecot.ts';
import { startFront } from '../support/front.ts';
import { until } from '../support/program.ts';

const BANNED = '127.0.0.66';
const FRIEND = '127.0.0.23';
const CONNECT_S = 4;
const users = Array.from({ length: 24 }, (_, number) => `user${number}@example.com`);
const password = 'open sesame';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-three-'));
const authority = makeAuthority(folder);
const accounts = Object.fromEntries([...users, 'probe'].map((user) => [user, password]));
const stores = await Promise.all(
  ['one', 'two', 'three'].map((name) => startDovecot({ folder: join(folder, name), users: accounts })),
);
const [killed, hung, guarded] = stores as [Dovecot, Dovecot, Dovecot];
const wall = await startWall(guarded.imapPort);
const servers = {
  killed: `127.0.0.1:${killed.imapPort}`,
  hung: `127.0.0.1:${hung.imapPort}`,
  guarded: `127.0.0.1:${wall.port}`,
};
const shown = authority.issue({ names: ['localhost', 'mail.example.com'], file: 'front' });
const front = await startFront({
  folder: join(folder, 'front'),
  settings: {
    hostname: 'mail.example.com',
    workers: 2,
    tls: { certificate: { cert: shown.certFile, key: shown.keyFile } },
    services: { imaps: { protocol: 'imap', listen: ['127.0.0.1:0'], tls: 'implicit', backend: 'stores' } },
    backends: {
      stores: {
        servers: Object.values(servers),
        tls: 'notls',
        balance: 'hash',
        client: ['id'],
        failoverTimeout: 1,
        failover: 600,
        check: { every: 0.5, timeout: 0.5, user: 'probe', password },
      },
    },
    timeouts: { connect: CONNECT_S },
  },
});
after(async () => {
  hung.goOn();
  wall.close();
  await front.stop();
  await Promise.all(stores.map((store) => store.stop()));
  rmSync(folder, { recursive: true, force: true });
});

/** A Dovecot's wall: it hears who the client is, and closes on the banned one. */
async function startWall(port: number): Promise<{ port: number; close: () => void; bans: () => number }> {
  let bans = 0;
  const server = net.createServer((near) => {
    const far = net.connect(port, '127.0.0.1');
    const end = (): void => {
      near.destroy();
      far.destroy();
    };
    near.on('error', end).on('close', end);
    far.on('error', end).on('close', end);
    far.pipe(near);
    near.on('data', (chunk: Buffer) => {
      if (chunk.includes(`"x-originating-ip" "${BANNED}"`)) {
        bans++;
        end();
      } else far.write(chunk);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return { port: (server.address() as net.AddressInfo).port, close: () => server.close(), bans: () => bans };
}

interface Visit {
  /** `OK`, or the refusal. */
  readonly answer: string;
  readonly server: unknown;
  readonly ms: number;
}

async function visit(user: string, localAddress = FRIEND): Promise<Visit> {
  const before = front.log().length;
  const session = await Dialogue.connectTls({
    port: front.port('imaps'),
    localAddress,
    ca: authority.ca,
    waitMs: 15_000,
  });
  await session.expect(/^\* OK /);
  const startedAt = performance.now();
  const answer = (await session.ask(`a LOGIN ${user} "${password}"`, /^a /)).at(-1) ?? '';
  const ms = performance.now() - startedAt;
  await session.ask('b LOGOUT', /^b OK /);
  await session.closed();
  const line = await until(
    () =>
      front
        .log()
        .slice(before)
        .find((entry) => entry['event'] === 'closed' && (entry['user'] ?? entry['tried']) === user),
    5000,
    () => `no closing line for ${user}`,
  );
  return { answer: answer.startsWith('a OK') ? 'OK' : answer, server: line['backend'], ms };
}

const homes = new Map<string, string>();
const usersOf = (server: string): string[] => users.filter((user) => homes.get(user) === server);
const events = (name: string, server: string): number =>
  front.log().filter((line) => line['event'] === name && line['server'] === server).length;

test('while all are up each user has a store, and every store has users', async () => {
  for (const user of users) {
    const { answer, server } = await visit(user);
    assert.equal(answer, 'OK');
    homes.set(user, String(server));
  }
  assert.deepEqual(new Set(homes.values()), new Set(Object.values(servers)));
  for (const user of users.slice(0, 6)) assert.equal((await visit(user)).server, homes.get(user));
});

test('a client that its store bans is told to come later; the store goes on serving its other users', async () => {
  const [user = ''] = usersOf(servers.guarded);
  for (let attempt = 0; attempt < 6; attempt++) {
    assert.match((await visit(user, BANNED)).answer, /^a NO \[UNAVAILABLE\]/);
    assert.deepEqual((await visit(user)).server, servers.guarded);
  }
  for (let attempt = 0; attempt < 6; attempt++) await visit(user, BANNED);
  assert.ok(wall.bans() >= 12);
  assert.equal(events('backend-down', servers.guarded), 0);
  const [other = ''] = usersOf(servers.killed);
  assert.equal((await visit(other, BANNED)).server, servers.killed, 'where it is not banned it is served');
});

test('one store killed and one hung: everybody logs in within the budget, the others stay where they are', async () => {
  await killed.stop();
  hung.hang();
  for (const user of users) {
    const { answer, server, ms } = await visit(user);
    assert.equal(answer, 'OK', user);
    assert.equal(server, servers.guarded);
    assert.ok(ms < CONNECT_S * 1000, `${user} waited ${ms} ms`);
  }
  await front.waitForLog((line) => line['event'] === 'backend-down' && line['because'] === 'check');
});

test('once that is known nobody waits for the hung one, and each was told once by who met it', async () => {
  const down = (server: string) => (line: Readonly<Record<string, unknown>>) =>
    line['event'] === 'backend-down' && line['because'] === 'check' && line['server'] === server;
  await front.waitForLog(down(servers.hung));
  await front.waitForLog(down(servers.killed));
  for (const user of users.slice(0, 8)) {
    const { answer, ms } = await visit(user);
    assert.equal(answer, 'OK');
    assert.ok(ms < 1000, `${user} waited ${ms} ms`);
  }
  for (const server of [servers.killed, servers.hung]) {
    const count = events('backend-down', server);
    // Each of two workers by its own experience, and the prober.
    assert.ok(count >= 1 && count <= 3, `${server}: ${count}`);
  }
});

test('started and woken again, they are found by the login of the check, and users are back at once', async () => {
  hung.goOn();
  await killed.restart();
  for (const server of [servers.killed, servers.hung]) {
    await front.waitForLog(
      (line) => line['event'] === 'backend-up' && line['server'] === server && line['worker'] === undefined,
      20_000,
    );
  }
  for (const user of users) {
    const { answer, server } = await visit(user);
    assert.deepEqual([answer, server], ['OK', homes.get(user)], user);
  }
  assert.match(killed.logText(), /Login: user=<probe>/);
});
