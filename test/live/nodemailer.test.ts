// nodemailer: raw messages, each login mechanism, pipelined recipients, SMTPUTF8, DSN, many messages a connection.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { createTransport, type SMTPTransportOptions } from 'nodemailer';

import { assertSameOctets, message, samples } from '../support/messages.ts';
import { anna, bob, startSite, ways, type ServiceName } from '../support/site.ts';

const site = await startSite();
after(() => site.stop());

function options(service: ServiceName, more: SMTPTransportOptions = {}): SMTPTransportOptions {
  return {
    host: 'localhost',
    port: site.ports[service],
    secure: service === 'submissions',
    requireTLS: true,
    tls: { ca: site.authority.ca },
    auth: { user: anna.user, pass: anna.password },
    ...more,
  };
}

for (const [how, service] of ways.smtp) {
  test(`nodemailer sends every sample over ${how}, octet for octet`, async () => {
    const transport = createTransport(options(service));
    for (const [index, { name, octets }] of samples.entries()) {
      const to = `nodemailer-${service}-${index}@example.com`;
      await transport.sendMail({ envelope: { from: anna.user, to: [to], use8BitMime: true }, raw: octets });
      assertSameOctets((await site.arrived(to, 1))[0]?.message, octets, name);
    }
    transport.close();
  });

  for (const method of ['PLAIN', 'LOGIN'] as const) {
    test(`nodemailer logs in with AUTH ${method} over ${how}`, async () => {
      const transport = createTransport(options(service, { auth: { ...bobAuth }, authMethod: method }));
      assert.equal(await transport.verify(), true);
      transport.close();
    });
  }

  test(`nodemailer logs in with XOAUTH2 over ${how}`, async () => {
    const accessToken = site.dovecot.token(anna.user);
    const transport = createTransport(
      options(service, { auth: { type: 'OAUTH2', user: anna.user, accessToken } }),
    );
    assert.equal(await transport.verify(), true);
    transport.close();
  });

  test(`nodemailer is told over ${how} in Postfix's own words that a password is wrong`, async () => {
    const transport = createTransport(options(service, { auth: { user: anna.user, pass: 'wrong' } }));
    await assert.rejects(
      transport.verify(),
      (error: Error & { responseCode?: number; response?: string }) => {
        assert.equal(error.responseCode, 535);
        assert.match(error.response ?? '', /^535 5\.7\.8 Error: authentication failed/);
        return true;
      },
    );
    transport.close();
  });

  test(`nodemailer sends thirty messages over one connection with ${how}`, async () => {
    const pool = { ...options(service), pool: true as const, maxConnections: 1, maxMessages: 1000 };
    const transport = createTransport(pool);
    const to = `nodemailer-${service}-pool@example.com`;
    const numbers = Array.from({ length: 30 }, (_, index) => index);
    await Promise.all(
      numbers.map((n) =>
        transport.sendMail({ envelope: { from: anna.user, to }, raw: message(`pool-${n}`, `.${n}\r\n`) }),
      ),
    );
    const delivered = new Set((await site.arrived(to, 30)).map((mail) => mail.message.toString('latin1')));
    for (const n of numbers)
      assert.ok(delivered.has(message(`pool-${n}`, `.${n}\r\n`).toString('latin1')), `message ${n}`);
    transport.close();
  });
}

const bobAuth = { user: bob.user, pass: bob.password };

test('an address outside ASCII passes (SMTPUTF8), and its message with headers in UTF-8', async () => {
  const transport = createTransport(options('submission'));
  const to = 'jürgen@example.com';
  const octets = Buffer.from(
    message('utf8', 'Grüße\r\n').toString('latin1').replace('Bob', 'Jürgen'),
    'utf8',
  );
  await transport.sendMail({ envelope: { from: anna.user, to: [to] }, raw: octets });
  const [mail] = await site.arrived(Buffer.from(to).toString('latin1'), 1);
  assertSameOctets(mail?.message, octets, 'utf-8');
  assert.match(mail?.trace ?? '', /with UTF8SMTP/);
  transport.close();
});

test('a delivery report that was asked for (DSN) comes from Postfix, with the envelope id', async () => {
  const transport = createTransport(options('submission'));
  const from = 'reports@example.com';
  const dsn = {
    id: 'env-4711',
    return: 'headers',
    notify: 'success',
    recipient: 'nodemailer-dsn@example.com',
  } as const;
  await transport.sendMail({
    envelope: { from, to: ['nodemailer-dsn@example.com'], dsn },
    raw: message('dsn', 'please confirm\r\n'),
  });
  const [report] = await site.arrived(from, 1);
  const text = report?.message.toString('latin1') ?? '';
  assert.match(text, /Original-Envelope-Id: env-4711/);
  assert.match(text, /Action: delivered/);
  transport.close();
});

test("a recipient that Postfix refuses is refused in Postfix's words, and the others get the message", async () => {
  const transport = createTransport(options('submission'));
  const to = 'nodemailer-partial@example.com';
  const octets = message('partial', 'for one of three\r\n');
  const recipients = ['unknown@example.com', to, 'later@example.com'];
  const result = await transport.sendMail({ envelope: { from: anna.user, to: recipients }, raw: octets });
  assert.deepEqual(result.accepted, [to]);
  const words = (result.rejectedErrors ?? []).map((error) => error.response);
  assert.match(words[0] ?? '', /^550 5\.1\.1 .*No such mailbox/);
  assert.match(words[1] ?? '', /^450 4\.2\.1 .*Mailbox busy/);
  assertSameOctets((await site.arrived(to, 1))[0]?.message, octets, to);
  transport.close();
});
