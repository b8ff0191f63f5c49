// What is asked of clients in the handshake, and what names the sessions.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test, type TestContext } from 'node:test';
import tls from 'node:tls';
import {
  ClientCertificates,
  clientTrustDigest,
  withFault,
  type ClientTrust,
} from '../../src/tls/client-certificate.ts';
import { buildServerContexts, strengthJudge, type ServerTlsMaterial } from '../../src/tls/context.ts';
import { GateError } from '../../src/errors.ts';
import { makeAuthority, type Issued } from '../support/authority.ts';
import { startServer } from '../support/tls-pair.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-client-certificate-'));
after(() => rmSync(folder, { recursive: true }));
const authority = makeAuthority(folder);
const other = makeAuthority(folder, 'Other CA');
const server = authority.issue({ names: ['mail.test'] });
const named = authority.issue({ names: ['other.test'] });
const anna = authority.issue({ names: ['anna.example'], purpose: 'client' });

const trust = (more: Partial<ClientTrust> = {}): ClientTrust => ({
  required: false,
  authorities: [authority.ca],
  crls: [],
  ocsp: 'off',
  ...more,
});

const material = (clients: ClientTrust | null): ServerTlsMaterial => ({
  certificates: [server],
  sni: [{ pattern: 'other.test', certificates: [named] }],
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  ciphers: 'default',
  groups: 'default',
  clients,
});

/** What the client itself would not show otherwise. */
const anyStrength = { ciphers: 'DEFAULT:@SECLEVEL=0' };

interface Shown {
  /** Default: one for which OpenSSL looks at strength. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1';
  readonly clients: ClientTrust | null;
  readonly shown: Issued;
  readonly servername?: string;
}

/** A handshake; what the server makes of the client. */
async function shake(
  t: TestContext,
  { clients, shown, servername = 'mail.test', minVersion = 'TLSv1.2' }: Shown,
) {
  const server = { ...material(clients), minVersion };
  const contexts = buildServerContexts(server, {
    ticketKeys: Buffer.alloc(48, 1),
    sessionIdContext: 'test',
  });
  const listening = await startServer(contexts);
  t.after(() => listening.close());
  const { cert, key } = shown;
  const socket = tls.connect({
    port: listening.port,
    ca: authority.ca,
    servername,
    cert,
    key,
    ...anyStrength,
  });
  socket.on('error', () => undefined);
  t.after(() => socket.destroy());
  const accepted = await listening.next();
  assert.ok(!(accepted instanceof GateError));
  return clients === null
    ? accepted.getPeerX509Certificate()
    : new ClientCertificates(clients, strengthJudge(server)).judge(accepted, Date.now());
}

test('a certificate is told by name, issuer, serial number and fingerprint', async (t) => {
  const judged = await shake(t, { clients: trust(), shown: anna });
  assert.ok(judged !== undefined && judged !== null && 'facts' in judged);
  const { der, ...facts } = judged.facts;
  assert.deepEqual(facts, {
    subject: 'CN=anna.example',
    issuer: 'CN=Sallyport Test CA',
    serial: anna.serial.toUpperCase(),
    fingerprint256: judged.leaf.fingerprint256.replaceAll(':', '').toLowerCase(),
    verified: true,
    fault: null,
    detail: null,
  });
  assert.ok(der.equals(judged.leaf.raw));
  assert.deepEqual(withFault(judged.facts, 'revoked').verified, false);
});

test('by whatever name the server is asked for, the same CAs count for its clients', async (t) => {
  for (const servername of ['mail.test', 'other.test']) {
    const own = await shake(t, { clients: trust(), shown: anna, servername });
    assert.ok(own !== undefined && own !== null && 'facts' in own && own.facts.verified, servername);
    const strange = await shake(t, { clients: trust(), shown: other.issue({ names: ['x'] }), servername });
    assert.ok(strange !== undefined && strange !== null && 'facts' in strange);
    assert.equal(strange.facts.fault, 'unknown-issuer', servername);
  }
});

test('without CAs a client is not asked, and shows nothing', async (t) => {
  assert.equal(await shake(t, { clients: null, shown: anna }), undefined);
  assert.equal(await shake(t, { clients: trust({ authorities: [] }), shown: anna }), null);
});

test('sessions are named after the CAs, not their order, and after all else that decides who is let in', () => {
  const digest = clientTrustDigest(trust({ authorities: [authority.ca, other.ca] }));
  assert.equal(clientTrustDigest(trust({ authorities: [other.ca, authority.ca] })), digest);
  const others = [
    trust(),
    trust({ authorities: [authority.ca, other.ca], required: true }),
    trust({ authorities: [authority.ca, other.ca], crls: [other.crl([])] }),
    trust({ authorities: [authority.ca, other.ca], ocsp: 'try' }),
  ].map(clientTrustDigest);
  assert.equal(new Set([digest, ...others]).size, 5);
  assert.equal(clientTrustDigest(null), null);
});

for (const minVersion of ['TLSv1.2', 'TLSv1'] as const) {
  test(`from ${minVersion} on, signatures by SHA-1 and keys of 1024 bits count for nothing, wherever they are`, async (t) => {
    const ANNA = { names: ['anna.example'], purpose: 'client' } as const;
    const verified = async (shown: Issued): Promise<boolean> => {
      const judged = await shake(t, { clients: trust(), shown, minVersion });
      assert.ok(judged !== undefined && judged !== null && 'facts' in judged);
      return judged.facts.verified;
    };
    assert.equal(await verified(authority.issue({ ...ANNA, hash: 'sha1' })), false);
    assert.equal(await verified(authority.issue({ ...ANNA, keyType: 'weak' })), false);
    assert.equal(await verified(authority.intermediate('Old CA', { hash: 'sha1' }).issue(ANNA)), false);
    assert.equal(await verified(authority.intermediate('New CA').issue(ANNA)), true);
    assert.equal(await verified(authority.issue({ ...ANNA, keyType: 'rsa' })), true);
  });
}

test('where OpenSSL lets weak signatures pass, a session with a certificate cannot come back without its chain', async (t) => {
  const ticketOf = async (clients: ClientTrust | null): Promise<Buffer | undefined> => {
    const tickets = { ticketKeys: Buffer.alloc(48, 1), sessionIdContext: 'test' };
    const listening = await startServer(
      buildServerContexts({ ...material(clients), minVersion: 'TLSv1' }, tickets),
    );
    t.after(() => listening.close());
    const { cert, key } = anna;
    const options = { ca: authority.ca, servername: 'mail.test', maxVersion: 'TLSv1.2' } as const;
    const socket = tls.connect({ ...options, port: listening.port, cert, key });
    t.after(() => socket.destroy());
    await once(socket, 'secureConnect');
    return socket.getTLSTicket();
  };
  assert.equal(await ticketOf(trust()), undefined);
  assert.notEqual(await ticketOf(null), undefined);
});

test('a handshake that is gone has no certificate that is believed', async (t) => {
  const contexts = buildServerContexts(material(trust()), {
    ticketKeys: Buffer.alloc(48, 1),
    sessionIdContext: 'test',
  });
  const listening = await startServer(contexts);
  t.after(() => listening.close());
  const { cert, key } = anna;
  const socket = tls.connect({ port: listening.port, ca: authority.ca, servername: 'mail.test', cert, key });
  socket.on('error', () => undefined);
  const accepted = await listening.next();
  assert.ok(!(accepted instanceof GateError));
  const certificates = new ClientCertificates(trust());
  assert.equal(certificates.judge(accepted, Date.now())?.facts.verified, true);
  accepted.destroy();
  socket.destroy();
  await new Promise((resolve) => accepted.once('close', resolve));
  assert.notEqual(certificates.judge(accepted, Date.now())?.facts.verified, true);
});
