// fetchmail collects a mailbox by IMAP and by POP3 and hands each message to a program.

import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { assertSameOctets, samples, withCrlf } from '../support/messages.ts';
import { run } from '../support/program.ts';
import { anna, startSite, ways, type ServiceName } from '../support/site.ts';

const site = await startSite();
after(() => site.stop());
for (const { octets } of samples) site.dovecot.deliver(anna.user, octets);

async function fetchmail(service: ServiceName, protocol: 'IMAP' | 'POP3'): Promise<Buffer[]> {
  const folder = join(site.folder, `fetchmail-${service}`);
  mkdirSync(join(folder, 'mail'), { recursive: true });
  const tls = service === 'imaps' || service === 'pop3s' ? 'ssl' : "sslproto 'TLS1.2+'";
  const settings = `
set invisible
poll localhost protocol ${protocol} port ${site.ports[service]} auth password
  user '${anna.user}' password '${anna.password}' keep fetchall no rewrite pass8bits
  ${tls} sslcertck sslcertfile '${site.authority.caFile}'
  mda '${folder}/keep'
`;
  writeFileSync(join(folder, 'rc'), settings, { mode: 0o600 });
  writeFileSync(join(folder, 'keep'), `#!/bin/sh\ncat > "${folder}/mail/$$"\n`, { mode: 0o700 });
  const env = { FETCHMAILHOME: folder, HOME: folder };
  const { code, text } = await run(
    'fetchmail',
    ['-f', join(folder, 'rc'), '--nosyslog', '--nodetach', '-v'],
    { env },
  );
  assert.equal(code, 0, text);
  return readdirSync(join(folder, 'mail')).map((name) => readFileSync(join(folder, 'mail', name)));
}

function find(messages: readonly Buffer[], octets: Buffer): Buffer | undefined {
  const id = /^Message-ID: .*$/m.exec(octets.toString('latin1'))?.[0] ?? '';
  const found = messages.find((message) => message.includes(id));
  return found && withCrlf(found);
}

for (const protocol of ['imap', 'pop3'] as const) {
  for (const [how, service] of ways[protocol]) {
    test(`fetchmail collects every sample by ${protocol.toUpperCase()} over ${how}, octet for octet`, async () => {
      const messages = await fetchmail(service, protocol === 'imap' ? 'IMAP' : 'POP3');
      assert.equal(messages.length, samples.length);
      for (const { name, octets } of samples) assertSameOctets(find(messages, octets), octets, name);
    });
  }
}
