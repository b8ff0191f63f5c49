// Mail goes on through the front, by SMTP and by new TLS connections, while its self-signed certificate is
// renewed by the tool: the new one is shown within seconds, and nobody notices anything else.

import assert from 'node:assert/strict';
import { dirname, join, resolve } from 'node:path';
import { after, test } from 'node:test';
import tls from 'node:tls';

import { startMailLoad } from '../support/mail-load.ts';
import { run, until } from '../support/program.ts';
import { startSite } from '../support/site.ts';

const MAIN = resolve(import.meta.dirname, '../../src/main.ts');
const WATCH_SECONDS = 1;

const site = await startSite({
  adjust: (settings) => ({
    ...settings,
    certificates: { watch: WATCH_SECONDS },
    tls: { certificate: 'Server-Cert' },
  }),
});
after(() => site.stop());

/** One TLS connection to the IMAP service, as far as the greeting. */
async function visit(): Promise<{ serial: string; greeting: string }> {
  const socket = tls.connect({ port: site.ports.imaps, host: '127.0.0.1', rejectUnauthorized: false });
  try {
    const greeting = await new Promise<string>((done, failed) => {
      socket.once('data', (chunk: Buffer) => done(chunk.toString('latin1')));
      socket.once('error', failed);
      socket.once('close', () => failed(new Error('closed without a greeting')));
    });
    return { serial: socket.getPeerCertificate().serialNumber, greeting };
  } finally {
    socket.destroy();
  }
}

test('renew-selfsign-cert under load: the new certificate within seconds, nothing refused, nothing cut', async (t) => {
  const load = startMailLoad({
    port: site.ports.smtp,
    recipient: 'renewed@example.com',
    senders: 6,
    attemptsMax: 2000,
  });
  await load.reached(10);
  const { serial: old } = await visit();
  const visits: string[] = [];
  const failures: string[] = [];
  let going = true;
  t.after(async () => {
    going = false;
    await load.stop();
  });
  const visitor = (async () => {
    while (going) {
      await visit().then(
        ({ serial, greeting }) => {
          visits.push(serial);
          if (!greeting.startsWith('* OK ')) failures.push(greeting);
        },
        (error: unknown) => failures.push(String(error)),
      );
    }
  })();
  const args = [MAIN, 'cert', 'renew-selfsign-cert', 'Server-Cert', '--config', site.front.settingsFile];
  const renewed = await run(process.execPath, [
    ...args,
    '-W',
    join(dirname(site.front.settingsFile), 'sslpassword.conf'),
  ]);
  assert.equal(renewed.code, 0, renewed.text);
  await until(
    () => visits.at(-1) !== undefined && visits.at(-1) !== old,
    10_000,
    () => `still the old certificate after ${visits.length} visits`,
  );
  await load.reached(60);
  going = false;
  await visitor;
  const book = await load.stop();
  assert.deepEqual(failures, []);
  assert.deepEqual(
    { refused: book.refused, turnedAway: book.turnedAway, cut: book.cut },
    { refused: 0, turnedAway: 0, cut: [] },
  );
  const changed = visits.findIndex((serial) => serial !== old);
  assert.ok(changed >= 0);
  assert.ok(
    visits.slice(changed + 20).every((serial) => serial !== old),
    'workers that show the old certificate long after others show the new one',
  );
  const arrived = await site.arrived('renewed@example.com', book.accepted.length);
  assert.ok(arrived.length >= book.accepted.length);
});
