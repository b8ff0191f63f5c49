// A real Dovecot that takes only clients with a certificate, that is known by the SHA-256 of its own, and in which an
// administrator logs in for users; and drains by the command line.

import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { makeAuthority } from '../support/authority.ts';
import { Dialogue } from '../support/dialogue.ts';
import { startDovecot } from '../support/dovecot.ts';
import { startFront } from '../support/front.ts';
import { run } from '../support/program.ts';

const user = 'anna@example.com';
const password = 'open sesame';
const folder = mkdtempSync(join(tmpdir(), 'sallyport-trust-'));
const authority = makeAuthority(folder);
const users = { [user]: password };

const masters = join(folder, 'masters');
writeFileSync(masters, 'mmpstore:{PLAIN}admin secret\n', { mode: 0o644 });
const store = await startDovecot({
  folder: join(folder, 'store'),
  users,
  authority,
  extra: `passdb {\n  driver = passwd-file\n  args = ${masters}\n  master = yes\n  result_success = continue\n}`,
});
const strict = await startDovecot({
  folder: join(folder, 'strict'),
  users,
  authority,
  extra: `ssl_ca = <${authority.caFile}\nssl_verify_client_cert = yes\nauth_ssl_require_client_cert = yes\nssl_require_crl = no`,
});

const shown = authority.issue({ names: ['localhost', 'front.internal'], file: 'front' });
const adminSecret = join(folder, 'storeadmin.secret');
writeFileSync(adminSecret, 'admin secret\n', { mode: 0o600 });
const pin = createHash('sha256').update(new X509Certificate(store.certificate).raw).digest('hex');
const keyPin = createHash('sha256')
  .update(new X509Certificate(store.certificate).publicKey.export({ type: 'spki', format: 'der' }))
  .digest('base64');
const trusted = { mode: 'musttls', ca: authority.caFile, name: 'localhost' };
const ours = { cert: shown.certFile, key: shown.keyFile };
const at = (port: number) => [`127.0.0.1:${port}`];
const service = (backend: string, protocol = 'imap', more = {}) => ({
  protocol,
  listen: ['127.0.0.1:0'],
  tls: 'implicit',
  backend,
  ...more,
});
const byAdmin = { login: 'proxy', admin: { user: 'mmpstore', passwordFile: adminSecret } };
const front = await startFront({
  folder: join(folder, 'front'),
  settings: {
    hostname: 'mail.example.com',
    workers: 1,
    tls: { certificate: ours },
    services: {
      pinned: service('pinned'),
      keyed: service('keyed'),
      mispinned: service('mispinned'),
      certified: service('certified'),
      bare: service('bare'),
      imap: service('administered', 'imap', { verify: { store: 'pinned' } }),
      pop3: service('popadministered', 'pop3', { verify: { store: 'certified' } }),
    },
    backends: {
      pinned: { servers: at(store.imapPort), tls: { mode: 'musttls', pin: `sha256:${pin}` } },
      keyed: { servers: at(store.imapsPort), tls: { mode: 'implicit', pin: keyPin } },
      mispinned: { servers: at(store.imapPort), tls: { ...trusted, pin: '00'.repeat(32) } },
      certified: { servers: at(strict.imapPort), tls: { ...trusted, certificate: ours } },
      bare: { servers: at(strict.imapPort), tls: trusted },
      administered: { servers: at(store.imapPort), tls: trusted, ...byAdmin },
      popadministered: { servers: at(store.pop3Port), tls: trusted, ...byAdmin },
    },
  },
});
after(async () => {
  await front.stop();
  await Promise.all([store.stop(), strict.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

async function answerOf(name: string, secret = password): Promise<string> {
  await using session = await Dialogue.connectTls({ port: front.port(name), ca: authority.ca });
  await session.expect(/^\* OK /);
  return (await session.ask(`a LOGIN ${user} "${secret}"`, /^a /)).at(-1) ?? '';
}

test('a store is known by its certificate or by its key, without a CA', async () => {
  assert.match(await answerOf('pinned'), /^a OK/);
  assert.match(await answerOf('keyed'), /^a OK/);
  assert.match(await answerOf('pinned'), /^a OK/, 'with a session that is resumed too');
});

test('another pin keeps everybody out, though CA and name are right', async () => {
  assert.match(await answerOf('mispinned'), /^a NO \[UNAVAILABLE\]/);
  const line = await front.waitForLog((entry) => entry['code'] === 'BACKEND_TLS_FAILED');
  assert.match(String(line['cause']), new RegExp(pin), 'the log says what was shown');
});

test('a store that wants our certificate gets it, and without it lets nobody in', async () => {
  for (let times = 0; times < 3; times++) assert.match(await answerOf('certified'), /^a OK/);
  assert.match(await answerOf('bare'), /^a NO/);
});

test('imap: an administrator logs in for a user whose password a store has confirmed', async () => {
  assert.match(await answerOf('imap'), /^a OK/);
  assert.match(store.logText(), /Master user logging in as anna@example\.com/);
  assert.match(await answerOf('imap', 'guess'), /^a NO \[AUTHENTICATIONFAILED\]/);
});

test('pop3: the same, with a store behind mTLS to confirm it', async () => {
  await using session = await Dialogue.connectTls({ port: front.port('pop3'), ca: authority.ca });
  await session.expect(/^\+OK/);
  await session.ask(`USER ${user}`, /^\+OK/);
  await session.ask('PASS guess', /^-ERR \[AUTH\]/);
  await session.ask(`USER ${user}`, /^\+OK/);
  await session.ask(`PASS ${password}`, /^\+OK/);
  await session.ask('QUIT', /^\+OK/);
});

const sallyport = (...args: string[]) =>
  run(process.execPath, ['src/main.ts', ...args, '--config', front.settingsFile]);

test('sallyport backend drains a server and takes it up again, over a reload', async () => {
  const server = `127.0.0.1:${store.imapPort}`;
  const drained = await sallyport('backend', 'pinned', 'drain', server);
  assert.deepEqual(
    [drained.code, drained.text.trim()],
    [0, `backend pinned (roundRobin): ${server} drained, 0 connections`],
  );
  assert.match(await answerOf('pinned'), /^a NO \[UNAVAILABLE\]/);
  assert.match(await answerOf('keyed'), /^a OK/);
  await front.reload();
  assert.match(await answerOf('pinned'), /^a NO \[UNAVAILABLE\]/);
  assert.match((await sallyport('status')).text, /backend pinned \(roundRobin\): \S+ drained/);
  assert.equal((await sallyport('backend', 'pinned', 'up')).code, 0);
  assert.match(await answerOf('pinned'), /^a OK/);
  assert.match((await sallyport('backend', 'pinned')).text, /: \S+ up, /);
});

test('what sallyport backend is asked wrongly it refuses with what there is', async () => {
  const nobody = await sallyport('backend', 'nobody');
  assert.equal(nobody.code, 1);
  assert.match(nobody.text, /pinned, keyed/);
  assert.equal((await sallyport('backend')).code, 64);
  assert.equal((await sallyport('backend', 'pinned', 'explode')).code, 1);
});
