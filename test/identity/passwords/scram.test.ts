// SCRAM-SHA-256 by the example of RFC 7677, and the forms in which its keys are stored.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  parseScramVerifier,
  proofFits,
  scramKeys,
  serverSignature,
} from '../../../src/identity/passwords/scram.ts';

/** RFC 7677 3. */
const SALT = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64');
const NONCE = 'rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0';
const SAID = [
  'n=user,r=rOprNGfwEbeRWgbNEkqO',
  `r=${NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`,
  `c=biws,r=${NONCE}`,
].join(',');
const PROOF = Buffer.from('dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=', 'base64');

test('the proof of RFC 7677 3 fits the keys of its password, and the signature is the one there', async () => {
  const keys = await scramKeys('pencil', SALT, 4096);
  assert.equal(proofFits(keys, SAID, PROOF), true);
  assert.equal(
    serverSignature(keys, SAID).toString('base64'),
    '6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
  );
});

test('another password, another word that was said, another or no proof do not fit', async () => {
  const keys = await scramKeys('pencil', SALT, 4096);
  assert.equal(proofFits(await scramKeys('pencils', SALT, 4096), SAID, PROOF), false);
  assert.equal(proofFits(keys, `${SAID}x`, PROOF), false);
  const other = Buffer.from(PROOF);
  other[0] = (other[0] ?? 0) ^ 1;
  assert.equal(proofFits(keys, SAID, other), false);
  for (const length of [0, 31]) assert.equal(proofFits(keys, SAID, PROOF.subarray(0, length)), false);
  assert.equal(proofFits(keys, SAID, Buffer.concat([PROOF, PROOF])), false);
});

/** Of `pencil`, made by Dovecot’s `doveadm pw -s SCRAM-SHA-256`. */
const STORED = {
  salt: 'luPjNvjmrn43X9HwYj+JMQ==',
  storedKey: 'bZ86DvJi40maZ6Taw7YjdzSadH7eRVTU0yknDvP3qS4=',
  serverKey: 'X73f5/f7mDWa1gQ5quVOiOjmJSTLxFaOpy2Y9ipWJ90=',
};

test('Dovecot’s form, that of RFC 5803 and that with blanks are the same keys, and the password’s', async () => {
  const { salt, storedKey, serverKey } = STORED;
  const keys = await scramKeys('pencil', Buffer.from(salt, 'base64'), 4096);
  for (const stored of [
    `{SCRAM-SHA-256}4096,${salt},${storedKey},${serverKey}`,
    `SCRAM-SHA-256$4096:${salt}$${storedKey}:${serverKey}`,
    `SCRAM-SHA-256 $ 4096:${salt} $ ${storedKey}:${serverKey}`,
  ]) {
    const verifier = parseScramVerifier(stored);
    assert.deepEqual(
      [verifier?.iterations, verifier?.salt.toString('base64'), verifier?.storedKey, verifier?.serverKey],
      [4096, salt, keys.storedKey, keys.serverKey],
    );
  }
});

for (const [what, stored] of [
  ['another hash', 'SCRAM-SHA-1$4096:AAAA$AAAA:AAAA'],
  ['too few iterations', `{SCRAM-SHA-256}1000,${STORED.salt},${STORED.storedKey},${STORED.serverKey}`],
  ['endless iterations', `{SCRAM-SHA-256}99999999,${STORED.salt},${STORED.storedKey},${STORED.serverKey}`],
  ['a key that is cut', `{SCRAM-SHA-256}4096,${STORED.salt},${STORED.storedKey},AAAA`],
  ['no server key', `{SCRAM-SHA-256}4096,${STORED.salt},${STORED.storedKey}`],
  ['something behind', `{SCRAM-SHA-256}4096,${STORED.salt},${STORED.storedKey},${STORED.serverKey},`],
  ['a password', 'pencil'],
] as const) {
  test(`${what} is no such value`, () => assert.equal(parseScramVerifier(stored), null));
}
