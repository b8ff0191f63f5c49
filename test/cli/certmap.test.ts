// `sallyport certmap`: which user a certificate stands for, why, and the exit code of each answer. With a file of users;
// LDAP is in test/live.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { stringify } from 'yaml';
import { certmap } from '../../src/cli/certmap.ts';
import { type Program, runCommand } from '../../src/cli/usage.ts';
import { SettingsError } from '../../src/errors.ts';
import { createConfigurationSource } from '../../src/service/configuration.ts';
import { summarise } from '../../src/service/summary.ts';
import { realWorld } from '../../src/world.ts';
import { type IssueOptions, makeAuthority } from '../support/authority.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-certmap-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const authority = makeAuthority(folder, 'Client CA');
const foreign = makeAuthority(folder, 'Foreign CA');

const USERS = `
anna@x.com: { server: store2.internal, login: "%U" }
away@x.com: { status: inactive }
bert: { mail: twin@x.com }
near@x.com: { access: "+imap:192.0.2.1" }
far@x.com: { server: store.elsewhere.test }
eva@x.com: { backend: stores }
carl: { mail: twin@x.com, backend: bare }
dora: { mail: dora@x.com, backend: bare }
`;
writeFileSync(join(folder, 'users.yaml'), USERS);

const own = authority.issue({ names: ['mail.test'], purpose: 'server', file: 'mail' });
const shown = { cert: own.certFile, key: own.keyFile };

type Tree = Readonly<Record<string, unknown>>;

function settings(name: string, more: Tree = {}, imap: Tree = {}): string {
  const tls = { mode: 'implicit', clientCa: [authority.caFile], certificate: shown };
  const path = join(folder, name);
  const document = {
    hostname: 'mail.test',
    certificates: { database: './certs', passwordFile: './certs.pass' },
    directory: { type: 'file', file: 'users.yaml' },
    services: {
      plain: { protocol: 'pop3', listen: '127.0.0.1:0', backend: 'stores', tls: 'notls' },
      imaps: { protocol: 'imap', listen: '127.0.0.1:0', backend: 'stores', tls, ...imap },
    },
    backends: {
      stores: {
        servers: '127.0.0.1:143',
        hosts: ['*.internal'],
        admin: { user: 'mmpstore', password: 'sesame' },
      },
      bare: { servers: '127.0.0.1:144' },
    },
    ...more,
  };
  writeFileSync(path, stringify(document, { aliasDuplicateObjects: false }));
  return path;
}

const file = settings('sallyport.yaml');

function certificateOf(options: Partial<IssueOptions>, by = authority): string {
  return by.issue({ names: ['pc.x.com'], purpose: 'client', ...options }).certFile;
}

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const said = { out: '', err: '' };
  const program: Program = {
    version: '0',
    entry: '',
    world: realWorld,
    out: (text) => (said.out += text),
    err: (text) => (said.err += text),
    exit: () => assert.fail('it ended'),
  };
  const code = await runCommand(
    certmap,
    args.includes('--config') ? args : [...args, '--config', file],
    program,
  );
  return { code, ...said };
}

test('a certificate that stands for a user is told with each step, the backend and the login there', async () => {
  const path = certificateOf({ emails: ['Anna@X.com'] });
  const { code, out, err } = await run(path);
  assert.deepEqual([code, err], [0, '']);
  assert.equal(
    out.replace(/^serial: .*\n/m, ''),
    'certificate: CN=pc.x.com\nissuer: CN=Client CA\nat: services.imaps, without certmap.conf\n' +
      '  without certmap.conf the mail address counts: Anna@X.com (subjectAltName)\n' +
      '  Anna@X.com in the file of users: anna@x.com\nuser: anna@x.com\n' +
      'backend: stores, at store2.internal\nlogged in there as: anna, as administrator mmpstore (PLAIN)\n',
  );
});

test('the same as JSON, from DER; no password is in it', async () => {
  const pem = new X509Certificate(authority.issue({ names: ['pc.x.com'], emails: ['anna@x.com'] }).cert);
  const der = join(folder, 'anna.der');
  writeFileSync(der, pem.raw);
  const { code, out } = await run(der, '--json');
  assert.equal(code, 0);
  const { user, backend, hosts, replay, notBelieved, fingerprint256 } = JSON.parse(out) as Tree;
  assert.deepEqual(
    { user, backend, hosts, replay, notBelieved },
    { user: 'anna@x.com', backend: 'stores', hosts: ['store2.internal'], replay: 'anna', notBelieved: null },
  );
  assert.equal(fingerprint256, pem.fingerprint256.replaceAll(':', '').toLowerCase());
  assert.doesNotMatch(out, /sesame/);
});

const REFUSALS: readonly (readonly [string, () => string[], RegExp])[] = [
  ['nobody', () => [certificateOf({ emails: ['who@x.com'] })], /user: nobody\n/],
  [
    'two users',
    () => [certificateOf({ emails: ['twin@x.com'] })],
    /nobody: its mail address is that of bert and carl/,
  ],
  [
    'an inactive user',
    () => [certificateOf({ emails: ['away@x.com'] })],
    /not logged in: the account is inactive/,
  ],
  [
    'a user at a backend without an administrator',
    () => [certificateOf({ emails: ['dora@x.com'] })],
    /nobody can log in for others at backends\.bare/,
  ],
  [
    'a user whose backend has an administrator, at a service whose own has none',
    () => [
      certificateOf({ emails: ['eva@x.com'] }),
      '--config',
      settings('front.yaml', {}, { backend: 'bare' }),
    ],
    /as administrator mmpstore[^]*services\.imaps offers no EXTERNAL, since backends\.bare has no admin/,
  ],
  [
    'a user at a host that the backend does not allow',
    () => [certificateOf({ emails: ['far@x.com'] })],
    /not logged in: backends\.stores\.hosts does not allow store\.elsewhere\.test/,
  ],
  [
    'a user, at a service that leaves EXTERNAL out',
    () => [
      certificateOf({ emails: ['anna@x.com'] }),
      '--config',
      settings('plain.yaml', {}, { mechanisms: ['PLAIN'] }),
    ],
    /not logged in: services\.imaps\.mechanisms leaves EXTERNAL out/,
  ],
  [
    'a user, of a CA that is not trusted',
    () => [certificateOf({ emails: ['anna@x.com'] }, foreign)],
    /user: anna@x\.com[^]*services\.imaps does not believe it: unknown-issuer/,
  ],
  [
    'a user, but has expired',
    () => [certificateOf({ emails: ['anna@x.com'], days: -1 })],
    /does not believe it: expired/,
  ],
  [
    'a user, but is for servers',
    () => [certificateOf({ emails: ['anna@x.com'], purpose: 'server' })],
    /does not believe it: wrong-purpose/,
  ],
  [
    'a user, at a service that asks for none',
    () => [certificateOf({ emails: ['anna@x.com'] }), '--service', 'plain'],
    /services\.plain asks clients for no certificate/,
  ],
];

for (const [what, args, expected] of REFUSALS) {
  test(`one of ${what} ends with 1 and says so`, async () => {
    const { code, out } = await run(...args());
    assert.match(out, expected);
    assert.equal(code, 1);
  });
}

test('rules about where the user may come from are told, for nobody knows where that will be', async () => {
  const { code, out } = await run(certificateOf({ emails: ['near@x.com'] }));
  assert.match(out, /only from where these rules let it: \+imap:192\.0\.2\.1\n/);
  assert.equal(code, 0);
});

test('one that its CRL revokes is not believed', async () => {
  const { certFile, serial } = authority.issue({ names: ['pc'], purpose: 'client', emails: ['anna@x.com'] });
  writeFileSync(join(folder, 'ca.crl'), authority.crl([serial]));
  const tls = {
    mode: 'implicit',
    clientCa: [authority.caFile],
    crl: [join(folder, 'ca.crl')],
    certificate: shown,
  };
  const { code, out } = await run(certFile, '--config', settings('crl.yaml', {}, { tls }));
  assert.match(out, /does not believe it: revoked/);
  assert.equal(code, 1);
});

test('before the first start nobody can tell whether it is believed', async () => {
  const tls = { mode: 'implicit', clientCa: [authority.caFile] };
  const { code, out } = await run(
    certificateOf({ emails: ['anna@x.com'] }),
    '--config',
    settings('first.yaml', {}, { tls }),
  );
  assert.match(out, /user: anna@x\.com[^]*it is made at the first start/);
  assert.equal(code, 1);
});

test('what is no certificate, or no service, is told', async () => {
  writeFileSync(join(folder, 'text'), 'hello');
  assert.match((await run(join(folder, 'text'))).err, /text: expected a certificate in PEM or DER/);
  assert.match((await run(join(folder, 'missing'))).err, /missing: cannot be read/);
  const path = certificateOf({ emails: ['anna@x.com'] });
  const { code, err } = await run(path, '--service', 'imap');
  assert.deepEqual([code, err], [64, 'sallyport certmap: there is no service imap, but plain, imaps\n']);
});

test('wrong settings are what they are for every command', async () => {
  const wrong = settings('wrong.yaml', { certmap: 'certmap.conf' });
  await assert.rejects(run(certificateOf({}), '--config', wrong), SettingsError);
});

async function warningsOf(path: string): Promise<readonly string[]> {
  const source = createConfigurationSource({ file: path, world: realWorld, missing: 'foresee' });
  return summarise(await source.load(), realWorld.now()).warnings.filter((warning) =>
    warning.includes('EXTERNAL'),
  );
}

test('check warns of logins by certificate that lead nowhere, and of no other', async () => {
  const bare =
    'services.imaps.mechanisms: nobody logs in to backends.bare by certificate (EXTERNAL) unless it has an admin';
  assert.deepEqual(await warningsOf(file), [bare]);
  assert.deepEqual(await warningsOf(settings('off.yaml', {}, { mechanisms: ['PLAIN'] })), []);
  const none = await warningsOf(settings('none.yaml', { directory: { type: 'none' } }));
  assert.equal(none.length, 1);
  assert.match(none.join(), /EXTERNAL is not offered, since there is no directory/);
  const submission = {
    protocol: 'smtp',
    listen: '127.0.0.1:0',
    channel: 'tcp_submit',
    tls: { mode: 'implicit', clientCa: [authority.caFile] },
  };
  const relayed = (name: string, client: unknown): string =>
    settings(name, {
      services: { submission },
      channels: { tcp_submit: { keywords: 'smtp mustsaslserver', relay: 'mta' } },
      backends: {
        mta: { servers: '127.0.0.1:25', client },
        bare: { servers: '127.0.0.1:1' },
        stores: { servers: '127.0.0.1:2' },
      },
      directory: { type: 'file', file: 'users2.yaml' },
    });
  writeFileSync(join(folder, 'users2.yaml'), 'anna@x.com:\n');
  assert.deepEqual(await warningsOf(relayed('told.yaml', 'xclient')), []);
  assert.match((await warningsOf(relayed('untold.yaml', 'xclient?'))).join(), /backends\.mta .*xpehlo/);
});

test('a script is asked as it is when such a client logs in, and what it gives for the store is said to be there, no more', async (t) => {
  const script = http.createServer((request, response) => {
    const isShown = request.headers['auth-ssl-subject'] === 'CN=pc.x.com';
    const yes = { 'Auth-Status': 'OK', 'Auth-User': 'anna', 'Auth-Pass': 'sesame of anna' };
    response.writeHead(200, isShown ? yes : { 'Auth-Status': 'No' }).end();
  });
  await new Promise<void>((resolve) => {
    script.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => script.close());
  const url = `http://127.0.0.1:${(script.address() as AddressInfo).port}/`;
  const directory = { type: 'http', http: { url } };
  const place = settings('by-script.yaml', { directory }, { backend: 'bare', verify: 'directory' });
  const { code, out } = await run(certificateOf({}), '--config', place);
  assert.equal(code, 0, out);
  assert.match(out, /the script asked with an empty Auth-User: anna\nuser: anna\n/);
  assert.match(out, /logged in there as: anna, with the password that the script gives \(PLAIN\)\n$/);
  assert.doesNotMatch(out, /sesame/);
});
