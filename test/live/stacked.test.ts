// Sallyport in front of Sallyport in front of Dovecot and Postfix, and Dovecot's own proxy in front of Sallyport: the
// servers learn the address of the client, which comes from 127.0.0.23, and not that of a proxy.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { Dialogue } from '../support/dialogue.ts';
import { startDovecot } from '../support/dovecot.ts';
import { startFront } from '../support/front.ts';
import { message } from '../support/messages.ts';
import { until } from '../support/program.ts';
import { anna, startSite } from '../support/site.ts';

const client = '127.0.0.23';
const plain = Buffer.from(`\0${anna.user}\0${anna.password}`).toString('base64');
const password = 'between tiers';
const started: { stop(): Promise<unknown> }[] = [];
after(async () => {
  // The site last: the others live in its folder.
  for (const part of started.toReversed()) await part.stop();
});

type Services = Record<string, Record<string, unknown>>;

/** The front behind: what comes from 127.0.0.1 is a tier. */
const inner = await startSite({
  adjust(settings) {
    const services = Object.entries(settings['services'] as Services).map(([name, service]) => {
      const secret = service['protocol'] === 'smtp' ? { password } : {};
      return [name, { ...service, frontTier: { from: ['127.0.0.1'], ...secret } }] as const;
    });
    return { ...settings, services: Object.fromEntries(services) };
  },
});
started.push(inner);

const secretFile = join(inner.folder, 'tier.password');
writeFileSync(secretFile, `${password}\n`, { mode: 0o600 });

/** The front that clients meet. */
const outer = await startFront({
  folder: join(inner.folder, 'outer'),
  settings: {
    hostname: 'outer.example.com',
    workers: 1,
    tls: inner.settings['tls'],
    services: {
      imaps: { protocol: 'imap', listen: '127.0.0.1:0', tls: 'implicit', backend: 'imap' },
      pop3s: { protocol: 'pop3', listen: '127.0.0.1:0', tls: 'implicit', backend: 'pop3' },
      xclient: { protocol: 'smtp', listen: '127.0.0.1:0', tls: 'implicit', channel: 'by_xclient' },
      xpehlo: { protocol: 'smtp', listen: '127.0.0.1:0', tls: 'implicit', channel: 'by_xpehlo' },
    },
    channels: {
      by_xclient: { keywords: 'musttlsserver mustsaslserver', relay: 'xclient' },
      by_xpehlo: { keywords: 'musttlsserver mustsaslserver', relay: 'xpehlo' },
    },
    backends: {
      imap: { ...behind(inner.ports.imap), client: ['id'] },
      pop3: { ...behind(inner.ports.pop3), client: ['xclient'] },
      xclient: { ...behind(inner.ports.submission), client: ['xclient'] },
      xpehlo: { ...behind(inner.ports.submission), client: ['xpehlo'], xpehloPassword: { file: secretFile } },
    },
  },
});
started.push(outer);

function behind(port: number): Record<string, unknown> {
  const tls = { mode: 'musttls', ca: inner.authority.caFile, name: 'localhost' };
  return { servers: [`127.0.0.1:${port}`], tls };
}

function connect(port: number, localAddress = client): Promise<Dialogue> {
  return Dialogue.connectTls({ port, localAddress, ca: inner.authority.ca });
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

/** The inner front's closing line of a connection that a tier brought, told by the session's name at that tier. */
async function assertBrought(service: string, outerService: string): Promise<void> {
  const first = await outer.waitForLog((l) => l['event'] === 'closed' && l['service'] === outerService);
  const line = await inner.front.waitForLog(
    (l) => l['event'] === 'closed' && l['outerSession'] === first['session'],
  );
  assert.deepEqual(
    [line['service'], line['client'], line['port'], line['via'], line['user']],
    [service, client, first['port'], '127.0.0.1', anna.user],
  );
}

test("through two fronts Dovecot's log shows the IMAP client's address and its session at the first", async () => {
  await using session = await connect(outer.port('imaps'));
  await session.expect(/^\* OK /);
  await session.ask(`a LOGIN ${anna.user} "${anna.password}"`, /^a OK /);
  await session.ask('b SELECT INBOX', /^b OK /);
  const pattern = /imap-login: Info: Login: user=<anna@example\.com>/;
  const line = await logged(() => inner.dovecot.logText(), pattern);
  assert.match(line, /rip=127\.0\.0\.23,/);
  assert.match(line, /real=127\.0\.0\.1,/);
  await session.ask('c LOGOUT', /^c OK /);
  await assertBrought('imap', 'imaps');
  const closed = await outer.waitForLog((l) => l['event'] === 'closed' && l['service'] === 'imaps');
  assert.match(line, new RegExp(`session=<${String(closed['session'])}>`));
});

test("through two fronts Dovecot's log shows the POP3 client's address", async () => {
  await using session = await connect(outer.port('pop3s'));
  await session.expect(/^\+OK/);
  await session.ask(`USER ${anna.user}`, /^\+OK/);
  await session.ask(`PASS ${anna.password}`, /^\+OK/);
  const pattern = /pop3-login: Info: Login: user=<anna@example\.com>/;
  assert.match(await logged(() => inner.dovecot.logText(), pattern), /rip=127\.0\.0\.23,/);
  await session.ask('QUIT', /^\+OK/);
  await assertBrought('pop3', 'pop3s');
});

for (const way of ['xclient', 'xpehlo'] as const) {
  test(`through two fronts, by ${way}, Postfix's log shows the SMTP client's address, login and name`, async () => {
    await using session = await connect(outer.port(way));
    await session.expect(/^220 outer\.example\.com/);
    await session.ask(`EHLO ${way}.example.net`, /^250 /);
    await session.ask(`AUTH PLAIN ${plain}`, /^235 /);
    await session.ask(`MAIL FROM:<${anna.user}>`, /^250 /);
    await session.ask(`RCPT TO:<${way}@example.com>`, /^250 /);
    await session.ask('DATA', /^354 /);
    session.sendOctets(message(way, 'where from?\r\n'));
    await session.ask('.', /^250 /);
    await session.ask('QUIT', /^221 /);
    const [mail] = await inner.arrived(`${way}@example.com`, 1);
    const trace = new RegExp(
      `^Received: from ${way}\\.example\\.net \\(unknown \\[127\\.0\\.0\\.23\\]\\)`,
      'm',
    );
    assert.match(mail?.trace ?? '', trace);
    await logged(
      () => inner.postfix.logText(),
      /client=unknown\[127\.0\.0\.23\].*sasl_username=anna@example\.com/,
    );
    await assertBrought('submission', way);
  });
}

test('what a client says to the first front of itself gets to neither server', async () => {
  await using imap = await connect(outer.port('imaps'), '127.0.0.66');
  await imap.expect(/^\* OK /);
  await imap.ask('a ID ("x-originating-ip" "198.51.100.66" "x-proxy-ttl" "1")', /^a OK /);
  await imap.ask(`b LOGIN ${anna.user} wrong`, /^b NO /);
  await using smtp = await connect(outer.port('xclient'), '127.0.0.66');
  await smtp.expect(/^220 /);
  const keywords = await smtp.ask('EHLO liar.example.net', /^250 /);
  assert.ok(!keywords.some((keyword) => /XCLIENT|XPEHLO/.test(keyword)));
  await smtp.ask('XCLIENT ADDR=198.51.100.66', /^500 /);
  await smtp.ask('QUIT', /^221 /);
  await logged(() => inner.dovecot.logText(), /anna@example\.com,127\.0\.0\.66,.*Password mismatch/);
  assert.doesNotMatch(inner.dovecot.logText() + inner.postfix.logText(), /198\.51\.100\.66/);
});

test('whoever comes to the second front from another address than a tier is the client himself', async () => {
  await using imap = await connect(inner.ports.imaps, '127.0.0.67');
  await imap.expect(/^\* OK /);
  await imap.ask('a ID ("x-originating-ip" "198.51.100.67")', /^a OK /);
  await imap.ask(`b LOGIN ${anna.user} wrong`, /^b NO /);
  await logged(() => inner.dovecot.logText(), /anna@example\.com,127\.0\.0\.67,.*Password mismatch/);
  await using pop3 = await connect(inner.ports.pop3s, '127.0.0.67');
  assert.doesNotMatch((await pop3.expect(/^\+OK/)).join(), /XCLIENT/);
  await pop3.ask('XCLIENT ADDR=198.51.100.67', /^-ERR/);
});

test("Dovecot's own proxy in front of Sallyport is understood, in IMAP and in POP3", async () => {
  const proxy = await startDovecot({
    folder: join(inner.folder, 'proxy'),
    users: {},
    extra: `
passdb {
  driver = static
  args = proxy=y nopassword=y host=127.0.0.1 starttls=any-cert port=%{if;%s;eq;imap;${inner.ports.imap};${inner.ports.pop3}}
}
ssl = yes
ssl_client_require_valid_cert = no
ssl_client_ca_file = ${inner.authority.caFile}
`,
    authority: inner.authority,
  });
  started.push(proxy);
  await using imap = await Dialogue.connect({ port: proxy.imapPort, localAddress: '127.0.0.24' });
  await imap.expect(/^\* OK /);
  await imap.ask(`a LOGIN ${anna.user} "${anna.password}"`, /^a OK /);
  await imap.ask('b LOGOUT', /^b OK /);
  await using pop3 = await Dialogue.connect({ port: proxy.pop3Port, localAddress: '127.0.0.24' });
  await pop3.expect(/^\+OK/);
  await pop3.ask(`USER ${anna.user}`, /^\+OK/);
  await pop3.ask(`PASS ${anna.password}`, /^\+OK/);
  await pop3.ask('QUIT', /^\+OK/);
  for (const protocol of ['imap', 'pop3']) {
    const pattern = new RegExp(
      `${protocol}-login: Info: Login: user=<anna@example\\.com>.* rip=127\\.0\\.0\\.24,`,
    );
    await logged(() => inner.dovecot.logText(), pattern);
    const line = await inner.front.waitForLog(
      (l) => l['service'] === protocol && l['client'] === '127.0.0.24',
    );
    assert.equal(line['via'], '127.0.0.1');
  }
});
