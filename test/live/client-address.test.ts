// Dovecot and Postfix learn who the client really is: the address it came from, not the front's.
// The client comes from 127.0.0.23; the front listens on 127.0.0.1 and dials from there.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { Dialogue } from '../support/dialogue.ts';
import { message } from '../support/messages.ts';
import { until } from '../support/program.ts';
import { anna, startSite, type ServiceName } from '../support/site.ts';

const site = await startSite();
after(() => site.stop());

const client = '127.0.0.23';
const plain = Buffer.from(`\0${anna.user}\0${anna.password}`).toString('base64');

function connect(service: ServiceName, localAddress = client): Promise<Dialogue> {
  return Dialogue.connectTls({ port: site.ports[service], localAddress, ca: site.authority.ca });
}

/** The first line of a log, past or to come, that matches. */
function logged(read: () => string, pattern: RegExp): Promise<string> {
  return until(
    () =>
      read()
        .split('\n')
        .find((line) => pattern.test(line)),
    5000,
    () => `${pattern} in:\n${read()}`,
  );
}

test("Dovecot's log shows the IMAP client's address, told by ID", async () => {
  await using session = await connect('imaps');
  await session.expect(/^\* OK /);
  await session.ask(`a LOGIN ${anna.user} "${anna.password}"`, /^a OK /);
  const line = await logged(
    () => site.dovecot.logText(),
    /imap-login: Info: Login: user=<anna@example\.com>/,
  );
  assert.match(line, /rip=127\.0\.0\.23,/);
  assert.match(line, /real=127\.0\.0\.1,/);
  await session.ask('b LOGOUT', /^b OK /);
});

test("Dovecot's log shows the POP3 client's address, told by XCLIENT", async () => {
  await using session = await connect('pop3s');
  await session.expect(/^\+OK/);
  await session.ask(`USER ${anna.user}`, /^\+OK/);
  await session.ask(`PASS ${anna.password}`, /^\+OK/);
  const line = await logged(
    () => site.dovecot.logText(),
    /pop3-login: Info: Login: user=<anna@example\.com>/,
  );
  assert.match(line, /rip=127\.0\.0\.23,/);
  assert.match(line, /real=127\.0\.0\.1,/);
  await session.ask('QUIT', /^\+OK/);
});

test("a wrong password is logged by Dovecot with the client's address too", async () => {
  await using session = await connect('imaps', '127.0.0.24');
  await session.expect(/^\* OK /);
  await session.ask(`a LOGIN ${anna.user} wrong`, /^a NO /);
  await logged(
    () => site.dovecot.logText(),
    /auth: Info: .*anna@example\.com,127\.0\.0\.24,.*Password mismatch/,
  );
});

test("Postfix's log shows the address, the login and the name that the client gave, told by XCLIENT", async () => {
  await using session = await connect('submissions');
  await session.expect(/^220 /);
  await session.ask('EHLO laptop.example.net', /^250 /);
  await session.ask(`AUTH PLAIN ${plain}`, /^235 /);
  await session.ask(`MAIL FROM:<${anna.user}>`, /^250 /);
  await session.ask('RCPT TO:<address@example.com>', /^250 /);
  await session.ask('DATA', /^354 /);
  session.sendOctets(message('address', 'where from?\r\n'));
  await session.ask('.', /^250 /);
  await session.ask('QUIT', /^221 /);
  await logged(
    () => site.postfix.logText(),
    /client=unknown\[127\.0\.0\.23\].*sasl_username=anna@example\.com/,
  );
  const [mail] = await site.arrived('address@example.com', 1);
  assert.match(mail?.trace ?? '', /^Received: from laptop\.example\.net \(unknown \[127\.0\.0\.23\]\)/m);
});

test("Postfix refuses to relay for a client that did not log in, and logs that client's address", async () => {
  await using session = await Dialogue.connect({ port: site.ports.smtp, localAddress: client });
  await session.expect(/^220 /);
  await session.ask('EHLO stranger.example.net', /^250 /);
  await session.ask('MAIL FROM:<stranger@example.net>', /^250 /);
  await session.ask('RCPT TO:<victim@elsewhere.example>', /^554 5\.7\.1 /);
  await session.ask('QUIT', /^221 /);
  await logged(
    () => site.postfix.logText(),
    /reject: RCPT from unknown\[127\.0\.0\.23\].*helo=<stranger\.example\.net>/,
  );
});

test('what a client itself says it is, by ID or XCLIENT, reaches nobody', async () => {
  await using imap = await connect('imaps');
  await imap.expect(/^\* OK /);
  await imap.ask('a ID ("name" "liar" "x-originating-ip" "198.51.100.66")', /^a (OK|BAD|NO) /);
  await imap.ask(`b LOGIN ${anna.user} "${anna.password}"`, /^b OK /);
  await imap.ask('c LOGOUT', /^c OK /);
  await using pop3 = await connect('pop3s');
  await pop3.expect(/^\+OK/);
  await pop3.ask('XCLIENT ADDR=198.51.100.66', /^-ERR/);
  await pop3.ask('QUIT', /^\+OK/);
  await using smtp = await connect('submissions');
  await smtp.expect(/^220 /);
  const keywords = await smtp.ask('EHLO liar.example.net', /^250 /);
  assert.ok(!keywords.some((keyword) => keyword.includes('XCLIENT')));
  await smtp.ask('XCLIENT ADDR=198.51.100.66', /^5\d\d /);
  await smtp.ask('QUIT', /^221 /);
  assert.ok(!site.dovecot.logText().includes('rip=198.51.100.66'));
  assert.ok(!site.postfix.logText().includes('198.51.100.66'));
});
