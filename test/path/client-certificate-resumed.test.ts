// A client comes back with the session of an earlier visit. It is who it was then, as long as the same CAs are trusted;
// over a change of these no session goes, and where revocation is asked for none is resumed at all.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClientTrust } from '../../src/tls/client-certificate.ts';
import { clientAuthority, openSite, type Site, trustIn, turnedAway, visit } from '../support/certified.ts';
import { assertLine, frontMaterial, type LogLine } from '../support/gateway.ts';
import type { Issued } from '../support/authority.ts';

const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;
const DAY_MS = 86_400_000;

function change({ gateway }: Site, clients: ClientTrust): void {
  gateway.front.update(gateway.settings, frontMaterial(gateway.settings, { clients }), 1000);
}

/** Two visits, the second with the session of the first; `between` happens between them. */
async function comesBack(
  site: Site,
  { shown, maxVersion, between }: { shown?: Issued; maxVersion: 'TLSv1.2' | 'TLSv1.3'; between?: () => void },
): Promise<LogLine> {
  let session: Buffer | undefined;
  await visit(site, shown, { maxVersion, onSession: (given) => (session = given) });
  between?.();
  return visit(site, shown, { maxVersion, session });
}

const resumedIn = (line: LogLine): unknown => (line['tls'] as { resumed: boolean }).resumed;

for (const maxVersion of VERSIONS) {
  test(`${maxVersion}: a resumed session is still the client's, verified`, async (t) => {
    const authority = clientAuthority(t);
    const anna = authority.issue({ names: ['anna.example'], purpose: 'client' });
    const line = await comesBack(openSite(t, { clients: trustIn([authority]) }), { shown: anna, maxVersion });
    assert.equal(resumedIn(line), true);
    assertLine(line['clientCertificate'] as never, { verified: true, serial: anna.serial.toUpperCase() });
  });

  test(`${maxVersion}: a resumed session without a certificate is nobody's`, async (t) => {
    const site = openSite(t, { clients: trustIn([clientAuthority(t)]) });
    const line = await comesBack(site, { maxVersion });
    assert.equal(resumedIn(line), true);
    assert.equal('clientCertificate' in line, false);
  });

  test(`${maxVersion}: once the CA is no longer trusted, the session is not resumed and the certificate worth nothing`, async (t) => {
    const [authority, other] = [clientAuthority(t), clientAuthority(t, 'Other CA')];
    const anna = authority.issue({ names: ['anna.example'], purpose: 'client' });
    const site = openSite(t, { clients: trustIn([authority, other]) });
    const between = (): void => change(site, trustIn([other]));
    const line = await comesBack(site, { shown: anna, maxVersion, between });
    assert.equal(resumedIn(line), false);
    assertLine(line['clientCertificate'] as never, { verified: false, fault: 'unknown-issuer' });
  });

  test(`${maxVersion}: once its CRL names it, it is revoked`, async (t) => {
    const authority = clientAuthority(t);
    const anna = authority.issue({ names: ['anna.example'], purpose: 'client' });
    const site = openSite(t, { clients: trustIn([authority]) });
    const between = (): void => change(site, trustIn([authority], { crls: [authority.crl([anna.serial])] }));
    const line = await comesBack(site, { shown: anna, maxVersion, between });
    assert.equal(resumedIn(line), false);
    assertLine(line['clientCertificate'] as never, { verified: false, fault: 'revoked' });
  });

  test(`${maxVersion}: with an older CRL no session was given, and the newer one holds at the next visit`, async (t) => {
    const authority = clientAuthority(t);
    const anna = authority.issue({ names: ['anna.example'], purpose: 'client' });
    const site = openSite(t, { clients: trustIn([authority], { crls: [authority.crl([])] }) });
    const between = (): void => change(site, trustIn([authority], { crls: [authority.crl([anna.serial])] }));
    const good = await visit(site, anna, { maxVersion });
    assertLine(good['clientCertificate'] as never, { verified: true });
    const line = await comesBack(site, { shown: anna, maxVersion, between });
    assert.equal(resumedIn(line), false);
    assertLine(line['clientCertificate'] as never, { verified: false, fault: 'revoked' });
  });

  test(`${maxVersion}: a session that was revoked at first is not better the second time`, async (t) => {
    const root = clientAuthority(t);
    const below = root.intermediate('Client CA 2');
    const anna = below.issue({ names: ['anna.example'], purpose: 'client' });
    const site = openSite(t, { clients: trustIn([root], { crls: [root.crl([below.serial])] }) });
    const line = await comesBack(site, { shown: anna, maxVersion });
    assert.equal(resumedIn(line), false);
    assertLine(line['clientCertificate'] as never, { verified: false, fault: 'revoked' });
  });

  test(`${maxVersion}: a certificate that has expired meanwhile is worth nothing in a resumed session`, async (t) => {
    const authority = clientAuthority(t);
    const anna = authority.issue({ names: ['anna.example'], purpose: 'client', days: 3 });
    let aheadMs = 0;
    const site = openSite(t, { clients: trustIn([authority]), aheadMs: () => aheadMs });
    const between = (): void => void (aheadMs = 4 * DAY_MS);
    const line = await comesBack(site, { shown: anna, maxVersion, between });
    assert.equal(resumedIn(line), true);
    assertLine(line['clientCertificate'] as never, { verified: false, fault: 'expired' });
  });
}

test('a session from before a certificate was required does not get its client in', async (t) => {
  const authority = clientAuthority(t);
  const site = openSite(t, { clients: trustIn([authority]) });
  let session: Buffer | undefined;
  await visit(site, undefined, { onSession: (given) => (session = given) });
  change(site, trustIn([authority], { required: true }));
  assert.notEqual(session, undefined);
  assertLine((await turnedAway(site, undefined, { session })).line, { code: 'CLIENT_CERTIFICATE' });
});
