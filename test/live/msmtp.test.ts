// msmtp, the sendmail of machines without an MTA.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { assertSameOctets, samples, withLf } from '../support/messages.ts';
import { run, type Run } from '../support/program.ts';
import { anna, startSite, ways, type ServiceName } from '../support/site.ts';

const site = await startSite();
after(() => site.stop());

interface Sending {
  readonly service: ServiceName;
  readonly auth: string;
  readonly password: string;
  readonly to: readonly string[];
  readonly octets: Buffer;
}

async function msmtp({ service, auth, password, to, octets }: Sending): Promise<Run> {
  const configuration = `
defaults
tls on
tls_trust_file ${site.authority.caFile}
domain client.example.com
account front
host localhost
port ${site.ports[service]}
tls_starttls ${service === 'submission' ? 'on' : 'off'}
from ${anna.user}
auth ${auth}
user ${anna.user}
passwordeval cat ${site.folder}/msmtp-password
`;
  const file = join(site.folder, 'msmtprc');
  writeFileSync(file, configuration, { mode: 0o600 });
  writeFileSync(join(site.folder, 'msmtp-password'), password, { mode: 0o600 });
  return run('msmtp', ['-C', file, '-a', 'front', ...to], { input: withLf(octets) });
}

for (const [how, service] of ways.smtp) {
  test(`msmtp sends every sample over ${how}, octet for octet`, async () => {
    for (const [index, { name, octets }] of samples.entries()) {
      const to = `msmtp-${service}-${index}@example.com`;
      const { code, text } = await msmtp({
        service,
        auth: 'plain',
        password: anna.password,
        to: [to],
        octets,
      });
      assert.equal(code, 0, text);
      assertSameOctets((await site.arrived(to, 1))[0]?.message, octets, name);
    }
  });

  for (const auth of ['login', 'xoauth2', 'oauthbearer']) {
    test(`msmtp logs in with ${auth} over ${how}`, async () => {
      const to = `msmtp-${service}-${auth}@example.com`;
      const password = auth === 'login' ? anna.password : site.dovecot.token(anna.user);
      const { octets } = samples[0]!;
      const { code, text } = await msmtp({ service, auth, password, to: [to], octets });
      assert.equal(code, 0, text);
      assertSameOctets((await site.arrived(to, 1))[0]?.message, octets, auth);
    });
  }

  test(`msmtp shows over ${how} what Postfix says of a wrong password`, async () => {
    const { octets } = samples[0]!;
    const { code, text } = await msmtp({
      service,
      auth: 'plain',
      password: 'wrong',
      to: ['x@example.com'],
      octets,
    });
    assert.equal(code, 77, text); // EX_NOPERM
    assert.match(text, /535 5\.7\.8 Error: authentication failed/);
  });
}
