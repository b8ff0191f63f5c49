// OCSP stapling as an administrator looks at it: `openssl s_client -status` before a real front whose certificate names
// a responder; the answers are those of `openssl ocsp`.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { makeAuthority } from '../support/authority.ts';
import { startFront } from '../support/front.ts';
import { ocspAnswer, Responder } from '../support/ocsp.ts';
import { run } from '../support/program.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-ocsp-'));
const responder = await Responder.start();
const authority = makeAuthority(folder);
const names = ['mail.example.com', 'localhost'];
const good = authority.issue({ names, responder: responder.url });
const signer = authority.issue({ names: ['ocsp.example.com'], purpose: 'ocsp', keyType: 'rsa' });
responder.answer = ocspAnswer(authority, good, { signer });

const listen = ['127.0.0.1:0'];
const tls = (mode: string): Record<string, unknown> => ({ mode });
const settings = {
  hostname: 'mail.example.com',
  workers: 2,
  tls: { certificate: { cert: good.certFile, key: good.keyFile } },
  services: {
    imap: { protocol: 'imap', listen, tls: tls('musttls'), backend: 'stores', capabilities: ['IMAP4rev1'] },
    imaps: { protocol: 'imap', listen, tls: tls('implicit'), backend: 'stores', capabilities: ['IMAP4rev1'] },
    pop3: { protocol: 'pop3', listen, tls: tls('musttls'), backend: 'stores', capabilities: ['UIDL'] },
    smtp: { protocol: 'smtp', listen, channel: 'tcp_local', capabilities: ['8BITMIME'] },
    plain: {
      protocol: 'imap',
      listen,
      tls: { mode: 'implicit', stapling: false },
      backend: 'stores',
      capabilities: ['IMAP4rev1'],
    },
  },
  channels: { tcp_local: { keywords: 'smtp maytlsserver', relay: 'stores' } },
  backends: { stores: { servers: ['127.0.0.1:1'] } },
};
const front = await startFront({ folder: join(folder, 'front'), settings });
after(async () => {
  await front.stop();
  await responder.close();
  rmSync(folder, { recursive: true, force: true });
});

async function status(service: string, more: readonly string[] = []): Promise<string> {
  const starttls = ['imap', 'pop3', 'smtp'].includes(service) ? ['-starttls', service] : [];
  const args = ['s_client', '-connect', `127.0.0.1:${front.port(service)}`, '-servername', 'localhost'];
  const verify = ['-CAfile', authority.caFile, '-verify_return_error', '-status'];
  const { code, text } = await run('openssl', [...args, ...verify, ...starttls, ...more], { input: '' });
  assert.equal(code, 0, text);
  assert.match(text, /Verify return code: 0 \(ok\)/);
  return text;
}

async function stapledBy(worker: number): Promise<void> {
  await front.waitForLog((line) => line['event'] === 'ocsp-stapled' && line['worker'] === worker);
}

for (const service of ['imaps', 'imap', 'pop3', 'smtp']) {
  for (const version of ['-tls1_2', '-tls1_3']) {
    test(`openssl s_client -status ${version} sees a good status on ${service}`, async () => {
      await Promise.all([1, 2].map(stapledBy));
      const text = await status(service, [version]);
      assert.match(text, /OCSP Response Status: successful \(0x0\)/);
      assert.match(text, /Cert Status: good/);
      assert.match(text, new RegExp(`Serial Number: ${good.serial}`, 'i'));
    });
  }
}

test('openssl s_client -status sees none on a service without stapling', async () => {
  assert.match(await status('plain'), /OCSP response: no response sent/);
});

test('a reload keeps the status; another certificate gets its own; a responder that fails harms nobody', async () => {
  await Promise.all([1, 2].map(stapledBy));
  const asked = responder.asked.length;
  assert.equal((await front.reload())['event'], 'reloaded');
  assert.match(await status('imaps'), /OCSP Response Status: successful/);
  assert.equal(responder.asked.length, asked, 'nobody was asked again');

  const next = authority.issue({ names, responder: responder.url, keyType: 'rsa' });
  responder.answer = Buffer.from('garbage');
  front.writeSettings({ ...settings, tls: { certificate: { cert: next.certFile, key: next.keyFile } } });
  assert.equal((await front.reload())['event'], 'reloaded');
  await front.waitForLog((line) => line['event'] === 'ocsp-failed' && line['cause'] === 'malformed');
  for (const service of ['imaps', 'imap']) {
    assert.match(await status(service), /OCSP response: no response sent/);
  }
  responder.answer = ocspAnswer(authority, next, { signer });
  front.writeSettings({ ...settings, tls: { certificate: { cert: good.certFile, key: good.keyFile } } });
  await front.reload();
  front.writeSettings({ ...settings, tls: { certificate: { cert: next.certFile, key: next.keyFile } } });
  await front.reload();
  const serial = next.serial.toUpperCase();
  for (const worker of [1, 2]) {
    await front.waitForLog(
      (line) => line['event'] === 'ocsp-stapled' && line['serial'] === serial && line['worker'] === worker,
    );
  }
  assert.match(await status('imaps'), /OCSP Response Status: successful/);
});
