// Python's own imaplib, poplib and smtplib, one script a protocol, told what to do by their arguments.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { assertSameOctets, samples } from '../support/messages.ts';
import { run } from '../support/program.ts';
import { anna, bob, startSite, ways } from '../support/site.ts';

const site = await startSite();
after(() => site.stop());
for (const { octets } of samples) site.dovecot.deliver(anna.user, octets);

const preamble = `
import imaplib, poplib, smtplib, ssl, sys
way, port, ca, user, password, *rest = sys.argv[1:]
port = int(port)
poplib._MAXLINE = 4096
context = ssl.create_default_context(cafile=ca)
out = sys.stdout.buffer
`;

const imap = `${preamble}
if way == 'implicit TLS':
    session = imaplib.IMAP4_SSL('localhost', port, ssl_context=context)
else:
    session = imaplib.IMAP4('localhost', port)
    session.starttls(context)
session.login(user, password)
session.select()
if rest[0] == 'read':
    out.write(session.fetch(rest[1], '(RFC822)')[1][0][1])
else:
    print(session.append('INBOX', None, None, sys.stdin.buffer.read())[0])
session.logout()
`;

const pop3 = `${preamble}
if way == 'implicit TLS':
    session = poplib.POP3_SSL('localhost', port, context=context)
else:
    session = poplib.POP3('localhost', port)
    session.stls(context)
session.user(user)
session.pass_(password)
for line in session.retr(int(rest[1]))[1]:
    out.write(line + b'\\r\\n')
session.quit()
`;

const smtp = `${preamble}
if way == 'implicit TLS':
    session = smtplib.SMTP_SSL('localhost', port, context=context)
else:
    session = smtplib.SMTP('localhost', port)
    session.starttls(context=context)
session.login(user, password)
session.sendmail('anna@example.com', rest[1:], sys.stdin.buffer.read(), ['BODY=8BITMIME'])
session.quit()
`;

interface Call {
  readonly script: string;
  readonly how: string;
  readonly port: number;
  readonly login?: { user: string; password: string };
  readonly rest: readonly string[];
  readonly input?: Buffer;
}

async function python(call: Call): Promise<Buffer> {
  const { user, password } = call.login ?? anna;
  const args = [
    '-c',
    call.script,
    call.how,
    String(call.port),
    site.authority.caFile,
    user,
    password,
    ...call.rest,
  ];
  const result = await run('/usr/bin/python3', args, call.input === undefined ? {} : { input: call.input });
  assert.equal(result.code, 0, result.text);
  return result.stdout;
}

for (const [how, service] of ways.imap) {
  test(`Python's imaplib reads every sample over ${how}, octet for octet`, async () => {
    for (const [index, { name, octets }] of samples.entries()) {
      const rest = ['read', String(index + 1)];
      assertSameOctets(await python({ script: imap, how, port: site.ports[service], rest }), octets, name);
    }
  });

  test(`Python's imaplib appends over ${how} what Dovecot then holds, octet for octet`, async () => {
    for (const { name, octets } of samples) {
      const rest = ['append'];
      const said = await python({
        script: imap,
        how,
        port: site.ports[service],
        login: bob,
        rest,
        input: octets,
      });
      assert.equal(said.toString().trim(), 'OK');
      assertSameOctets(site.dovecot.messages(bob.user).at(-1), octets, name);
    }
  });
}

for (const [how, service] of ways.pop3) {
  test(`Python's poplib reads every sample over ${how}, octet for octet`, async () => {
    for (const [index, { name, octets }] of samples.entries()) {
      const rest = ['read', String(index + 1)];
      assertSameOctets(await python({ script: pop3, how, port: site.ports[service], rest }), octets, name);
    }
  });
}

for (const [how, service] of ways.smtp) {
  test(`Python's smtplib sends every sample over ${how}, octet for octet`, async () => {
    for (const [index, { name, octets }] of samples.entries()) {
      const to = `python-${service}-${index}@example.com`;
      await python({ script: smtp, how, port: site.ports[service], rest: ['send', to], input: octets });
      assertSameOctets((await site.arrived(to, 1))[0]?.message, octets, name);
    }
  });
}
