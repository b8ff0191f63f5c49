import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { buildServerContexts } from '../../src/tls/context.ts';
import { sessionGroup } from '../../src/tls/facts.ts';
import { makeAuthority } from '../support/authority.ts';
import { exchange, startServer } from '../support/tls-pair.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-facts-'));
const certificate = makeAuthority(folder).issue({ names: ['mx.test'], keyType: 'rsa' });
rmSync(folder, { recursive: true });
const contexts = buildServerContexts(
  {
    certificates: [certificate],
    sni: [],
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    ciphers: 'ECDHE+AESGCM:AES128-GCM-SHA256',
    groups: 'default',
  },
  { ticketKeys: randomBytes(48), sessionIdContext: 'facts' },
);
const server = await startServer(contexts, ['imap']);
after(() => server.close());

for (const group of ['X25519MLKEM768', 'X25519', 'P-256', 'P-384']) {
  test(`both ends name the group ${group}, in full and in resumed handshakes of TLS 1.3`, async () => {
    const full = await exchange(server, { ecdhCurve: group });
    assert.deepEqual([full.server.group, full.client.group, full.server.resumed], [group, group, false]);
    const resumed = await exchange(server, { ecdhCurve: group, session: full.session });
    assert.deepEqual(
      [resumed.server.group, resumed.client.group, resumed.server.resumed],
      [group, group, true],
    );
  });
}

for (const group of ['X25519', 'P-256']) {
  test(`both ends name the group ${group}, in full and in resumed handshakes of TLS 1.2`, async () => {
    const full = await exchange(server, { ecdhCurve: group, maxVersion: 'TLSv1.2' });
    assert.deepEqual([full.server.group, full.client.group, full.server.resumed], [group, group, false]);
    const resumed = await exchange(server, {
      ecdhCurve: group,
      maxVersion: 'TLSv1.2',
      session: full.session,
    });
    assert.deepEqual(
      [resumed.server.group, resumed.client.group, resumed.server.resumed],
      [group, group, true],
    );
  });
}

test('a resumed TLS 1.3 handshake names its own group, not that of the first', async () => {
  const full = await exchange(server, { ecdhCurve: 'X25519' });
  const resumed = await exchange(server, { ecdhCurve: 'P-256', session: full.session });
  assert.deepEqual([resumed.server.group, resumed.server.resumed], ['P-256', true]);
});

test('a client with its own defaults gets the post-quantum group', async () => {
  assert.equal((await exchange(server)).server.group, 'X25519MLKEM768');
});

test('static RSA has no group', async () => {
  const { server: facts } = await exchange(server, { ciphers: 'AES128-GCM-SHA256', maxVersion: 'TLSv1.2' });
  assert.equal(facts.group, null);
  assert.equal(facts.cipher, 'AES128-GCM-SHA256');
});

test('name and application protocol are told by both ends, and are null where nothing was asked', async () => {
  const asked = await exchange(server, { servername: 'mx.test', ALPNProtocols: ['imap'] });
  assert.deepEqual([asked.server.sni, asked.server.alpn], ['mx.test', 'imap']);
  assert.deepEqual([asked.client.sni, asked.client.alpn], ['mx.test', 'imap']);
  const silent = await exchange(server, { servername: '' });
  assert.deepEqual([silent.server.sni, silent.server.alpn], [null, null]);
});

test('the group is read from a session of OpenSSL 3.5', () => {
  const der = Buffer.from('300e020101020203040401aab304020211ec', 'hex');
  der[1] = der.length - 2;
  assert.equal(sessionGroup(der), 0x11ec);
});

test('any bytes in the place of a session give a number or null, never an exception', () => {
  const head = Buffer.from('3082', 'hex');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      for (const der of [
        Buffer.from(bytes),
        Buffer.concat([head, bytes]),
        Buffer.concat([Buffer.of(0x30, 0x40), bytes]),
      ]) {
        const group = sessionGroup(der);
        assert.ok(group === null || Number.isInteger(group));
      }
    }),
  );
});
