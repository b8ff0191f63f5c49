// One auth_http script behind nginx (Debian's) and behind Sallyport, for the logins that send no password: APOP, CRAM-MD5,
// EXTERNAL. Python's own imaplib and poplib log in through both to real Dovecots, and the script is asked the same by
// both, header for header; so it is over TLS, with and without a certificate, and behind a balancer. Then tokens, which this
// nginx does not know: the script is asked for them as freenginx asks, where the settings want it to judge them.

import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { startAuthScript } from '../support/auth-script.ts';
import { distinguishedName, makeAuthority } from '../support/authority.ts';
import { Dialogue } from '../support/dialogue.ts';
import { startDovecot } from '../support/dovecot.ts';
import { startFront } from '../support/front.ts';
import { message } from '../support/messages.ts';
import { startNginx } from '../support/nginx.ts';
import { run } from '../support/program.ts';

const KEY = ['X-Auth-Key', 'between us'] as const;
const ANNAS = '50% off + more';
const BOBS = 'pässwörd';
const TOKEN = 'eyJ0eXAiOiJKV1QifQ.e30.c2ln';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-auth-http-methods-'));
const authority = makeAuthority(folder);
const people = makeAuthority(folder, 'People, and CA');
const server = authority.issue({ names: ['localhost'] });
const annas = people.issue({
  names: ['anna'],
  purpose: 'client',
  subject: distinguishedName([
    ['O', 'Ümläut, "Inc"'],
    ['CN', 'anna of #1'],
  ]),
});
const fingerprint = createHash('sha1').update(new X509Certificate(annas.cert).raw).digest('hex');

const one = await startDovecot({ folder: join(folder, 'one'), users: { 'anna@example.com': ANNAS } });
const two = await startDovecot({ folder: join(folder, 'two'), users: { robert: BOBS } });
one.deliver('anna@example.com', message(1, 'to anna', 'for anna on one'));
two.deliver('robert', message(2, 'to robert', 'for robert on two'));
const script = await startAuthScript(
  {
    'anna@example.com': {
      password: ANNAS,
      imap: one.imapPort,
      pop3: one.pop3Port,
      fingerprint,
      token: TOKEN,
    },
    bob: { password: BOBS, imap: two.imapPort, pop3: two.pop3Port, storeUser: 'robert' },
  },
  KEY,
);
const nginx = await startNginx({
  folder: join(folder, 'nginx'),
  script: script.url.replace('http://', ''),
  header: KEY,
  tls: { certificate: server.certFile, key: server.keyFile, clientCa: people.caFile },
});
const keyFile = join(folder, 'key.secret');
writeFileSync(keyFile, `${KEY[0]}: ${KEY[1]}\n`, { mode: 0o600 });

const CHALLENGES = ['PLAIN', 'LOGIN', 'CRAM-MD5', 'EXTERNAL'];
const imap = { protocol: 'imap', backend: 'stores', listen: ['127.0.0.1:0'], verify: 'directory' };
const http = { url: script.url, header: { file: keyFile }, passClientCert: true };
const settings = {
  hostname: 'mail.example.com',
  workers: 1,
  penalties: { remembered: 0 },
  directory: { type: 'http', http },
  tls: { certificate: [{ cert: server.certFile, key: server.keyFile }], clientCa: [people.caFile] },
  services: {
    imap: { ...imap, tls: 'notls', mechanisms: CHALLENGES },
    pop3: { ...imap, protocol: 'pop3', tls: 'notls', mechanisms: [...CHALLENGES, 'APOP'] },
    imaps: { ...imap, tls: 'implicit', mechanisms: CHALLENGES },
    proxied: { ...imap, tls: 'notls', proxyProtocol: { from: '127.0.0.0/8' } },
    smtp: {
      protocol: 'smtp',
      listen: imap.listen,
      channel: 'submit',
      verify: 'directory',
      // No relay is asked: nobody gets that far.
      capabilities: ['8BITMIME'],
      mechanisms: CHALLENGES,
    },
  },
  channels: { submit: { keywords: 'smtp mx maytlsserver mustsaslserver', relay: 'stores' } },
  // Nobody logs in there for others: the password for the store is the script's.
  backends: { stores: { hosts: ['127.0.0.0/8'], tls: 'notls' } },
};
const front = await startFront({ folder: join(folder, 'front'), settings });
const byToken = await startFront({
  folder: join(folder, 'by-token'),
  settings: {
    ...settings,
    directory: { type: 'http', http: { ...http, passTokens: true } },
    services: {
      judged: { ...imap, tls: 'notls' },
      routed: { ...imap, tls: 'notls', verify: 'backend' },
    },
    backends: { stores: { ...settings.backends.stores, servers: [`127.0.0.1:${one.imapPort}`] } },
  },
});
after(async () => {
  await Promise.all([front.stop(), byToken.stop(), nginx.stop(), one.stop(), two.stop(), script.close()]);
  rmSync(folder, { recursive: true, force: true });
});

const fronts = {
  nginx,
  sallyport: {
    imap: front.port('imap'),
    pop3: front.port('pop3'),
    imaps: front.port('imaps'),
    proxied: front.port('proxied'),
    smtp: front.port('smtp'),
  },
};

const PYTHON = `
import imaplib, poplib, smtplib, ssl, sys
way, port, user, password, ca, cert, key = sys.argv[1:]
def tls(shown):
    context = ssl.create_default_context(cafile=ca)
    # Of which cipher either thinks more is its own business.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers('ECDHE-ECDSA-AES128-GCM-SHA256')
    if shown: context.load_cert_chain(cert, key)
    return imaplib.IMAP4_SSL('localhost', int(port), ssl_context=context)
def subject(session):
    session.select()
    return session.fetch('1', 'BODY[HEADER.FIELDS (SUBJECT)]')[1][0][1].decode().strip()
try:
    if way == 'imap cram':
        session = imaplib.IMAP4('localhost', int(port))
        session.login_cram_md5(user, password)
        print(subject(session))
    elif way == 'pop3 apop':
        session = poplib.POP3('localhost', int(port))
        session.apop(user, password)
        print([line.decode() for line in session.top(1, 0)[1] if line.startswith(b'Subject')][0])
    elif way == 'external':
        session = tls(True)
        # imaplib sends what is empty as an empty line.
        session.authenticate('EXTERNAL', lambda challenge: user.encode())
        print(subject(session))
    elif way == 'smtp refused':
        # By CRAM-MD5, then by PLAIN.
        session = smtplib.SMTP('127.0.0.1', int(port))
        session.ehlo()
        session.user, session.password = user, password
        for mechanism, answer in ('CRAM-MD5', session.auth_cram_md5), ('PLAIN', session.auth_plain):
            try: session.auth(mechanism, answer)
            except smtplib.SMTPAuthenticationError as error: print(error)
    else:
        session = tls(way == 'login certified')
        session.login(user, password)
        print(subject(session))
except (imaplib.IMAP4.error, poplib.error_proto) as error:
    print('REFUSED', error)
`;

type Way = 'smtp refused' | 'imap cram' | 'pop3 apop' | 'external' | 'login certified' | 'login tls';
type Ports = (typeof fronts)['sallyport'];

type Login = readonly [user: string, password?: string];

async function python(ports: Ports, way: Way, [user, password = '']: Login): Promise<string> {
  const service = { 'imap cram': 'imap', 'pop3 apop': 'pop3', 'smtp refused': 'smtp' } as const;
  const port = ports[way in service ? service[way as keyof typeof service] : 'imaps'];
  const files = [authority.caFile, annas.certFile, annas.keyFile];
  const { code, stdout, text } = await run('/usr/bin/python3', [
    '-c',
    PYTHON,
    way,
    String(port),
    user,
    password,
    ...files,
  ]);
  assert.equal(code, 0, text);
  return stdout.toString().trim();
}

/** Through a balancer. */
async function proxied(ports: Ports): Promise<string> {
  await using session = await Dialogue.connect({ port: ports.proxied, waitMs: 15_000 });
  session.send('PROXY TCP4 192.0.2.7 198.51.100.9 50001 143');
  await session.expect(/^\* OK /);
  await session.ask(`a LOGIN anna@example.com "${ANNAS}"`, /^a OK/);
  return 'OK';
}

const ANNA = 'Subject: for anna on one';
const ROBERT = 'Subject: for robert on two';

for (const [name, ports] of Object.entries(fronts)) {
  test(`${name}: Python’s CRAM-MD5 and APOP are judged by the script, which has the password for the store`, async () => {
    assert.equal(await python(ports, 'imap cram', ['anna@example.com', ANNAS]), ANNA);
    assert.equal(await python(ports, 'imap cram', ['bob', BOBS]), ROBERT);
    assert.equal(await python(ports, 'pop3 apop', ['anna@example.com', ANNAS]), ANNA);
    assert.equal(await python(ports, 'pop3 apop', ['bob', BOBS]), ROBERT);
  });

  test(`${name}: what the script does not find right is refused in its words`, async () => {
    for (const way of ['imap cram', 'pop3 apop'] as const) {
      assert.match(await python(ports, way, ['bob', 'guess']), /^REFUSED .*Invalid login or password/);
      assert.match(await python(ports, way, ['nobody', BOBS]), /^REFUSED .*Invalid login or password/);
    }
  });

  test(`${name}: a certificate logs in whom the script knows by it, and nobody else by that name`, async () => {
    assert.equal(await python(ports, 'external', ['anna@example.com']), ANNA);
    assert.match(await python(ports, 'external', ['bob']), /^REFUSED/);
  });
}

/** What depends on the connection, and what a script for nginx does not know. */
const OWN = new Set([
  'host',
  'connection',
  'client-port',
  'auth-server-address',
  'auth-server-port',
  // The server draws them.
  'auth-salt',
]);

const VISITS: Readonly<Record<string, (ports: Ports) => Promise<string>>> = {
  'CRAM-MD5': (ports) => python(ports, 'imap cram', ['bob', BOBS]),
  APOP: (ports) => python(ports, 'pop3 apop', ['bob', BOBS]),
  EXTERNAL: (ports) => python(ports, 'external', ['anna@example.com']),
  'EXTERNAL, for whomever it stands for': (ports) => python(ports, 'external', ['']),
  'a password and a certificate': (ports) => python(ports, 'login certified', ['anna@example.com', ANNAS]),
  'a password over TLS': (ports) => python(ports, 'login tls', ['anna@example.com', ANNAS]),
  'a balancer': proxied,
};

for (const [what, visit] of Object.entries(VISITS)) {
  test(`both ask the script the same, byte for byte and in the same order: ${what}`, async () => {
    const ask = async (ports: Ports): Promise<[string, string][]> => {
      const before = script.asked.length;
      assert.doesNotMatch(await visit(ports), /^REFUSED/);
      assert.equal(script.asked.length, before + 1);
      const headers = script.asked[before] ?? {};
      if (what === 'CRAM-MD5' || what === 'APOP') {
        assert.match(headers['auth-salt'] ?? '', /^<[\w.-]+@mail\.example\.com>$/);
        assert.match(headers['auth-pass'] ?? '', /^[0-9a-f]{32}$/);
      }
      const order = script.names[before]?.map((header) => header.toLowerCase()) ?? [];
      return order.flatMap((header): [string, string][] => {
        if (OWN.has(header)) return [];
        const isDigest = header === 'auth-pass' && headers['auth-salt'] !== undefined;
        return [[header, isDigest ? 'a digest' : (headers[header] ?? '')]];
      });
    };
    const [theirs, ours] = [await ask(fronts.nginx), await ask(fronts.sallyport)];
    assert.ok(theirs.length > 5);
    assert.deepEqual(ours, theirs);
  });
}

test('both ask the script the same of SMTP, where a host name is told too, and tell its words', async () => {
  const ask = async (ports: Ports): Promise<unknown> => {
    const before = script.asked.length;
    const words = await python(ports, 'smtp refused', ['bob', 'guess']);
    const asked = script.asked
      .slice(before)
      .map((headers) =>
        Object.entries(headers).filter(
          ([name]) => !OWN.has(name) && !(name === 'auth-pass' && headers['auth-method'] === 'cram-md5'),
        ),
      );
    assert.equal(asked.length, 2);
    return { words, asked };
  };
  const [theirs, ours] = [await ask(fronts.nginx), await ask(fronts.sallyport)];
  assert.match(JSON.stringify(theirs), /\["client-host","\[UNAVAILABLE\]"\]/);
  assert.deepEqual(ours, theirs);
});

test('both tell of the salt in the same place', () => {
  const place = (names: readonly string[]): string => names[names.indexOf('Auth-Salt') - 1] ?? '';
  const salted = script.names.filter((names) => names.includes('Auth-Salt'));
  assert.ok(salted.length > 4);
  assert.deepEqual(new Set(salted.map((names) => place(names))), new Set(['Auth-Pass']));
});

const bearer = (token: string): string =>
  Buffer.from(`user=anna@example.com\x01auth=Bearer ${token}\x01\x01`).toString('base64');

async function xoauth2(service: 'judged' | 'routed', token: string): Promise<string> {
  await using session = await Dialogue.connect({ port: byToken.port(service), waitMs: 15_000 });
  const [greeting = ''] = await session.expect(/^\* OK /);
  if (!greeting.includes('AUTH=XOAUTH2')) return 'not offered';
  return (await session.ask(`a AUTHENTICATE XOAUTH2 ${bearer(token)}`, /^a /)).at(-1) ?? '';
}

test('a token is judged by the script that is to be shown it, and the store is given the password', async () => {
  assert.match(await xoauth2('judged', TOKEN), /^a OK/);
  const asked = script.asked.at(-1) ?? {};
  assert.deepEqual([asked['auth-method'], asked['auth-pass']], ['xoauth2', TOKEN]);
  assert.match(await xoauth2('judged', 'guess'), /^a NO .*Invalid login or password/);
});

test('a script that is not to be shown tokens is asked by their names and without them, and not as if for a password', async () => {
  assert.match(await xoauth2('routed', TOKEN), /^a NO .*Invalid login or password/);
  const asked = script.asked.at(-1) ?? {};
  assert.deepEqual([asked['auth-method'], asked['auth-pass']], ['xoauth2', '']);
});

test('no password, no digest and no token is in a log', () => {
  const log = JSON.stringify([front.log(), byToken.log()]);
  const digests = script.asked.map((headers) => headers['auth-pass'] ?? '').filter((text) => text !== '');
  for (const secret of [ANNAS, BOBS, TOKEN, KEY[1], ...digests]) assert.ok(!log.includes(secret), secret);
});
