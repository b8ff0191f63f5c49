// With Dovecot and Postfix stopped, each client is told so in its own protocol's words; when they are back, so is
// the service, without anything being done to the front.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { Dialogue } from '../support/dialogue.ts';
import { anna, startSite, type ServiceName } from '../support/site.ts';

const site = await startSite();
after(() => site.stop());

function connect(service: ServiceName): Promise<Dialogue> {
  return Dialogue.connectTls({ port: site.ports[service], ca: site.authority.ca });
}

const plain = Buffer.from(`\0${anna.user}\0${anna.password}`).toString('base64');

test('a login while Dovecot is up works', async () => {
  await using session = await connect('imaps');
  await session.expect(/^\* OK /);
  await session.ask(`a LOGIN ${anna.user} "${anna.password}"`, /^a OK /);
  await session.ask('b LOGOUT', /^b OK /);
});

test('an IMAP session that is open when Dovecot stops is closed, not left hanging', async () => {
  await using session = await connect('imaps');
  await session.expect(/^\* OK /);
  await session.ask(`a LOGIN ${anna.user} "${anna.password}"`, /^a OK /);
  await site.dovecot.stop();
  await session.closed();
});

test('an IMAP login without Dovecot is answered NO [UNAVAILABLE]', async () => {
  await using session = await connect('imaps');
  await session.expect(/^\* OK /);
  const lines = await session.ask(`a LOGIN ${anna.user} "${anna.password}"`, /^a /);
  assert.match(lines.at(-1) ?? '', /^a NO \[UNAVAILABLE\] .*out of service/);
});

test('a POP3 login without Dovecot is answered -ERR [SYS/TEMP]', async () => {
  await using session = await connect('pop3s');
  await session.expect(/^\+OK/);
  await session.ask(`USER ${anna.user}`, /^\+OK/);
  const [answer] = await session.ask(`PASS ${anna.password}`, /^[-+]/);
  assert.match(answer ?? '', /^-ERR \[SYS\/TEMP\] .*out of service/);
});

test('SMTP without Postfix is answered 421 4.4.1', async () => {
  await site.postfix.stop();
  await using session = await connect('submissions');
  const greeting = await session.line();
  if (greeting.startsWith('220 ')) {
    await session.ask('EHLO client.example.com', /^250 |^421 4\.4\.1 /);
    await session.ask(`AUTH PLAIN ${plain}`, /^421 4\.4\.1 .*out of service/);
  } else {
    assert.match(greeting, /^421 4\.4\.1 /);
  }
  await session.closed();
});

test('the log names the backend that was down, with the code of the error table', async () => {
  const line = await site.front.waitForLog((entry) => entry['code'] === 'BACKEND_UNREACHABLE');
  assert.match(JSON.stringify(line), /127\.0\.0\.1/);
});

test('when Dovecot and Postfix are back, so is the service', async () => {
  await site.dovecot.restart();
  await site.postfix.restart();
  await using imap = await connect('imaps');
  await imap.expect(/^\* OK /);
  await imap.ask(`a LOGIN ${anna.user} "${anna.password}"`, /^a OK /);
  await imap.ask('b LOGOUT', /^b OK /);
  await using smtp = await connect('submissions');
  await smtp.expect(/^220 /);
  await smtp.ask('EHLO client.example.com', /^250 /);
  await smtp.ask(`AUTH PLAIN ${plain}`, /^235 /);
  await smtp.ask('QUIT', /^221 /);
});
