// Certificates by ACME from Pebble, the test CA of Let's Encrypt, in a real front: the first one by each challenge, a
// renewal while connections go on, a CA that refuses and one that is down.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import tls from 'node:tls';

import { makeAuthority } from '../support/authority.ts';
import { startFront, type Front } from '../support/front.ts';
import { Pebble, type PebbleOptions } from '../support/pebble.ts';
import { isFree } from '../support/ports.ts';
import { run, until } from '../support/program.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-acme-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const authority = makeAuthority(folder);
const main = join(import.meta.dirname, '..', '..', 'src', 'main.ts');
const DAY_S = 86_400;
let rigs = 0;

interface Rig {
  readonly pebble: Pebble;
  readonly front: Front;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly sallyport: (...args: string[]) => ReturnType<typeof run>;
}

async function start(
  t: TestContext,
  acme: Readonly<Record<string, unknown>>,
  ca: Partial<PebbleOptions> = {},
): Promise<Rig> {
  const place = join(folder, `rig${++rigs}`);
  mkdirSync(place);
  const pebble = await Pebble.start({ folder: place, authority, ...ca });
  t.after(() => pebble.stop());
  const settings = settingsOf(pebble, acme);
  const front = await startFront({ folder: join(place, 'front'), settings });
  t.after(() => front.stop());
  const sallyport = (...args: string[]): ReturnType<typeof run> =>
    run(process.execPath, [main, ...args, '--config', front.settingsFile]);
  return { pebble, front, settings, sallyport };
}

/** As in earnest: the supervisor is root, whoever talks to strangers is not. */
const user = process.getuid?.() === 0 ? 'nobody' : null;

function settingsOf(pebble: Pebble, acme: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const imaps = {
    protocol: 'imap',
    listen: ['127.0.0.1:0'],
    tls: { mode: 'implicit', certificate: 'Mail' },
    backend: 'stores',
    capabilities: ['IMAP4rev1'],
  };
  return {
    hostname: 'mail.example.com',
    workers: 2,
    user,
    certificates: {
      watch: 0.2,
      acme: {
        directory: pebble.directory,
        ca: authority.caFile,
        agreeTerms: true,
        contact: 'postmaster@example.com',
        names: { Mail: ['mail.example.com', 'imap.example.com'] },
        listen: [`127.0.0.1:${pebble.challengePort}`],
        ...acme,
      },
    },
    services: { imaps },
    backends: { stores: { servers: ['127.0.0.1:1'] } },
  };
}

/** The certificate that a mail program is shown now; verified where a root is given. */
async function shown(front: Front, root: string | null = null): Promise<X509Certificate> {
  const { promise, resolve, reject } = Promise.withResolvers<X509Certificate>();
  const socket = tls.connect({
    host: '127.0.0.1',
    port: front.port('imaps'),
    servername: 'imap.example.com',
    rejectUnauthorized: root !== null,
    ...(root === null ? {} : { ca: root }),
  });
  socket.once('secureConnect', () => {
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined) reject(new Error('no certificate'));
    else resolve(certificate);
    socket.destroy();
  });
  socket.once('error', reject);
  return promise;
}

/** A mail program that stays: each `ask` is a NOOP and its answer. */
async function stay(front: Front): Promise<{ ask(): Promise<string>; close(): void }> {
  const socket = tls.connect({ host: '127.0.0.1', port: front.port('imaps'), rejectUnauthorized: false });
  let text = '';
  let failed = '';
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => (text += chunk));
  socket.on('error', (error) => (failed = error.message));
  const hear = (words: string): Promise<string> =>
    until(
      () => text.includes(words) && text,
      5000,
      () => `${text} ${failed}`,
    );
  await hear('* OK');
  let tag = 0;
  return {
    ask() {
      socket.write(`a${++tag} NOOP\r\n`);
      return hear(`a${tag} OK`);
    },
    close: () => socket.destroy(),
  };
}

/** Accounts that the CA has made since it started. */
function pebbleAccounts(pebble: Pebble): number {
  return pebble.output().match(/There are now \d+ accounts in memory/g)?.length ?? 0;
}

/** Ends early when the order fails. */
async function issued(front: Front, nickname = 'Mail'): Promise<void> {
  const events = new Set(['acme-issued', 'acme-failed']);
  const line = await front.waitForLog(
    (one) => events.has(String(one['event'])) && one['nickname'] === nickname,
    30_000,
  );
  assert.equal(line['event'], 'acme-issued', JSON.stringify(line));
}

/** Waits until another certificate than this one is shown. */
function changed(front: Front, before: X509Certificate): Promise<true | undefined> {
  return until(
    async () => (await shown(front)).serialNumber !== before.serialNumber || undefined,
    10_000,
    () => 'the certificate before is served on',
  );
}

const event = (front: Front, name: string): Promise<Readonly<Record<string, unknown>>> =>
  front.waitForLog((line) => line['event'] === name, 30_000);

for (const challenge of ['http-01', 'tls-alpn-01']) {
  for (const keyType of challenge === 'http-01' ? ['ec', 'rsa'] : ['ec']) {
    test(`a first start serves a self-signed certificate, then the one that ${challenge} brings (${keyType})`, async (t) => {
      const { pebble, front, sallyport } = await start(t, { challenge, keyType });
      const first = await shown(front);
      assert.equal(first.issuer, first.subject, 'self-signed until the CA has issued');
      await issued(front);
      await changed(front, first);
      const found = await shown(front, await pebble.root());
      assert.notEqual(found.serialNumber, first.serialNumber);
      assert.equal(found.publicKey.asymmetricKeyType, keyType);
      assert.match(found.subjectAltName ?? '', /DNS:mail\.example\.com.*DNS:imap|DNS:imap.*DNS:mail/);
      assert.equal(await isFree(pebble.challengePort, '127.0.0.1'), true, 'nobody listens after the order');
      const status = await sallyport('status');
      assert.match(
        status.text,
        /^acme Mail: mail\.example\.com, imap\.example\.com; until \d{4}-.*; next order \d{4}/m,
      );
      assert.doesNotMatch(status.text, /FAILED/);
    });
  }
}

test('a renewal is served while connections go on, with a new key, for the same account', async (t) => {
  const { pebble, front, sallyport } = await start(t, {}, { lifeSeconds: 90 * DAY_S, nonceReject: 30 });
  const first = await shown(front);
  await issued(front);
  await changed(front, first);
  const root = await pebble.root();
  const before = await shown(front, root);
  const clients = await Promise.all([1, 2, 3, 4].map(() => stay(front)));
  t.after(() => clients.forEach((client) => client.close()));
  for (const client of clients) await client.ask();

  const renewed = await sallyport('acme', 'Mail', '--now');
  assert.equal(renewed.code, 0, renewed.text);
  assert.match(renewed.stdout.toString(), /^acme Mail: .*next order/);
  await changed(front, before);
  const next = await shown(front, root);
  assert.equal(next.checkIssued(before), false);
  assert.notDeepEqual(
    next.publicKey.export({ type: 'spki', format: 'der' }),
    before.publicKey.export({ type: 'spki', format: 'der' }),
  );
  for (const client of clients) assert.match(await client.ask(), /a2 OK/);
  assert.equal(pebbleAccounts(pebble), 1, 'one account');
  assert.equal(
    front.log().some((line) => line['event'] === 'worker-died'),
    false,
  );
});

test('a restart orders nothing that is not due; one more name is due at once', async (t) => {
  const { front, settings, sallyport } = await start(t, {}, { lifeSeconds: 90 * DAY_S });
  await issued(front);
  const first = await shown(front);
  await front.restart();
  await front.waitForLog((line) => line['event'] === 'ready' && line['predecessor'] !== undefined, 20_000);
  const { certificates } = settings as { certificates: { acme: object } };
  // For one name more: that cannot wait.
  const names = { Mail: ['mail.example.com', 'imap.example.com', 'pop.example.com'] };
  front.writeSettings({
    ...settings,
    certificates: { ...certificates, acme: { ...certificates.acme, names } },
  });
  assert.equal((await front.reload())['event'], 'reloaded');
  await front.waitForLog(
    (line) => line['event'] === 'acme-issued' && String(line['names']).includes('pop.example.com'),
    30_000,
  );
  await until(
    async () => (await shown(front)).subjectAltName?.includes('pop.example.com'),
    10_000,
    () => 'the old certificate is still served',
  );
  assert.notEqual((await shown(front)).serialNumber, first.serialNumber);
  assert.match((await sallyport('acme')).text, /pop\.example\.com/);
  assert.equal(front.log().filter((line) => line['event'] === 'acme-ordering').length, 2);
});

test('a CA that refuses a name is told of, and is not asked again at once; what was served goes on', async (t) => {
  const names = { Mail: ['mail.example.com'], Bad: ['blocked-domain.example'] };
  const { front, sallyport } = await start(t, { names }, { blocked: ['blocked-domain.example'] });
  await issued(front);
  const failed = await event(front, 'acme-failed');
  assert.equal(failed['nickname'], 'Bad');
  assert.match(String(failed['cause']), /blocked-domain\.example/);
  const wait = Date.parse(String(failed['nextTry'])) - Date.parse(String(failed['time']));
  assert.ok(wait > 890_000 && wait < 1_000_000, String(failed['nextTry']));
  const status = await sallyport('status');
  assert.match(
    status.text,
    /^acme Bad: .*none of the CA yet; next order .*; FAILED 1 time, at .*: .*blocked/m,
  );
  const again = await sallyport('acme', '--now', 'Bad');
  assert.equal(again.code, 1);
  assert.match(again.text, /^Bad: .*blocked-domain/m);
  assert.match((await sallyport('acme', '--json')).stdout.toString(), /"failures": 2/);
  assert.match((await sallyport('acme', 'Nobody')).text, /no Nobody/);
});

test('a name that does not lead here is refused with the words of the CA, and nothing is left listening', async (t) => {
  const { pebble, front } = await start(t, { listen: ['127.0.0.9:10080'] });
  const failed = await event(front, 'acme-failed');
  assert.match(
    String(failed['cause']),
    /^(mail|imap)\.example\.com: the CA did not accept http-01: .*127\.0\.0\.1/,
  );
  assert.equal(await isFree(pebble.challengePort, '127.0.0.1'), true);
  assert.equal(await isFree(10_080, '127.0.0.9'), true);
});

test('a CA that is down is told of, and asked again by hand once it is up', async (t) => {
  const { pebble, front, sallyport } = await start(t, { names: { Mail: ['mail.example.com'] } });
  await issued(front);
  await pebble.stopCa();
  const down = await sallyport('acme', '--now');
  assert.equal(down.code, 1);
  assert.match(down.text, /ECONNREFUSED/);
  await shown(front);
  await pebble.startCa();
  const up = await sallyport('acme', '--now');
  assert.equal(up.code, 0, up.text);
  assert.doesNotMatch(up.text, /FAILED/);
});

test('an address that is taken fails the order with one clear error, and the mail service serves on', async (t) => {
  const taken = tls.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.once('listening', resolve));
  t.after(() => taken.close());
  const { port } = taken.address() as { port: number };
  const { front, sallyport } = await start(t, { listen: [`127.0.0.1:${port}`] });
  const failed = await event(front, 'acme-failed');
  assert.match(String(failed['cause']), new RegExp(`^cannot listen on 127\\.0\\.0\\.1:${port}: EADDRINUSE`));
  await shown(front);
  assert.match((await sallyport('status')).text, /FAILED 1 time.*EADDRINUSE/);
});

test('a CA that wants accounts bound to others gets the binding, and a wrong key is refused', async (t) => {
  const key = Buffer.from('a key of thirty-two octets, as is').toString('base64url');
  const keyFile = join(folder, 'eab.key');
  writeFileSync(keyFile, `${key}\n`, { mode: 0o600 });
  const bindings = { 'kid-1': key };
  const { pebble, front, sallyport, settings } = await start(
    t,
    { eab: { kid: 'kid-1', key: { file: keyFile } } },
    { bindings },
  );
  await issued(front);
  const { certificates } = settings as { certificates: { acme: object } };
  const wrong = { kid: 'kid-2', key: { file: keyFile } };
  // The CA forgets the account, so that the binding is asked for again.
  await pebble.stopCa();
  await pebble.startCa();
  front.writeSettings({
    ...settings,
    certificates: { ...certificates, acme: { ...certificates.acme, eab: wrong } },
  });
  assert.equal((await front.reload())['event'], 'reloaded');
  const refused = await sallyport('acme', '--now');
  assert.equal(refused.code, 1, refused.text);
  assert.doesNotMatch(refused.text, new RegExp(key));
});
