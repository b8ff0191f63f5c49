// swaks, the administrator's SMTP probe: verified TLS, each login mechanism, pipelining, and what the log says then.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { assertSameOctets, message, samples } from '../support/messages.ts';
import { run, type Run } from '../support/program.ts';
import { anna, bob, startSite, ways, type ServiceName } from '../support/site.ts';

const site = await startSite();
after(() => site.stop());

function swaks(service: ServiceName, args: readonly string[]): Promise<Run> {
  const tls = service === 'submissions' ? '--tls-on-connect' : '--tls';
  const verify = ['--tls-verify', '--tls-ca-path', site.authority.caFile, '--tls-sni', 'localhost'];
  const server = [
    '--server',
    'localhost',
    '--port',
    String(site.ports[service]),
    '--helo',
    'client.example.com',
  ];
  return run('swaks', [...server, tls, ...verify, '--from', anna.user, '--timeout', '20', ...args]);
}

/** The data as it is to be sent: swaks' own repairs would change what it is here to show. */
function data(octets: Buffer): string[] {
  const file = join(site.folder, 'swaks-data');
  const stuffed = octets.toString('latin1').replaceAll(/^\./gm, '..');
  writeFileSync(file, Buffer.from(`${stuffed}.\r\n`, 'latin1'));
  return ['--no-data-fixup', '--data', `@${file}`];
}

function login(mechanism: string, { user, password } = anna): string[] {
  return ['--auth', mechanism, '--auth-user', user, '--auth-password', password];
}

for (const [how, service] of ways.smtp) {
  test(`swaks sends every sample over ${how}, octet for octet`, async () => {
    for (const [index, { name, octets }] of samples.entries()) {
      const to = `swaks-${service}-${index}@example.com`;
      const { code, text } = await swaks(service, [
        ...login('PLAIN'),
        '--to',
        to,
        ...data(octets),
        '--silent',
        '3',
      ]);
      assert.equal(code, 0, text);
      assertSameOctets((await site.arrived(to, 1))[0]?.message, octets, name);
    }
  });

  for (const mechanism of ['PLAIN', 'LOGIN']) {
    test(`swaks logs in with AUTH ${mechanism} over ${how} with a password full of quotes`, async () => {
      const { code, text } = await swaks(service, [...login(mechanism, bob), '--quit-after', 'AUTH']);
      assert.equal(code, 0, text);
      assert.match(text, /~> AUTH/);
    });
  }

  test(`swaks pipelines MAIL, RCPT and DATA over ${how}`, async () => {
    const to = [1, 2, 3].map((n) => `swaks-${service}-pipe-${n}@example.com`);
    const octets = message(`pipe-${service}`, 'all at once\r\n');
    const pipelined = ['--pipeline', '--to', to.join(','), ...data(octets)];
    const { code, text } = await swaks(service, [...login('PLAIN'), ...pipelined]);
    assert.equal(code, 0, text);
    for (const one of to) assertSameOctets((await site.arrived(one, 1))[0]?.message, octets, one);
  });
}

test('swaks without a login gets no further than MAIL on the submission port', async () => {
  const { code, text } = await swaks('submission', ['--to', 'x@example.com']);
  assert.equal(code, 23, text); // swaks: MAIL was refused
  assert.match(text, /<~\* 530 5\.7\.0/);
});

test('swaks without TLS is told on the submission port to start it', async () => {
  const args = ['--server', '127.0.0.1', '--port', String(site.ports.submission), '--from', anna.user];
  const { code, text } = await run('swaks', [
    ...args,
    '--to',
    'x@example.com',
    '--helo',
    'client.example.com',
  ]);
  assert.equal(code, 23, text);
  assert.match(text, /<\*\* 530 5\.7\.0/);
});

test('swaks without a login delivers to a local mailbox on the MX port, and relays nowhere', async () => {
  const octets = message('mx', 'from outside\r\n');
  const inward = await swaks('smtp', ['--to', 'swaks-mx@example.com', ...data(octets)]);
  assert.equal(inward.code, 0, inward.text);
  assertSameOctets((await site.arrived('swaks-mx@example.com', 1))[0]?.message, octets, 'inward');
  const outward = await swaks('smtp', ['--to', 'somebody@elsewhere.example']);
  assert.equal(outward.code, 24, outward.text); // swaks: no RCPT was taken
  assert.match(outward.text, /<~\* 554 5\.7\.1 .*Relay access denied/);
});
