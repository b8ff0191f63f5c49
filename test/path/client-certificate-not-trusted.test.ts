// A client shows a certificate that does not verify. It is told nothing of that: it may log in with its password. The log
// says what was shown, and why it does not count.

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { Authority, Issued, IssueOptions } from '../support/authority.ts';
import { clientAuthority, openSite, trustIn, visit } from '../support/certified.ts';
import { ALL } from '../support/dialects.ts';
import { assertLine, testMaterial } from '../support/gateway.ts';
import { ocspAnswer, Responder } from '../support/ocsp.ts';

const ANNA: IssueOptions = { names: ['anna.example'], purpose: 'client' };

for (const errands of ALL) {
  for (const mode of ['implicit', 'musttls'] as const) {
    test(`${errands.protocol}, ${mode}: one of a trusted CA verifies, and is in the closing line`, async (t) => {
      const authority = clientAuthority(t);
      const site = openSite(t, { errands, mode, clients: trustIn([authority]) });
      const anna = authority.issue(ANNA);
      const line = await visit(site, anna);
      assertLine(line, { code: null, user: 'anna' });
      assert.deepEqual(line['clientCertificate'], {
        subject: 'CN=anna.example',
        serial: anna.serial.toUpperCase(),
        verified: true,
      });
    });
  }

  test(`${errands.protocol}: one of another CA does not count, the password does`, async (t) => {
    const [trusted, other] = [clientAuthority(t), clientAuthority(t, 'Other CA')];
    const site = openSite(t, { errands, clients: trustIn([trusted]) });
    const line = await visit(site, other.issue(ANNA));
    assertLine(line, { code: null, user: 'anna' });
    assertLine(line['clientCertificate'] as never, { verified: false, fault: 'unknown-issuer' });
  });
}

const WORTHLESS: Readonly<Record<string, (authority: Authority, t: TestContext) => Issued>> = {
  expired: (authority) => authority.issue({ ...ANNA, days: -1 }),
  'not-yet-valid': (authority) => authority.issue({ ...ANNA, startsInDays: 2 }),
  'self-signed': (authority) => authority.issue({ ...ANNA, signer: 'self' }),
  'wrong-purpose': (authority) => authority.issue({ ...ANNA, purpose: 'server' }),
  'unknown-issuer': (_authority, t) => clientAuthority(t).issue(ANNA),
};

for (const [fault, issue] of Object.entries(WORTHLESS)) {
  test(`one that is ${fault} does not count, and neither does its resumed session`, async (t) => {
    const authority = clientAuthority(t);
    const site = openSite(t, { clients: trustIn([authority]) });
    const shown = issue(authority, t);
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      let session: Buffer | undefined;
      for (const resumed of [false, true]) {
        const line = await visit(site, shown, {
          maxVersion,
          session,
          onSession: (given) => (session = given),
        });
        assertLine(line, { code: null, user: 'anna' });
        assertLine(line['tls'] as never, { resumed, version: maxVersion });
        assertLine(line['clientCertificate'] as never, { verified: false, fault });
      }
    }
  });
}

test('a client without one logs in as ever, and nothing is said of certificates', async (t) => {
  const site = openSite(t, { clients: trustIn([clientAuthority(t)]) });
  const line = await visit(site);
  assertLine(line, { code: null, user: 'anna' });
  assert.equal('clientCertificate' in line, false);
});

test('where no CA is trusted for clients, none is asked for', async (t) => {
  const authority = clientAuthority(t);
  const site = openSite(t, { clients: trustIn([]) });
  assert.equal('clientCertificate' in (await visit(site, authority.issue(ANNA))), false);
});

test('one below an intermediate CA verifies with its chain, or where the intermediate itself is trusted', async (t) => {
  const root = clientAuthority(t);
  const below = root.intermediate('Client CA 2');
  const anna = below.issue(ANNA);
  const alone = { ...anna, cert: anna.cert.slice(0, anna.cert.indexOf('-----END') + 26) };
  const verified = async (clients: readonly Authority[], shown: Issued): Promise<unknown> => {
    const line = await visit(openSite(t, { clients: trustIn(clients) }), shown);
    return (line['clientCertificate'] as { verified: boolean }).verified;
  };
  assert.equal(await verified([root], anna), true);
  assert.equal(await verified([root], alone), false);
  assert.equal(await verified([below], alone), true);
});

test('a name with line ends and quotes, and one without an end, stay one line that is short', async (t) => {
  const authority = clientAuthority(t);
  const site = openSite(t, { clients: trustIn([authority]) });
  for (const name of ['a\r\n{"level":"error"}', 'long.'.repeat(200), '']) {
    const line = await visit(site, authority.issue({ ...ANNA, names: [name] }));
    const { subject } = line['clientCertificate'] as { subject: string };
    assert.ok(
      Array.from(subject).every((letter) => letter >= ' '),
      subject,
    );
    assert.ok(subject.length <= 257);
  }
});

test('a serial number without an end is shown by its beginning, by whomever it was made', async (t) => {
  const [trusted, other] = [clientAuthority(t), clientAuthority(t, 'Other CA')];
  const site = openSite(t, { clients: trustIn([trusted]) });
  const line = await visit(site, other.issue({ ...ANNA, serial: '5a'.repeat(20_000) }));
  const { serial } = line['clientCertificate'] as { serial: string };
  assert.match(serial, /^(5A){20,40}…$/);
});

test('a service that staples a status asks for certificates as well', async (t) => {
  const authority = clientAuthority(t);
  const responder = await Responder.start();
  t.after(() => responder.close());
  const own = testMaterial().authority.issue({ names: ['mail.test'], responder: responder.url });
  responder.answer = ocspAnswer(testMaterial().authority, own);
  const site = openSite(t, { clients: trustIn([authority]), gateway: { certificate: own } });
  await site.gateway.logged((line) => line['event'] === 'ocsp-stapled');
  let staple: Buffer | null = null;
  const line = await visit(site, authority.issue(ANNA), { onStaple: (response) => (staple = response) });
  assert.notEqual(staple, null);
  assertLine(line['clientCertificate'] as never, { verified: true });
});
