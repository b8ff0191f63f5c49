// Certificates of backends by their SHA-256, and our own certificate shown to a backend.

import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test, type TestContext } from 'node:test';
import tls from 'node:tls';
import type { GateError } from '../../src/errors.ts';
import { BackendTls, type BackendTlsOptions } from '../../src/tls/client.ts';
import { makeAuthority, type Issued } from '../support/authority.ts';
import { manualWorld } from '../support/manual-world.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-pins-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const authority = makeAuthority(folder);
const store = authority.issue({ names: ['imap1.internal'] });
const other = authority.issue({ names: ['imap1.internal'] });
const ours = authority.issue({ names: ['front.internal'] });
const stranger = makeAuthority(folder, 'Other CA').issue({ names: ['front.internal'] });
const world = manualWorld();

const sha256 = (der: Buffer): string => createHash('sha256').update(der).digest('hex');
const pinOf = ({ cert }: Issued): string => sha256(new X509Certificate(cert).raw);
const keyPinOf = ({ cert }: Issued): string =>
  sha256(new X509Certificate(cert).publicKey.export({ type: 'spki', format: 'der' }));

function backend(settings: Partial<BackendTlsOptions>): BackendTls {
  return new BackendTls({
    mode: 'musttls',
    verify: true,
    ca: authority.ca,
    name: null,
    minVersion: 'TLSv1.2',
    ciphers: 'default',
    ...settings,
  });
}

async function serve(t: TestContext, shown: Issued, more: tls.TlsOptions = {}): Promise<number> {
  const server = tls.createServer({ cert: shown.cert, key: shown.key, ...more }, (socket) => {
    socket.on('error', () => socket.destroy());
    const name = socket.getPeerCertificate().subject?.CN;
    socket.write(name === undefined ? 'nobody' : 'somebody');
  });
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => void server.close());
  return (server.address() as net.AddressInfo).port;
}

/** What the server says, whether the session was resumed; or why it did not come to that. */
async function visit(client: BackendTls, port: number): Promise<string> {
  const raw = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  await once(raw, 'connect');
  try {
    const socket = await client.connect(raw, 'imap1.internal', { timeoutMs: 1000, world });
    const [said] = (await once(socket, 'data')) as [Buffer];
    const resumed = socket.isSessionReused() ? 'again' : 'first';
    socket.destroy();
    return `${said.toString()} ${resumed}`;
  } catch (error) {
    const { context } = error as GateError;
    return context === undefined ? String((error as { code: string }).code) : String(context['reason']);
  }
}

for (const [what, pin] of [
  ['the certificate', pinOf(store)],
  ['its public key', keyPinOf(store)],
] as const) {
  test(`a pin of ${what} takes the place of CA and name`, async (t) => {
    const port = await serve(t, store);
    assert.equal(
      await visit(backend({ pin: [pin], ca: stranger.cert, name: 'else.test' }), port),
      'nobody first',
    );
    assert.equal(await visit(backend({ pin: ['00'.repeat(32), pin], verify: false }), port), 'nobody first');
  });
}

test('a certificate that is not pinned is refused, though its CA and name are right; both digests are told', async (t) => {
  const port = await serve(t, other);
  const client = backend({ pin: [pinOf(store), keyPinOf(store)] });
  const raw = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  await once(raw, 'connect');
  await assert.rejects(
    client.connect(raw, 'imap1.internal', { timeoutMs: 1000, world }),
    (error: GateError) => {
      assert.deepEqual([error.code, error.context['reason']], ['BACKEND_TLS_FAILED', 'pin']);
      assert.match(error.message, new RegExp(pinOf(other)));
      assert.match(error.message, new RegExp(keyPinOf(other)));
      return true;
    },
  );
  assert.equal(raw.destroyed, true);
  assert.equal(client.sessionCount, 0, 'no session of it is kept');
  assert.equal(await visit(backend({ pin: [] }), port), 'nobody first');
});

test('with verify: false the pin is all there is, and it holds', async (t) => {
  const port = await serve(t, other);
  assert.equal(await visit(backend({ pin: [pinOf(store)], verify: false }), port), 'pin');
});

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`${version}: a session is resumed with the server that matched the pin`, async (t) => {
    const port = await serve(t, store, { minVersion: version, maxVersion: version });
    const client = backend({ pin: [pinOf(store)] });
    assert.equal(await visit(client, port), 'nobody first');
    assert.equal(await visit(client, port), 'nobody again');
  });

  test(`${version}: no session of a server without the pin is ever kept, not even while it is being refused`, async (t) => {
    const port = await serve(t, other, { minVersion: version, maxVersion: version });
    const client = backend({ pin: [pinOf(store)] });
    const kept: number[] = [];
    const visits = Array.from({ length: 4 }, async () => {
      const end = await visit(client, port);
      kept.push(client.sessionCount);
      return end;
    });
    assert.deepEqual(await Promise.all(visits), ['pin', 'pin', 'pin', 'pin']);
    assert.equal(await visit(client, port), 'pin');
    assert.deepEqual(kept, [0, 0, 0, 0]);
  });

  test(`${version}: another server in the place of the pinned one is refused, whatever session it is offered`, async (t) => {
    const ticketKeys = Buffer.alloc(48, 3);
    const limits = { minVersion: version, maxVersion: version, ticketKeys } as const;
    const server = tls.createServer({ cert: store.cert, key: store.key, ...limits }, (socket) => {
      socket.on('error', () => socket.destroy());
      socket.write('nobody');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => void server.close());
    const { port } = server.address() as net.AddressInfo;
    const client = backend({ pin: [pinOf(store)] });
    assert.equal(await visit(client, port), 'nobody first');
    server.setSecureContext({ cert: other.cert, key: other.key, ...limits });
    server.setTicketKeys(Buffer.alloc(48, 4));
    assert.equal(await visit(client, port), 'pin');
  });
}

test('a server that asks for a certificate gets ours, and one that does not ask gets none', async (t) => {
  const certificates = [{ cert: ours.cert, key: ours.key }];
  const asking = await serve(t, store, { requestCert: true, rejectUnauthorized: true, ca: authority.ca });
  const client = backend({ certificates });
  assert.equal(await visit(client, asking), 'somebody first');
  assert.equal(await visit(client, asking), 'somebody first', 'without a session, which some servers refuse');
  assert.equal(await visit(backend({ certificates }), await serve(t, store)), 'nobody first');
});

test('a server that insists on a certificate turns away who has none or a stranger’s', async (t) => {
  const asking = await serve(t, store, {
    requestCert: true,
    rejectUnauthorized: true,
    ca: authority.ca,
    maxVersion: 'TLSv1.2',
  });
  assert.notEqual(await visit(backend({}), asking), 'somebody first');
  const certificates = [{ cert: stranger.cert, key: stranger.key }];
  assert.notEqual(await visit(backend({ certificates }), asking), 'somebody first');
});
