import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';

import { asTicketKeys, compareTicketKeys, openTicketKeys, sealTicketKeys } from '../../src/tls/tickets.ts';

const secret = 'a secret of all nodes';
const keys = { bytes: randomBytes(48), madeAt: Date.UTC(2030, 0, 1) };

test('sealed ticket keys are opened by the same secret, with their time, and by no other', () => {
  const sealed = sealTicketKeys(keys, secret);
  assert.deepEqual(openTicketKeys(sealed, secret), keys);
  assert.equal(openTicketKeys(sealed, `${secret}.`), null);
});

test('a sealed text shows neither keys nor time, and no two keys share a nonce', () => {
  const other = { ...keys, bytes: randomBytes(48) };
  const [one, two] = [sealTicketKeys(keys, secret), sealTicketKeys(other, secret)].map((text) =>
    Buffer.from(text, 'base64url'),
  );
  assert.ok(one && two);
  assert.equal(one.indexOf(keys.bytes.subarray(0, 8)), -1);
  assert.notDeepEqual(one.subarray(1, 13), two.subarray(1, 13));
});

test('one bit that was changed anywhere makes it worthless', () => {
  const sealed = Buffer.from(sealTicketKeys(keys, secret), 'base64url');
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const changed = Buffer.from(sealed);
    changed[bit >> 3]! ^= 1 << (bit & 7);
    assert.equal(openTicketKeys(changed.toString('base64url'), secret), null, `bit ${bit}`);
  }
  assert.deepEqual(openTicketKeys(sealed.toString('base64url'), secret), keys);
});

test('what is not sealed keys opens as nothing', () => {
  const sealed = sealTicketKeys(keys, secret);
  for (const text of [
    '',
    'x',
    sealed.slice(1),
    `${sealed}A`,
    `${sealed}\n`,
    sealed.replace(/.$/, '='),
    'A'.repeat(1e6),
  ])
    assert.equal(openTicketKeys(text, secret), null);
});

test('the younger keys win, and between two of one moment every node chooses the same', () => {
  const younger = { ...keys, madeAt: keys.madeAt + 1 };
  const twin = { ...keys, bytes: randomBytes(48) };
  assert.ok(compareTicketKeys(younger, keys) < 0 && compareTicketKeys(keys, younger) > 0);
  assert.equal(compareTicketKeys(keys, { ...keys }), 0);
  assert.equal(Math.sign(compareTicketKeys(keys, twin)), -Math.sign(compareTicketKeys(twin, keys)));
  assert.notEqual(compareTicketKeys(keys, twin), 0);
});

test('plain data that are no ticket keys are not taken for some', () => {
  assert.deepEqual(asTicketKeys(keys.bytes, keys.madeAt), keys);
  for (const [bytes, madeAt] of [
    [randomBytes(47), 1],
    [keys.bytes, '1'],
    [keys.bytes, -1],
    [keys.bytes, Number.NaN],
    [keys.bytes, 2 ** 60],
  ] as const)
    assert.equal(asTicketKeys(bytes, madeAt), null);
});
