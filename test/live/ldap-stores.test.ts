// Users in a real slapd, their mail on two real Dovecots: each gets to the store that mailHost names, under the name that
// is replayed there, whichever address of ours the client has connected to. The directory is killed and comes back.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { makeAuthority } from '../support/authority.ts';
import { Dialogue } from '../support/dialogue.ts';
import { startDovecot } from '../support/dovecot.ts';
import { startFront } from '../support/front.ts';
import { COM, dcDomain, organisation, PASSWORD, user } from '../support/ldap-site.ts';
import { run, until } from '../support/program.ts';
import { startSlapd } from '../support/slapd.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-ldap-stores-'));
const authority = makeAuthority(folder);
const [one, two] = await Promise.all([
  // The one knows its users by their ids, the other by their addresses.
  startDovecot({ folder: join(folder, 'one'), users: { joe: PASSWORD, held: PASSWORD } }),
  startDovecot({ folder: join(folder, 'two'), users: { 'hugo@yoyo.com': PASSWORD } }),
]);

const siroe = 'ou=People,o=siroe.com,o=internet';
const yoyo = 'ou=People,o=yoyo.com,o=internet';
const first = `127.0.0.1:${one.imapPort}`;
const second = `127.0.0.1:${two.imapPort}`;
const slapd = await startSlapd({
  ldif: [
    COM,
    dcDomain('siroe.com'),
    organisation('siroe.com'),
    user('joe', siroe, { mailHost: first }),
    user('held', siroe, { mailHost: first, mailUserStatus: 'hold' }),
    user('gone', siroe, { mailHost: first, mailUserStatus: 'deleted' }),
    user('local', siroe, { mailHost: first, mailAllowedServiceAccess: '+imaps:10.0.0.0/8' }),
    user('lost', siroe, { mailHost: '192.0.2.99:143', mailSMTPSubmitChannel: 'tcp_nowhere' }),
    dcDomain('yoyo.com', { mailAccessProxyReplay: '%U@%V' }),
    organisation('yoyo.com'),
    user('hugo', yoyo, { mailHost: second }),
  ].join(''),
});
const shown = authority.issue({ names: ['localhost'], file: 'front' });
const front = await startFront({
  folder: join(folder, 'front'),
  settings: {
    hostname: 'mail.siroe.com',
    workers: 1,
    tls: { certificate: { cert: shown.certFile, key: shown.keyFile } },
    services: {
      imaps: {
        protocol: 'imap',
        listen: ['0.0.0.0:0'],
        tls: 'implicit',
        backend: 'stores',
        verify: 'directory',
        domains: { '127.0.0.2': { defaultDomain: 'yoyo.com' } },
      },
      submissions: {
        protocol: 'smtp',
        listen: ['127.0.0.1:0'],
        tls: 'implicit',
        channel: 'tcp_submit',
        verify: 'directory',
        capabilities: ['SIZE'],
      },
    },
    channels: { tcp_submit: { keywords: 'mustsaslserver', relay: 'mta' } },
    backends: {
      stores: { hosts: ['127.0.0.1'], tls: 'notls' },
      // Nobody is there.
      mta: { servers: ['127.0.0.3:1'], tls: 'notls' },
    },
    directory: {
      type: 'ldap',
      defaultDomain: 'siroe.com',
      cache: { ttl: 0 },
      ldap: { urls: [slapd.url], timeout: 2 },
    },
    penalties: { remembered: 0 },
  },
});
after(async () => {
  await front.stop();
  await Promise.all([one.stop(), two.stop(), slapd.remove()]);
  rmSync(folder, { recursive: true, force: true });
});

interface Visit {
  /** `OK`, or the refusal. */
  readonly answer: string;
  readonly backend: unknown;
  readonly user: unknown;
}

async function visit(name: string, password = PASSWORD, host = '127.0.0.1'): Promise<Visit> {
  const before = front.log().length;
  const session = await Dialogue.connectTls({
    port: front.port('imaps'),
    host,
    ca: authority.ca,
    waitMs: 15_000,
  });
  await session.expect(/^\* OK /);
  const answer = (await session.ask(`a LOGIN "${name}" "${password}"`, /^a /)).at(-1) ?? '';
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

test('each user gets to the store that mailHost names', async () => {
  assert.deepEqual(await visit('joe'), { answer: 'OK', backend: first, user: 'joe@siroe.com' });
  assert.deepEqual(await visit('JOE@Siroe.com'), { answer: 'OK', backend: first, user: 'joe@siroe.com' });
});

test('the domain says how its users are called at the store', async () => {
  assert.deepEqual(await visit('hugo@yoyo.com'), { answer: 'OK', backend: second, user: 'hugo@yoyo.com' });
});

test('the address of ours that the client connects to says which domain is meant', async () => {
  assert.match((await visit('hugo')).answer, /^a NO \[AUTHENTICATIONFAILED\]/);
  const there = await visit('hugo', PASSWORD, '127.0.0.2');
  assert.deepEqual(there, { answer: 'OK', backend: second, user: 'hugo@yoyo.com' });
});

test('a wrong password and an unknown user are told the same, an empty password its own; no store hears of it', async () => {
  const answers = await Promise.all([visit('joe', 'wrong'), visit('nemo'), visit('*')]);
  const [wrong] = answers;
  assert.match(wrong?.answer ?? '', /^a NO \[AUTHENTICATIONFAILED\]/);
  for (const { answer, backend } of answers) assert.deepEqual([answer, backend], [wrong?.answer, null]);
  assert.match((await visit('joe', '')).answer, /^a NO \[AUTHENTICATIONFAILED\]/);
});

test('status, rules and a host that is not allowed keep users out, each in its words', async () => {
  assert.match((await visit('held')).answer, /^a NO \[UNAVAILABLE\]/);
  assert.match((await visit('gone')).answer, /^a NO \[(?!AUTHENTICATIONFAILED)/);
  assert.match((await visit('local')).answer, /^a NO \[(?!AUTHENTICATIONFAILED)/);
  assert.match((await visit('lost')).answer, /^a NO \[UNAVAILABLE\]/);
  assert.match(JSON.stringify(front.log()), /192\.0\.2\.99/);
});

test('a channel that is not there sends no mail, and the log says whose and which', async () => {
  const session = await Dialogue.connectTls({
    port: front.port('submissions'),
    ca: authority.ca,
    waitMs: 15_000,
  });
  await session.expect(/^220 /);
  await session.ask('EHLO client.test', /^250 /);
  const login = Buffer.from(`\0lost\0${PASSWORD}`).toString('base64');
  assert.match((await session.ask(`AUTH PLAIN ${login}`, /^\d{3} /)).at(-1) ?? '', /^454 4\.7\.0 /);
  await session.ask('QUIT', /^221 /);
  await session.closed();
  await until(
    () => front.log().find((line) => line['event'] === 'login-failed' && line['code'] === 'DIRECTORY_TARGET'),
    5000,
    () => JSON.stringify(front.log().slice(-3)),
  );
  assert.match(JSON.stringify(front.log()), /tcp_nowhere/);
});

test('check --probe asks the directory', async () => {
  const args = ['src/main.ts', 'check', '--probe', '--config', front.settingsFile];
  const { text } = await run(process.execPath, args, { cwd: join(import.meta.dirname, '../..') });
  assert.match(text, /probe directory ldap:\/\/127\.0\.0\.1:\d+: o=internet is there/);
});

test('while the directory is down logins are put off, and go on when it is back', async () => {
  await slapd.stop();
  assert.match((await visit('joe')).answer, /^a NO \[UNAVAILABLE\]/);
  assert.match((await visit('joe', 'wrong')).answer, /^a NO \[UNAVAILABLE\]/);
  assert.equal(front.log().filter((line) => line['event'] === 'directory-down').length, 1);
  await slapd.start();
  assert.equal((await visit('joe')).answer, 'OK');
  assert.equal(front.log().filter((line) => line['event'] === 'directory-up').length, 1);
});
