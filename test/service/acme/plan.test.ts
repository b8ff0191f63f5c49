import assert from 'node:assert/strict';
import { test } from 'node:test';

import { dueAt, retryWait } from '../../../src/service/acme/plan.ts';
import type { CertificateLife } from '../../../src/service/acme/plan.ts';

const DAY = 86_400_000;
const life: CertificateLife = {
  notBefore: 1000 * DAY,
  notAfter: 1090 * DAY,
  names: ['mail.example.com', 'IMAP.example.com'],
  isSelfSigned: false,
};
const wanted = { names: ['mail.example.com', 'imap.example.com'], renewBeforeMs: null };

test('a certificate is renewed when a third of its life is left, or when the settings say', () => {
  assert.equal(dueAt(life, wanted), 1060 * DAY);
  assert.equal(dueAt(life, { ...wanted, renewBeforeMs: 10 * DAY }), 1080 * DAY);
});

test('nothing makes a certificate due before half of its life is over', () => {
  assert.equal(dueAt(life, { ...wanted, renewBeforeMs: 365 * DAY }), 1045 * DAY);
});

test('what is missing, only holds the place or lacks a name is due at once; one that has more names is not', () => {
  assert.equal(dueAt(null, wanted), 0);
  assert.equal(dueAt({ ...life, isSelfSigned: true }, wanted), 0);
  assert.equal(dueAt(life, { ...wanted, names: [...wanted.names, 'pop.example.com'] }), 0);
  assert.equal(dueAt(life, { ...wanted, names: ['mail.example.com'] }), 1060 * DAY);
});

test('failures wait from a quarter of an hour to a day, and longer when the CA asks for it, a week at most', () => {
  const minutes = [1, 2, 3, 4, 8, 50].map((failures) => retryWait(failures, null, 0) / 60_000);
  assert.deepEqual(minutes, [15, 30, 60, 120, 1440, 1440]);
  assert.equal(retryWait(1, 3 * DAY, 0), 3 * DAY);
  assert.equal(retryWait(1, 60_000, 0), 900_000);
  assert.equal(retryWait(1, 1000 * DAY, 0), 7 * DAY);
  assert.equal(retryWait(1, null, 1), 990_000);
});

test('five failures in a row take more than an hour, which is what a public CA allows', () => {
  const waits = [1, 2, 3, 4].map((failures) => retryWait(failures, null, 0));
  assert.ok(waits.reduce((sum, wait) => sum + wait, 0) > 3_600_000);
});
