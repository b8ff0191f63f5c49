// A client shows a certificate that was good once. Its CA says by a CRL, or by its OCSP responder, that it is revoked: it
// does not count any more; the password does.

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { Authority, Issued } from '../support/authority.ts';
import { clientAuthority, openSite, trustIn, turnedAway, visit } from '../support/certified.ts';
import { ALL } from '../support/dialects.ts';
import { assertLine, type LogLine } from '../support/gateway.ts';
import { ocspAnswer, Responder } from '../support/ocsp.ts';

const clientOf = (authority: Authority, more: object = {}): Issued =>
  authority.issue({ names: ['anna.example'], purpose: 'client', ...more });

const factsIn = (line: LogLine): Readonly<Record<string, unknown>> =>
  line['clientCertificate'] as Readonly<Record<string, unknown>>;

for (const errands of ALL) {
  test(`${errands.protocol}: one that the CRL names does not count, its neighbour does`, async (t) => {
    const authority = clientAuthority(t);
    const [anna, berta] = [clientOf(authority), clientOf(authority)];
    const clients = trustIn([authority], { crls: [authority.crl([anna.serial])] });
    const site = openSite(t, { errands, clients });
    const line = await visit(site, anna);
    assertLine(line, { code: null, user: 'anna' });
    assertLine(factsIn(line), { verified: false, fault: 'revoked' });
    assertLine(factsIn(await visit(site, berta)), { verified: true });
  });
}

test('where a certificate is required, a revoked one turns its client away', async (t) => {
  const authority = clientAuthority(t);
  const anna = clientOf(authority);
  const clients = trustIn([authority], { required: true, crls: [authority.crl([anna.serial])] });
  const { line } = await turnedAway(openSite(t, { clients }), anna);
  assertLine(line, { code: 'CLIENT_CERTIFICATE' });
  assert.match(String(line['cause']), /found: revoked/);
});

test('a CRL that is stale still counts', async (t) => {
  const authority = clientAuthority(t);
  const [anna, berta] = [clientOf(authority), clientOf(authority)];
  const crl = authority.crl([anna.serial], { nextInDays: -1 });
  const site = openSite(t, { clients: trustIn([authority], { crls: [crl] }) });
  assertLine(factsIn(await visit(site, anna)), { verified: false, fault: 'revoked' });
  assertLine(factsIn(await visit(site, berta)), { verified: true });
});

test('a CRL speaks of the certificates of its own CA only, and a CA without one is not asked', async (t) => {
  const [authority, other] = [clientAuthority(t), clientAuthority(t, 'Other CA')];
  const anna = clientOf(authority);
  const site = openSite(t, { clients: trustIn([authority, other], { crls: [other.crl([anna.serial])] }) });
  assertLine(factsIn(await visit(site, anna)), { verified: true });
});

test('a CRL in the name of the CA that somebody else has signed is worth nothing', async (t) => {
  const [authority, impostor] = [clientAuthority(t, 'Client CA'), clientAuthority(t, 'Client CA')];
  const anna = clientOf(authority);
  const clients = trustIn([authority], { crls: [impostor.crl([anna.serial])] });
  assertLine(factsIn(await visit(openSite(t, { clients }), anna)), { verified: true });
});

test('a revoked intermediate takes all below it along', async (t) => {
  const root = clientAuthority(t);
  const [below, beside] = [root.intermediate('Client CA 2'), root.intermediate('Client CA 3')];
  const site = openSite(t, { clients: trustIn([root], { crls: [root.crl([below.serial])] }) });
  assertLine(factsIn(await visit(site, clientOf(below))), { verified: false, fault: 'revoked' });
  assertLine(factsIn(await visit(site, clientOf(beside))), { verified: true });
});

test('a revoked intermediate that is trusted itself is revoked all the same, where the CA above it is trusted too', async (t) => {
  const root = clientAuthority(t);
  const [below, beside] = [root.intermediate('Client CA 2'), root.intermediate('Client CA 3')];
  const all = [below, beside, root];
  const site = openSite(t, { clients: trustIn(all, { crls: [root.crl([below.serial])] }) });
  assertLine(factsIn(await visit(site, clientOf(below))), { verified: false, fault: 'revoked' });
  assertLine(factsIn(await visit(site, clientOf(beside))), { verified: true });
  const alone = openSite(t, { clients: trustIn([below], { crls: [root.crl([below.serial])] }) });
  assertLine(factsIn(await visit(alone, clientOf(below))), { verified: true });
});

test('a CRL of an intermediate that only the client brings is asked', async (t) => {
  const root = clientAuthority(t);
  const below = root.intermediate('Client CA 2');
  const [anna, berta] = [clientOf(below), clientOf(below)];
  const site = openSite(t, { clients: trustIn([root], { crls: [below.crl([anna.serial])] }) });
  assertLine(factsIn(await visit(site, anna)), { verified: false, fault: 'revoked' });
  assertLine(factsIn(await visit(site, berta)), { verified: true });
});

test('a revoked intermediate is not hidden by a certificate that it made for itself', async (t) => {
  const root = clientAuthority(t);
  const below = root.intermediate('Client CA 2');
  const anna = clientOf(below);
  // In front of the intermediate's certificate one of the same name and key, signed by that key.
  const pems = anna.cert.match(/-----BEGIN[^]*?-----END CERTIFICATE-----\n/g) ?? [];
  const [leaf = '', ...above] = pems;
  const shown = { ...anna, cert: [leaf, below.selfSigned(), ...above].join('') };
  const revoked = openSite(t, { clients: trustIn([root], { crls: [root.crl([below.serial])] }) });
  assertLine(factsIn(await visit(revoked, shown)), { verified: false, fault: 'revoked' });
  const unasked = openSite(t, { clients: trustIn([root]) });
  assertLine(factsIn(await visit(unasked, shown)), { verified: true });
});

interface Asked {
  readonly ocsp: 'try' | 'require';
  readonly status?: 'good' | 'revoked' | 'unknown';
  readonly responder?: 'down' | 'none';
}

async function asked(t: TestContext, { ocsp, status = 'good', responder: state }: Asked): Promise<LogLine> {
  const authority = clientAuthority(t);
  const responder = await Responder.start();
  t.after(() => responder.close());
  const anna = clientOf(authority, state === 'none' ? {} : { responder: responder.url });
  if (state === undefined) responder.answer = ocspAnswer(authority, anna, { status });
  if (state === 'down') await responder.close();
  return visit(openSite(t, { clients: trustIn([authority], { ocsp }) }), anna);
}

for (const ocsp of ['try', 'require'] as const) {
  test(`OCSP, ${ocsp}: one that is called good counts, one that is called revoked does not`, async (t) => {
    assertLine(factsIn(await asked(t, { ocsp })), { verified: true });
    assertLine(factsIn(await asked(t, { ocsp, status: 'revoked' })), { verified: false, fault: 'revoked' });
  });
}

for (const silence of [{ responder: 'down' }, { responder: 'none' }, { status: 'unknown' }] as const) {
  test(`OCSP, where nobody can say (${JSON.stringify(silence)}): good with try, not with require`, async (t) => {
    assertLine(factsIn(await asked(t, { ocsp: 'try', ...silence })), { verified: true });
    assertLine(factsIn(await asked(t, { ocsp: 'require', ...silence })), {
      verified: false,
      fault: 'ocsp-unavailable',
    });
  });
}

test('OCSP, try: the way to a CA is not hidden behind more certificates than anybody needs', async (t) => {
  const root = clientAuthority(t);
  const below = root.intermediate('Client CA 2');
  const responder = await Responder.start();
  t.after(() => responder.close());
  const anna = clientOf(below, { responder: responder.url });
  responder.answer = ocspAnswer(below, anna, { status: 'revoked' });
  const [leaf = '', ...above] = anna.cert.match(/-----BEGIN[^]*?-----END CERTIFICATE-----\n/g) ?? [];
  const others = Array.from({ length: 40 }, () => clientAuthority(t).ca);
  const site = openSite(t, { clients: trustIn([root], { ocsp: 'try' }) });
  const hidden = { ...anna, cert: [leaf, ...others, ...above].join('') };
  assertLine(factsIn(await visit(site, hidden)), { verified: false, fault: 'no-path' });
  assertLine(factsIn(await visit(site, anna)), { verified: false, fault: 'revoked' });
});
