// Two real Dovecots, and one auth_http script that says who is where. The same script serves nginx (Debian's) and
// Sallyport, and is asked the same by both. Then the same two stores by a file of users, which is changed meanwhile.

import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { startAuthScript } from '../support/auth-script.ts';
import { Dialogue } from '../support/dialogue.ts';
import { startDovecot } from '../support/dovecot.ts';
import { startFront } from '../support/front.ts';
import { message } from '../support/messages.ts';
import { startNginx } from '../support/nginx.ts';

const KEY = ['X-Auth-Key', 'between us'] as const;
/** What nginx escapes, and what it does not. */
const ANNAS = '50% off + more';
const BOBS = 'pässwörd';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-auth-http-'));
const one = await startDovecot({ folder: join(folder, 'one'), users: { 'anna@example.com': ANNAS } });
const two = await startDovecot({ folder: join(folder, 'two'), users: { robert: BOBS } });
one.deliver('anna@example.com', message(1, 'to anna', 'for anna on one'));
two.deliver('robert', message(2, 'to robert', 'for robert on two'));
const script = await startAuthScript(
  {
    'anna@example.com': { password: ANNAS, imap: one.imapPort, pop3: one.pop3Port },
    bob: { password: BOBS, imap: two.imapPort, pop3: two.pop3Port, storeUser: 'robert' },
    // Right here, wrong there.
    lost: { password: 'x', imap: two.imapPort, pop3: two.pop3Port },
  },
  KEY,
);
const nginx = await startNginx({
  folder: join(folder, 'nginx'),
  script: script.url.replace('http://', ''),
  header: KEY,
});

const users = join(folder, 'users.yaml');
const writeUsers = (robertAt: string): void => {
  writeFileSync(`${users}.new`, `anna@example.com: one\nbob: { backend: ${robertAt}, login: robert }\n`, {
    mode: 0o600,
  });
  renameSync(`${users}.new`, users);
};
writeUsers('{ imap: two, pop3: two-pop }');
const keyFile = join(folder, 'key.secret');
writeFileSync(keyFile, `${KEY[0]}: ${KEY[1]}\n`, { mode: 0o600 });

const backends = {
  stores: { hosts: ['127.0.0.0/8'], tls: 'notls' },
  one: { servers: `127.0.0.1:${one.imapPort}`, tls: 'notls' },
  two: { servers: `127.0.0.1:${two.imapPort}`, tls: 'notls' },
  'two-pop': { servers: `127.0.0.1:${two.pop3Port}`, tls: 'notls' },
};
const settings = {
  hostname: 'mail.example.com',
  workers: 1,
  penalties: { remembered: 0 },
  certificates: { watch: 0.2 },
  services: {
    imap: { protocol: 'imap', listen: ['127.0.0.1:0'], tls: 'notls', backend: 'stores' },
    pop3: { protocol: 'pop3', listen: ['127.0.0.1:0'], tls: 'notls', backend: 'stores' },
  },
  backends,
};
const byScript = await startFront({
  folder: join(folder, 'by-script'),
  settings: {
    ...settings,
    directory: { type: 'http', http: { url: script.url, header: { file: keyFile } } },
    backends: { stores: backends.stores },
  },
});
const byFile = await startFront({
  folder: join(folder, 'by-file'),
  settings: { ...settings, directory: { type: 'file', file: users } },
});
after(async () => {
  await Promise.all([byScript.stop(), byFile.stop(), nginx.stop(), one.stop(), two.stop(), script.close()]);
  rmSync(folder, { recursive: true, force: true });
});

const quoted = (text: string): string => `"${text.replaceAll(/["\\]/g, '\\$&')}"`;
const octets = (text: string): string => Buffer.from(text).toString('latin1');

/** Logs in and gives the subject of the first mail, or the refusal. */
async function imap(port: number, user: string, password: string): Promise<string> {
  await using session = await Dialogue.connect({ port, waitMs: 15_000 });
  await session.expect(/^\* OK /);
  const answer =
    (await session.ask(octets(`a LOGIN ${quoted(user)} ${quoted(password)}`), /^a /)).at(-1) ?? '';
  if (!answer.startsWith('a OK')) return answer;
  await session.ask('b SELECT INBOX', /^b OK/);
  const lines = await session.ask('c FETCH 1 BODY[HEADER.FIELDS (SUBJECT)]', /^c OK/);
  return lines.find((line) => line.startsWith('Subject: '))?.slice('Subject: '.length) ?? 'no mail';
}

async function pop3(port: number, user: string, password: string): Promise<string> {
  await using session = await Dialogue.connect({ port, waitMs: 15_000 });
  await session.expect(/^\+OK/);
  await session.ask(octets(`USER ${user}`), /^(\+OK|-ERR)/);
  const answer = (await session.ask(octets(`PASS ${password}`), /^(\+OK|-ERR)/)).at(-1) ?? '';
  if (!answer.startsWith('+OK')) return answer;
  const lines = await session.ask('TOP 1 0', /^\.$/);
  return lines.find((line) => line.startsWith('Subject: '))?.slice('Subject: '.length) ?? 'no mail';
}

const fronts = {
  nginx: { imap: nginx.imap, pop3: nginx.pop3 },
  sallyport: { imap: byScript.port('imap'), pop3: byScript.port('pop3') },
};

for (const [name, port] of Object.entries(fronts)) {
  test(`${name}: the script sends each user to their store, by IMAP and by POP3`, async () => {
    assert.equal(await imap(port.imap, 'anna@example.com', ANNAS), 'for anna on one');
    assert.equal(await imap(port.imap, 'bob', BOBS), 'for robert on two');
    assert.equal(await pop3(port.pop3, 'anna@example.com', ANNAS), 'for anna on one');
    assert.equal(await pop3(port.pop3, 'bob', BOBS), 'for robert on two');
  });

  test(`${name}: the words of the script refuse, and the connection may try again`, async () => {
    await using session = await Dialogue.connect({ port: port.imap, waitMs: 15_000 });
    await session.expect(/^\* OK /);
    await session.ask('a LOGIN anna@example.com guess', /^a NO .*Invalid login or password$/);
    await session.ask(octets(`b LOGIN anna@example.com ${quoted(ANNAS)}`), /^b OK/);
    assert.deepEqual(
      script.asked.slice(-2).map((headers) => headers['auth-login-attempt']),
      ['1', '2'],
    );
  });

  test(`${name}: what a store refuses that the script has let in is a refusal`, async () => {
    assert.match(await imap(port.imap, 'lost', 'x'), /^a NO /);
  });
}

/** What depends on the connection. */
const OWN = new Set([
  'host',
  'connection',
  'client-port',
  'auth-server-address',
  'auth-server-port',
  'client-host',
]);

test('both ask the script the same, byte for byte', async () => {
  const ask = async (port: { imap: number; pop3: number }): Promise<Record<string, string>[]> => {
    const before = script.asked.length;
    await imap(port.imap, 'anna@example.com', ANNAS);
    await pop3(port.pop3, 'bob', BOBS);
    return script.asked
      .slice(before)
      .map((headers) => Object.fromEntries(Object.entries(headers).filter(([header]) => !OWN.has(header))));
  };
  const [theirs, ours] = [await ask(fronts.nginx), await ask(fronts.sallyport)];
  assert.equal(theirs.length, 2);
  assert.deepEqual(ours, theirs);
});

test('the script is asked over connections that are kept', async () => {
  const before = script.connections();
  for (let time = 0; time < 5; time++) await imap(fronts.sallyport.imap, 'anna@example.com', ANNAS);
  assert.ok(
    script.connections() - before <= 1,
    `${script.connections() - before} connections for five logins`,
  );
});

test('while the script is down nobody is told of a wrong password, and the log says so once each way', async () => {
  await script.down();
  for (let time = 0; time < 3; time++) {
    assert.match(await imap(fronts.sallyport.imap, 'anna@example.com', ANNAS), /^a NO \[UNAVAILABLE\]/);
  }
  await script.up();
  assert.equal(await imap(fronts.sallyport.imap, 'anna@example.com', ANNAS), 'for anna on one');
  await byScript.waitForLog((line) => line['event'] === 'directory-up');
  const events = byScript.log().map((line) => line['event']);
  assert.deepEqual(
    events.filter((event) => event === 'directory-down' || event === 'directory-up'),
    ['directory-down', 'directory-up'],
  );
  assert.doesNotMatch(JSON.stringify(byScript.log()), /50% off|between us/);
});

test('a file of users sends each to their store', async () => {
  assert.equal(await imap(byFile.port('imap'), 'anna@example.com', ANNAS), 'for anna on one');
  assert.equal(await imap(byFile.port('imap'), 'Bob', BOBS), 'for robert on two');
  assert.equal(await pop3(byFile.port('pop3'), 'bob', BOBS), 'for robert on two');
  assert.match(await imap(byFile.port('imap'), 'nobody', 'x'), /^a NO \[AUTHENTICATIONFAILED\]/);
});

test('a file of users that changes is read again, and one with a mistake is not', async () => {
  writeUsers('one');
  await byFile.waitForLog((line) => line['event'] === 'certificates-reloaded');
  assert.match(await imap(byFile.port('imap'), 'bob', BOBS), /^a NO /);
  writeUsers('three');
  const refused = await byFile.waitForLog((line) => line['event'] === 'certificates-refused');
  assert.match(
    JSON.stringify(refused['mistakes']),
    /users\.yaml:2: bob\.backend: there is no backend \\"three\\"/,
  );
  assert.equal(await imap(byFile.port('imap'), 'anna@example.com', ANNAS), 'for anna on one');
});
