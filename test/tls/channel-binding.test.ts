// What both ends of a TLS connection bind a login to, against what Node's client end and openssl say of the same.

import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { createHash, randomBytes, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import tls from 'node:tls';

import { channelBinding, endPointOf } from '../../src/tls/channel-binding.ts';
import { buildServerContexts } from '../../src/tls/context.ts';
import { startServer } from '../support/tls-pair.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-binding-'));
after(() => rmSync(folder, { recursive: true }));

interface Made {
  readonly cert: string;
  readonly key: string;
}

let made = 0;
function make(name: string, ...options: readonly string[]): Made {
  const [cert, key] = [path.join(folder, `${++made}.crt`), path.join(folder, `${made}.key`)];
  const args = ['req', '-x509', '-nodes', '-subj', `/CN=${name}`, '-keyout', key, '-out', cert, '-days', '2'];
  execFileSync('openssl', [...args, ...options], { stdio: 'pipe' });
  return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
}

const EC384 = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp384r1', '-sha384'];
const rsa = make('rsa', '-newkey', 'rsa:2048');
const ec = make('ec', ...EC384);
const org = make('org', '-newkey', 'rsa:2048', '-sha512');

const server = await startServer(
  buildServerContexts(
    {
      certificates: [rsa, ec],
      sni: [{ pattern: '*.example.org', certificates: [org] }],
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.3',
      ciphers: 'default',
      groups: 'default',
    },
    { ticketKeys: randomBytes(48), sessionIdContext: 'server' },
  ),
);
after(() => server.close());

interface Ends {
  readonly client: tls.TLSSocket;
  readonly server: tls.TLSSocket;
  /** What the client can be resumed with. */
  readonly session: Buffer;
}

async function ends(options: tls.ConnectionOptions = {}): Promise<Ends> {
  const client = tls.connect({ port: server.port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  let session: Buffer = Buffer.alloc(0);
  client.on('session', (latest) => (session = latest));
  await once(client, 'secureConnect');
  const accepted = await server.next();
  if (accepted instanceof Error) throw accepted;
  accepted.write('x');
  await once(client, 'data');
  after(() => {
    client.destroy();
    accepted.destroy();
  });
  return { client, server: accepted, session };
}

test('tls-exporter is what the client end exports by the label of RFC 9266, and another on each connection', async () => {
  const one = await ends();
  const other = await ends();
  const exported = one.client.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0));
  assert.deepEqual(channelBinding(one.server, 'tls-exporter'), exported);
  assert.equal(exported.length, 32);
  assert.notDeepEqual(channelBinding(other.server, 'tls-exporter'), exported);
});

test('tls-exporter is what openssl exports', async () => {
  const args = ['-connect', `127.0.0.1:${server.port}`, '-keymatexport', 'EXPORTER-Channel-Binding'];
  const answered = (async () => {
    const accepted = await server.next();
    if (accepted instanceof Error) throw accepted;
    const binding = channelBinding(accepted, 'tls-exporter');
    accepted.end();
    return binding;
  })();
  const said = await new Promise<string>((resolve) => {
    const child = execFile('openssl', ['s_client', ...args, '-keymatexportlen', '32'], (_, stdout) =>
      resolve(stdout),
    );
    child.stdin?.end();
  });
  const [, material = ''] = /Keying material: ([0-9A-F]{64})/.exec(said) ?? [];
  assert.equal((await answered)?.toString('hex').toUpperCase(), material);
});

test('with TLS 1.2 there is no tls-exporter, since it would not always bind', async () => {
  const { server: accepted } = await ends({ maxVersion: 'TLSv1.2' });
  assert.equal(channelBinding(accepted, 'tls-exporter'), null);
});

for (const [what, options, shown, hash] of [
  ['the RSA one', { sigalgs: 'RSA-PSS+SHA256:RSA+SHA256' }, rsa, 'sha256'],
  ['the ECDSA one', { sigalgs: 'ECDSA+SHA384:ECDSA+SHA256' }, ec, 'sha384'],
  ['that of the name', { servername: 'imap.example.org' }, org, 'sha512'],
  ['that of the name in TLS 1.2', { servername: 'imap.example.org', maxVersion: 'TLSv1.2' }, org, 'sha512'],
] as const) {
  test(`tls-server-end-point is the hash of the certificate that was shown: ${what}`, async () => {
    const { client, server: accepted } = await ends(options);
    const seen = client.getPeerX509Certificate()?.raw ?? Buffer.alloc(0);
    assert.deepEqual(seen, new X509Certificate(shown.cert).raw);
    assert.deepEqual(
      channelBinding(accepted, 'tls-server-end-point'),
      createHash(hash).update(seen).digest(),
    );
  });
}

test('a resumed connection has shown no certificate; it has an exporter of its own', async () => {
  const first = await ends();
  const second = await ends({ session: first.session });
  assert.equal(second.server.isSessionReused(), true);
  assert.equal(channelBinding(second.server, 'tls-server-end-point'), null);
  const exported = second.client.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0));
  assert.deepEqual(channelBinding(second.server, 'tls-exporter'), exported);
});

test('other types, and connections in clear, bind to nothing', async () => {
  const { server: accepted } = await ends();
  for (const type of ['tls-unique', 'TLS-EXPORTER', '', 'constructor'])
    assert.equal(channelBinding(accepted, type), null);
  assert.equal(channelBinding(new net.Socket(), 'tls-exporter'), null);
});

const PSS = ['-newkey', 'rsa:2048', '-sigopt', 'rsa_padding_mode:pss'];
for (const [what, options, hash] of [
  ['SHA-1 is SHA-256', ['-newkey', 'rsa:2048', '-sha1'], 'sha256'],
  ['PSS with SHA-512', [...PSS, '-sha512'], 'sha512'],
  ['PSS with SHA-256', [...PSS, '-sha256'], 'sha256'],
  ['PSS with SHA-1, which is left out, is SHA-256', [...PSS, '-sha1'], 'sha256'],
  ['ECDSA with SHA-224', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-sha224'], 'sha224'],
  ['Ed25519 has no hash', ['-newkey', 'ed25519'], null],
] as const) {
  test(`RFC 5929 4.1: a certificate signed with ${what}`, () => {
    const certificate = new X509Certificate(make('x', ...options).cert);
    const expected = hash === null ? null : createHash(hash).update(certificate.raw).digest();
    assert.deepEqual(endPointOf(certificate), expected);
  });
}
