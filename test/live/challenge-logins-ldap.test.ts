// Logins by challenge where the users are in a real slapd: a plain password and keys in userPassword. The store is a real
// Dovecot, logged in to by its administrator.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync, chmodSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { makeAuthority } from '../support/authority.ts';
import { startDovecot } from '../support/dovecot.ts';
import { startFront } from '../support/front.ts';
import { storedKeys, visitByGsasl } from '../support/gsasl.ts';
import { COM, dcDomain, organisation, PROXY, user } from '../support/ldap-site.ts';
import type { Run } from '../support/program.ts';
import { startSlapd } from '../support/slapd.ts';

const anna = { user: 'anna@example.com', password: 'open sesame' };
const bob = { user: 'bob@example.com', password: 'a longer secret' };
const MECHANISMS = ['PLAIN', 'CRAM-MD5', 'SCRAM-SHA-256', 'SCRAM-SHA-256-PLUS'];

const folder = mkdtempSync(join(tmpdir(), 'sallyport-challenges-ldap-'));
const authority = makeAuthority(folder);
// Dovecot, which is not root when it reads passwords, must get to this.
chmodSync(folder, 0o711);
const masters = join(folder, 'masters');
writeFileSync(masters, 'mmpstore:{PLAIN}admin secret\n', { mode: 0o644 });
const dovecot = await startDovecot({
  folder: join(folder, 'dovecot'),
  users: { [anna.user]: anna.password, [bob.user]: bob.password },
  extra: `passdb {\n  driver = passwd-file\n  args = ${masters}\n  master = yes\n  result_success = continue\n}`,
});
const keys = await storedKeys(bob.password);
const people = 'ou=People,o=example.com,o=internet';
const mailHost = `127.0.0.1:${dovecot.imapPort}`;
const slapd = await startSlapd({
  ldif: [
    COM,
    PROXY,
    dcDomain('example.com', { mailAccessProxyReplay: '%U@%V' }),
    organisation('example.com'),
    user('anna', people, { mailHost, userPassword: anna.password }),
    user('bob', people, { mailHost, userPassword: keys }),
    user('hash', people, { mailHost, userPassword: '{SSHA}XKbvDYTuR1ZRb3JYTBkgsqaemGHUV1QT' }),
  ].join(''),
});
const shown = authority.issue({ names: ['localhost'], file: 'ldap-front' });
const front = await startFront({
  folder: join(folder, 'front'),
  settings: {
    hostname: 'mail.example.com',
    workers: 1,
    tls: { certificate: { cert: shown.certFile, key: shown.keyFile } },
    services: {
      imap: {
        protocol: 'imap',
        listen: ['127.0.0.1:0'],
        tls: 'maytls',
        backend: 'stores',
        verify: 'directory',
        mechanisms: MECHANISMS,
      },
    },
    backends: {
      stores: {
        hosts: ['127.0.0.1'],
        tls: 'notls',
        admin: { user: 'mmpstore', password: 'admin secret' },
      },
    },
    directory: {
      type: 'ldap',
      ldap: {
        urls: [slapd.url],
        bindDn: 'cn=proxy,o=internet',
        bindPassword: 'of the proxy',
        passwords: 'compare',
      },
    },
    penalties: { remembered: 0 },
  },
});
after(async () => {
  await Promise.all([front.stop(), dovecot.stop(), slapd.remove()]);
  rmSync(folder, { recursive: true, force: true });
});

function login(mechanism: string, who: typeof anna): Promise<Run> {
  const port = front.port('imap');
  return visitByGsasl({ protocol: 'imap', mechanism, login: who, port, ca: authority.caFile });
}

test('a plain password and keys in userPassword log in by what each is good for', async () => {
  for (const [mechanism, who] of [
    ['SCRAM-SHA-256-PLUS', anna],
    ['SCRAM-SHA-256-PLUS', bob],
    ['CRAM-MD5', anna],
  ] as const) {
    const { code, text } = await login(mechanism, who);
    assert.equal(code, 0, text);
    await front.waitForLog((line) => line['mechanism'] === mechanism && line['user'] === who.user);
  }
  const others = [{ password: 'guess' }, { user: 'nobody@example.com' }, { user: 'hash@example.com' }];
  for (const who of others.map((other) => ({ ...anna, ...other })))
    assert.notEqual((await login('SCRAM-SHA-256-PLUS', who)).code, 0);
  assert.notEqual((await login('CRAM-MD5', bob)).code, 0);
});

test('a changed password works at once by PLAIN, by a challenge as soon as one has failed', async () => {
  const changed = { ...anna, password: 'another sesame' };
  assert.equal((await login('CRAM-MD5', anna)).code, 0);
  await slapd.modify(
    `dn: uid=anna,${people}\nchangetype: modify\nreplace: userPassword\nuserPassword: ${changed.password}\n`,
  );
  assert.notEqual((await login('CRAM-MD5', changed)).code, 0);
  assert.equal((await login('CRAM-MD5', changed)).code, 0);
  assert.notEqual((await login('CRAM-MD5', anna)).code, 0);
  await slapd.modify(
    `dn: uid=anna,${people}\nchangetype: modify\nreplace: userPassword\nuserPassword: ${anna.password}\n`,
  );
  assert.equal((await login('PLAIN', anna)).code, 0);
  assert.notEqual((await login('PLAIN', changed)).code, 0);
});
