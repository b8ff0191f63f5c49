// Two loopback addresses of one service with nothing in common but the port: each has its own directory (a real slapd),
// store administrator, way to check passwords, mechanisms and rules about who may come, as vdmap.cfg has it.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { makeAuthority } from '../support/authority.ts';
import { Dialogue } from '../support/dialogue.ts';
import { startDovecot } from '../support/dovecot.ts';
import { startFront } from '../support/front.ts';
import { COM, dcDomain, organisation, user } from '../support/ldap-site.ts';
import { run } from '../support/program.ts';
import { startSlapd } from '../support/slapd.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-addresses-'));
const authority = makeAuthority(folder);
const masters = join(folder, 'masters');
writeFileSync(masters, 'allone:{PLAIN}of one\nalltwo:{PLAIN}of two\n');
const store = await startDovecot({
  folder: join(folder, 'store'),
  // The store has other passwords than the directories, which are not to be shown to it.
  users: { 'joe@one.com': 'at the store', 'joe@two.com': 'at the store', 'joe@three.com': 'at the store' },
  extra: `passdb {\n  driver = passwd-file\n  master = yes\n  args = ${masters}\n}`,
});
const mailHost = `127.0.0.1:${store.imapPort}`;

function slapdOf(name: string, userPassword: string) {
  return startSlapd({
    ldif: [
      COM,
      dcDomain(name, { mailAccessProxyReplay: '%U@%V' }),
      organisation(name),
      user('joe', `ou=People,o=${name},o=internet`, { mailHost, userPassword }),
    ].join(''),
  });
}

const [one, two, three] = await Promise.all([
  slapdOf('one.com', 'in one'),
  slapdOf('two.com', 'in two'),
  slapdOf('three.com', 'at the store'),
]);
const shown = authority.issue({ names: ['localhost'], file: 'front' });
mkdirSync(join(folder, 'front'));
writeFileSync(join(folder, 'front', 'two.secret'), 'of two\n', { mode: 0o600 });
const front = await startFront({
  folder: join(folder, 'front'),
  settings: {
    hostname: 'mail.one.com',
    workers: 1,
    tls: { certificate: { cert: shown.certFile, key: shown.keyFile } },
    services: {
      imaps: {
        protocol: 'imap',
        listen: ['0.0.0.0:0'],
        tls: 'implicit',
        backend: 'stores',
        verify: 'directory',
        mechanisms: ['PLAIN', 'LOGIN'],
        domains: {
          '127.0.0.2': {
            defaultDomain: 'two.com',
            ldap: { urls: [two.url] },
            admin: { user: 'alltwo', passwordFile: 'two.secret' },
            mechanisms: ['LOGIN'],
            access: '+ALL:127.0.0.7',
            adminPolicy: 'simple',
            cache: { ttl: 0 },
          },
          '127.0.0.3': {
            defaultDomain: 'three.com',
            ldap: { urls: [three.url] },
            verify: { store: 'check' },
          },
        },
      },
    },
    backends: {
      stores: {
        hosts: ['127.0.0.1'],
        tls: 'notls',
        login: 'proxy',
        admin: { user: 'allone', password: 'of one' },
      },
      check: { servers: mailHost, tls: 'notls' },
    },
    directory: { type: 'ldap', defaultDomain: 'one.com', ldap: { urls: [one.url] } },
    penalties: { remembered: 0 },
  },
});
after(async () => {
  await front.stop();
  await Promise.all([store.stop(), one.remove(), two.remove(), three.remove()]);
  rmSync(folder, { recursive: true, force: true });
});

async function greeted(
  host: string,
  localAddress = '127.0.0.1',
): Promise<{ session: Dialogue; greeting: string }> {
  const session = await Dialogue.connectTls({
    port: front.port('imaps'),
    host,
    localAddress,
    ca: authority.ca,
    waitMs: 15_000,
  });
  return { session, greeting: (await session.expect(/^\* /)).at(-1) ?? '' };
}

/** `OK`, or the refusal. */
async function logIn(host: string, password: string, localAddress?: string): Promise<string> {
  const { session, greeting } = await greeted(host, localAddress);
  assert.match(greeting, /^\* OK /);
  const answer = (await session.ask(`a LOGIN joe "${password}"`, /^a /)).at(-1) ?? '';
  await session.ask('b LOGOUT', /^b OK /);
  await session.closed();
  return answer.startsWith('a OK') ? 'OK' : answer;
}

const masterOf = (who: string): RegExp => new RegExp(`user=<joe@${who}\\.com>`);

test('each address has a directory, a way to check passwords and an administrator of its own', async () => {
  assert.equal(await logIn('127.0.0.1', 'in one'), 'OK');
  assert.match(await logIn('127.0.0.1', 'in two'), /AUTHENTICATIONFAILED/);
  assert.equal(await logIn('127.0.0.2', 'in two', '127.0.0.7'), 'OK');
  assert.match(await logIn('127.0.0.2', 'in one', '127.0.0.7'), /AUTHENTICATIONFAILED/);
  assert.equal(await logIn('127.0.0.3', 'at the store'), 'OK');
  assert.match(await logIn('127.0.0.3', 'in one'), /AUTHENTICATIONFAILED/);
  for (const who of ['one', 'two', 'three']) assert.match(store.logText(), masterOf(who));
  const users = front
    .log()
    .filter(({ event, user: name }) => event === 'closed' && typeof name === 'string')
    .map(({ user: name }) => name);
  assert.deepEqual(new Set(users), new Set(['joe@one.com', 'joe@three.com', 'joe@two.com']));
});

test('each offers its own mechanisms, to those who may come', async () => {
  const first = await greeted('127.0.0.1');
  assert.match(first.greeting, /AUTH=PLAIN/);
  const second = await greeted('127.0.0.2', '127.0.0.7');
  assert.match(second.greeting, /AUTH=LOGIN/);
  assert.doesNotMatch(second.greeting, /AUTH=PLAIN/);
  // Before TLS there is nothing to say; what the client had sent by then may make a reset of the end.
  await assert.rejects(greeted('127.0.0.2'), /disconnected before secure TLS|ECONNRESET|EPIPE/);
  await front.waitForLog(({ event, code }) => event === 'refused' && code === 'ACCESS_DENIED');
  for (const { session } of [first, second]) await session.ask('b LOGOUT', /^b OK /);
});

test('a directory that is down is down for its address only', async () => {
  await two.stop();
  assert.match(await logIn('127.0.0.2', 'in two', '127.0.0.7'), /^a NO \[UNAVAILABLE\]/);
  assert.equal(await logIn('127.0.0.1', 'in one'), 'OK');
  await two.start();
  assert.equal(await logIn('127.0.0.2', 'in two', '127.0.0.7'), 'OK');
});

test('check shows what each address has of its own, and asks its directory', async () => {
  const args = ['src/main.ts', 'check', '--probe', '--config', front.settingsFile];
  const { text } = await run(process.execPath, args, { cwd: join(import.meta.dirname, '../..') });
  assert.match(text, / at 127\.0\.0\.2: defaultDomain, ldap, cache, admin, .*access/);
  assert.match(text, / at 127\.0\.0\.3: defaultDomain, ldap, verify of its own/);
  for (const { port } of [one, two, three])
    assert.match(text, new RegExp(`127\\.0\\.0\\.1:${port}: o=internet is there`));
  assert.doesNotMatch(text, /of two|of one/);
});

test('a changed file with the password of an administrator is taken at the next reload', async () => {
  writeFileSync(join(folder, 'front', 'two.secret'), 'wrong by now\n', { mode: 0o600 });
  await front.reload();
  assert.notEqual(await logIn('127.0.0.2', 'in two', '127.0.0.7'), 'OK');
  assert.equal(await logIn('127.0.0.1', 'in one'), 'OK');
  writeFileSync(join(folder, 'front', 'two.secret'), 'of two\n', { mode: 0o600 });
  await front.reload();
  assert.equal(await logIn('127.0.0.2', 'in two', '127.0.0.7'), 'OK');
});
