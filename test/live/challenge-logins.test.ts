// Logins by APOP, CRAM-MD5 and SCRAM-SHA-256(-PLUS), each by a program that others wrote, to a real Dovecot and a real
// Postfix behind us: Python, GNU SASL, msmtp, mbsync, curl. Anna's password is in the file of users, of Bob's there are
// keys only. And somebody in between, with whom a bound login fails.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import tls from 'node:tls';

import type { Issued } from '../support/authority.ts';
import { scramClient } from '../support/challenge-client.ts';
import { Dialogue } from '../support/dialogue.ts';
import { type GsaslVisit, storedKeys, visitByGsasl } from '../support/gsasl.ts';
import { run, type Run } from '../support/program.ts';
import { anna, bob, startSite } from '../support/site.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-challenges-'));
const others: { stop(): Promise<unknown> }[] = [];
const MECHANISMS = ['PLAIN', 'CRAM-MD5', 'SCRAM-SHA-256', 'SCRAM-SHA-256-PLUS'];

const keys = await storedKeys(bob.password);
const users = join(folder, 'users.yaml');
writeFileSync(
  users,
  [
    `${anna.user}: { password: "${anna.password}" }`,
    `${bob.user}: { password: '${keys}', backend: { imap: adminstores } }`,
    '',
  ].join('\n'),
  { mode: 0o600 },
);
// Dovecot, which is not root when it reads passwords, must get to this.
chmodSync(folder, 0o711);
const masters = join(folder, 'masters');
writeFileSync(masters, 'mmpstore:{PLAIN}admin secret\n', { mode: 0o644 });

const site = await startSite({
  dovecot: {
    extra: `passdb {\n  driver = passwd-file\n  args = ${masters}\n  master = yes\n  result_success = continue\n}`,
  },
  adjust: (settings) => {
    const { services, backends } = settings as Record<string, Record<string, Record<string, unknown>>>;
    const changed = Object.entries(services ?? {}).map(([name, service]) => [
      name,
      {
        ...service,
        verify: 'directory',
        mechanisms: service['protocol'] === 'pop3' ? [...MECHANISMS, 'APOP'] : MECHANISMS,
        // In clear nothing but a challenge.
        ...(['imap', 'pop3'].includes(name) ? { tls: 'maytls', restrictPlainPasswords: true } : {}),
      },
    ]);
    return {
      ...settings,
      directory: { type: 'file', file: users },
      services: Object.fromEntries(changed),
      backends: {
        ...backends,
        adminstores: { ...backends?.['stores'], admin: { user: 'mmpstore', password: 'admin secret' } },
      },
    };
  },
});
after(async () => {
  await Promise.all(others.map((one) => one.stop()));
  await site.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function assertLoggedIn(mechanism: string, user: string): Promise<void> {
  await site.front.waitForLog(
    (line) => line['mechanism'] === mechanism && line['user'] === user && line['event'] === 'closed',
  );
}

const PYTHON = `
import imaplib, poplib, smtplib, ssl, sys
way, port, ca, user, password = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
def imap(secure):
    session = imaplib.IMAP4('localhost', int(port))
    if secure: session.starttls(context)
    return session
try:
    if way == 'imap cram':
        session = imap(False)
        assert 'LOGINDISABLED' in session.capabilities and 'AUTH=PLAIN' not in session.capabilities
        session.login_cram_md5(user, password)
        print(session.select()[0])
    elif way == 'imap cram starttls':
        session = imap(True)
        session.login_cram_md5(user, password)
        print(session.select()[0])
    elif way == 'imap login in clear':
        imap(False).login(user, password)
    elif way == 'pop3 apop':
        session = poplib.POP3('localhost', int(port))
        session.apop(user, password)
        print(session.stat()[0] >= 0 and 'OK')
    elif way == 'pop3 pass in clear':
        poplib.POP3('localhost', int(port)).user(user)
    else:
        session = smtplib.SMTP('localhost', int(port))
        session.starttls(context=context)
        session.ehlo()
        session.user, session.password = user, password
        session.auth('CRAM-MD5', session.auth_cram_md5)
        session.sendmail(user, ['cram@example.com'], 'Subject: cram\\r\\n\\r\\nHello\\r\\n')
        print('OK')
except (imaplib.IMAP4.error, poplib.error_proto, smtplib.SMTPException) as error:
    print('REFUSED', error)
`;

async function python(way: string, service: 'imap' | 'pop3' | 'submission', login = anna): Promise<string> {
  const args = [
    '-c',
    PYTHON,
    way,
    String(site.ports[service]),
    site.authority.caFile,
    login.user,
    login.password,
  ];
  const { code, stdout, text } = await run('/usr/bin/python3', args);
  assert.equal(code, 0, text);
  return stdout.toString().trim();
}

const wrong = { ...anna, password: 'guess' };
const nobody = { ...anna, user: 'nobody@example.com' };

for (const [way, service, mechanism] of [
  ['imap cram', 'imap', 'CRAM-MD5'],
  ['imap cram starttls', 'imap', 'CRAM-MD5'],
  ['pop3 apop', 'pop3', 'APOP'],
  ['smtp cram', 'submission', 'CRAM-MD5'],
] as const) {
  test(`Python, ${way}: the right password logs in, a wrong one and nobody’s do not`, async () => {
    assert.equal(await python(way, service), 'OK');
    await assertLoggedIn(mechanism, anna.user);
    for (const login of [wrong, nobody, bob]) assert.match(await python(way, service, login), /^REFUSED/);
  });
}

test('Python’s mail by CRAM-MD5 has arrived, and the relay was told of whom it is', async () => {
  const [mail] = await site.arrived('cram@example.com', 1);
  assert.match(mail?.message.toString() ?? '', /Subject: cram/);
});

test('in clear a password is refused, in the words for it', async () => {
  assert.match(await python('imap login in clear', 'imap'), /REFUSED .*PRIVACYREQUIRED/);
  assert.match(await python('pop3 pass in clear', 'pop3'), /REFUSED .*-ERR \[AUTH\] Use STLS first/);
});

/** By STARTTLS, to us unless told otherwise. */
function gsasl(visit: Omit<GsaslVisit, 'port' | 'ca' | 'login'> & Partial<GsaslVisit>): Promise<Run> {
  const port = site.ports[visit.protocol === 'imap' ? 'imap' : 'submission'];
  return visitByGsasl({ port, ca: site.authority.caFile, login: anna, ...visit });
}

for (const protocol of ['imap', 'smtp'] as const) {
  for (const [who, login] of [
    ['a password', anna],
    ['keys', bob],
  ] as const) {
    for (const [mechanism, more] of [
      ['SCRAM-SHA-256-PLUS', []],
      ['SCRAM-SHA-256', ['--no-cb']],
    ] as const) {
      test(`GNU SASL logs in by ${mechanism} over ${protocol} where the directory has ${who}`, async () => {
        const { code, text } = await gsasl({ protocol, mechanism, login, more });
        assert.equal(code, 0, text);
        await assertLoggedIn(mechanism, login.user);
        assert.notEqual((await gsasl({ protocol, mechanism, login: wrong, more })).code, 0);
        assert.notEqual((await gsasl({ protocol, mechanism, login: nobody, more })).code, 0);
      });
    }
  }
}

/** Somebody who has a certificate that the client takes, and ends its TLS after STARTTLS. */
async function startMiddle(port: number, shown: Issued): Promise<{ port: number; stop(): Promise<void> }> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((near) => {
    const far = net.connect(port, '127.0.0.1');
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
    }
    near.on('data', (data) => far.write(data));
    far.on('data', (data) => {
      near.write(data);
      if (!data.includes('Begin TLS now')) return;
      for (const socket of [near, far]) socket.removeAllListeners('data');
      const towardsClient = new tls.TLSSocket(near, {
        isServer: true,
        secureContext: tls.createSecureContext({ cert: shown.cert, key: shown.key }),
      });
      const towardsUs = tls.connect({ socket: far, rejectUnauthorized: false });
      for (const socket of [towardsClient, towardsUs]) socket.on('error', () => socket.destroy());
      towardsClient.pipe(towardsUs).pipe(towardsClient);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as net.AddressInfo).port,
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

test('somebody in between, with a certificate that the client trusts, gets no login by -PLUS to go through', async () => {
  const middle = await startMiddle(site.ports.imap, site.authority.issue({ names: ['localhost'] }));
  others.push(middle);
  const { port } = middle;
  const bound = await gsasl({ protocol: 'imap', mechanism: 'SCRAM-SHA-256-PLUS', port });
  assert.notEqual(bound.code, 0, bound.text);
  const refused = await site.front.waitForLog(({ said }) => said === 'it is bound to another TLS connection');
  assert.equal(refused['user'], anna.user);
  // The twin: what is not bound goes through, so it was the binding.
  const { code, text } = await gsasl({
    protocol: 'imap',
    mechanism: 'SCRAM-SHA-256',
    port,
    more: ['--no-cb'],
  });
  assert.equal(code, 0, text);
});

for (const auth of ['cram-md5', 'scram-sha-256']) {
  test(`msmtp sends by ${auth}, and not with a wrong password`, async () => {
    const to = `msmtp-${auth}@example.com`;
    const file = join(folder, 'msmtprc');
    const send = async (password: string): Promise<Run> => {
      const lines = [
        'defaults',
        'tls on',
        `tls_trust_file ${site.authority.caFile}`,
        'account front',
        'host localhost',
        `port ${site.ports.submissions}`,
        'tls_starttls off',
        `from ${anna.user}`,
        `auth ${auth}`,
        `user ${anna.user}`,
        `password "${password}"`,
        '',
      ];
      writeFileSync(file, lines.join('\n'), { mode: 0o600 });
      return run('msmtp', ['-C', file, '-a', 'front', to], { input: 'Subject: x\n\nHello\n' });
    };
    assert.notEqual((await send('guess')).code, 0);
    const { code, text } = await send(anna.password);
    assert.equal(code, 0, text);
    assert.equal((await site.arrived(to, 1)).length, 1);
    await assertLoggedIn(auth.toUpperCase(), anna.user);
  });
}

for (const mechanism of ['CRAM-MD5', 'SCRAM-SHA-256']) {
  test(`mbsync, over Cyrus SASL, pulls a mailbox by ${mechanism}, and not with a wrong password`, async () => {
    site.dovecot.deliver(
      anna.user,
      Buffer.from(`Message-ID: <${mechanism}@x>\r\nSubject: x\r\n\r\nHello\r\n`),
    );
    const sync = async (password: string): Promise<{ result: Run; count: number }> => {
      const place = mkdtempSync(join(folder, 'mbsync-'));
      for (const part of ['state', 'local/inbox/new', 'local/inbox/cur', 'local/inbox/tmp'])
        mkdirSync(join(place, part), { recursive: true });
      const lines = [
        'IMAPAccount front\nHost localhost',
        `Port ${site.ports.imaps}\nUser ${anna.user}\nPass "${password}"`,
        `SSLType IMAPS\nCertificateFile ${site.authority.caFile}\nSystemCertificates no\nAuthMechs ${mechanism}\n`,
        'IMAPStore far\nAccount front\n',
        `MaildirStore near\nPath ${place}/local/\nInbox ${place}/local/inbox\nSubFolders Verbatim\n`,
        `Channel all\nFar :far:\nNear :near:\nPatterns INBOX\nSync Pull\nSyncState ${place}/state/\n`,
      ];
      writeFileSync(join(place, 'rc'), lines.join('\n'), { mode: 0o600 });
      const result = await run('mbsync', ['-c', join(place, 'rc'), 'all']);
      return { result, count: readdirSync(join(place, 'local', 'inbox', 'new')).length };
    };
    const { result, count } = await sync(anna.password);
    assert.equal(result.code, 0, result.text);
    assert.ok(count > 0);
    await assertLoggedIn(mechanism, anna.user);
    assert.notEqual((await sync('guess')).result.code, 0);
  });
}

for (const [url, auth, mechanism] of [
  ['pop3', '+APOP', 'APOP'],
  ['pop3', 'CRAM-MD5', 'CRAM-MD5'],
  ['imap', 'CRAM-MD5', 'CRAM-MD5'],
] as const) {
  test(`curl logs in to ${url} by ${auth} in clear, and not with a wrong password`, async () => {
    const visit = (password: string): Promise<Run> =>
      run('curl', [
        '--silent',
        '--show-error',
        '--login-options',
        `AUTH=${auth}`,
        '--user',
        `${anna.user}:${password}`,
        `${url}://localhost:${site.ports[url]}/`,
      ]);
    const { code, text } = await visit(anna.password);
    assert.equal(code, 0, text);
    await assertLoggedIn(mechanism, anna.user);
    assert.equal((await visit('guess')).code, 67);
  });
}

test('a name that nobody has is shown the same salt by every worker', async () => {
  const salts = new Set<string>();
  // Which worker takes a connection is the system's choice.
  const workers = (): Set<unknown> =>
    new Set(site.front.log().flatMap(({ event, worker }) => (event === 'closed' ? [worker] : [])));
  for (let time = 0; time < 8 || (time < 200 && workers().size < 2); time++) {
    const session = await Dialogue.connect({ port: site.ports.imap });
    await session.expect(/^\* OK /);
    const { first } = scramClient({ user: 'nobody', password: 'x' });
    const [asked = ''] = await session.ask(`a AUTHENTICATE SCRAM-SHA-256 ${first}`, /^\+ /);
    const [, salt = ''] = /,s=([^,]+),/.exec(Buffer.from(asked.slice(2), 'base64').toString()) ?? [];
    salts.add(salt);
    await session.ask('*', /^a BAD /);
    await session.ask('b LOGOUT', /^b OK /);
    await session.closed();
  }
  assert.equal(workers().size, 2);
  assert.equal(salts.size, 1);
});

test('no secret and no proof is in the log', () => {
  const log = JSON.stringify(site.front.log());
  for (const secret of [anna.password, 'admin secret', keys.slice(-44)]) assert.ok(!log.includes(secret));
});
