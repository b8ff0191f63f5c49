import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { SettingsError } from '../../src/errors.ts';
import { buildServerContexts, type ServerTlsMaterial } from '../../src/tls/context.ts';
import { sessionContextName } from '../../src/tls/tickets.ts';
import { makeAuthority } from '../support/authority.ts';
import { exchange, failure, startServer, type Server } from '../support/tls-pair.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-context-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const authority = makeAuthority(folder);
const ec = authority.issue({ names: ['mx.test'] });
const rsa = authority.issue({ names: ['mx.test'], keyType: 'rsa' });
const org = authority.issue({ names: ['*.example.org'] });
const exact = authority.issue({ names: ['imap.example.org'] });

const material: ServerTlsMaterial = {
  certificates: [rsa, ec],
  sni: [],
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  ciphers: 'default',
  groups: 'default',
};
const withSni: ServerTlsMaterial = {
  ...material,
  sni: [
    { pattern: '*.Example.org', certificates: [org] },
    { pattern: 'imap.example.org', certificates: [exact] },
  ],
};
const tickets = { ticketKeys: randomBytes(48), sessionIdContext: sessionContextName('imaps', null) };

async function serve(
  t: TestContext,
  settings: Partial<ServerTlsMaterial> = {},
  options = tickets,
): Promise<Server> {
  const server = await startServer(buildServerContexts({ ...material, ...settings }, options));
  t.after(() => server.close());
  return server;
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`a ${version} session is resumed by another worker with the same ticket keys`, async (t) => {
    const [one, two] = [await serve(t), await serve(t)];
    const first = await exchange(one, { maxVersion: version });
    assert.equal(first.server.resumed, false);
    const second = await exchange(two, { maxVersion: version, session: first.session });
    assert.equal(second.server.resumed, true);
    assert.equal(second.client.resumed, true);
    assert.equal(second.server.version, version);
  });

  test(`a ${version} session of one service is not resumed by the next`, async (t) => {
    const other = { ...tickets, sessionIdContext: sessionContextName('pop3s', null) };
    const [one, two] = [await serve(t), await serve(t, {}, other)];
    const first = await exchange(one, { maxVersion: version });
    const second = await exchange(two, { maxVersion: version, session: first.session });
    assert.equal(second.server.resumed, false);
  });
}

test('a session is not resumed after the ticket keys were replaced', async (t) => {
  const [one, two] = [await serve(t), await serve(t, {}, { ...tickets, ticketKeys: randomBytes(48) })];
  const first = await exchange(one);
  assert.equal((await exchange(two, { session: first.session })).server.resumed, false);
});

test('a resumed session keeps its place under an SNI name', async (t) => {
  const [one, two] = [await serve(t, withSni), await serve(t, withSni)];
  const first = await exchange(one, { servername: 'imap.example.org' });
  const second = await exchange(two, { servername: 'imap.example.org', session: first.session });
  assert.equal(second.server.resumed, true);
});

test('an exact name wins over a wildcard, which stands for one label; other names get the default', async (t) => {
  const server = await serve(t, withSni);
  const shown = async (servername: string): Promise<string> => (await exchange(server, { servername })).names;
  assert.equal(await shown('imap.example.org'), 'DNS:imap.example.org');
  assert.equal(await shown('IMAP.Example.ORG'), 'DNS:imap.example.org');
  assert.equal(await shown('pop.example.org'), 'DNS:*.example.org');
  assert.equal(await shown('a.b.example.org'), 'DNS:mx.test');
  assert.equal(await shown('example.org'), 'DNS:mx.test');
  assert.equal(await shown('elsewhere.test'), 'DNS:mx.test');
  assert.equal(await shown(''), 'DNS:mx.test');
});

test('a trailing dot in the asked name does not matter', () => {
  const { select, initial } = buildServerContexts(withSni, tickets);
  assert.ok(select);
  assert.equal(select('imap.example.org.'), select('imap.example.org'));
  assert.notEqual(select('imap.example.org'), initial);
});

test('one context is made per set of certificates, and none chosen where there is no SNI map', () => {
  const sni = ['a.test', 'b.test'].map((pattern) => ({ pattern, certificates: [{ ...org }] }));
  const { select } = buildServerContexts({ ...material, sni }, tickets);
  assert.equal(select?.('a.test'), select?.('b.test'));
  assert.equal(buildServerContexts(material, tickets).select, null);
});

test('RSA and ECDSA certificates stand side by side and the client gets the one it can take', async (t) => {
  const server = await serve(t);
  const pick = async (sigalgs: string): Promise<string> => (await exchange(server, { sigalgs })).keyType;
  assert.equal(await pick('RSA-PSS+SHA256'), 'rsa');
  assert.equal(await pick('ECDSA+SHA256'), 'ec');
  const suite = async (ciphers: string): Promise<string> =>
    (await exchange(server, { ciphers, maxVersion: 'TLSv1.2' })).keyType;
  assert.equal(await suite('ECDHE-RSA-AES128-GCM-SHA256'), 'rsa');
  assert.equal(await suite('ECDHE-ECDSA-AES128-GCM-SHA256'), 'ec');
});

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`${maxVersion}: also with an SNI map, of two certificates the client gets the one it can take`, async (t) => {
    const pairs = { ...material, sni: [{ pattern: 'named.test', certificates: [rsa, ec] }] };
    const turned = { ...material, sni: [{ pattern: 'named.test', certificates: [ec, rsa] }] };
    for (const shown of [pairs, turned, { ...turned, certificates: [org] }]) {
      const server = await startServer(buildServerContexts(shown, tickets));
      t.after(() => server.close());
      const pick = async (sigalgs: string, servername: string): Promise<string> =>
        (await exchange(server, { sigalgs, servername, maxVersion })).keyType;
      const names = shown.certificates.length === 1 ? ['named.test'] : ['named.test', 'mx.test', 'else.test'];
      for (const name of names) {
        assert.equal(await pick('RSA-PSS+SHA256:RSA+SHA256', name), 'rsa', name);
        assert.equal(await pick('ECDSA+SHA256', name), 'ec', name);
        assert.equal(await pick('ECDSA+SHA256:RSA-PSS+SHA256', name), 'ec', name);
      }
    }
  });
}

test('a client that is too old is refused with a protocol alert, one in range is not', async (t) => {
  const server = await serve(t);
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
  const { client, server: error } = await failure(server, old);
  assert.equal(client, 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION');
  assert.equal(error.code, 'TLS_HANDSHAKE_FAILED');
  assert.equal(error.context['reason'], 'ERR_SSL_UNSUPPORTED_PROTOCOL');
  assert.equal((await exchange(server, { maxVersion: 'TLSv1.2' })).server.version, 'TLSv1.2');
});

test('minVersion TLSv1 really lets old clients in with the default ciphers', async (t) => {
  const server = await serve(t, { minVersion: 'TLSv1' });
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
  assert.equal((await exchange(server, old)).server.version, 'TLSv1');
  assert.equal((await exchange(server)).server.version, 'TLSv1.3');
});

test('a cipher list of TLS 1.2 suites leaves TLS 1.3 on', async (t) => {
  const server = await serve(t, { ciphers: 'ECDHE+AESGCM' });
  assert.equal((await exchange(server)).server.version, 'TLSv1.3');
});

test('the server chooses the cipher, but for clients that put ChaCha20 first', async (t) => {
  const server = await serve(t);
  const suite = async (ciphers: string): Promise<string> =>
    (await exchange(server, { ciphers })).server.cipher;
  assert.equal(await suite('TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256'), 'TLS_AES_128_GCM_SHA256');
  assert.equal(
    await suite('TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256'),
    'TLS_CHACHA20_POLY1305_SHA256',
  );
});

test('settings that OpenSSL refuses are a settings error that shows them', () => {
  assert.throws(
    () => buildServerContexts({ ...material, ciphers: 'NONSENSE' }, tickets),
    (error) =>
      error instanceof SettingsError &&
      /ciphers NONSENSE, groups default: .*no cipher match/.test(error.message),
  );
});
