// `sallyport sessions` and `sallyport kick` as an operator types them, over two workers and real servers.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { Dialogue } from '../support/dialogue.ts';
import { run, type Run } from '../support/program.ts';
import { anna, bob, startSite } from '../support/site.ts';

const site = await startSite();
after(() => site.stop());

const main = join(import.meta.dirname, '../../src/main.ts');

function sallyport(...args: readonly string[]): Promise<Run> {
  const [command = '', ...more] = args;
  return run(process.execPath, [main, command, '--config', site.front.settingsFile, ...more]);
}

async function logIn({ user, password }: typeof anna): Promise<Dialogue> {
  const session = await Dialogue.connectTls({ port: site.ports.imaps, ca: site.authority.ca });
  await session.expect(/^\* OK /);
  const quoted = password.replaceAll(/["\\]/g, '\\$&');
  await session.ask(`a LOGIN ${user} "${quoted}"`, /^a OK /);
  return session;
}

interface Listed {
  readonly count: number;
  readonly sessions: readonly { readonly user: string; readonly tls: string; readonly worker: number }[];
}

async function listed(...filter: readonly string[]): Promise<Listed> {
  const { code, stdout, text } = await sallyport('sessions', '--json', ...filter);
  assert.equal(code, 0, text);
  return JSON.parse(stdout.toString()) as Listed;
}

test('sessions of both workers are listed, and kick ends those of one user and of nobody else', async () => {
  const sessions: Dialogue[] = [];
  for (let i = 0; i < 6; i++) sessions.push(await logIn(anna));
  await using other = await logIn(bob);
  const all = await listed('--service', 'imaps');
  assert.equal(all.count, 7);
  assert.deepEqual(new Set(all.sessions.map(({ tls }) => tls)), new Set(['TLSv1.3']));
  assert.equal((await listed('--user', anna.user)).count, 6);
  assert.equal((await listed('--address', '127.0.0.0/8', '--user', bob.user)).count, 1);
  assert.equal((await listed('--address', '192.0.2.0/24')).count, 0);

  const kicked = await sallyport('kick', '--user', anna.user);
  assert.deepEqual([kicked.code, kicked.stdout.toString()], [0, 'kicked 6 sessions\n'], kicked.text);
  for (const session of sessions) {
    await session.expect(/^\* BYE .*ended by the administrator/);
    await session.closed();
  }
  await other.ask('b NOOP', /^b OK /);
  assert.equal((await listed('--user', anna.user)).count, 0);
  assert.equal((await listed()).count, 1);
});

test('kick without saying whom kicks nobody', async () => {
  const { code, text } = await sallyport('kick');
  assert.equal(code, 1);
  assert.match(text, /expected whom to kick/);
});
