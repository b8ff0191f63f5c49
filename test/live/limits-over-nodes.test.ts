// Two Sallyports on one Redis, with real servers behind: limits and penalties hold over both. When Redis stops, logins go
// on with local counts and each node says so once; when it is back, they count together again. TLS sessions of one are
// resumed by the other.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import tls from 'node:tls';

import { Dialogue } from '../support/dialogue.ts';
import { type Front, startFront } from '../support/front.ts';
import { run } from '../support/program.ts';
import { startRedis } from '../support/redis.ts';
import { anna, bob, startSite } from '../support/site.ts';

const PER_USER = 4;
const main = join(import.meta.dirname, '../../src/main.ts');
const redis = await startRedis({ password: 'knock' });
const site = await startSite({
  adjust: (settings) => ({
    ...settings,
    redis: redis.url,
    tickets: { secret: 'known to both nodes' },
    workers: 1,
    log: { level: 'debug' },
    limits: { perAddress: 0, perUser: PER_USER },
    penalties: { step: 1, excluded: ['127.0.0.77/32'] },
  }),
});
const other = await startFront({ folder: join(site.folder, 'other'), settings: site.settings });
const nodes: readonly Front[] = [site.front, other];
after(async () => {
  await other.stop();
  await site.stop();
  await redis.stop();
});

async function connect(node: number, from: string): Promise<Dialogue> {
  const port = nodes[node]?.port('imaps') ?? 0;
  const session = await Dialogue.connectTls({ port, ca: site.authority.ca, localAddress: from });
  await session.expect(/^\* OK /);
  return session;
}

const quote = (text: string): string => `"${text.replaceAll(/["\\]/g, '\\$&')}"`;

/** Logs in and gives the answer's last line. */
async function logIn(session: Dialogue, { user, password }: typeof anna): Promise<string> {
  return (await session.ask(`a LOGIN ${user} ${quote(password)}`, /^a /)).at(-1) ?? '';
}

async function logOut(sessions: readonly Dialogue[]): Promise<void> {
  for (const session of sessions) {
    await session.ask('z LOGOUT', /^z OK/);
    await session.closed();
  }
}

const saying = (node: Front, event: string): number =>
  node.log().filter((line) => line['event'] === event).length;

/** Nodes hear of each other a moment later. */
async function eventually(check: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 8000;
  while (!(await check())) assert.ok(performance.now() < end, 'it did not come to that');
}

/** Connects and logs out; the session that it was given, and whether it was resumed. */
function visit(node: Front, session?: Buffer): Promise<{ resumed: boolean; session: Buffer | null }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ resumed: boolean; session: Buffer | null }>();
  const socket = tls.connect({
    port: node.port('imaps'),
    host: '127.0.0.1',
    servername: 'localhost',
    ca: site.authority.ca,
    ...(session === undefined ? {} : { session }),
  });
  let given: Buffer | null = null;
  socket.on('session', (ticket: Buffer) => (given = ticket));
  let resumed = false;
  socket.once('data', () => {
    resumed = socket.isSessionReused();
    socket.write('a LOGOUT\r\n');
  });
  socket.on('data', () => undefined).on('error', reject);
  socket.on('close', () => resolve({ resumed, session: given }));
  return promise;
}

test('a TLS session that one node issued is resumed by the other, so both have the same ticket keys', async () => {
  await eventually(async () => {
    const first = await visit(site.front);
    assert.ok(first.session !== null);
    return (await visit(other, first.session)).resumed;
  });
  assert.ok(saying(other, 'ticket-keys') >= 1, 'the later one took the keys of the first');
});

test('a user’s logins on both nodes together reach his limit and no further', async () => {
  const sessions: Dialogue[] = [];
  for (let i = 0; i < PER_USER; i++) {
    const session = await connect(i % 2, '127.0.0.77');
    assert.match(await logIn(session, anna), /^a OK /);
    sessions.push(session);
  }
  for (const node of [0, 1]) {
    await using extra = await connect(node, '127.0.0.77');
    assert.match(await logIn(extra, anna), /^a NO \[LIMIT\] /);
    assert.match(await logIn(extra, bob), /^a OK /, 'another user has a limit of his own');
  }
  await logOut(sessions.splice(0, 1));
  await eventually(async () => {
    const again = await connect(1, '127.0.0.77');
    const answer = await logIn(again, anna);
    if (answer.startsWith('a OK')) sessions.push(again);
    else await again.ask('z LOGOUT', /^z OK/);
    return answer.startsWith('a OK');
  });
  await logOut(sessions);
});

test('a wrong password on one node makes the address wait on the other, and a right one clears it on both', async () => {
  await using guesser = await connect(0, '127.0.0.5');
  for (let i = 0; i < 2; i++) {
    const answer = await guesser.ask(`a LOGIN ${anna.user} wrong`, /^a /);
    assert.match(answer.at(-1) ?? '', /^a NO \[AUTHENTICATIONFAILED\]/);
  }
  await eventually(async () => (await penalised(other)) === 1);
  await using elsewhere = await connect(1, '127.0.0.5');
  const started = performance.now();
  assert.match(await logIn(elsewhere, bob), /^a OK /);
  assert.ok(performance.now() - started >= 1900, 'two failures are two seconds');
  const delayed = await other.waitForLog((line) => line['event'] === 'login-delayed');
  assert.equal(delayed['client'], '127.0.0.5');
  await eventually(async () => (await penalised(site.front)) === 0);
  await using back = await connect(0, '127.0.0.5');
  const before = saying(site.front, 'login-delayed');
  assert.match(await logIn(back, bob), /^a OK /);
  assert.equal(saying(site.front, 'login-delayed'), before, 'cleared there as well');
});

async function penalised(node: Front): Promise<number> {
  const { stdout } = await run(process.execPath, [main, 'status', '--json', '--config', node.settingsFile]);
  const { shared } = JSON.parse(stdout.toString()) as { shared: { penalised: number; store: string } };
  assert.match(shared.store, /^redis:\/\/127\.0\.0\.1:\d+\/0$/);
  return shared.penalised;
}

test('Redis stops: logins go on with local counts, one warning on each node; it comes back, and so does the sum', async () => {
  await redis.stop();
  for (const node of nodes) await node.waitForLog((line) => line['event'] === 'redis-lost');
  const sessions: Dialogue[] = [];
  for (const node of [0, 1]) {
    for (let i = 0; i < PER_USER; i++) {
      const session = await connect(node, '127.0.0.77');
      assert.match(await logIn(session, anna), /^a OK /, `node ${node}, login ${i}`);
      sessions.push(session);
    }
    await using extra = await connect(node, '127.0.0.77');
    assert.match(await logIn(extra, anna), /^a NO \[LIMIT\] /, 'its own counts hold');
  }
  await logOut(sessions.splice(0, PER_USER));
  for (const node of nodes) assert.equal(saying(node, 'redis-lost'), 1);
  await redis.start();
  for (const node of nodes) await node.waitForLog((line) => line['event'] === 'redis-back', 15_000);
  // The other node's four count here again.
  await eventually(async () => {
    await using late = await connect(0, '127.0.0.77');
    const answer = await logIn(late, anna);
    await late.ask('z LOGOUT', /^z OK/);
    return answer.startsWith('a NO [LIMIT]');
  });
  await using third = await connect(0, '127.0.0.77');
  assert.match(await logIn(third, bob), /^a OK /);
  await logOut(sessions);
  for (const node of nodes) assert.equal(saying(node, 'redis-lost'), 1);
  assert.doesNotMatch(JSON.stringify(nodes.map((node) => node.log())), /knock/);
});
