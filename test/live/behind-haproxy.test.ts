// haproxy in front of Sallyport in front of Dovecot and Postfix: each of the three tells the next who the client is, so
// that 127.0.0.23, which only haproxy ever saw, is in the logs of the last. haproxy sends PROXY v1 or v2, passes TLS on
// or ends it; Dovecot is told by PROXY v2 and by ID, Postfix by PROXY v1, v2 and by XCLIENT.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { makeAuthority } from '../support/authority.ts';
import { Dialogue } from '../support/dialogue.ts';
import { startDovecot } from '../support/dovecot.ts';
import { startFront } from '../support/front.ts';
import { startHaproxy } from '../support/haproxy.ts';
import { message } from '../support/messages.ts';
import { freePorts } from '../support/ports.ts';
import { startPostfix } from '../support/postfix.ts';
import { run, until } from '../support/program.ts';
import { anna, siteSettings } from '../support/site.ts';

const CLIENT = '127.0.0.23';
const BALANCER = '127.0.0.1';
const STRANGER = '127.0.0.66';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-live-'));
const started: { stop(): Promise<unknown> }[] = [];
after(async () => {
  await Promise.all(started.map((part) => part.stop()));
  rmSync(folder, { recursive: true, force: true });
});
const authority = makeAuthority(folder);
const [imapProxied = 0, imapsProxied = 0, smtpProxied = 0] = await freePorts(3);

const dovecot = await startDovecot({
  folder: join(folder, 'dovecot'),
  users: { [anna.user]: anna.password },
  authority,
  extra: `haproxy_trusted_networks = 127.0.0.1
service imap-login {
  inet_listener imap-proxied {
    port = ${imapProxied}
    haproxy = yes
  }
  inet_listener imaps-proxied {
    port = ${imapsProxied}
    haproxy = yes
    ssl = yes
  }
}`,
});
started.push(dovecot);
const { authSocket } = dovecot;
const postfix = await startPostfix({
  folder: join(folder, 'postfix'),
  authority,
  authSocket,
  proxiedPort: smtpProxied,
});
started.push(postfix);

const front = await startFront({ folder: join(folder, 'front'), settings: settings() });
started.push(front);

const issued = authority.issue({ names: ['localhost'], file: 'haproxy' });
const facts = 'proxy-v2-options authority,unique-id,crc32c,cert-key,cert-sig,ssl-cipher';
const haproxy = await startHaproxy(join(folder, 'haproxy'), {
  imaps: { to: front.port('imaps-lb'), server: 'send-proxy-v2 proxy-v2-options crc32c,unique-id' },
  imap: { to: front.port('imap-lb'), server: 'send-proxy' },
  pop3s: { to: front.port('pop3s-lb'), server: 'send-proxy-v2' },
  offload: {
    to: front.port('imap-offloaded'),
    server: `send-proxy-v2-ssl-cn ${facts}`,
    tls: issued,
    clientCaFile: authority.caFile,
  },
  submissions: { to: front.port('submission-lb'), server: `send-proxy-v2-ssl-cn ${facts}`, tls: issued },
  submission: { to: front.port('submission-xclient'), server: 'send-proxy' },
  smtp: { to: front.port('smtp-lb'), server: 'send-proxy-v2' },
  checked: {
    to: front.port('imap-lb'),
    server: 'send-proxy-v2 check check-send-proxy inter 100',
  },
});
started.push(haproxy);

function settings(): Record<string, unknown> {
  const made = siteSettings({ authority, dovecot, postfix }) as {
    services: object;
    channels: object;
    backends: { stores: { tls: object } };
  };
  const listen = ['127.0.0.1:0'];
  const proxyProtocol = { from: [BALANCER], mode: 'require' };
  const { tls } = made.backends.stores;
  const imap = { protocol: 'imap', listen, proxyProtocol };
  const smtp = { protocol: 'smtp', listen, proxyProtocol };
  return {
    ...made,
    services: {
      'imaps-lb': { ...imap, tls: 'implicit', backend: 'stores-v2' },
      'imap-lb': { ...imap, tls: 'musttls', backend: 'stores' },
      'imap-offloaded': { ...imap, tls: 'musttls', backend: 'stores-v2-tls' },
      'imap-open': {
        ...imap,
        proxyProtocol: { from: [BALANCER], mode: 'optional' },
        tls: 'maytls',
        backend: 'stores',
      },
      'pop3s-lb': { protocol: 'pop3', listen, proxyProtocol, tls: 'implicit', backend: 'popstores' },
      'submission-lb': { ...smtp, channel: 'tcp_submit_v2' },
      'submission-xclient': { ...smtp, channel: 'tcp_submit' },
      'smtp-lb': { ...smtp, channel: 'tcp_local_v1' },
    },
    channels: {
      ...made.channels,
      tcp_submit_v2: { keywords: 'musttlsserver mustsaslserver', relay: 'mta-v2' },
      tcp_local_v1: { keywords: 'maytlsserver nosaslserver', relay: 'mta-v1' },
    },
    backends: {
      ...made.backends,
      'stores-v2': { servers: [`127.0.0.1:${imapProxied}`], tls, client: ['proxy-v2'] },
      'stores-v2-tls': {
        servers: [`127.0.0.1:${imapsProxied}`],
        tls: { ...tls, mode: 'implicit' },
        client: ['proxy-v2'],
      },
      'mta-v2': { servers: [`127.0.0.1:${smtpProxied}`], tls, client: ['proxy-v2'] },
      'mta-v1': { servers: [`127.0.0.1:${smtpProxied}`], tls, client: ['proxy-v1'] },
    },
  };
}

function connect(name: keyof typeof haproxy.ports): Promise<Dialogue> {
  return Dialogue.connect({ port: haproxy.ports[name], localAddress: CLIENT, ca: authority.ca });
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

const dovecotLog = (): string => dovecot.logText();
const postfixLog = (): string => postfix.logText();

async function logIn(session: Dialogue): Promise<void> {
  await session.ask(`a LOGIN ${anna.user} "${anna.password}"`, /^a OK /);
  await session.ask('b LOGOUT', /^b OK /);
}

async function submit(session: Dialogue, to: string): Promise<void> {
  const plain = Buffer.from(`\0${anna.user}\0${anna.password}`).toString('base64');
  await session.ask('EHLO laptop.example.net', /^250 /);
  await session.ask(`AUTH PLAIN ${plain}`, /^235 /);
  await session.ask(`MAIL FROM:<${anna.user}>`, /^250 /);
  await session.ask(`RCPT TO:<${to}>`, /^250 /);
  await session.ask('DATA', /^354 /);
  session.sendOctets(message(to.split('@')[0] ?? '', 'through three\r\n'));
  await session.ask('.', /^250 /);
  await session.ask('QUIT', /^221 /);
}

/** The closing line of the service's one connection from the client. */
function closing(service: string): Promise<Readonly<Record<string, unknown>>> {
  return front.waitForLog(
    (line) => line['event'] === 'closed' && line['service'] === service && line['client'] === CLIENT,
  );
}

test('implicit TLS through haproxy (v2), Dovecot told by PROXY v2', async () => {
  await using session = await connect('imaps');
  await session.startTls();
  await session.expect(/^\* OK /);
  await logIn(session);
  const line = await logged(dovecotLog, /imap-login: Info: Login: .*rip=127\.0\.0\.23,.*real=127\.0\.0\.1,/);
  const closed = await closing('imaps-lb');
  assert.ok(
    line.includes(`rport=${String(closed['port'])} `) || line.includes(`rport=${String(closed['port'])},`),
    line,
  );
  assert.equal(closed['via'], BALANCER);
  assert.equal((closed['tls'] as { version: string }).version, 'TLSv1.3');
  assert.match(String(closed['outerSession']), /^[\x21-\x7e]+$/);
});

test('STARTTLS through haproxy (v1), Dovecot told by ID', async () => {
  await using session = await connect('imap');
  await session.expect(/^\* OK .*STARTTLS.*LOGINDISABLED/);
  await session.ask('s STARTTLS', /^s OK /);
  await session.startTls();
  const before = dovecotLog().length;
  await logIn(session);
  await logged(
    () => dovecotLog().slice(before),
    /imap-login: Info: Login: .*rip=127\.0\.0\.23,.*real=127\.0\.0\.1,/,
  );
  assert.equal((await closing('imap-lb'))['via'], BALANCER);
});

test('POP3 through haproxy (v2), Dovecot told by XCLIENT', async () => {
  await using session = await connect('pop3s');
  await session.startTls();
  await session.expect(/^\+OK/);
  await session.ask(`USER ${anna.user}`, /^\+OK/);
  await session.ask(`PASS ${anna.password}`, /^\+OK/);
  await session.ask('QUIT', /^\+OK/);
  await logged(dovecotLog, /pop3-login: Info: Login: .*rip=127\.0\.0\.23,/);
});

test('TLS that haproxy ends (v2-ssl-cn) needs no STARTTLS, and the client certificate is in the log', async () => {
  const mine = authority.issue({ names: ['anna.example.com'], file: 'anna' });
  const where = `-connect 127.0.0.1:${haproxy.ports.offload} -bind ${CLIENT}:0 -servername localhost`;
  const proofs = `-CAfile ${authority.caFile} -verify_return_error -cert ${mine.certFile} -key ${mine.keyFile}`;
  const before = dovecotLog().length;
  const seen = await run('openssl', `s_client ${where} ${proofs} -quiet`.split(' '), {
    input: `a LOGIN ${anna.user} "${anna.password}"\r\nb LOGOUT\r\n`,
  });
  assert.match(seen.text, /\* OK \[CAPABILITY (?!.*(STARTTLS|LOGINDISABLED))/);
  assert.match(seen.text, /^a OK /m);
  await logged(() => dovecotLog().slice(before), /imap-login: Info: Login: .*rip=127\.0\.0\.23,/);
  const closed = await closing('imap-offloaded');
  assert.equal(closed['tls'] ?? null, null);
  assert.deepEqual(closed['outerTls'], {
    version: 'TLSv1.3',
    cipher: (closed['outerTls'] as { cipher: string }).cipher,
    sni: 'localhost',
    clientName: 'anna.example.com',
  });
  assert.match((closed['outerTls'] as { cipher: string }).cipher, /^TLS_AES_/);
});

test('submission through TLS that haproxy ends, Postfix told by PROXY v2', async () => {
  await using session = await connect('submissions');
  await session.startTls();
  await session.expect(/^220 /);
  await submit(session, 'by-header@example.com');
  await logged(postfixLog, /client=unknown\[127\.0\.0\.23\].*sasl_username=anna@example\.com/);
  const [mail] = await until(
    () => {
      const mails = postfix.messages('by-header@example.com');
      return mails.length > 0 && mails;
    },
    20_000,
    postfixLog,
  );
  // How the client greeted is not in a header; XCLIENT would tell it.
  assert.match(mail?.trace ?? '', /^Received: from mail\.example\.com \(unknown \[127\.0\.0\.23\]\)/m);
});

test('submission with STARTTLS through haproxy (v1), Postfix told by XCLIENT', async () => {
  await using session = await connect('submission');
  await session.expect(/^220 /);
  await session.ask('EHLO laptop.example.net', /^250 /);
  await session.ask('STARTTLS', /^220 /);
  await session.startTls();
  const before = postfixLog().length;
  await submit(session, 'by-xclient@example.com');
  await logged(() => postfixLog().slice(before), /client=unknown\[127\.0\.0\.23\].*sasl_username=anna@/);
});

test('mail from outside through haproxy, Postfix told by PROXY v1, is not relayed for a neighbour', async () => {
  await using session = await connect('smtp');
  await session.expect(/^220 /);
  await session.ask('EHLO stranger.example.net', /^250 /);
  await session.ask('MAIL FROM:<stranger@example.net>', /^250 /);
  await session.ask('RCPT TO:<victim@elsewhere.example>', /^554 5\.7\.1 /);
  await session.ask('QUIT', /^221 /);
  await logged(postfixLog, /reject: RCPT from unknown\[127\.0\.0\.23\].*to=<victim@/);
});

for (const [version, header] of [
  ['version 1', Buffer.from('PROXY TCP4 198.51.100.66 127.0.0.1 5 6\r\n')],
  [
    'version 2',
    Buffer.from('\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc6\x33\x64\x42\x7f\0\0\x01\0\x05\0\x06', 'latin1'),
  ],
] as const) {
  test(`${version} from a peer that is no balancer is ignored: closed, or garbage`, async () => {
    await using required = await Dialogue.connect({ port: front.port('imap-lb'), localAddress: STRANGER });
    required.sendOctets(header);
    await required.closed();
    await using open = await Dialogue.connect({ port: front.port('imap-open'), localAddress: STRANGER });
    await open.expect(/^\* OK /);
    open.sendOctets(header);
    if (version === 'version 1') await open.ask(`a LOGIN ${anna.user} "${anna.password}"`, /^a OK /);
    else await open.closed();
    open.close();
    assert.ok(!dovecotLog().includes('198.51.100.66'));
    assert.ok(!JSON.stringify(front.log()).includes('198.51.100.66'));
    await front.waitForLog((line) => line['code'] === 'PROXY_STRANGER' && line['client'] === STRANGER);
  });
}

test('where a header is optional, a client that comes by itself is served as itself', async () => {
  await using session = await Dialogue.connect({ port: front.port('imap-open'), localAddress: STRANGER });
  await session.expect(/^\* OK /);
  const before = dovecotLog().length;
  await logIn(session);
  await logged(() => dovecotLog().slice(before), /imap-login: Info: Login: .*rip=127\.0\.0\.66,/);
});

test("haproxy's health check (LOCAL) is greeted and leaves quiet lines", async () => {
  const line = await front.waitForLog(
    (entry) => entry['event'] === 'closed' && entry['client'] === BALANCER && entry['service'] === 'imap-lb',
  );
  assert.equal(line['level'], 'info', JSON.stringify(line));
  assert.ok(!front.log().some((entry) => String(entry['code']).startsWith('PROXY_HEADER')));
});

test('check --probe reaches servers that expect a header', async () => {
  const program = join(import.meta.dirname, '../../src/main.ts');
  const args = [program, 'check', '--config', front.settingsFile, '--probe', '--json'];
  const checked = await run(process.execPath, args);
  const { probes } = JSON.parse(checked.stdout.toString()) as {
    probes: { backend: string; error: string | null; warnings: string[] }[];
  };
  for (const { backend, error, warnings } of probes) {
    assert.deepEqual([backend, error, warnings], [backend, null, []]);
  }
  assert.deepEqual(
    ['stores-v2', 'stores-v2-tls', 'mta-v1', 'mta-v2'].filter(
      (name) => !probes.some(({ backend }) => backend === name),
    ),
    [],
  );
});
