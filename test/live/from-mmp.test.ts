// The configuration of an MMP with IMAP, POP and SMTP proxies, virtual domains and POP before SMTP, imported and served as
// it comes: slapd with Sun's schema names the store of each user, two Dovecots are the stores, the relay is a Sallyport
// that takes XPEHLO in front of Postfix. Only addresses, ports and passwords are those of the test, in the .cfg files
// themselves; the settings get a folder for their data and are otherwise as they are written. The key comes over from an
// NSS database, as the comment in them says.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { der, distinguishedName, makeAuthority } from '../support/authority.ts';
import { Dialogue } from '../support/dialogue.ts';
import { startDovecot } from '../support/dovecot.ts';
import { startFront } from '../support/front.ts';
import { COM, dcDomain, organisation, PASSWORD, PROXY, user } from '../support/ldap-site.ts';
import { askToRelay, OUTSIDE } from '../support/pop-then-smtp.ts';
import { freePort, freePorts } from '../support/ports.ts';
import { startPostfix } from '../support/postfix.ts';
import { converse, run, until, type Run } from '../support/program.ts';
import { startSlapd } from '../support/slapd.ts';

const FIXTURE = join(import.meta.dirname, '../fixtures/mmp/smtp');
const MAIN = join(import.meta.dirname, '../../src/main.ts');
const STORE_ADMIN = 'store-secret';
const REFUSED = 554;

const folder = mkdtempSync(join(tmpdir(), 'sallyport-from-mmp-'));
const [imap = 0, imaps = 0, pop = 0, pops = 0, smtp = 0, smtps = 0] = await freePorts(6);

/** With the store administrator of the MMP. */
function masters(name: string): string {
  const file = join(folder, `${name}.masters`);
  writeFileSync(file, `mmpstore:{PLAIN}${STORE_ADMIN}\n`);
  return `passdb {\n  driver = passwd-file\n  master = yes\n  args = ${file}\n}\n`;
}

const one = await startDovecot({
  folder: join(folder, 'one'),
  users: { 'joe@siroe.com': PASSWORD },
  extra: masters('one'),
});
// All stores have the same port, as an MMP knows but one.
const listener = (protocol: string, port: number): string =>
  `service ${protocol}-login {\n  inet_listener second {\n    address = 127.0.0.2\n    port = ${port}\n  }\n}\n`;
const two = await startDovecot({
  folder: join(folder, 'two'),
  users: { 'anna@siroe.com': PASSWORD, 'hugo@yoyo.com': PASSWORD },
  extra: masters('two') + listener('imap', one.imapPort) + listener('pop3', one.pop3Port),
});
const siroe = 'ou=People,o=siroe.com,o=internet';
const slapd = await startSlapd({
  ldif: [
    COM,
    PROXY,
    dcDomain('siroe.com'),
    organisation('siroe.com'),
    user('joe', siroe, { mailHost: '127.0.0.1', mail: 'joe@siroe.com' }),
    user('anna', siroe, { mailHost: '127.0.0.2' }),
    user('held', siroe, { mailHost: '127.0.0.1', mailUserStatus: 'hold' }),
    dcDomain('yoyo.com'),
    organisation('yoyo.com'),
    user('hugo', 'ou=People,o=yoyo.com,o=internet', { mailHost: '127.0.0.2' }),
  ].join(''),
});
const trusting = await freePort();
const postfix = await startPostfix({
  folder: join(folder, 'postfix'),
  services: [
    `127.0.0.1:${trusting} inet n - n - - smtpd
  -o smtpd_relay_restrictions=permit_mynetworks,reject
  -o mynetworks=127.0.0.1/32
  -o smtpd_authorized_xclient_hosts=`,
  ],
});
const relay = await startFront({
  folder: join(folder, 'relay'),
  settings: {
    hostname: 'relay.siroe.com',
    workers: 1,
    services: {
      smtp: {
        protocol: 'smtp',
        listen: ['127.0.0.1:0'],
        channel: 'tcp_local',
        frontTier: { from: ['127.0.0.1'], password: 'relay-secret' },
      },
    },
    channels: {
      tcp_local: { keywords: 'smtp mx', relay: 'mta' },
      tcp_intranet: { keywords: 'smtp mx', relay: 'trusting' },
    },
    backends: {
      mta: { servers: [`127.0.0.1:${postfix.port}`], tls: 'notls', client: ['xclient'] },
      trusting: { servers: [`127.0.0.1:${trusting}`], tls: 'notls' },
    },
  },
});

/** What the MMP's files say at this site. */
const HERE: readonly (readonly [string, string])[] = [
  ['@143|993 ', `@127.0.0.1:${imap}|127.0.0.2:${imap}|127.0.0.1:${imaps}|127.0.0.2:${imaps} `],
  ['@110|995 ', `@127.0.0.1:${pop}|127.0.0.1:${pops} `],
  ['@25|587|465', `@127.0.0.1:${smtp}|127.0.0.1:${smtps}`],
  ['SSLPorts 993|995', `SSLPorts ${imaps}|${pops}`],
  ['SSLPorts 465', `SSLPorts ${smtps}`],
  ['ldap1.siroe.com:389 ldap2.siroe.com', `127.0.0.1:${await freePort()} 127.0.0.1:${slapd.port}`],
  ['"cn=Directory Manager"', '"cn=proxy,o=internet"'],
  ['directory-secret', 'of the proxy'],
  ['BacksidePort 143', `BacksidePort ${one.imapPort}`],
  ['BacksidePort 110', `BacksidePort ${one.pop3Port}`],
  ['imap,pop:192.0.2.0/24', 'imap,pop:127.0.0.0/8'],
  ['manatee:485 gonzo mothra', `127.0.0.1:${relay.port('smtp')}`],
  ['vdmap dom1 192.0.2.10', 'vdmap dom1 127.0.0.2'],
  ['dom1:DefaultDomain example.com', 'dom1:DefaultDomain yoyo.com'],
];

/** A copy of the MMP's folder. */
function mmpHere(): string {
  const dir = join(folder, 'mmp');
  mkdirSync(dir);
  const missing = new Set(HERE.map(([from]) => from));
  for (const name of readdirSync(FIXTURE)) {
    let text = readFileSync(join(FIXTURE, name), 'utf8');
    for (const [from, to] of HERE) {
      if (!text.includes(from)) continue;
      missing.delete(from);
      text = text.replaceAll(from, to);
    }
    writeFileSync(join(dir, name), text);
  }
  assert.deepEqual([...missing], []);
  return dir;
}

async function sallyport(...args: string[]): Promise<Run> {
  const done = await run(process.execPath, [MAIN, ...args], { cwd: folder });
  assert.equal(done.code, 0, `${args.join(' ')}: ${done.text}`);
  return done;
}

const authority = makeAuthority(folder);
const people = makeAuthority(folder, 'People CA');
const mmp = mmpHere();
const settingsFile = join(folder, 'front', 'sallyport.yaml');
mkdirSync(join(folder, 'front'));
const imported = await sallyport('import', 'mmp', mmp, '--imta', join(mmp, 'imta.cnf'), '-o', settingsFile);
await bringKeyOver();
const checked = await sallyport('check', '--config', settingsFile);
const front = await startFront({
  folder: join(folder, 'front'),
  settings: `${readFileSync(settingsFile, 'utf8')}dataDir: ./data\n`,
});
after(async () => {
  await front.stop();
  await Promise.all([relay.stop(), one.stop(), two.stop(), slapd.remove(), postfix.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

/** From an NSS database, by pk12util and `sallyport cert import-cert`. */
async function bringKeyOver(): Promise<void> {
  const nss = join(folder, 'nss');
  mkdirSync(nss);
  const password = join(folder, 'password');
  writeFileSync(password, 'netscape!\n', { mode: 0o600 });
  const shown = authority.issue({ names: ['localhost', '127.0.0.1'], file: 'shown' });
  const bundle = join(folder, 'server.p12');
  const steps: [string, string[]][] = [
    ['certutil', ['-N', '-d', `sql:${nss}`, '-f', password]],
    [
      'openssl',
      [
        'pkcs12',
        '-export',
        '-in',
        shown.certFile,
        '-inkey',
        shown.keyFile,
        '-name',
        'Server-Cert',
        '-passout',
        `file:${password}`,
        '-out',
        bundle,
      ],
    ],
    ['pk12util', ['-i', bundle, '-d', `sql:${nss}`, '-k', password, '-w', password]],
    [
      'pk12util',
      ['-o', `${bundle}.nss`, '-n', 'Server-Cert', '-d', `sql:${nss}`, '-k', password, '-w', password],
    ],
  ];
  for (const [program, args] of steps) {
    const { code, text } = await run(program, args);
    assert.equal(code, 0, `${program}: ${text}`);
  }
  const cert = (...args: string[]): Promise<Run> =>
    sallyport('cert', ...args.slice(0, 1), '--config', settingsFile, '-W', password, ...args.slice(1));
  await cert('generate-certDB');
  await cert('remove-cert', '--force', 'Server-Cert');
  await cert('import-cert', '-I', password, `${bundle}.nss`);
  await cert('add-cert', '-C', 'People', people.caFile);
  await cert('trust', 'People', 'T,,');
}

interface Visit {
  /** `OK`, or the refusal. */
  readonly answer: string;
  readonly backend: unknown;
  readonly user: unknown;
}

async function readByImap(name: string, host = '127.0.0.1'): Promise<Visit> {
  const before = front.log().length;
  const session = await Dialogue.connectTls({ port: imaps, host, ca: authority.ca, waitMs: 15_000 });
  await session.expect(/^\* OK /);
  const answer = (await session.ask(`a LOGIN "${name}" "${PASSWORD}"`, /^a /)).at(-1) ?? '';
  if (answer.startsWith('a OK')) await session.ask('s SELECT INBOX', /^s OK/);
  await session.ask('b LOGOUT', /^b OK /);
  await session.closed();
  const line = await until(
    () =>
      front
        .log()
        .slice(before)
        .find((entry) => entry['event'] === 'closed'),
    5000,
    () => 'no closing line',
  );
  return { answer: answer.startsWith('a OK') ? 'OK' : answer, backend: line['backend'], user: line['user'] };
}

async function readByPop(from: string): Promise<void> {
  await using session = await Dialogue.connectTls({ port: pops, ca: authority.ca, localAddress: from });
  await session.expect(/^\+OK /);
  await session.ask('USER joe', /^\+OK/);
  await session.ask(`PASS ${PASSWORD}`, /^\+OK/);
  await session.ask('QUIT', /^\+OK/);
}

test('the sample imports and checks clean; no password of it is in the settings or on the screen', () => {
  assert.match(checked.text, new RegExp(`^service imaps: imap on 127\\.0\\.0\\.1:${imaps}, `, 'm'));
  assert.match(checked.text, /^directory: ldap$/m);
  const text = imported.text + checked.text + readFileSync(settingsFile, 'utf8');
  for (const secret of ['of the proxy', 'relay-secret', STORE_ADMIN, 'second-secret'])
    assert.ok(!text.includes(secret), secret);
});

test('IMAP: each user gets to the store that mailHost names, under the name of ReplayFormat', async () => {
  const [first, second] = [`127.0.0.1:${one.imapPort}`, `127.0.0.2:${one.imapPort}`];
  assert.deepEqual(await readByImap('joe'), { answer: 'OK', backend: first, user: 'joe@siroe.com' });
  assert.deepEqual(await readByImap('anna@siroe.com'), {
    answer: 'OK',
    backend: second,
    user: 'anna@siroe.com',
  });
  assert.match(one.logText(), /user=<joe@siroe\.com>/);
  assert.match((await readByImap('held')).answer, /^a NO \[UNAVAILABLE\]/);
});

test('vdmap: the address of ours says which domain is meant, and which delimiters', async () => {
  assert.match((await readByImap('hugo')).answer, /^a NO \[AUTHENTICATIONFAILED\]/);
  const there = { answer: 'OK', backend: `127.0.0.2:${one.imapPort}`, user: 'hugo@yoyo.com' };
  assert.deepEqual(await readByImap('hugo', '127.0.0.2'), there);
  assert.deepEqual(await readByImap('hugo+yoyo.com', '127.0.0.2'), there);
});

test('RestrictPlainPasswords: no password in clear, and after STARTTLS as ever', async () => {
  await using session = await Dialogue.connect({ port: imap, ca: authority.ca });
  const [greeting = ''] = await session.expect(/^\* OK /);
  assert.match(greeting, /LOGINDISABLED/);
  assert.match(
    (await session.ask(`a LOGIN joe "${PASSWORD}"`, /^a /)).at(-1) ?? '',
    /^a NO \[PRIVACYREQUIRED\]/,
  );
  await session.ask('b STARTTLS', /^b OK/);
  await session.startTls();
  await session.ask(`c LOGIN joe "${PASSWORD}"`, /^c OK/);
});

test('CRAMs: APOP is checked with the password of the directory, and StoreAdmin logs in for the user', async () => {
  await using session = await Dialogue.connectTls({
    port: pops,
    ca: authority.ca,
    localAddress: '127.0.0.9',
  });
  const stamp = /<[^>]+>/.exec((await session.expect(/^\+OK /))[0] ?? '')?.[0] ?? '';
  assert.notEqual(stamp, '');
  const digest = createHash('md5').update(`${stamp}${PASSWORD}`).digest('hex');
  await session.ask(`APOP joe@siroe.com ${digest}`, /^\+OK/);
  await session.ask('STAT', /^\+OK 0 0/);
  await session.ask('QUIT', /^\+OK/);
  await until(
    () => /pop3-login: .*Login: user=<joe@siroe\.com>/.test(one.logText()),
    5000,
    () => one.logText(),
  );
});

test('CertMapFile: a certificate alone logs in, mapped as certmap.conf says', async () => {
  const own = people.issue({
    names: ['pc.siroe.com'],
    purpose: 'client',
    subject: distinguishedName([
      ['CN', 'Joe'],
      ['E', der(0x16, Buffer.from('joe@siroe.com'))],
    ]),
  });
  const shown = ['-cert', own.certFile, '-key', own.keyFile, '-CAfile', authority.caFile];
  const stream = converse('openssl', ['s_client', '-quiet', '-connect', `127.0.0.1:${imaps}`, ...shown]);
  await using session = Dialogue.over(stream);
  await session.expect(/^\* OK .*AUTH=EXTERNAL/);
  await session.ask('a AUTHENTICATE EXTERNAL =', /^a OK/);
  await session.ask('b SELECT INBOX', /^b OK/);
  await session.ask('c LOGOUT', /^c OK/);
  const line = await front.waitForLog(
    (entry) => entry['event'] === 'closed' && entry['mechanism'] === 'EXTERNAL',
  );
  assert.deepEqual([line['user'], line['backend']], ['joe@siroe.com', `127.0.0.1:${one.imapPort}`]);
});

test('POP before SMTP: who has read mail may relay through the MTA, and nobody else', async () => {
  const from = '127.0.0.31';
  assert.equal(await askToRelay(smtp, from), REFUSED);
  await readByPop(from);
  assert.equal(await askToRelay(smtp, from), 250);
  assert.equal(await askToRelay(smtp, '127.0.0.32'), REFUSED);
  const used = await front.waitForLog((line) => line['event'] === 'grant-used');
  assert.deepEqual([used['client'], used['user'], used['channel']], [from, 'joe@siroe.com', 'tcp_intranet']);
  const line = await relay.waitForLog(
    (entry) => entry['event'] === 'closed' && entry['client'] === from && entry['rule'] !== 'tcp_local',
  );
  assert.equal(line['rule'], 'tcp_local → tcp_intranet (XPEHLO)');
});

test('a message goes out by the imported settings, over TLS from the first byte too', async () => {
  const from = '127.0.0.33';
  await readByPop(from);
  const args = [
    '--silent',
    '--show-error',
    '--interface',
    from,
    '--cacert',
    authority.caFile,
    '--max-time',
    '20',
  ];
  const envelope = ['--mail-from', 'joe@siroe.com', '--mail-rcpt', OUTSIDE, '--upload-file', '-'];
  const url = `smtps://localhost:${smtps}/laptop.siroe.com`;
  const sent = await run('curl', [...args, ...envelope, url], {
    input: 'Subject: as before\r\n\r\nhello\r\n',
  });
  assert.equal(sent.code, 0, sent.text);
  const [delivered] = await until(
    () => {
      const mail = postfix.messages(OUTSIDE);
      return mail.length > 0 && mail;
    },
    20_000,
    () => postfix.logText().slice(-2000),
  );
  assert.match(delivered?.message.toString() ?? '', /as before/);
});
