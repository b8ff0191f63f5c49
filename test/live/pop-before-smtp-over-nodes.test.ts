// POP before SMTP on two Sallyports that share a Redis: a login at one is good for the other at once, a revocation at
// either ends it at both, and so does ttl. While Redis is away logins go on and earn nothing, grants that were given
// hold, and each node says so once; when it is back, grants are earned again.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { type Front, startFront } from '../support/front.ts';
import { askToRelay, readMail } from '../support/pop-then-smtp.ts';
import { run, until, type Run } from '../support/program.ts';
import { startRedis } from '../support/redis.ts';
import { startSite } from '../support/site.ts';

const main = join(import.meta.dirname, '../../src/main.ts');
const REFUSED = 554;
const redis = await startRedis({ password: 'knock' });
const site = await startSite({
  adjust: (settings) => ({
    ...settings,
    redis: redis.url,
    workers: 2,
    channels: {
      ...(settings['channels'] as object),
      tcp_intranet: { keywords: 'smtp mx maytlsserver maysaslserver', relay: 'mta' },
    },
    popBeforeSmtp: { channel: 'tcp_intranet', ttl: 600, tell: ['login'] },
  }),
});
const other = await startFront({ folder: join(site.folder, 'other'), settings: site.settings });
const [first, second] = [site.front, other] as const;
after(async () => {
  await other.stop();
  await site.stop();
  await redis.stop();
});

const read = (node: Front, from: string): Promise<void> => readMail(site, node.port('pop3s'), from);
const relay = (node: Front, from: string): Promise<number> => askToRelay(node.port('smtp'), from);

function sallyport(node: Front, ...args: string[]): Promise<Run> {
  return run(process.execPath, [main, ...args, '--config', node.settingsFile]);
}

/** A node hears of what another has done a moment later. */
async function becomes(node: Front, from: string, code: number): Promise<void> {
  const end = performance.now() + 10_000;
  while ((await relay(node, from)) !== code) assert.ok(performance.now() < end, `never ${code}`);
}

const saying = (node: Front, event: string): number =>
  node.log().filter((line) => line['event'] === event).length;

test('the next connection after +OK finds the grant on the other node, each time', async () => {
  for (let i = 1; i <= 30; i++) {
    const from = `127.0.50.${i}`;
    const [one, two] = i % 2 === 0 ? [first, second] : [second, first];
    await read(one, from);
    assert.equal(await relay(two, from), 250, from);
    assert.equal(await relay(one, from), 250, from);
  }
  assert.equal(await relay(second, '127.0.50.99'), REFUSED, 'who did not log in may not');
});

test('a grant that one node gave is listed at the other, and revoked there for both', async () => {
  const from = '127.0.0.51';
  await read(first, from);
  const { text } = await sallyport(second, 'grants', '--address', from, '--json');
  const listed = JSON.parse(text) as { grants: { address: string; service: string }[] };
  assert.deepEqual(
    listed.grants.map(({ address, service }) => [address, service]),
    [[from, 'pop3s']],
  );
  assert.match((await sallyport(second, 'grants', 'revoke', from)).text, /revoked 1 grant/);
  assert.equal(await relay(second, from), REFUSED);
  await becomes(first, from, REFUSED);
  assert.equal(await relay(first, from), REFUSED, 'and it stays so');
});

test('after ttl the relay is refused on both nodes', async () => {
  const from = '127.0.0.52';
  for (const node of [first, second]) {
    node.writeSettings({
      ...site.settings,
      popBeforeSmtp: { channel: 'tcp_intranet', ttl: 3, tell: ['login'] },
    });
    assert.equal((await node.reload())['event'], 'reloaded');
  }
  await read(first, from);
  assert.equal(await relay(second, from), 250);
  await becomes(second, from, REFUSED);
  await becomes(first, from, REFUSED);
  for (const node of [first, second]) {
    node.writeSettings(site.settings);
    assert.equal((await node.reload())['event'], 'reloaded');
  }
});

test('Redis is away: logins go on and earn nothing, old grants hold, one warning a node; back, all is as before', async () => {
  const [old, late] = ['127.0.0.53', '127.0.0.54'];
  await read(first, old);
  assert.equal(await relay(second, old), 250);
  await redis.stop();
  for (const node of [first, second]) await node.waitForLog((line) => line['event'] === 'redis-lost');
  for (const node of [first, second]) {
    await read(node, late);
    await read(node, late);
    assert.equal(await relay(node, late), REFUSED);
    assert.equal(await relay(node, old), 250);
    assert.equal(saying(node, 'grant-not-kept'), 1);
  }
  const pending = await sallyport(first, 'grants', 'revoke', old);
  assert.deepEqual([pending.code, /revoked 1 grant/.test(pending.text)], [1, true], pending.text);
  assert.equal(await relay(first, old), REFUSED, 'revoked here at once');
  await redis.start();
  for (const node of [first, second]) {
    await node.waitForLog((line) => line['event'] === 'redis-back', 15_000);
  }
  await until(
    async () => {
      await read(first, late);
      return (await relay(second, late)) === 250;
    },
    15_000,
    () => 'no grant after Redis was back',
  );
  // The Redis that came back is empty: what it does not hold is nobody's any more.
  await becomes(second, old, REFUSED);
  assert.doesNotMatch(JSON.stringify([first.log(), second.log()]), /knock/);
});
