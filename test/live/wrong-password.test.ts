// The store judges the password, and its own words reach the client; the connection lives on for another try.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { Dialogue } from '../support/dialogue.ts';
import { anna, startSite, type ServiceName } from '../support/site.ts';

const site = await startSite();
after(() => site.stop());

function connect(service: ServiceName): Promise<Dialogue> {
  return Dialogue.connectTls({ port: site.ports[service], ca: site.authority.ca });
}

const encode = (text: string): string => Buffer.from(text).toString('base64');

test("Dovecot's NO reaches the IMAP client, and a second try on the same connection logs in", async () => {
  await using session = await connect('imaps');
  await session.expect(/^\* OK /);
  const refused = await session.ask(`a LOGIN ${anna.user} wrong`, /^a /);
  assert.equal(refused.at(-1), 'a NO [AUTHENTICATIONFAILED] Authentication failed.');
  const again = await session.ask(`b AUTHENTICATE PLAIN ${encode(`\0${anna.user}\0wrong too`)}`, /^b /);
  assert.equal(again.at(-1), 'b NO [AUTHENTICATIONFAILED] Authentication failed.');
  const accepted = await session.ask(`c LOGIN ${anna.user} "${anna.password}"`, /^c /);
  assert.match(accepted.at(-1) ?? '', /^c OK \[CAPABILITY .*\bUIDPLUS\b.*\] Logged in$/);
  await session.ask('d SELECT INBOX', /^d OK /);
  await session.ask('e LOGOUT', /^e OK /);
});

test("Dovecot's -ERR reaches the POP3 client, and a second try on the same connection logs in", async () => {
  await using session = await connect('pop3s');
  await session.expect(/^\+OK/);
  await session.ask(`USER ${anna.user}`, /^\+OK/);
  assert.deepEqual(await session.ask('PASS wrong', /^[-+]/), ['-ERR [AUTH] Authentication failed.']);
  await session.ask(`USER ${anna.user}`, /^\+OK/);
  await session.ask(`PASS ${anna.password}`, /^\+OK/);
  await session.ask('STAT', /^\+OK 0 0/);
  await session.ask('QUIT', /^\+OK/);
});

test("Postfix's 535 reaches the SMTP client, and a second try on the same connection logs in", async () => {
  await using session = await connect('submissions');
  await session.expect(/^220 /);
  await session.ask('EHLO client.example.com', /^250 /);
  const [refused] = await session.ask(`AUTH PLAIN ${encode(`\0${anna.user}\0wrong`)}`, /^\d/);
  assert.match(refused ?? '', /^535 5\.7\.8 Error: authentication failed/);
  const user = await session.ask('AUTH LOGIN', /^\d/);
  assert.match(user[0] ?? '', /^334 /);
  await session.ask(encode(anna.user), /^334 /);
  await session.ask(encode(anna.password), /^235 2\.7\.0 /);
  await session.ask('MAIL FROM:<anna@example.com>', /^250 /);
  await session.ask('QUIT', /^221 /);
});

test("a bad token brings Dovecot's own challenge (JSON) to the IMAP client, then its NO", async () => {
  await using session = await connect('imaps');
  await session.expect(/^\* OK /);
  const bearer = encode(`n,a=${anna.user},\u0001auth=Bearer not.a.token\u0001\u0001`);
  const [challenge] = await session.ask(`a AUTHENTICATE OAUTHBEARER ${bearer}`, /^\+ /);
  assert.deepEqual(JSON.parse(Buffer.from(challenge!.slice(2), 'base64').toString()), {
    status: 'invalid_token',
  });
  await session.ask('AQ==', /^a NO \[AUTHENTICATIONFAILED\]/);
  const token = encode(`n,a=${anna.user},\u0001auth=Bearer ${site.dovecot.token(anna.user)}\u0001\u0001`);
  await session.ask(`b AUTHENTICATE OAUTHBEARER ${token}`, /^b OK /);
  await session.ask('c LOGOUT', /^c OK /);
});

test("a bad token brings Dovecot's own challenge to the POP3 client, then its -ERR", async () => {
  await using session = await connect('pop3s');
  await session.expect(/^\+OK/);
  const bearer = encode(`user=${anna.user}\u0001auth=Bearer not.a.token\u0001\u0001`);
  const [challenge] = await session.ask(`AUTH XOAUTH2 ${bearer}`, /^\+ /);
  const said = JSON.parse(Buffer.from(challenge!.slice(2), 'base64').toString()) as { schemes?: string };
  assert.equal(said.schemes, 'bearer');
  await session.ask('', /^-ERR \[AUTH\]/);
  await session.ask('QUIT', /^\+OK/);
});

test("a bad token brings Dovecot's own challenge through Postfix to the SMTP client, then 535", async () => {
  await using session = await connect('submissions');
  await session.expect(/^220 /);
  await session.ask('EHLO client.example.com', /^250 /);
  const bearer = encode(`user=${anna.user}\u0001auth=Bearer not.a.token\u0001\u0001`);
  const [challenge] = await session.ask(`AUTH XOAUTH2 ${bearer}`, /^334 /);
  assert.ok(Buffer.from(challenge!.slice(4), 'base64').toString().startsWith('{'));
  await session.ask('', /^535 5\.7\.8 /);
  await session.ask('QUIT', /^221 /);
});
