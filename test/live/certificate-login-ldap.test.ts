// Logins by certificate with users in a real slapd: without certmap.conf by the mail attribute, under hosted domains too, and
// by the mappings of a certmap.conf that changes while the front runs. The stores are real Dovecots, with a master user.
// What `sallyport certmap` says of each certificate is what then happens.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import {
  der,
  distinguishedName,
  type Issued,
  type IssueOptions,
  makeAuthority,
} from '../support/authority.ts';
import { Dialogue } from '../support/dialogue.ts';
import { startDovecot } from '../support/dovecot.ts';
import { startFront } from '../support/front.ts';
import { COM, dcDomain, organisation, PASSWORD, user } from '../support/ldap-site.ts';
import { makePassable } from '../support/maildir.ts';
import { converse, run } from '../support/program.ts';
import { startSlapd } from '../support/slapd.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-certificate-ldap-'));
makePassable(folder);
const authority = makeAuthority(folder, 'Server CA');
const people = makeAuthority(folder, 'People CA');
const post = makeAuthority(folder, 'Post CA');

const issue = (options: Partial<IssueOptions>, by = people): Issued =>
  by.issue({ names: ['pc.siroe.com'], purpose: 'client', ...options });
const joe = issue({ emails: ['joe@siroe.com'] });
const hugo = issue({ emails: ['hugo@yoyo.com'] });
const twin = issue({ emails: ['twin@siroe.com'] });
const held = issue({ emails: ['held@siroe.com'] });
const odd = issue({ emails: ['*'] });
const carrier = issue({ subject: distinguishedName([['UID', 'carrier']]) }, post);
const forger = issue({ subject: distinguishedName([['UID', 'carrier']]) }, post);
const pilar = issue({
  subject: distinguishedName([
    ['O', 'siroe.com'],
    ['OU', 'pilar'],
    ['CN', 'Pilar Lorca'],
    ['E', der(0x16, Buffer.from('joe@siroe.com'))],
  ]),
});

writeFileSync(join(folder, 'masters'), 'mmpstore:{PLAIN}secret of the master\n', { mode: 0o644 });
const extra = `passdb {\n  driver = passwd-file\n  args = ${folder}/masters\n  master = yes\n  result_success = continue\n}`;
const [one, two] = await Promise.all([
  startDovecot({
    folder: join(folder, 'one'),
    users: { joe: PASSWORD, pilar: PASSWORD, carrier: PASSWORD },
    extra,
  }),
  startDovecot({ folder: join(folder, 'two'), users: { 'hugo@yoyo.com': PASSWORD }, extra }),
]);
const first = `127.0.0.1:${one.imapPort}`;
const second = `127.0.0.1:${two.imapPort}`;

const siroe = 'ou=People,o=siroe.com,o=internet';
const yoyo = 'ou=People,o=yoyo.com,o=internet';
const withCertificate = (ldif: string, { cert }: Issued): string =>
  `${ldif.trimEnd()}\nuserCertificate;binary:: ${new X509Certificate(cert).raw.toString('base64')}\n\n`;
const slapd = await startSlapd({
  ldif: [
    COM,
    dcDomain('siroe.com'),
    organisation('siroe.com'),
    user('joe', siroe, { mail: 'joe@siroe.com', mailHost: first }),
    user('pilar', siroe, { mail: 'pilar@siroe.com', mailHost: first }),
    user('twin1', siroe, { mail: 'twin@siroe.com', mailHost: first }),
    user('twin2', siroe, { mail: 'twin@siroe.com', mailHost: first }),
    user('held', siroe, { mail: 'held@siroe.com', mailHost: first, mailUserStatus: 'hold' }),
    withCertificate(user('carrier', siroe, { mail: 'carrier@siroe.com', mailHost: first }), carrier),
    dcDomain('yoyo.com', { mailAccessProxyReplay: '%U@%V' }),
    organisation('yoyo.com'),
    user('hugo', yoyo, { mail: 'hugo@yoyo.com', mailHost: second }),
  ].join(''),
});

const shown = authority.issue({ names: ['localhost'], file: 'front' });
const certmap = join(folder, 'certmap.conf');
writeFileSync(certmap, 'certmap default default\ndefault:DNComps\ndefault:FilterComps ou=uid\n');
const imaps = {
  protocol: 'imap',
  listen: ['127.0.0.1:0'],
  tls: { mode: 'implicit', clientCa: [people.caFile, post.caFile] },
  backend: 'stores',
  verify: 'directory',
};
const front = await startFront({
  folder: join(folder, 'front'),
  settings: {
    hostname: 'mail.siroe.com',
    workers: 1,
    certificates: { watch: 0.1 },
    tls: { certificate: { cert: shown.certFile, key: shown.keyFile } },
    services: { bymail: imaps, bymap: { ...imaps, certmap } },
    backends: {
      stores: {
        hosts: ['127.0.0.1'],
        tls: 'notls',
        admin: { user: 'mmpstore', password: 'secret of the master' },
      },
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
  readonly answer: string;
  readonly user: unknown;
  readonly backend: unknown;
}

/** `identity`: whom it asks to be. */
async function visit(service: 'bymail' | 'bymap', by: Issued, identity = ''): Promise<Visit> {
  const lines = () => front.log().filter(({ event }) => event === 'closed');
  const before = lines().length;
  const certificate = ['-cert', by.certFile, '-key', by.keyFile, '-CAfile', authority.caFile];
  const args = ['s_client', '-connect', `localhost:${front.port(service)}`, ...certificate, '-quiet'];
  await using session = Dialogue.over(converse('openssl', args));
  await session.expect(/^\* OK /);
  const initial = identity === '' ? '=' : Buffer.from(identity).toString('base64');
  const answer = (await session.ask(`a AUTHENTICATE EXTERNAL ${initial}`, /^a /)).at(-1) ?? '';
  await session.ask('z LOGOUT', /^z OK /);
  await front.waitForLog(() => lines().length > before);
  const { user: name, backend } = lines()[before] ?? {};
  return { answer: answer.replace(/^a (OK|NO \[[A-Z]+\])?.*/, '$1'), user: name, backend };
}

async function told(service: 'bymail' | 'bymap', by: Issued): Promise<{ code: number | null; text: string }> {
  const args = ['src/main.ts', 'certmap', by.certFile, '--service', service, '--config', front.settingsFile];
  return run(process.execPath, args, { cwd: join(import.meta.dirname, '../..') });
}

const NOBODY = 'NO [AUTHENTICATIONFAILED]';

test('without certmap.conf the user whose mail it is, is logged in at the store that mailHost names', async () => {
  assert.deepEqual(await visit('bymail', joe), { answer: 'OK', user: 'joe@siroe.com', backend: first });
  const { code, text } = await told('bymail', joe);
  assert.match(
    text,
    /\(mail=joe@siroe\.com\) under "o=internet": uid=joe,ou=People,o=siroe\.com,o=internet\n/,
  );
  assert.match(
    text,
    new RegExp(`backend: stores, at ${first}\\nlogged in there as: joe, as administrator mmpstore`),
  );
  assert.equal(code, 0);
});

test('the entry says which hosted domain the user is of, and that how it is called at the store', async () => {
  assert.deepEqual(await visit('bymail', hugo), { answer: 'OK', user: 'hugo@yoyo.com', backend: second });
  assert.match(two.logText(), /user=<hugo@yoyo\.com>/);
});

test('the identity that is asked for may be any name of the same user, and no other user’s', async () => {
  for (const identity of ['joe', 'JOE@siroe.com'])
    assert.equal((await visit('bymail', joe, identity)).answer, 'OK', identity);
  for (const identity of ['hugo@yoyo.com', 'nemo', '*'])
    assert.equal((await visit('bymail', joe, identity)).answer, NOBODY, identity);
});

test('one of two users, one of nobody and one on hold are not let in', async () => {
  assert.equal((await visit('bymail', twin)).answer, NOBODY);
  assert.equal((await visit('bymail', odd)).answer, NOBODY);
  assert.equal((await visit('bymail', held)).answer, 'NO [UNAVAILABLE]');
  const { code, text } = await told('bymail', twin);
  assert.match(text, /uid=twin1,.* \| uid=twin2,[^]*nobody: more than one entry has its mail address/);
  assert.equal(code, 1);
});

test('the form FROM=TO of the MMP finds the user by another attribute than the mail address', async () => {
  assert.deepEqual(await visit('bymap', pilar), { answer: 'OK', user: 'pilar@siroe.com', backend: first });
  assert.deepEqual(await visit('bymail', pilar), { answer: 'OK', user: 'joe@siroe.com', backend: first });
  const { text } = await told('bymap', pilar);
  assert.match(text, /has the mapping default\n {2}\(uid=pilar\) under "o=internet": 1 entries: uid=pilar,/);
});

test('a mapping of its own for an issuer, that comes while the front runs; the entry must hold the certificate', async () => {
  assert.equal((await visit('bymap', carrier)).answer, NOBODY);
  const reloads = () => front.log().filter(({ event }) => event === 'certificates-reloaded').length;
  const before = reloads();
  writeFileSync(
    certmap,
    'certmap default default\ndefault:DNComps\ndefault:FilterComps ou=uid\n' +
      'certmap post cn=Post CA\npost:DNComps\npost:FilterComps uid\npost:verifycert on\n',
  );
  await front.waitForLog(() => reloads() > before);
  assert.deepEqual(await visit('bymap', carrier), {
    answer: 'OK',
    user: 'carrier@siroe.com',
    backend: first,
  });
  assert.equal((await visit('bymap', forger)).answer, NOBODY);
  const { code, text } = await told('bymap', forger);
  assert.match(text, /has the mapping post\n[^]*nobody: the entry does not hold the certificate/);
  assert.equal(code, 1);
});

test('a certmap.conf that is wrong is told with its line, and the old one goes on', async () => {
  const wrong = () => front.log().some((line) => JSON.stringify(line).includes(`${certmap}:2`));
  writeFileSync(certmap, 'certmap default default\ndefault:library /opt/map.so\n');
  await front.waitForLog(() => wrong());
  assert.equal((await visit('bymap', pilar)).answer, 'OK');
  const { code, text } = await told('bymap', pilar);
  assert.match(text, /certmap\.conf:2: library: plug-ins of certmap\.conf are not run here/);
  assert.equal(code, 78);
  writeFileSync(certmap, 'certmap default default\ndefault:DNComps\ndefault:FilterComps ou=uid\n');
});

test('while the directory is down a certificate is nobody’s fault', async () => {
  await slapd.stop();
  assert.equal((await visit('bymail', joe)).answer, 'NO [UNAVAILABLE]');
  const { code, text } = await told('bymail', joe);
  assert.match(text, /The directory could not be asked/);
  assert.equal(code, 1);
  await slapd.start();
  assert.equal((await visit('bymail', joe)).answer, 'OK');
});
