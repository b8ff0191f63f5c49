// New connections come at a steady rate, IMAP over TLS and SMTP transactions, while the front is reloaded,
// gets a new certificate, has its workers replaced, and is restarted whole. (By a manager that keeps its sockets: see
// systemd-sockets.test.ts.) No connection is refused, nothing under way is cut, every message answered 250 is in the maildir.
// SALLYPORT_TEST_RATE changes the rate of 100 connections a second, for a machine that is measured.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { run, until } from '../support/program.ts';
import { anna, startSite } from '../support/site.ts';
import { startSteadyLoad, type SteadyBook, type SteadyLoad } from '../support/steady-load.ts';

const rate = Number(process.env['SALLYPORT_TEST_RATE'] ?? 100);
const main = new URL('../../src/main.ts', import.meta.url).pathname;
const site = await startSite({
  adjust: (settings) => ({
    ...settings,
    certificates: { watch: 0.5 },
    pidFile: join('.', 'front.pid'),
    timeouts: { drain: 20 },
  }),
});
after(() => site.stop());

const load = (recipient: string): SteadyLoad =>
  startSteadyLoad({
    perSecond: rate,
    imapsPort: site.ports.imaps,
    smtpPort: site.ports.smtp,
    ca: site.authority.ca,
    user: anna.user,
    password: anna.password,
    recipient,
  });

async function sallyport(...args: string[]): Promise<string> {
  const answer = await run(process.execPath, [main, ...args, '--config', site.front.settingsFile]);
  assert.equal(answer.code, 0, answer.text);
  return answer.stdout.toString();
}

interface Status {
  readonly pid: number;
  readonly predecessor: number | null;
  readonly workers: readonly { readonly pid: number; readonly state: string }[];
}

async function status(): Promise<Status> {
  return JSON.parse(await sallyport('status', '--json')) as Status;
}

async function assertNothingLost(
  t: { diagnostic(text: string): void },
  traffic: SteadyLoad,
  recipient: string,
) {
  const book = await traffic.stop();
  const { accepted, ...figures } = book;
  t.diagnostic(JSON.stringify({ rate, accepted: accepted.length, ...figures }));
  assert.deepEqual({ refused: book.refused, cut: book.cut }, { refused: [], cut: [] });
  assert.ok(book.done.visit > 0 && book.done.login > 0 && accepted.length > 0);
  await assertAllArrived(recipient, book);
  return book;
}

/** Those that come when a worker's place is taken have five seconds, which a machine that is overloaded may not keep. */
function assertHardlyAnybodyTurnedAway({ turnedAway, connections }: SteadyBook): void {
  assert.ok(turnedAway <= connections / 100, `${turnedAway} of ${connections}`);
}

async function assertAllArrived(recipient: string, book: SteadyBook): Promise<void> {
  const lost = (): string[] => {
    const there = new Set(
      site.postfix
        .messages(recipient)
        .map(({ message }) => /^Subject: (.*)\r$/m.exec(message.toString('latin1'))?.[1] ?? ''),
    );
    return book.accepted.filter((id) => !there.has(id));
  };
  await until(
    () => site.postfix.queueEmpty(),
    60_000,
    () => `still on their way: ${lost().length}`,
  );
  assert.deepEqual(lost(), [], 'messages answered 250 and lost');
}

test('reloads and a new certificate under a steady load refuse nobody, cut nothing, and turn nobody away', async (t) => {
  const traffic = load('reloads@example.com');
  for (let round = 1; round <= 3; round++) {
    await traffic.ended(rate);
    assert.equal((await site.front.reload())['event'], 'reloaded');
  }
  const names = ['localhost', 'mail.example.com', '127.0.0.1'];
  site.authority.issue({ names, keyType: 'ec', file: 'front-ec' });
  await site.front.waitForLog((line) => line['event'] === 'certificates-reloaded', 30_000);
  await traffic.ended(rate);
  const book = await assertNothingLost(t, traffic, 'reloads@example.com');
  assert.equal(book.turnedAway, 0);
});

test('a replacement of all workers under a steady load refuses nobody and cuts nothing', async (t) => {
  const before = await status();
  const traffic = load('workers@example.com');
  await traffic.ended(rate);
  assert.match(await sallyport('reload', '--workers'), /^replaced: 2 workers$/m);
  await traffic.ended(rate);
  const book = await assertNothingLost(t, traffic, 'workers@example.com');
  assertHardlyAnybodyTurnedAway(book);
  const now = await status();
  assert.equal(now.pid, before.pid);
  const old = new Set(before.workers.map(({ pid }) => pid));
  assert.deepEqual(
    now.workers.filter(({ pid }) => old.has(pid)),
    [],
  );
});

test('restarts under a steady load refuse nobody, cut nothing, and TLS sessions outlive them', async (t) => {
  const traffic = load('restart@example.com');
  const pids = new Set([site.front.pid]);
  for (let round = 1; round <= 2; round++) {
    await traffic.ended(rate);
    const answer = await sallyport('restart');
    const inCharge = /^restarted: process (\d+), version .* is in charge; process \d+ ends/.exec(answer)?.[1];
    assert.ok(inCharge !== undefined, answer);
    const successor = Number(inCharge);
    await site.front.waitForLog((line) => line['event'] === 'ready' && line['pid'] === successor);
    pids.add(successor);
    await until(
      async () => (await status()).predecessor === null,
      30_000,
      () => 'the old supervisor does not end',
    );
  }
  await traffic.ended(rate);
  const book = await assertNothingLost(t, traffic, 'restart@example.com');
  assertHardlyAnybodyTurnedAway(book);
  assert.equal(pids.size, 3);
  assert.equal(readFileSync(join(site.folder, 'front', 'front.pid'), 'utf8'), `${site.front.pid}\n`);
  // Each connection shows the last ticket it got; without the keys of before, the first ones after a restart could not.
  assert.ok(book.full <= 20, `${book.full} full handshakes, ${book.resumed} resumed`);
});
