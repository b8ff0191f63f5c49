// Logins by certificate alone, without any directory server: users in a file, mail on a real Dovecot whose master user logs
// in for them, submission by a real Postfix, once logged in to by that master user and once told by XCLIENT. The clients
// are imapflow, Python and openssl. Who is revoked, unknown, or stands for two users is not let in, and still has a password.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { type Issued, makeAuthority } from '../support/authority.ts';
import { Dialogue } from '../support/dialogue.ts';
import { imapflowByCertificate } from '../support/external-imapflow.ts';
import { makePassable } from '../support/maildir.ts';
import { assertSameOctets, message, samples } from '../support/messages.ts';
import { converse, run } from '../support/program.ts';
import { anna, bob, type ServiceName, startSite } from '../support/site.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-certificate-login-'));
// Dovecot's own users read in it.
makePassable(folder);
const people = makeAuthority(folder, 'People CA');
const foreign = makeAuthority(folder, 'Foreign CA');
const certificateOf = (email: string, by = people): Issued =>
  by.issue({ names: ['pc.example.com'], purpose: 'client', emails: [email] });

const good = certificateOf(anna.user);
const revoked = certificateOf(anna.user);
const stranger = certificateOf(anna.user, foreign);
const twins = certificateOf('team@example.com');
const unknown = certificateOf('who@example.com');

writeFileSync(join(folder, 'people.crl'), people.crl([revoked.serial]));
writeFileSync(
  join(folder, 'masters'),
  'mmpstore:{PLAIN}secret of the master::::::allow_real_nets=127.0.0.1\n',
  {
    mode: 0o644,
  },
);
const USERS = `
${anna.user}: { mail: [${anna.user}, team@example.com] }
${bob.user}: { mail: [${bob.user}, team@example.com] }
`;
writeFileSync(join(folder, 'users.yaml'), USERS);
writeFileSync(join(folder, 'master.secret'), 'secret of the master\n', { mode: 0o600 });

const MASTERS = `passdb {\n  driver = passwd-file\n  args = ${folder}/masters\n  master = yes\n  result_success = continue\n}`;
const admin = { user: 'mmpstore', passwordFile: join(folder, 'master.secret') };

const site = await startSite({
  dovecot: { extra: MASTERS },
  adjust(settings) {
    const map = (key: string): Record<string, Record<string, unknown>> =>
      settings[key] as Record<string, Record<string, unknown>>;
    const { stores, popstores, mta } = map('backends');
    return {
      ...settings,
      tls: { ...map('tls'), clientCa: [people.caFile], crl: [join(folder, 'people.crl')] },
      directory: { type: 'file', file: join(folder, 'users.yaml') },
      channels: {
        ...map('channels'),
        tcp_told: { keywords: 'smtp musttlsserver mustsaslserver', relay: 'told' },
      },
      services: {
        ...map('services'),
        told: { protocol: 'smtp', listen: ['127.0.0.1:0'], tls: 'implicit', channel: 'tcp_told' },
      },
      backends: {
        stores: { ...stores, admin },
        popstores: { ...popstores, admin },
        mta: { ...mta, client: 'none', admin },
        told: mta,
      },
    };
  },
});
after(async () => {
  await site.stop();
  rmSync(folder, { recursive: true, force: true });
});
for (const { octets } of samples) site.dovecot.deliver(anna.user, octets);

/** The last closing line of a service, once there are more than before. */
async function closing(visit: () => Promise<unknown>): Promise<Readonly<Record<string, unknown>>> {
  const lines = () => site.front.log().filter(({ event }) => event === 'closed');
  const before = lines().length;
  await visit();
  await site.front.waitForLog(() => lines().length > before);
  return lines()[before] ?? {};
}

function assertByCertificate(line: Readonly<Record<string, unknown>>): void {
  assert.deepEqual(
    { user: line['user'], mechanism: line['mechanism'], code: line['code'] },
    { user: anna.user, mechanism: 'EXTERNAL', code: null },
  );
  assert.match(JSON.stringify(line['clientCertificate']), /CN=pc\.example\.com.*"verified":true/);
}

for (const service of ['imap', 'imaps'] as const) {
  test(`imapflow reads every sample by ${service}, with a certificate and nothing else`, async () => {
    const line = await closing(async () => {
      const client = imapflowByCertificate({
        host: 'localhost',
        port: site.ports[service],
        secure: service === 'imaps',
        tls: { ca: site.authority.ca, cert: good.cert, key: good.key },
        logger: false,
      });
      await client.connect();
      await client.mailboxOpen('INBOX');
      for (const [index, { name, octets }] of samples.entries()) {
        const fetched = await client.fetchOne(String(index + 1), { source: true });
        assert.ok(fetched);
        assertSameOctets(fetched.source, octets, name);
      }
      await client.logout();
    });
    assertByCertificate(line);
  });
}

test('imapflow with a certificate that is revoked is offered no EXTERNAL', async () => {
  const client = imapflowByCertificate({
    host: 'localhost',
    port: site.ports.imaps,
    secure: true,
    tls: { ca: site.authority.ca, cert: revoked.cert, key: revoked.key },
    logger: false,
  });
  const line = await closing(async () => {
    await assert.rejects(client.connect(), /EXTERNAL is not offered/);
    client.close();
  });
  assert.match(JSON.stringify(line['clientCertificate']), /"verified":false,"fault":"revoked"/);
});

const preamble = `
import imaplib, poplib, smtplib, ssl, sys
port, ca, cert, key, *rest = sys.argv[1:]
port = int(port)
poplib._MAXLINE = 4096
context = ssl.create_default_context(cafile=ca)
context.load_cert_chain(cert, key)
out = sys.stdout.buffer
`;

const SCRIPTS = {
  imaps: `${preamble}
session = imaplib.IMAP4_SSL('localhost', port, ssl_context=context)
session.authenticate('EXTERNAL', lambda challenge: b'')
session.select()
out.write(session.fetch('1', '(RFC822)')[1][0][1])
session.logout()
`,
  pop3s: `${preamble}
session = poplib.POP3_SSL('localhost', port, context=context)
session._shortcmd('AUTH EXTERNAL =')
for line in session.retr(1)[1]:
    out.write(line + b'\\r\\n')
session.quit()
`,
  submission: `${preamble}
session = smtplib.SMTP('localhost', port)
session.starttls(context=context)
session.ehlo()
session.auth('EXTERNAL', lambda challenge=None: '', initial_response_ok=False)
session.sendmail('anna@example.com', rest, sys.stdin.buffer.read(), ['BODY=8BITMIME'])
session.quit()
`,
} as const;

async function python(
  service: keyof typeof SCRIPTS,
  rest: readonly string[] = [],
  input: Buffer = Buffer.alloc(0),
) {
  const files = [site.authority.caFile, good.certFile, good.keyFile];
  const args = ['-c', SCRIPTS[service], String(site.ports[service]), ...files, ...rest];
  const { code, stdout, text } = await run('python3', args, { input });
  assert.equal(code, 0, text);
  return stdout;
}

for (const service of ['imaps', 'pop3s'] as const) {
  test(`Python reads a message by ${service} with a certificate`, async () => {
    const line = await closing(async () => {
      const [first] = samples;
      assertSameOctets(await python(service), first?.octets ?? Buffer.alloc(0), service);
    });
    assertByCertificate(line);
  });
}

test('Python submits by a certificate, and Postfix relays for the user whom the master user stands for', async () => {
  const sent = message('certificate', 'By certificate.\r\n');
  assertByCertificate(await closing(() => python('submission', ['out@elsewhere.test'], sent)));
  const [arrived] = await site.arrived('out@elsewhere.test', 1);
  assertSameOctets(arrived?.message, sent, 'submission');
  assert.match(site.postfix.logText(), new RegExp(`sasl_method=PLAIN, sasl_username=${anna.user}`));
});

/** `openssl s_client` shows a certificate; s_client itself takes no part in what is said. */
function connect(port: number, shown: Issued, from = '127.0.0.1'): Dialogue {
  const certificate = ['-cert', shown.certFile, '-key', shown.keyFile, '-bind', `${from}:0`];
  const trust = ['-CAfile', site.authority.caFile, '-verify_return_error'];
  const target = ['s_client', '-connect', `localhost:${port}`, '-servername', 'localhost'];
  return Dialogue.over(converse('openssl', [...target, ...trust, ...certificate, '-quiet']));
}

interface Talk {
  readonly service: ServiceName;
  readonly greeting: RegExp;
  readonly before: readonly (readonly [string, RegExp])[];
  readonly external: string;
  readonly accepted: RegExp;
  /** Nobody's certificate. */
  readonly refused: RegExp;
  /** Not believed. */
  readonly notOffered: RegExp;
  readonly password: readonly [string, RegExp];
  readonly bye: readonly [string, RegExp];
}

const plain = Buffer.from(`\0${anna.user}\0${anna.password}`).toString('base64');
const EHLO = ['EHLO client.test', /^250 /] as const;
const TALKS: readonly Talk[] = [
  {
    service: 'imaps',
    greeting: /^\* OK /,
    before: [['c CAPABILITY', /^c OK/]],
    external: 'a AUTHENTICATE EXTERNAL =',
    accepted: /^a OK /,
    refused: /^a NO \[AUTHENTICATIONFAILED\] Wrong user name or password/,
    notOffered: /^a NO \[CANNOT\]/,
    password: [`b AUTHENTICATE PLAIN ${plain}`, /^b OK /],
    bye: ['z LOGOUT', /^z OK /],
  },
  {
    service: 'pop3s',
    greeting: /^\+OK /,
    before: [],
    external: 'AUTH EXTERNAL =',
    accepted: /^\+OK /,
    refused: /^-ERR \[AUTH\] Wrong user name or password/,
    notOffered: /^-ERR \[AUTH\] Mechanism not offered/,
    password: [`AUTH PLAIN ${plain}`, /^\+OK /],
    bye: ['QUIT', /^\+OK /],
  },
  {
    service: 'submissions',
    greeting: /^220 /,
    before: [EHLO],
    external: 'AUTH EXTERNAL =',
    accepted: /^235 /,
    refused: /^535 5\.7\.8 Wrong user name or password/,
    notOffered: /^504 /,
    password: [`AUTH PLAIN ${plain}`, /^235 /],
    bye: ['QUIT', /^221 /],
  },
];

for (const talk of TALKS) {
  const enter = async (shown: Issued): Promise<Dialogue> => {
    const session = connect(site.ports[talk.service], shown);
    await session.expect(talk.greeting);
    for (const [line, answer] of talk.before) await session.ask(line, answer);
    return session;
  };

  test(`openssl s_client logs in by a certificate at ${talk.service}`, async () => {
    const line = await closing(async () => {
      await using session = await enter(good);
      await session.ask(talk.external, talk.accepted);
      await session.ask(...talk.bye);
    });
    assertByCertificate(line);
  });

  for (const [what, shown, answer] of [
    ['revoked', revoked, talk.notOffered],
    ['of a CA that is not trusted', stranger, talk.notOffered],
    ['of two users', twins, talk.refused],
    ['of nobody', unknown, talk.refused],
  ] as const) {
    test(`one that is ${what} does not log in at ${talk.service}, and the password still does, on the same connection`, async () => {
      const line = await closing(async () => {
        await using session = await enter(shown);
        await session.ask(talk.external, answer);
        await session.ask(...talk.password);
        await session.ask(...talk.bye);
      });
      assert.deepEqual([line['user'], line['mechanism']], [anna.user, 'PLAIN']);
    });
  }
}

test('the master user may be for the front alone, wherever its clients are', async () => {
  const line = await closing(async () => {
    await using session = connect(site.ports.imaps, good, '127.0.0.9');
    await session.expect(/^\* OK /);
    await session.ask('a AUTHENTICATE EXTERNAL =', /^a OK /);
    await session.ask('z LOGOUT', /^z OK /);
  });
  assertByCertificate(line);
  assert.match(site.dovecot.logText(), /rip=127\.0\.0\.9/);
});

test('the log tells for whom a certificate stood, and why it let nobody in; no password is in it', () => {
  const refused = site.front.log().filter(({ event }) => event === 'login-refused');
  const reasons = refused.map(
    ({ said, mechanism, certificate }) => `${String(mechanism)} ${String(certificate)}: ${String(said)}`,
  );
  const both = `EXTERNAL CN=pc.example.com: its mail address is that of ${anna.user} and ${bob.user} (team@example.com)`;
  assert.equal(reasons.filter((reason) => reason === both).length, 3);
  assert.ok(
    reasons.includes('EXTERNAL CN=pc.example.com: nobody has its mail address (who@example.com)'),
    reasons.join('\n'),
  );
  assert.doesNotMatch(JSON.stringify(site.front.log()), /secret of the master/);
});

async function submit(port: number, sent: Buffer): Promise<void> {
  await using session = connect(port, good);
  await session.expect(/^220 /);
  await session.ask(...EHLO);
  await session.ask('MAIL FROM:<anna@example.com>', /^530 /);
  await session.ask('AUTH EXTERNAL =', /^235 2\.7\.0 /);
  await session.ask('MAIL FROM:<anna@example.com>', /^250 /);
  await session.ask('RCPT TO:<told@elsewhere.test>', /^250 /);
  await session.ask('DATA', /^354 /);
  session.send(sent.toString('latin1').replace(/\r\n$/, ''));
  await session.ask('.', /^250 /);
  await session.ask('QUIT', /^221 /);
}

test('a relay that is told and not logged in to sends on for whoever came by certificate, and for nobody else', async () => {
  const port = site.front.port('told');
  const sent = message('told', 'Told by XCLIENT.\r\n');
  const line = await closing(() => submit(port, sent));
  assertByCertificate(line);
  const [arrived] = await site.arrived('told@elsewhere.test', 1);
  assertSameOctets(arrived?.message, sent, 'told');
  assert.match(site.postfix.logText(), new RegExp(`sasl_username=${anna.user}`));
  await closing(async () => {
    await using other = connect(port, twins);
    await other.expect(/^220 /);
    await other.ask(...EHLO);
    await other.ask('AUTH EXTERNAL =', /^535 /);
    await other.ask('MAIL FROM:<anna@example.com>', /^530 /);
    await other.ask('QUIT', /^221 /);
  });
});

test('a user of the file that changes changes whose the certificate is', async () => {
  const file = join(folder, 'users.yaml');
  writeFileSync(file, readFileSync(file, 'utf8').replace(`{ mail: [${bob.user}, team@example.com] }`, '{}'));
  assert.equal((await site.front.reload())['event'], 'reloaded');
  const line = await closing(async () => {
    await using session = connect(site.ports.imaps, twins);
    await session.expect(/^\* OK /);
    await session.ask('a AUTHENTICATE EXTERNAL =', /^a OK /);
    await session.ask('z LOGOUT', /^z OK /);
  });
  assertByCertificate(line);
});
