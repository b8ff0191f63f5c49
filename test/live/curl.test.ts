// curl (Debian's, OpenSSL) reads by IMAP and POP3, appends by IMAP and sends by SMTP, through the front.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { assertSameOctets, message, samples } from '../support/messages.ts';
import { run, type Run } from '../support/program.ts';
import { anna, bob, startSite, ways } from '../support/site.ts';

const site = await startSite();
after(() => site.stop());
for (const { octets } of samples) site.dovecot.deliver(anna.user, octets);

async function curl(args: readonly string[], login: { user: string; password: string } = anna): Promise<Run> {
  const common = [
    '--silent',
    '--show-error',
    '--cacert',
    site.authority.caFile,
    '--ssl-reqd',
    '--max-time',
    '30',
  ];
  const result = await run('curl', [...common, '--user', `${login.user}:${login.password}`, ...args]);
  assert.equal(result.code, 0, result.text);
  return result;
}

function file(octets: Buffer): string {
  const path = join(site.folder, 'curl-upload');
  writeFileSync(path, octets);
  return path;
}

for (const [how, service] of ways.imap) {
  for (const [index, { name, octets }] of samples.entries()) {
    test(`curl reads ${name} by IMAP over ${how}, octet for octet`, async () => {
      const url = `${service}://localhost:${site.ports[service]}/INBOX;MAILINDEX=${index + 1}`;
      const { stdout } = await curl([url]);
      assertSameOctets(stdout, octets, name);
    });
  }

  test(`curl appends by IMAP over ${how} what Dovecot then holds, octet for octet`, async () => {
    for (const { name, octets } of samples) {
      await curl(['--upload-file', file(octets), `${service}://localhost:${site.ports[service]}/INBOX`], bob);
      assertSameOctets(site.dovecot.messages(bob.user).at(-1), octets, name);
    }
  });

  test(`curl logs in by IMAP over ${how} with a token (OAUTHBEARER)`, async () => {
    const url = `${service}://localhost:${site.ports[service]}/INBOX;MAILINDEX=1`;
    const { stdout } = await curl([url, '--oauth2-bearer', site.dovecot.token(anna.user)]);
    assertSameOctets(stdout, samples[0]!.octets, 'by token');
  });

  for (const mechanism of ['PLAIN', 'LOGIN']) {
    test(`curl logs in by IMAP over ${how} with AUTH=${mechanism} and a password full of quotes`, async () => {
      const url = `${service}://localhost:${site.ports[service]}/`;
      const { stdout } = await curl([url, '--login-options', `AUTH=${mechanism}`, '-X', 'NOOP'], bob);
      assert.equal(stdout.length, 0);
    });
  }
}

for (const [how, service] of ways.pop3) {
  for (const [index, { name, octets }] of samples.entries()) {
    test(`curl reads ${name} by POP3 over ${how}, octet for octet`, async () => {
      const { stdout } = await curl([`${service}://localhost:${site.ports[service]}/${index + 1}`]);
      assertSameOctets(stdout, octets, name);
    });
  }

  test(`curl logs in by POP3 over ${how} with a token (XOAUTH2 or OAUTHBEARER)`, async () => {
    const url = `${service}://localhost:${site.ports[service]}/1`;
    const { stdout } = await curl([url, '--oauth2-bearer', site.dovecot.token(anna.user)]);
    assertSameOctets(stdout, samples[0]!.octets, 'by token');
  });
}

for (const [how, service] of ways.smtp) {
  const url = (): string =>
    `${service === 'submissions' ? 'smtps' : 'smtp'}://localhost:${site.ports[service]}/client.example.com`;

  for (const [index, { name, octets }] of samples.entries()) {
    test(`curl sends ${name} over ${how}, octet for octet`, async () => {
      const to = `curl-${service}-${index}@example.com`;
      const envelope = ['--mail-from', anna.user, '--mail-rcpt', to];
      await curl([...envelope, '--upload-file', file(octets), url()]);
      assertSameOctets((await site.arrived(to, 1))[0]?.message, octets, name);
    });
  }

  test(`curl sends to several recipients over ${how} with a token`, async () => {
    const recipients = [1, 2, 3].map((n) => `curl-${service}-many-${n}@example.com`);
    const octets = message('many', 'to three\r\n');
    const envelope = ['--mail-from', anna.user, ...recipients.flatMap((to) => ['--mail-rcpt', to])];
    const token = ['--oauth2-bearer', site.dovecot.token(anna.user)];
    await curl([...envelope, ...token, '--upload-file', file(octets), url()]);
    for (const to of recipients) assertSameOctets((await site.arrived(to, 1))[0]?.message, octets, to);
  });
}
