import assert from 'node:assert/strict';
import { randomBytes, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test, type TestContext } from 'node:test';
import type tls from 'node:tls';
import { GateError, SettingsError } from '../../src/errors.ts';
import { BackendTls, type BackendTlsOptions } from '../../src/tls/client.ts';
import { buildServerContexts, type ServerTlsMaterial } from '../../src/tls/context.ts';
import { clientFacts } from '../../src/tls/facts.ts';
import { makeAuthority, type Issued } from '../support/authority.ts';
import { manualWorld } from '../support/manual-world.ts';
import { startMiddle, startServer, type Server } from '../support/tls-pair.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-client-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const authority = makeAuthority(folder);
const right = authority.issue({ names: ['imap1.internal', '127.0.0.1'] });
const stranger = makeAuthority(folder, 'Other CA').issue({ names: ['imap1.internal'] });
const expired = authority.issue({ names: ['imap1.internal'], days: -3 });
const early = authority.issue({ names: ['imap1.internal'], startsInDays: 3 });
const selfSigned = authority.issue({ names: ['imap1.internal'], signer: 'self' });
const world = manualWorld();
const ticketKeys = randomBytes(48);

function backend(settings: Partial<BackendTlsOptions> = {}): BackendTls {
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

async function serve(
  t: TestContext,
  certificate: Issued,
  settings: Partial<ServerTlsMaterial> = {},
): Promise<Server> {
  const material: ServerTlsMaterial = {
    certificates: [certificate],
    sni: [],
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    ciphers: 'default',
    groups: 'default',
    ...settings,
  };
  const server = await startServer(
    buildServerContexts(material, { ticketKeys, sessionIdContext: 'backend' }),
  );
  t.after(() => server.close());
  return server;
}

async function dial(port: number): Promise<net.Socket> {
  const raw = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  await once(raw, 'connect');
  return raw;
}

/** Connects, lets the backend say a byte (the tickets come before it), and closes. */
async function visit(
  client: BackendTls,
  server: Server,
  host = 'imap1.internal',
): Promise<ReturnType<typeof clientFacts>> {
  const raw = await dial(server.port);
  const socket = await client.connect(raw, host, { timeoutMs: 1000, world });
  const accepted = (await server.next()) as tls.TLSSocket;
  const facts = clientFacts(socket);
  accepted.write('x');
  await once(socket, 'data');
  socket.destroy();
  accepted.destroy();
  assert.equal(world.pending, 0);
  return facts;
}

async function refused(
  client: BackendTls,
  server: { port: number },
  host = 'imap1.internal',
): Promise<GateError> {
  const raw = await dial(server.port);
  const error: unknown = await client.connect(raw, host, { timeoutMs: 1000, world }).catch((e: unknown) => e);
  assert.ok(error instanceof GateError, 'the connection was refused');
  assert.equal(error.code, 'BACKEND_TLS_FAILED');
  assert.equal(error.context['host'], host);
  assert.ok(raw.destroyed);
  assert.equal(world.pending, 0);
  return error;
}

test('a backend with the right name from the given CA is verified, with SNI', async (t) => {
  const facts = await visit(backend(), await serve(t, right));
  assert.deepEqual([facts.version, facts.group, facts.sni], ['TLSv1.3', 'X25519MLKEM768', 'imap1.internal']);
});

test('a backend that is dialled by address is verified by its address names, without SNI', async (t) => {
  const server = await serve(t, right);
  assert.equal((await visit(backend(), server, '127.0.0.1')).sni, null);
  const error = await refused(backend(), server, '127.0.0.2');
  assert.equal(error.context['reason'], 'ERR_TLS_CERT_ALTNAME_INVALID');
});

test('the name in the settings is verified in the place of the host', async (t) => {
  const server = await serve(t, right);
  assert.equal((await visit(backend({ name: 'imap1.internal' }), server, '10.0.0.1')).sni, 'imap1.internal');
  await refused(backend({ name: 'imap2.internal' }), server);
});

test('a wrong name is refused and the names of the certificate are listed', async (t) => {
  const error = await refused(backend(), await serve(t, right), 'imap2.internal');
  assert.equal(error.context['reason'], 'ERR_TLS_CERT_ALTNAME_INVALID');
  assert.equal(
    error.context['detail'],
    'the certificate is not for imap2.internal but for DNS:imap1.internal, IP Address:127.0.0.1',
  );
});

const BAD: readonly [string, Issued, RegExp][] = [
  ['expired', expired, /^CERT_HAS_EXPIRED: certificate has expired$/],
  ['not yet valid', early, /^CERT_NOT_YET_VALID: certificate is not yet valid$/],
  ['self-signed', selfSigned, /^DEPTH_ZERO_SELF_SIGNED_CERT: self-signed certificate$/],
  ['from another CA', stranger, /^(SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_GET_ISSUER_CERT_LOCALLY): /],
];
for (const [what, certificate, words] of BAD) {
  test(`a certificate that is ${what} is refused, and taken only with verify off`, async (t) => {
    const server = await serve(t, certificate);
    const { context } = await refused(backend(), server);
    assert.match(`${context['reason']}: ${context['detail']}`, words);
    await server.next();
    await visit(backend({ verify: false }), server);
  });
}

test('the self-signed certificate itself may be the CA', async (t) => {
  await visit(backend({ ca: selfSigned.cert }), await serve(t, selfSigned));
});

test('without a CA file the system decides, and it does not know the test CA', async (t) => {
  await refused(backend({ ca: null }), await serve(t, right));
});

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`a ${version} session is offered again to the same host only`, async (t) => {
    const client = backend();
    const server = await serve(t, right, { minVersion: version, maxVersion: version });
    assert.equal((await visit(client, server)).resumed, false);
    assert.equal((await visit(client, server)).resumed, true);
    assert.equal((await visit(client, server)).resumed, true);
    assert.equal((await visit(client, server, '127.0.0.1')).resumed, false);
    assert.equal(client.sessionCount, 2);
  });
}

test('a session never helps a backend past the verification of its name', async (t) => {
  const client = backend();
  const server = await serve(t, right);
  await visit(client, server);
  await server.close();
  await refused(client, await serve(t, right), 'imap2.internal');
});

test('the sessions kept are bounded, the oldest goes first', async (t) => {
  const client = backend({ verify: false, sessionsMax: 2 });
  const server = await serve(t, right);
  for (const host of ['a.test', 'b.test', 'c.test']) await visit(client, server, host);
  assert.equal(client.sessionCount, 2);
  assert.equal((await visit(client, server, 'c.test')).resumed, true);
  assert.equal((await visit(client, server, 'a.test')).resumed, false);
});

async function serveBytes(t: TestContext, answer: (socket: net.Socket) => void): Promise<{ port: number }> {
  const listener = net.createServer((socket) => {
    socket.on('error', () => socket.destroy());
    answer(socket);
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  t.after(() => listener.close());
  return { port: (listener.address() as net.AddressInfo).port };
}

test('a backend that speaks clear text, closes, or resets is refused with the reason', async (t) => {
  const clear = await serveBytes(t, (socket) => socket.write('* OK ready\r\n'));
  assert.equal((await refused(backend(), clear)).context['reason'], 'ERR_SSL_WRONG_VERSION_NUMBER');
  const closing = await serveBytes(t, (socket) => socket.end());
  assert.match(String((await refused(backend(), closing)).context['reason']), /^(closed|ECONNRESET)$/);
  const resetting = await serveBytes(t, (socket) => socket.once('data', () => socket.resetAndDestroy()));
  assert.match(
    String((await refused(backend(), resetting)).context['reason']),
    /^(closed|ECONNRESET|EPIPE)$/,
  );
});

test('a backend that does not answer the handshake runs into the deadline', async (t) => {
  const silent = await serveBytes(t, () => {});
  const raw = await dial(silent.port);
  const attempt = backend().connect(raw, 'imap1.internal', { timeoutMs: 1000, world });
  world.advance(1000);
  await assert.rejects(
    attempt,
    (error) => error instanceof GateError && error.context['reason'] === 'timeout',
  );
  assert.ok(raw.destroyed);
});

test('a socket that is closed already is refused', async () => {
  const raw = new net.Socket();
  raw.destroy();
  await assert.rejects(backend().connect(raw, 'x.test', { timeoutMs: 1, world }), {
    code: 'BACKEND_TLS_FAILED',
  });
});

test('a backend that only speaks less than minVersion is refused', async (t) => {
  const server = await serve(t, right, { maxVersion: 'TLSv1.2' });
  await refused(backend({ minVersion: 'TLSv1.3' }), server);
});

test('a cipher list that OpenSSL refuses is a settings error', () => {
  assert.throws(() => backend({ ciphers: 'NONSENSE' }), SettingsError);
});

test('a broken record after the handshake is an error that closes the connection', async (t) => {
  const server = await serve(t, right);
  const middle = await startMiddle(server.port);
  t.after(() => middle.close());
  const socket = await backend().connect(await dial(middle.port), 'imap1.internal', {
    timeoutMs: 1000,
    world,
  });
  socket.resume();
  const ended = new Promise<Error | null>((resolve) => {
    socket.once('error', resolve).once('close', () => resolve(null));
  });
  middle.breakTowards('client');
  assert.match(((await ended) as NodeJS.ErrnoException | null)?.code ?? '', /^ERR_SSL_/);
  assert.ok(socket.destroyed);
});

test('a CA of the database is believed besides those of the system, an intermediate by itself too', async (t) => {
  const below = authority.intermediate('Below');
  const issued = below.issue({ names: ['imap1.internal'] });
  const alone = { ...issued, cert: issued.cert.slice(0, issued.cert.indexOf('-----END') + 26) };
  const server = await serve(t, alone);
  await visit(backend({ ca: null, authorities: [below.ca] }), server);
  const error = await refused(backend({ ca: null, authorities: [authority.ca] }), server);
  assert.equal(error.context['reason'], 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY');
  assert.equal(
    (await refused(backend({ authorities: [below.ca] }), server)).context['reason'],
    error.context['reason'],
  );
});

test('a backend whose certificate is revoked is not gone on with, its neighbour is', async (t) => {
  const [revoked, good] = [1, 2].map(() => authority.issue({ names: ['imap1.internal'] })) as [
    Issued,
    Issued,
  ];
  const revocation = { crls: [authority.crl([revoked.serial])], now: () => Date.now() };
  const client = backend({ revocation });
  const error = await refused(client, await serve(t, revoked));
  assert.equal(error.context['reason'], 'revoked');
  assert.match(String(error.context['detail']), /revoked, by a CRL of its authority/);
  const server = await serve(t, good);
  await visit(client, server);
  assert.equal((await visit(client, server)).resumed, true);
});

test('a backend below a revoked intermediate is refused; pinned or unverified it is not asked about', async (t) => {
  const below = authority.intermediate('Below 2');
  const issued = below.issue({ names: ['imap1.internal'] });
  const revocation = { crls: [authority.crl([below.serial])], now: () => Date.now() };
  const error = await refused(backend({ revocation }), await serve(t, issued));
  assert.equal(error.context['reason'], 'revoked');
  await visit(backend({ revocation, verify: false }), await serve(t, issued));
  const pin = [new X509Certificate(issued.cert).fingerprint256.replaceAll(':', '').toLowerCase()];
  await visit(backend({ revocation, pin }), await serve(t, issued));
});
