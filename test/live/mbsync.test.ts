// isync's mbsync pulls a mailbox into a maildir and pushes another one up: many commands in flight, big literals.

import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { assertSameOctets, samples, withCrlf, withLf } from '../support/messages.ts';
import { run } from '../support/program.ts';
import { anna, bob, startSite, ways } from '../support/site.ts';

const site = await startSite();
after(() => site.stop());
for (const { octets } of samples) site.dovecot.deliver(anna.user, octets);

interface Sync {
  readonly service: 'imap' | 'imaps';
  readonly login: { user: string; password: string };
  readonly direction: 'Pull' | 'Push';
  readonly folder: string;
}

async function mbsync({ service, login, direction, folder }: Sync): Promise<void> {
  for (const part of ['state', 'local/inbox/new', 'local/inbox/cur', 'local/inbox/tmp']) {
    mkdirSync(join(folder, part), { recursive: true });
  }
  const configuration = `
IMAPAccount front
Host localhost
Port ${site.ports[service]}
User ${login.user}
PassCmd "cat ${folder}/password"
SSLType ${service === 'imap' ? 'STARTTLS' : 'IMAPS'}
CertificateFile ${site.authority.caFile}
SystemCertificates no

IMAPStore far
Account front

MaildirStore near
Path ${folder}/local/
Inbox ${folder}/local/inbox
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns INBOX
Sync ${direction}
Create Both
SyncState ${folder}/state/
CopyArrivalDate yes
`;
  writeFileSync(join(folder, 'mbsyncrc'), configuration);
  writeFileSync(join(folder, 'password'), login.password, { mode: 0o600 });
  const { code, text } = await run('mbsync', ['-c', join(folder, 'mbsyncrc'), '-V', 'all']);
  assert.equal(code, 0, text);
}

/** Found by its Message-ID, line ends as on the wire, without the tag that mbsync puts in to find its own message. */
function find(messages: readonly Buffer[], octets: Buffer): Buffer | undefined {
  const id = /^Message-ID: .*$/m.exec(octets.toString('latin1'))?.[0] ?? '';
  const found = messages.find((message) => message.includes(id));
  return (
    found &&
    Buffer.from(
      withCrlf(found)
        .toString('latin1')
        .replace(/^X-TUID: .*\r\n/m, ''),
      'latin1',
    )
  );
}

for (const [how, service] of ways.imap) {
  test(`mbsync pulls every sample over ${how}, octet for octet`, async () => {
    const folder = join(site.folder, `pull-${service}`);
    await mbsync({ service, login: anna, direction: 'Pull', folder });
    const inbox = join(folder, 'local/inbox');
    const messages = ['new', 'cur'].flatMap((part) =>
      readdirSync(join(inbox, part)).map((name) => readFileSync(join(inbox, part, name))),
    );
    assert.equal(messages.length, samples.length);
    for (const { name, octets } of samples) assertSameOctets(find(messages, octets), octets, name);
  });

  test(`mbsync pushes every sample over ${how}, octet for octet`, async () => {
    const folder = join(site.folder, `push-${service}`);
    mkdirSync(join(folder, 'local/inbox/cur'), { recursive: true });
    for (const [index, { octets }] of samples.entries()) {
      writeFileSync(
        join(folder, 'local/inbox/cur', `${1_700_000_000 + index}.${index}.host:2,S`),
        withLf(octets),
      );
    }
    const before = site.dovecot.messages(bob.user).length;
    await mbsync({ service, login: bob, direction: 'Push', folder });
    const pushed = site.dovecot.messages(bob.user).slice(before);
    assert.equal(pushed.length, samples.length);
    for (const { name, octets } of samples) assertSameOctets(find(pushed, octets), octets, name);
  });
}
