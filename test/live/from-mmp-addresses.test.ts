// An MMP with five virtual domains by address and a second instance, imported and served: slapd names the stores, two
// Dovecots are these. Each login ends where the MMP would have sent it, whom TCPAccess, ConnLimits keep out stays out.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Dialogue } from '../support/dialogue.ts';
import { startDovecot } from '../support/dovecot.ts';
import { startFront } from '../support/front.ts';
import { COM, dcDomain, organisation, PASSWORD, PROXY, user } from '../support/ldap-site.ts';
import { freePorts } from '../support/ports.ts';
import { run } from '../support/program.ts';
import { startSlapd } from '../support/slapd.ts';

const MAIN = join(import.meta.dirname, '../../src/main.ts');
const folder = mkdtempSync(join(tmpdir(), 'sallyport-from-mmp-addresses-'));
const [imap = 0, pop = 0] = await freePorts(2);
const store = await startDovecot({
  folder: join(folder, 'one'),
  users: { 'joe@siroe.com': PASSWORD, 'hugo@yoyo.com': PASSWORD, hugo: PASSWORD },
});
// All stores have the same port, as an MMP knows but one; the second instance has another.
const other = await startDovecot({
  folder: join(folder, 'two'),
  users: { 'hugo@yoyo.com': PASSWORD, 'joe@siroe.com': PASSWORD },
  extra: `service imap-login {\n  inet_listener second {\n    address = 127.0.0.2\n    port = ${store.imapPort}\n  }\n}\n`,
});
const slapd = await startSlapd({
  ldif: [
    COM,
    PROXY,
    dcDomain('siroe.com'),
    organisation('siroe.com'),
    user('joe', 'ou=People,o=siroe.com,o=internet', { mailHost: '127.0.0.1' }),
    dcDomain('yoyo.com'),
    organisation('yoyo.com'),
    user('hugo', 'ou=People,o=yoyo.com,o=internet', { mailHost: '127.0.0.2' }),
  ].join(''),
});

const MMP: Readonly<Record<string, readonly string[]>> = {
  'AService.cfg': [
    `default:ServiceList "/opt/lib/ImapProxyAService@${[1, 2, 3, 4, 5, 6].map((last) => `127.0.0.${last}:${imap}`).join('|')} /opt/lib/ImapProxyAService|ImapProxyAService|second@127.0.0.7:${imap} /opt/lib/PopProxyAService@127.0.0.1:${pop}"`,
    `default:LdapUrl "ldap://127.0.0.1:${slapd.port}/o=internet"`,
    'default:BindDN\t"cn=proxy,o=internet"',
    'default:BindPass   "of the proxy"',
    'default:DefaultDomain siroe.com',
    'default:ReplayFormat %U@%V',
    'default:ConnLimits /opt/SUNWmsgsr/config/connlimits.cfg',
    'default:BGExcluded /opt/SUNWmsgsr/config/bgexcl.cfg',
  ],
  'ImapProxyAService.cfg': [
    '# by address',
    'default:PreAuth yes',
    'default:VirtualDomainFile /opt/SUNWmsgsr/config/vdmap.cfg',
    `default:BacksidePort ${store.imapPort}`,
    'second:PreAuth no',
    `second:BacksidePort ${other.imapPort}`,
  ],
  'PopProxyAService.cfg': [`default:BacksidePort ${store.pop3Port}`, 'default:TCPAccess "-pop:127.0.0.9"'],
  'vdmap.cfg': [
    'vdmap two 127.0.0.2',
    'two:DefaultDomain yoyo.com',
    'vdmap three 127.0.0.3',
    'three:TCPAccess "+imap:127.0.0. EXCEPT 127.0.0.9"',
    'vdmap four 127.0.0.4',
    'four:HostedDomains no',
    `four:LdapUrl "ldap://127.0.0.1:${slapd.port}/ou=People,o=yoyo.com,o=internet"`,
    'four:SearchFormat (uid=%U)',
    'four:ReplayFormat %A[uid]@yoyo.com',
    'vdmap five 127.0.0.5',
    'five:PreAuth no',
    'vdmap six 127.0.0.6',
    'six:DomainDelim +',
  ],
  'connlimits.cfg': ['127.0.0.8|255.255.255.255:2', '0.0.0.0|0.0.0.0:20'],
  'bgexcl.cfg': ['127.0.0.0|255.0.0.0'],
};

const dir = join(folder, 'mmp');
mkdirSync(dir);
for (const [name, lines] of Object.entries(MMP)) writeFileSync(join(dir, name), `${lines.join('\r\n')}\r\n`);
mkdirSync(join(folder, 'front'));
const file = join(folder, 'front', 'sallyport.yaml');
for (const args of [
  ['import', 'mmp', dir, '-o', file],
  ['check', '--config', file],
]) {
  const { code, text } = await run(process.execPath, [MAIN, ...args]);
  assert.equal(code, 0, text);
}
const front = await startFront({
  folder: join(folder, 'front'),
  settings: `${readFileSync(file, 'utf8')}dataDir: ./data\n`,
});
after(async () => {
  await front.stop();
  await Promise.all([store.stop(), other.stop(), slapd.remove()]);
  rmSync(folder, { recursive: true, force: true });
});

interface Visit {
  readonly answer: string;
  readonly backend: unknown;
  readonly user: unknown;
}

/** A login at one of our addresses. */
async function visit(host: string, name: string, password = PASSWORD): Promise<Visit> {
  const before = front.log().length;
  await using session = await Dialogue.connect({ port: imap, host, localAddress: '127.0.0.20' });
  await session.expect(/^\* OK /);
  const answer = (await session.ask(`a LOGIN "${name}" "${password}"`, /^a /)).at(-1) ?? '';
  await session.ask('b LOGOUT', /^b OK /);
  await session.closed();
  const line = await front.waitForLog(
    (entry) => entry['event'] === 'closed' && front.log().indexOf(entry) >= before,
  );
  return {
    answer: answer
      .slice(2)
      .split(' ', answer.startsWith('a OK') ? 1 : 2)
      .join(' '),
    backend: line['backend'],
    user: line['user'],
  };
}

const atStore = `127.0.0.1:${store.imapPort}`;
const atOther = `127.0.0.2:${store.imapPort}`;

for (const [host, name, backend, owner] of [
  ['127.0.0.1', 'joe', atStore, 'joe@siroe.com'],
  ['127.0.0.1', 'hugo@yoyo.com', atOther, 'hugo@yoyo.com'],
  ['127.0.0.2', 'hugo', atOther, 'hugo@yoyo.com'],
  ['127.0.0.2', 'joe@siroe.com', atStore, 'joe@siroe.com'],
  ['127.0.0.3', 'joe', atStore, 'joe@siroe.com'],
  // The second store knows hugo@yoyo.com alone, so ReplayFormat counts; without HostedDomains a user is a uid.
  ['127.0.0.4', 'hugo', atOther, 'hugo'],
  ['127.0.0.5', 'joe', atStore, 'joe@siroe.com'],
  ['127.0.0.6', 'hugo+yoyo.com', atOther, 'hugo@yoyo.com'],
  ['127.0.0.7', 'joe', `127.0.0.1:${other.imapPort}`, 'joe@siroe.com'],
] as const) {
  test(`${name} at ${host} gets to ${backend === atStore ? 'the first' : 'the second'} store as ${owner}`, async () => {
    assert.deepEqual(await visit(host, name), { answer: 'OK', backend, user: owner });
  });
}

test('a name that the address does not know, and a wrong password, are refused', async () => {
  const refused = 'NO [AUTHENTICATIONFAILED]';
  assert.equal((await visit('127.0.0.1', 'hugo')).answer, refused);
  assert.equal((await visit('127.0.0.4', 'joe')).answer, refused);
  assert.equal((await visit('127.0.0.6', 'hugo@yoyo.com')).answer, refused);
  assert.equal((await visit('127.0.0.1', 'joe', 'wrong')).answer, refused);
});

test('PreAuth no: the store itself refuses a wrong password, at the address and in the instance that say so', async () => {
  const failures = (log: string): number => log.match(/auth failed/g)?.length ?? 0;
  const before = [failures(store.logText()), failures(other.logText())] as const;
  assert.match((await visit('127.0.0.1', 'joe', 'wrong')).answer, /^NO/);
  assert.deepEqual([failures(store.logText()), failures(other.logText())], before);
  assert.match((await visit('127.0.0.5', 'joe', 'wrong')).answer, /^NO/);
  assert.match((await visit('127.0.0.7', 'joe', 'wrong')).answer, /^NO/);
  assert.deepEqual([failures(store.logText()), failures(other.logText())], [before[0] + 1, before[1] + 1]);
});

async function greeting(host: string, port: number, localAddress: string): Promise<string> {
  await using session = await Dialogue.connect({ port, host, localAddress });
  return (await session.expect(/^(\* |\+OK|-ERR)/)).at(-1) ?? '';
}

test('TCPAccess keeps out whom it kept out, of one address and of one proxy, and nobody else', async () => {
  assert.match(await greeting('127.0.0.3', imap, '127.0.0.9'), /^\* BYE/);
  assert.match(await greeting('127.0.0.3', imap, '127.0.0.10'), /^\* OK/);
  assert.match(await greeting('127.0.0.1', imap, '127.0.0.9'), /^\* OK/);
  assert.match(await greeting('127.0.0.1', pop, '127.0.0.9'), /^-ERR/);
  assert.match(await greeting('127.0.0.1', pop, '127.0.0.10'), /^\+OK/);
});

test('ConnLimits: the third connection of a client that may have two is refused, another client has three', async () => {
  for (const [from, third] of [
    ['127.0.0.8', /^\* BYE/],
    ['127.0.0.11', /^\* OK/],
  ] as const) {
    await using one = await Dialogue.connect({ port: imap, localAddress: from });
    await using two = await Dialogue.connect({ port: imap, localAddress: from });
    await one.expect(/^\* OK/);
    await two.expect(/^\* OK/);
    assert.match(await greeting('127.0.0.1', imap, from), third);
  }
});
