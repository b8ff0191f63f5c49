// sallyport move with two real Dovecots behind two Sallyports of two workers each that share a Redis: sessions of the user
// at both end, nobody is on the old store when the first is on the new one, both nodes agree from then on, over a restart
// too; the neighbour's session stays. A node that is frozen makes the move fail, and nothing has changed.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { makeAuthority } from '../support/authority.ts';
import { Dialogue } from '../support/dialogue.ts';
import { type Dovecot, startDovecot } from '../support/dovecot.ts';
import { type Front, startFront } from '../support/front.ts';
import { run, type Run, until } from '../support/program.ts';
import { startRedis } from '../support/redis.ts';

const main = join(import.meta.dirname, '../../src/main.ts');
const password = 'open sesame';
const users = Array.from({ length: 12 }, (_, number) => `user${number}@example.com`);

const folder = mkdtempSync(join(tmpdir(), 'sallyport-moved-'));
const authority = makeAuthority(folder);
const shown = authority.issue({ names: ['localhost', 'mail.example.com'], file: 'front' });
const redis = await startRedis();
const accounts = Object.fromEntries(users.map((user) => [user, password]));
const stores = await Promise.all(
  ['one', 'two'].map((name) => startDovecot({ folder: join(folder, name), users: accounts })),
);
const [one, two] = stores as [Dovecot, Dovecot];
const servers = [`127.0.0.1:${one.imapPort}`, `127.0.0.1:${two.imapPort}`];
const settings = {
  hostname: 'mail.example.com',
  workers: 2,
  redis: redis.url,
  tls: { certificate: { cert: shown.certFile, key: shown.keyFile } },
  services: { imaps: { protocol: 'imap', listen: ['127.0.0.1:0'], tls: 'implicit', backend: 'stores' } },
  backends: { stores: { servers, tls: 'notls', balance: 'hash' } },
};
const nodes: Front[] = [];
for (const name of ['a', 'b']) nodes.push(await startFront({ folder: join(folder, name), settings }));
const [first, second] = nodes as [Front, Front];
after(async () => {
  for (const node of nodes) await node.stop();
  await Promise.all(stores.map((store) => store.stop()));
  await redis.stop();
  rmSync(folder, { recursive: true, force: true });
});

function sallyport(node: Front, ...args: string[]): Promise<Run> {
  return run(process.execPath, [main, ...args, '--config', node.settingsFile]);
}

async function logIn(node: Front, user: string): Promise<Dialogue> {
  const port = node.port('imaps');
  const session = await Dialogue.connectTls({ port, ca: authority.ca, waitMs: 15_000 });
  await session.expect(/^\* OK /);
  await session.ask(`a LOGIN ${user} "${password}"`, /^a OK /);
  return session;
}

/** Where the user's sessions are, as a node lists them. */
async function placesOf(node: Front, user: string): Promise<string[]> {
  const { text } = await sallyport(node, 'sessions', '--user', user, '--json');
  const { sessions } = JSON.parse(text) as { sessions: { backend: string }[] };
  return sessions.map(({ backend }) => backend);
}

async function homeOf(node: Front, user: string): Promise<string> {
  await using session = await logIn(node, user);
  const [home = ''] = await placesOf(node, user);
  await session.ask('b LOGOUT', /^b OK /);
  return home;
}

const other = (server: string): string => servers.find((known) => known !== server) ?? '';
const [anna = '', bert = ''] = users;

test('sessions at both nodes end, then both lead to the new store; the neighbour stays', async () => {
  const home = await homeOf(first, anna);
  assert.equal(await homeOf(second, anna), home, 'both nodes hash alike');
  const sessions = [await logIn(first, anna), await logIn(second, anna), await logIn(second, anna)];
  await using neighbour = await logIn(second, bert);
  const moved = await sallyport(first, 'move', anna, other(home));
  assert.deepEqual([moved.code, moved.text.trim()], [0, `${anna}: stores: now on ${other(home)}`]);
  for (const session of sessions) {
    await session.expect(/^\* BYE \[UNAVAILABLE\] Session ended/);
    await session.closed();
  }
  for (const node of nodes) assert.equal(await homeOf(node, anna), other(home));
  await neighbour.ask('n NOOP', /^n OK /);
  const listed = await sallyport(second, 'move', '--list');
  assert.match(listed.text, new RegExp(`^${anna} {2}stores: ${other(home)} {2}since `, 'm'));
  assert.match((await sallyport(second, 'status')).text, /^moved: 1 user to 127\.0\.0\.1:\d+ of stores$/m);
});

test('it holds over a restart of the nodes, and is taken back at the other one', async () => {
  const home = await homeOf(first, anna);
  assert.equal((await first.restart())['event'], 'handed-over');
  assert.equal(await homeOf(first, anna), home);
  const back = await sallyport(second, 'move', anna, '--back', '--wait', '60');
  assert.equal(back.code, 0, back.text);
  for (const node of nodes) assert.equal(await homeOf(node, anna), other(home));
});

test('a user that logs in all the time is never on both stores', async () => {
  const from = await homeOf(first, anna);
  const seen: { server: string; until: number }[] = [];
  let isOver = false;
  const visit = async (node: Front): Promise<void> => {
    while (!isOver) {
      const session = await logIn(node, anna).catch(() => null);
      if (session === null) continue;
      await session.ask('c NOOP', /^c OK /).catch(() => null);
      session.close();
    }
  };
  const visitors = nodes.flatMap((node) => [visit(node), visit(node)]);
  const moved = await sallyport(second, 'move', anna, other(from), '--json');
  assert.equal(moved.code, 0, moved.text);
  isOver = true;
  await Promise.all(visitors);
  for (const node of nodes) {
    for (const line of node.log()) {
      if (line['event'] !== 'closed' || line['user'] !== anna) continue;
      seen.push({ server: String(line['backend']), until: Date.parse(String(line['time'])) });
    }
  }
  const last = nodes
    .flatMap((node) => node.log())
    .filter(({ event, user }) => event === 'moved' && user === anna)
    .map(({ time }) => Date.parse(String(time)))
    .reduce((a, b) => Math.max(a, b), 0);
  const late = seen.filter(({ server, until: end }) => server === from && end > last);
  assert.deepEqual(late, [], 'no session was on the old store after the move');
});

test('a node that does not answer makes the move fail, and the user is where it was', async () => {
  const home = await homeOf(first, bert);
  await using session = await logIn(first, bert);
  process.kill(second.pid, 'SIGSTOP');
  const failed = await sallyport(first, 'move', bert, other(home), '--wait', '2');
  process.kill(second.pid, 'SIGCONT');
  assert.equal(failed.code, 1);
  assert.match(failed.text, /was not moved and is where it was: 1 of 2 supervisors did not say/);
  await session.expect(/^\* BYE /);
  for (const node of nodes) {
    await until(
      async () => (await homeOf(node, bert).catch(() => '')) === home,
      20_000,
      () => 'the user does not get in again',
    );
  }
});

test('an unknown server is refused, and nobody is kicked for it', async () => {
  await using session = await logIn(first, anna);
  const failed = await sallyport(first, 'move', anna, 'nowhere:143');
  assert.deepEqual([failed.code, /^no such server; there are: /m.test(failed.text)], [1, true], failed.text);
  await session.ask('n NOOP', /^n OK /);
});

test('on one machine without Redis a move outlives a kill of the supervisor', async () => {
  const alone = { ...settings, redis: null };
  const place = join(folder, 'alone');
  let node = await startFront({ folder: place, settings: alone });
  nodes.push(node);
  const home = await homeOf(node, anna);
  const moved = await sallyport(node, 'move', anna, other(home));
  assert.equal(moved.code, 0, moved.text);
  assert.equal(await homeOf(node, anna), other(home));
  await node.stop('SIGKILL');
  nodes.pop();
  node = await startFront({ folder: place, settings: alone });
  nodes.push(node);
  assert.equal(await homeOf(node, anna), other(home));
  // The one that was killed has not signed off: it is waited for until its lease ends.
  const back = await sallyport(node, 'move', anna, '--back', '--wait', '40');
  assert.equal(back.code, 0, back.text);
  assert.equal(await homeOf(node, anna), home);
});
