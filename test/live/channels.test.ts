// Two real Postfixes as the relays of two channels, and swaks as the client: who may do what, and whose mail goes where.
// Strangers come to the first; who logs in inside TLS, and who comes from 127.0.0.23, is taken to the second.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { makeAuthority } from '../support/authority.ts';
import { startDovecot } from '../support/dovecot.ts';
import { startFront, type LogLine } from '../support/front.ts';
import { startPostfix, type Delivered, type Postfix } from '../support/postfix.ts';
import { run, until, type Run } from '../support/program.ts';
import { anna } from '../support/site.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-live-'));
const started: { stop(): Promise<unknown> }[] = [];
after(async () => {
  await Promise.all(started.map((part) => part.stop()));
  rmSync(folder, { recursive: true, force: true });
});

function keep<T extends { stop(): Promise<unknown> }>(part: T): T {
  started.push(part);
  return part;
}

const authority = makeAuthority(folder);
const users = { [anna.user]: anna.password };
const { authSocket } = keep(await startDovecot({ folder: join(folder, 'dovecot'), users, authority }));
const outer = keep(await startPostfix({ folder: join(folder, 'outer'), authority, authSocket }));
const inner = keep(await startPostfix({ folder: join(folder, 'inner'), authority, authSocket }));
const certificate = authority.issue({ names: ['localhost'], file: 'front' });
const tls = { mode: 'musttls', ca: authority.caFile, name: 'localhost' };
const settings = {
  hostname: 'mail.example.com',
  workers: 1,
  tls: { certificate: { cert: certificate.certFile, key: certificate.keyFile } },
  services: {
    smtp: { protocol: 'smtp', listen: ['127.0.0.1:0'], channel: 'tcp_local' },
    smtps: { protocol: 'smtp', listen: ['127.0.0.1:0'], tls: 'implicit', channel: 'tcp_local' },
  },
  channels: {
    tcp_local: { keywords: 'smtp mx maytlsserver switchchannel tlsswitchchannel tcp_tls', relay: 'outer' },
    tcp_tls: { keywords: 'smtp mx maytlsserver maysaslserver saslswitchchannel tcp_auth', relay: 'outer' },
    tcp_auth: { keywords: 'smtp mx mustsaslserver noswitchchannel', relay: 'inner' },
    tcp_intranet: { keywords: 'smtp mx musttlsserver', match: ['127.0.0.23'], relay: 'inner' },
  },
  backends: {
    outer: { servers: [`127.0.0.1:${outer.port}`], tls, client: ['xclient'] },
    inner: { servers: [`127.0.0.1:${inner.port}`], tls, client: ['xclient'] },
  },
};
const front = keep(await startFront({ folder: join(folder, 'front'), settings }));

function swaks(args: readonly string[], service: keyof typeof settings.services = 'smtp'): Promise<Run> {
  const port = String(front.port(service));
  const server = ['--server', 'localhost', '--port', port, '--helo', 'client.example.com'];
  return run('swaks', [...server, '--from', anna.user, '--timeout', '20', ...args]);
}

const verify = ['--tls-verify', '--tls-ca-path', authority.caFile, '--tls-sni', 'localhost'];
const login = ['--auth', 'PLAIN', '--auth-user', anna.user, '--auth-password', anna.password];

async function arrived(mta: Postfix, recipient: string): Promise<readonly Delivered[]> {
  return until(
    () => mta.messages(recipient).length > 0 && mta.messages(recipient),
    20_000,
    () => `mail for ${recipient}\n${mta.logText().slice(-2000)}`,
  );
}

function closed(rule: string): Promise<LogLine> {
  return front.waitForLog((line) => line['event'] === 'closed' && line['rule'] === rule);
}

test('a stranger delivers in clear to the first relay, and cannot log in', async () => {
  const { code, text } = await swaks(['--to', 'clear@example.com']);
  assert.equal(code, 0, text);
  assert.equal((await arrived(outer, 'clear@example.com')).length, 1);
  assert.deepEqual(inner.messages('clear@example.com'), []);
  const refused = await swaks([...login, '--to', 'clear@example.com']);
  assert.notEqual(refused.code, 0);
  assert.doesNotMatch(refused.text, /AUTH PLAIN/);
  assert.equal((await closed('tcp_local'))['channel'], 'tcp_local');
});

for (const [how, service, secure] of [
  ['STARTTLS', 'smtp', '--tls'],
  ['implicit TLS', 'smtps', '--tls-on-connect'],
] as const) {
  test(`inside TLS by ${how} a user logs in at both relays, and sends anywhere by the second`, async () => {
    const to = `${service}@elsewhere.example`;
    const { code, text } = await swaks([secure, ...verify, ...login, '--to', to], service);
    assert.equal(code, 0, text);
    const [mail] = await arrived(inner, to);
    assert.match(mail?.trace ?? '', /Received: from client\.example\.com/);
    assert.match(inner.logText(), /sasl_username=anna@example\.com/);
    assert.deepEqual(outer.messages(to), []);
    const rule = 'tcp_local → tcp_tls (tlsswitchchannel) → tcp_auth (saslswitchchannel)';
    assert.equal((await closed(rule))['user'], anna.user);
  });
}

test('inside TLS a stranger still sends to local mailboxes only, by the first relay', async () => {
  const inward = await swaks(['--tls', ...verify, '--to', 'tls@example.com']);
  assert.equal(inward.code, 0, inward.text);
  assert.equal((await arrived(outer, 'tls@example.com')).length, 1);
  const outward = await swaks(['--tls', ...verify, '--to', 'tls@elsewhere.example']);
  assert.equal(outward.code, 24, outward.text);
});

test('a wrong password is refused in the words of the relay, and the second relay never hears of it', async () => {
  const visits = (): number => inner.logText().match(/ connect from /g)?.length ?? 0;
  const before = visits();
  const wrong = ['--auth', 'PLAIN', '--auth-user', anna.user, '--auth-password', 'wrong'];
  const { code, text } = await swaks(['--tls', ...verify, ...wrong, '--to', 'x@example.com']);
  assert.notEqual(code, 0);
  assert.match(text, /535 5\.7\.8/);
  assert.equal(visits(), before);
});

test('an address of the intranet must start TLS, and then delivers to the second relay', async () => {
  const from = ['--local-interface', '127.0.0.23'];
  const clear = await swaks([...from, '--to', 'intranet@example.com']);
  assert.equal(clear.code, 23, clear.text);
  assert.match(clear.text, /530 5\.7\.0 Must issue a STARTTLS command first/);
  const secured = await swaks([...from, '--tls', ...verify, '--to', 'intranet@example.com']);
  assert.equal(secured.code, 0, secured.text);
  assert.equal((await arrived(inner, 'intranet@example.com')).length, 1);
  assert.match(inner.logText(), /client=unknown\[127\.0\.0\.23\]/);
  await closed('tcp_local → tcp_intranet (switchchannel 127.0.0.23)');
});

test('sallyport status has counted what the rules decided', async () => {
  const main = join(import.meta.dirname, '../../src/main.ts');
  const { code, text } = await run(process.execPath, [main, 'status', '--config', front.settingsFile]);
  assert.equal(code, 0, text);
  assert.match(text, /^channel tcp_auth: saslswitchchannel 2 times$/m);
  assert.match(text, /^channel tcp_intranet: .*musttlsserver 1 time/m);
  assert.match(text, /^channel tcp_intranet: .*switchchannel 127\.0\.0\.23 2 times/m);
});
