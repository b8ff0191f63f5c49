// A real Dovecot that is stopped: Python's poplib reads our notice in its place, it changes without a signal
// when its file does, and when the store is back so is the mailbox.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { run, until } from '../support/program.ts';
import { anna, startSite } from '../support/site.ts';

const notice = (text: string): string => `From: postmaster@example.com\nSubject: ${text}\n\n${text}.\n`;
const site = await startSite({
  adjust: (settings) => {
    const services = settings['services'] as Record<string, Record<string, unknown>>;
    return {
      ...settings,
      certificates: { watch: 0.2 },
      services: { ...services, pop3s: { ...services['pop3s'], spoof: { when: 'unreachable' } } },
    };
  },
});
after(() => site.stop());

const message = join(site.folder, 'away.eml');
const CLIENT = `
import poplib, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
box = poplib.POP3_SSL('localhost', int(sys.argv[1]), context=context)
box.user(sys.argv[3]); box.pass_(sys.argv[4])
count = box.stat()[0]
ids = box.uidl()[1]
lines = [line.decode() for line in box.retr(1)[1]] if count else []
if count: assert [line.decode() for line in box.top(1, 0)[1]][:2] == lines[:2]; box.dele(1)
box.quit()
print(count, ids, [line for line in lines if line.startswith('Subject')])
`;

async function read(password = anna.password): Promise<string> {
  const authority = join(site.folder, 'reader-ca.pem');
  writeFileSync(authority, site.authority.ca);
  const port = String(site.ports.pop3s);
  const { text } = await run('python3', ['-c', CLIENT, port, authority, anna.user, password]);
  return text.trim();
}

test('the mailbox, then nothing, then a notice that changes with its file, then the mailbox again', async () => {
  site.dovecot.deliver(anna.user, Buffer.from(notice('real mail').replaceAll('\n', '\r\n')));
  assert.match(await read(), /^1 .*'Subject: real mail'/);
  site.dovecot.deliver(anna.user, Buffer.from(notice('more mail').replaceAll('\n', '\r\n')));
  await site.dovecot.stop();
  assert.equal(await read(), '0 [] []', 'no message is set');
  const services = site.settings['services'] as Record<string, Record<string, unknown>>;
  writeFileSync(message, notice('away'));
  const spoof = { message, when: ['unreachable'] };
  site.front.writeSettings({
    ...site.settings,
    services: { ...services, pop3s: { ...services['pop3s'], spoof } },
  });
  assert.equal((await site.front.reload())['event'], 'reloaded');
  const first = await read();
  assert.match(first, /^1 \[b'1 [0-9a-f]{32}'\] \['Subject: away'\]$/);
  assert.equal(await read(), first, 'deleted, and there again under the same UIDL');
  writeFileSync(message, notice('still away'));
  await until(
    async () => (await read()).includes('still away'),
    10_000,
    () => 'the new notice is not shown',
  );
  await site.dovecot.restart();
  await until(
    async () => (await read()).includes('more mail'),
    60_000,
    () => 'the store is not reached again',
  );
});

test('a wrong password at a store that is there is a wrong password', async () => {
  assert.match(await read('guess'), /error_proto.*AUTH/s);
});
