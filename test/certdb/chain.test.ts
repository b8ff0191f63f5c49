import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { pathOf, servedChain } from '../../src/certdb/chain.ts';
import { nameOf } from '../../src/certdb/distinguished-name.ts';
import { selfSign, signRequest } from '../../src/certdb/issue.ts';
import { generateKey, softwareSigner } from '../../src/certdb/keys.ts';
import type { Signer } from '../../src/certdb/keys.ts';
import { makeRequest } from '../../src/certdb/request.ts';

const DAY = 86_400_000;
const NOW = Date.UTC(2030, 0, 1);
const marks = (path: readonly X509Certificate[]): string[] => path.map((one) => one.fingerprint256);
const none = { dns: [], ip: [], email: [] };

function named(name: string) {
  const subject = nameOf({ name });
  assert.ok(!('problem' in subject));
  return subject;
}

interface Authority {
  readonly certificate: X509Certificate;
  readonly signer: Signer;
}

async function signedBy(
  issuer: Authority,
  signer: Signer,
  wish: { name: string; days: number; use: 'ca' | 'server' },
) {
  const request = await makeRequest(signer, { subject: named(wish.name), ...none });
  return new X509Certificate(
    await signRequest({ request, issuer, now: NOW, days: wish.days, use: wish.use }),
  );
}

test('of two certificates of one CA the way goes through the one that lasts, wherever the other stands', async () => {
  const [rootKey, middleKey, leafKey] = [1, 2, 3].map(() => softwareSigner(generateKey({ type: 'ec' })));
  assert.ok(rootKey !== undefined && middleKey !== undefined && leafKey !== undefined);
  const rootPem = await selfSign(rootKey, {
    subject: named('Root'),
    ...none,
    now: NOW,
    days: 3000,
    use: 'ca',
  });
  const root = { certificate: new X509Certificate(rootPem), signer: rootKey };
  const before = await signedBy(root, middleKey, { name: 'Middle', days: 5, use: 'ca' });
  const renewed = await signedBy(root, middleKey, { name: 'Middle', days: 900, use: 'ca' });
  const again = await signedBy(root, middleKey, { name: 'Middle', days: 1900, use: 'ca' });
  const issuer = { certificate: renewed, signer: middleKey };
  const leaf = await signedBy(issuer, leafKey, { name: 'mx.test', days: 90, use: 'server' });
  for (const known of [
    [before, renewed],
    [renewed, before],
  ])
    assert.deepEqual(marks(servedChain(leaf, [...known, root.certificate])), marks([leaf, renewed]));
  assert.deepEqual(
    marks(servedChain(leaf, [renewed, again])),
    marks([leaf, renewed]),
    'what came with it stays',
  );
  assert.deepEqual(marks(pathOf(leaf, [before])), marks([leaf, before]), 'one is better than none');
  assert.ok(Date.parse(before.validTo) < NOW + 6 * DAY);
});
