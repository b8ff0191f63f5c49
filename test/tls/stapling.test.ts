// Which certificate's status goes into which handshake.

import assert from 'node:assert/strict';
import { X509Certificate, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import tls from 'node:tls';
import {
  buildServerContexts,
  type ServerCertificate,
  type ServerTlsMaterial,
} from '../../src/tls/context.ts';
import { createStapling, stapledChains, stapleKey, type Staples } from '../../src/tls/stapling.ts';
import { makeAuthority } from '../support/authority.ts';
import { exchange, startServer, type Server } from '../support/tls-pair.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-stapling-'));
const authority = makeAuthority(folder);
const rsa = authority.issue({ names: ['mx.test'], keyType: 'rsa' });
const ec = authority.issue({ names: ['mx.test'] });
const org = authority.issue({ names: ['*.example.org'] });
const net = authority.issue({ names: ['example.net'] });
rmSync(folder, { recursive: true });

const STAPLES = new Map([
  [rsa, 'of rsa'],
  [ec, 'of ec'],
  [org, 'of org'],
]);

function keyOf({ cert }: ServerCertificate): string {
  return stapleKey(new X509Certificate(cert).raw);
}

class Held implements Staples {
  hasAny = true;
  readonly responses = new Map([...STAPLES].map(([issued, text]) => [keyOf(issued), Buffer.from(text)]));

  response(key: string): Buffer | null {
    return this.responses.get(key) ?? null;
  }
}

function materialOf(
  certificates: readonly ServerCertificate[],
  sni: Readonly<Record<string, readonly ServerCertificate[]>> = {},
): ServerTlsMaterial {
  return {
    certificates,
    sni: Object.entries(sni).map(([pattern, shown]) => ({ pattern, certificates: shown })),
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    ciphers: 'default',
    groups: 'default',
  };
}

async function serverOf(t: TestContext, material: ServerTlsMaterial, staples: Staples): Promise<Server> {
  const contexts = buildServerContexts(material, { ticketKeys: randomBytes(48), sessionIdContext: 'x' });
  const stapling = createStapling(material, stapledChains(material), staples);
  const server = await startServer(contexts, [], stapling);
  t.after(() => server.close());
  return server;
}

/** What a client that asks for a status is given, as text; null: nothing. */
async function statusFor(server: Server, options: tls.ConnectionOptions = {}): Promise<string | null> {
  const { port } = server;
  const socket = tls.connect({
    port,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    requestOCSP: true,
    ...options,
  });
  let status: string | null = null;
  socket.on('OCSPResponse', (response: Buffer | null) => (status = response?.toString() ?? null));
  await once(socket, 'secureConnect');
  const accepted = await server.next();
  assert.ok(accepted instanceof tls.TLSSocket);
  socket.destroy();
  accepted.destroy();
  return status;
}

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`${maxVersion}: each name gets the status of the certificate that it is shown`, async (t) => {
    const sni = { '*.example.org': [org], 'example.net': [net] };
    const server = await serverOf(t, materialOf([ec], sni), new Held());
    assert.equal(await statusFor(server, { maxVersion }), 'of ec', 'no name');
    assert.equal(await statusFor(server, { maxVersion, servername: 'mx.test' }), 'of ec');
    assert.equal(await statusFor(server, { maxVersion, servername: 'unknown.test' }), 'of ec');
    assert.equal(await statusFor(server, { maxVersion, servername: 'a.example.org' }), 'of org');
    assert.equal(await statusFor(server, { maxVersion, servername: 'example.net' }), null, 'it has none');
    assert.equal(await statusFor(server, { maxVersion, requestOCSP: false }), null, 'not asked for');
  });

  test(`${maxVersion}: without names there is one certificate, and its status`, async (t) => {
    const server = await serverOf(t, materialOf([rsa]), new Held());
    assert.equal(await statusFor(server, { maxVersion }), 'of rsa');
    assert.equal(await statusFor(server, { maxVersion, servername: 'mx.test' }), 'of rsa');
  });

  test(`${maxVersion}: of the service's own pair nothing is stapled, of a name's pair the one that is shown`, async (t) => {
    const own = materialOf([rsa, ec], { '*.example.org': [org] });
    const server = await serverOf(t, own, new Held());
    const named = await serverOf(t, materialOf([org], { 'mx.test': [rsa, ec] }), new Held());
    for (const [sigalgs, status] of [
      ['RSA-PSS+SHA256:RSA+SHA256', 'of rsa'],
      ['ECDSA+SHA256', 'of ec'],
    ] as const) {
      const options = { maxVersion, sigalgs };
      assert.equal(await statusFor(server, options), null, sigalgs);
      assert.equal(await statusFor(server, { ...options, servername: 'mx.test' }), null, sigalgs);
      assert.equal(await statusFor(named, { ...options, servername: 'mx.test' }), status);
    }
    assert.equal(await statusFor(server, { maxVersion, servername: 'a.example.org' }), 'of org');
  });
}

test('a certificate of the own pair is not stapled for a name either, since it may be shown as one of the pair', () => {
  const pairs = materialOf([rsa, ec], { 'a.test': [rsa], 'b.test': [org], 'c.test': [org, net] });
  assert.deepEqual(stapledChains(pairs), [org.cert, net.cert]);
  assert.deepEqual(stapledChains(materialOf([ec])), [ec.cert]);
});

test('a status that is gone is not sent, one that comes is, and the handshake does not mind', async (t) => {
  const staples = new Held();
  staples.responses.clear();
  const server = await serverOf(t, materialOf([ec]), staples);
  assert.equal(await statusFor(server), null);
  staples.responses.set(keyOf(ec), Buffer.from('new'));
  assert.equal(await statusFor(server), 'new');
  assert.equal(await statusFor(server), 'new', 'again');
  staples.hasAny = false;
  assert.equal(await statusFor(server), null, 'nothing is asked for');
});

test('a session is resumed with stapling as without', async (t) => {
  const server = await serverOf(t, materialOf([ec]), new Held());
  const { session } = await exchange(server, { requestOCSP: true });
  assert.equal((await exchange(server, { requestOCSP: true, session })).server.resumed, true);
});
