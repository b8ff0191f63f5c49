// openssl s_client, driven line by line: what an administrator types by hand. TLS 1.2 and 1.3, RSA and ECDSA.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { Dialogue } from '../support/dialogue.ts';
import { assertSameOctets, message, samples } from '../support/messages.ts';
import { converse, run } from '../support/program.ts';
import { anna, startSite, ways, type ServiceName } from '../support/site.ts';

const site = await startSite();
after(() => site.stop());
for (const { octets } of samples) site.dovecot.deliver(anna.user, octets);

const plain = Buffer.from(`\0${anna.user}\0${anna.password}`).toString('base64');

function argumentsFor(service: ServiceName, starttls: string | null): string[] {
  const verify = ['-CAfile', site.authority.caFile, '-verify_return_error', '-verify_hostname', 'localhost'];
  const upgrade = starttls === null ? [] : ['-starttls', starttls];
  return [
    's_client',
    '-connect',
    `localhost:${site.ports[service]}`,
    '-servername',
    'localhost',
    ...verify,
    ...upgrade,
  ];
}

/** With STARTTLS, s_client itself reads the greeting. */
function connect(service: ServiceName, starttls: string | null): Dialogue {
  return Dialogue.over(converse('openssl', [...argumentsFor(service, starttls), '-quiet']));
}

for (const [how, service] of ways.imap) {
  test(`openssl s_client reads every sample by IMAP over ${how}, octet for octet`, async () => {
    const starttls = service === 'imap' ? 'imap' : null;
    await using session = connect(service, starttls);
    if (starttls === null) await session.expect(/^\* OK /);
    await session.ask(`a AUTHENTICATE PLAIN ${plain}`, /^a OK /);
    await session.ask('b SELECT INBOX', /^b OK /);
    for (const [index, { name, octets }] of samples.entries()) {
      session.send(`c FETCH ${index + 1} BODY.PEEK[]`);
      const size = Number(/\{(\d+)\}$/.exec((await session.expect(/\{\d+\}$/)).at(-1) ?? '')?.[1]);
      assertSameOctets(Buffer.from(await session.octets(size), 'latin1'), octets, name);
      await session.expect(/^c OK /);
    }
    await session.ask('d LOGOUT', /^d OK /);
    await session.closed();
  });
}

for (const [how, service] of ways.pop3) {
  test(`openssl s_client reads a message by POP3 over ${how}`, async () => {
    const starttls = service === 'pop3' ? 'pop3' : null;
    await using session = connect(service, starttls);
    if (starttls === null) await session.expect(/^\+OK /);
    await session.ask(`USER ${anna.user}`, /^\+OK/);
    await session.ask(`PASS ${anna.password}`, /^\+OK/);
    await session.ask('RETR 1', /^\+OK/);
    const lines = await session.expect(/^\.$/);
    assert.equal(
      lines
        .slice(0, -1)
        .map((line) => `${line}\r\n`)
        .join(''),
      samples[0]!.octets.toString('latin1'),
    );
    await session.ask('QUIT', /^\+OK/);
    await session.closed();
  });
}

for (const [how, service] of ways.smtp) {
  test(`openssl s_client sends a message over ${how}`, async () => {
    const starttls = service === 'submission' ? 'smtp' : null;
    await using session = connect(service, starttls);
    if (starttls === null) await session.expect(/^220 /);
    await session.ask('EHLO client.example.com', /^250 /);
    await session.ask(`AUTH PLAIN ${plain}`, /^235 /);
    await session.ask(`MAIL FROM:<${anna.user}>`, /^250 /);
    await session.ask(`RCPT TO:<s-client-${service}@example.com>`, /^250 /);
    await session.ask('DATA', /^354 /);
    const octets = message(service, 'typed by hand\r\n');
    session.sendOctets(octets);
    await session.ask('.', /^250 /);
    await session.ask('QUIT', /^221 /);
    assertSameOctets((await site.arrived(`s-client-${service}@example.com`, 1))[0]?.message, octets, how);
  });
}

for (const version of ['-tls1_2', '-tls1_3']) {
  for (const [kind, algorithms] of [
    ['RSA', 'RSA-PSS+SHA256:RSA+SHA256'],
    ['ECDSA', 'ECDSA+SHA256'],
  ] as const) {
    test(`openssl s_client ${version} that takes only ${kind} gets a certificate with such a key`, async () => {
      const args = [...argumentsFor('imaps', null), version, '-sigalgs', algorithms, '-brief'];
      const { code, text } = await run('openssl', args, { input: 'a LOGOUT\r\n' });
      assert.equal(code, 0, text);
      assert.match(text, /Verification: OK/);
      assert.match(text, new RegExp(`Signature type: ${kind}`));
    });
  }
}

test('openssl s_client that trusts another CA breaks off', async () => {
  const args = ['s_client', '-connect', `localhost:${site.ports.imaps}`, '-verify_return_error', '-brief'];
  const { code, text } = await run('openssl', args, { input: 'a LOGOUT\r\n' });
  assert.equal(code, 1, text);
  assert.match(text, /certificate verify failed/);
});
