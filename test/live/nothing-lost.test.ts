// Mail goes on through a real Postfix while the front is reloaded, refuses wrong settings, gets a new certificate, loses
// a worker, and is stopped. Every message that was answered 250 must be in the maildir.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, test } from 'node:test';
import tls from 'node:tls';

import { startMailLoad, type MailBook } from '../support/mail-load.ts';
import { run, until } from '../support/program.ts';
import { startSite } from '../support/site.ts';

const site = await startSite({ adjust: (settings) => ({ ...settings, certificates: { watch: 0.5 } }) });
after(() => site.stop());

const load = (recipient: string) =>
  startMailLoad({ port: site.ports.smtp, recipient, senders: 8, attemptsMax: 2000 });

async function assertAllArrived(recipient: string, book: MailBook): Promise<void> {
  const subjects = (): Set<string> =>
    new Set(
      site.postfix
        .messages(recipient)
        .map(({ message }) => /^Subject: (.*)\r$/m.exec(message.toString('latin1'))?.[1] ?? ''),
    );
  const lost = (): string[] => {
    const there = subjects();
    return book.accepted.filter((id) => !there.has(id));
  };
  await until(
    () => lost().length === 0 || site.postfix.queueEmpty(),
    60_000,
    () => `still on their way: ${lost().length}`,
  );
  assert.deepEqual(lost(), [], 'messages answered 250 and lost');
}

test('a reload in the middle of traffic refuses no connection, cuts no transaction and loses no message', async () => {
  const traffic = load('reload@example.com');
  await traffic.reached(20);
  for (let round = 1; round <= 3; round++) {
    const line = await site.front.reload();
    assert.equal(line['event'], 'reloaded');
    await traffic.reached(20 + round * 20);
  }
  const book = await traffic.stop();
  assert.deepEqual(
    { refused: book.refused, turnedAway: book.turnedAway, cut: book.cut },
    { refused: 0, turnedAway: 0, cut: [] },
  );
  await assertAllArrived('reload@example.com', book);
});

test('wrong settings are refused with every mistake, and traffic goes on under the old ones', async () => {
  const good = readFileSync(site.front.settingsFile, 'utf8');
  const traffic = load('wrong@example.com');
  await traffic.reached(10);
  writeFileSync(site.front.settingsFile, good.replace('workers: 2', 'workers: many\nwrokers: 2'));
  const line = await site.front.reload();
  assert.equal(line['event'], 'reload-refused');
  const mistakes = line['mistakes'] as string[];
  assert.equal(mistakes.length, 2, mistakes.join('\n'));
  assert.match(mistakes.join('\n'), /sallyport\.yaml:\d+: workers: /);
  assert.match(mistakes.join('\n'), /sallyport\.yaml:\d+: wrokers: /);
  await traffic.reached(40);
  const book = await traffic.stop();
  assert.deepEqual(
    { refused: book.refused, turnedAway: book.turnedAway, cut: book.cut },
    { refused: 0, turnedAway: 0, cut: [] },
  );
  writeFileSync(site.front.settingsFile, good);
  assert.equal((await site.front.reload())['event'], 'reloaded');
  await assertAllArrived('wrong@example.com', book);
});

async function shownCertificate(): Promise<string> {
  const socket = tls.connect({
    port: site.ports.imaps,
    host: '127.0.0.1',
    servername: 'localhost',
    ca: site.authority.ca,
    ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256',
    maxVersion: 'TLSv1.2',
  });
  try {
    await new Promise<void>((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
    return socket.getPeerCertificate().fingerprint256;
  } finally {
    socket.destroy();
  }
}

test('a new certificate file is served without a signal, without a restart and without a lost message', async () => {
  const before = await shownCertificate();
  const traffic = load('certificate@example.com');
  await traffic.reached(10);
  const names = ['localhost', 'mail.example.com', '127.0.0.1'];
  site.authority.issue({ names, keyType: 'ec', file: 'front-ec' });
  await site.front.waitForLog((line) => line['event'] === 'certificates-reloaded', 30_000);
  assert.notEqual(await shownCertificate(), before);
  await traffic.reached(30);
  const book = await traffic.stop();
  assert.deepEqual(
    { refused: book.refused, turnedAway: book.turnedAway, cut: book.cut },
    { refused: 0, turnedAway: 0, cut: [] },
  );
  await assertAllArrived('certificate@example.com', book);
});

test('a killed worker is replaced, no connection is refused, and what it had answered 250 has arrived', async () => {
  const traffic = load('killed@example.com');
  await traffic.reached(20);
  const died = site.front.log().filter((line) => line['event'] === 'worker-died').length;
  const { workers } = await status();
  const victim = workers[0]?.pid ?? assert.fail('no worker');
  process.kill(victim, 'SIGKILL');
  await until(
    () => site.front.log().filter((line) => line['event'] === 'worker-died').length > died,
    10_000,
    () => 'nobody noticed',
  );
  await traffic.reached(60);
  const book = await traffic.stop();
  assert.equal(book.refused, 0);
  await assertAllArrived('killed@example.com', book);
  await until(
    async () => (await status()).workers.filter(({ pid }) => pid !== null && pid !== victim).length === 2,
    10_000,
    () => 'the worker was not replaced',
  );
});

test('a TLS session that one worker issued is resumed by the other', async () => {
  const connect = (session?: Buffer): Promise<{ reused: boolean; session: Buffer; worker: unknown }> =>
    new Promise((resolve, reject) => {
      const socket = tls.connect({
        port: site.ports.imaps,
        host: '127.0.0.1',
        servername: 'localhost',
        ca: site.authority.ca,
        ...(session === undefined ? {} : { session }),
      });
      let ticket: Buffer | null = null;
      const port = (): number | undefined => socket.localPort;
      socket.on('session', (given: Buffer) => (ticket = given));
      socket.on('error', reject);
      socket.once('data', () => {
        const from = port();
        const reused = socket.isSessionReused();
        socket.write('a LOGOUT\r\n');
        socket.on('data', () => undefined);
        socket.on('close', () => {
          site.front
            .waitForLog(
              (line) => line['event'] === 'closed' && line['port'] === from && line['service'] === 'imaps',
            )
            .then((line) =>
              resolve({ reused, session: ticket ?? session ?? Buffer.alloc(0), worker: line['worker'] }),
            )
            .catch(reject);
        });
      });
    });
  const first = await connect();
  assert.equal(first.reused, false);
  const others = new Set<unknown>();
  for (let attempt = 0; attempt < 60 && others.size === 0; attempt++) {
    const next = await connect(first.session);
    assert.equal(next.reused, true, 'every worker must know the ticket');
    if (next.worker !== first.worker) others.add(next.worker);
  }
  assert.equal(others.size, 1, 'the other worker was never met');
});

test('SIGTERM under load finishes the transactions in flight, loses none, and ends with 0', async () => {
  const traffic = load('sigterm@example.com');
  await traffic.reached(30);
  const exit = await site.front.stop();
  const book = await traffic.stop();
  assert.equal(exit, 0);
  assert.deepEqual(book.cut, []);
  await assertAllArrived('sigterm@example.com', book);
});

interface Status {
  readonly workers: readonly { readonly pid: number | null }[];
}

async function status(): Promise<Status> {
  const main = new URL('../../src/main.ts', import.meta.url).pathname;
  const answer = await run(process.execPath, [main, 'status', '--json', '--config', site.front.settingsFile]);
  assert.equal(answer.code, 0, answer.text);
  return JSON.parse(answer.stdout.toString('utf8')) as Status;
}
