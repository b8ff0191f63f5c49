// Stored passwords: each scheme takes the right password and no other; values were made by other programs where one is
// at hand.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { argon2Sync, createHash, pbkdf2Sync } from 'node:crypto';
import { test } from 'node:test';
import { hashSync } from 'bcryptjs';
import { isKnownScheme, passwordFits, plainOf } from '../../../src/identity/passwords/password.ts';
import { scramKeys } from '../../../src/identity/passwords/scram.ts';

const PASSWORD = 'open sesäme';
const SALT = Buffer.from('0123456789abcdef');

function salted(hash: string, salt = SALT): string {
  return Buffer.concat([createHash(hash).update(PASSWORD).update(salt).digest(), salt]).toString('base64');
}

const openssl = (form: string, password = PASSWORD, salt = 'abcdefgh'): string =>
  execFileSync('openssl', ['passwd', form, '-salt', salt, password], { encoding: 'utf8' }).trim();
const ab64 = (bytes: Buffer): string => bytes.toString('base64').replaceAll('+', '.').replaceAll('=', '');
const derived = (
  [hash, iterations, length]: readonly [string, number, number],
  salt: Buffer | string = SALT,
): Buffer => pbkdf2Sync(PASSWORD, salt, iterations, length, hash);

function binaryPbkdf2(): string {
  const salt = Buffer.alloc(64, 7);
  const count = Buffer.alloc(4);
  count.writeUInt32BE(3000);
  return Buffer.concat([count, salt, derived(['sha256', 3000, 256], salt)]).toString('base64');
}

function argon2(algorithm: 'argon2i' | 'argon2id'): string {
  const costs = { memory: 64, passes: 3, parallelism: 1 };
  const key = argon2Sync(algorithm, { message: PASSWORD, nonce: SALT, tagLength: 32, ...costs });
  const bare = (bytes: Buffer): string => bytes.toString('base64').replaceAll('=', '');
  return `$${algorithm}$v=19$m=64,t=3,p=1$${bare(SALT)}$${bare(key)}`;
}

const VALUES: Readonly<Record<string, string>> = {
  plain: PASSWORD,
  '{CLEARTEXT}': `{CLEARTEXT}${PASSWORD}`,
  '{plain}': `{plain}${PASSWORD}`,
  '{SHA}': `{SHA}${salted('sha1', Buffer.alloc(0))}`,
  '{SSHA}': `{SSHA}${salted('sha1')}`,
  '{ssha}': `{ssha}${salted('sha1')}`,
  '{SSHA256}': `{SSHA256}${salted('sha256')}`,
  '{SSHA512}': `{SSHA512}${salted('sha512')}`,
  '{SMD5}': `{SMD5}${salted('md5')}`,
  '{PBKDF2}': `{PBKDF2}2000$${ab64(SALT)}$${ab64(derived(['sha1', 2000, 20]))}`,
  '{PBKDF2-SHA512}': `{PBKDF2-SHA512}2000$${ab64(SALT)}$${ab64(derived(['sha512', 2000, 64]))}`,
  "{PBKDF2} as Dovecot's": `{PBKDF2}$1$abcd$2000$${derived(['sha1', 2000, 20], 'abcd').toString('hex')}`,
  "{PBKDF2_SHA256} as 389's": `{PBKDF2_SHA256}${binaryPbkdf2()}`,
  '{CRYPT}$1$': `{CRYPT}${openssl('-1')}`,
  '{CRYPT}$5$': `{CRYPT}${openssl('-5')}`,
  '{CRYPT}$6$': `{CRYPT}${openssl('-6')}`,
  '$6$ bare': openssl('-6'),
  '{CRYPT}$2y$': `{CRYPT}${hashSync(PASSWORD, 5).replace('$2b$', '$2y$')}`,
  '{BLF-CRYPT}': `{BLF-CRYPT}${hashSync(PASSWORD, 5)}`,
  '{ARGON2}argon2id': `{ARGON2}${argon2('argon2id')}`,
  '{ARGON2ID}': `{ARGON2ID}${argon2('argon2id')}`,
  '{ARGON2}argon2i': `{ARGON2}${argon2('argon2i')}`,
};

for (const [name, value] of Object.entries(VALUES)) {
  test(`${name} takes its password and no other`, async () => {
    assert.ok(isKnownScheme(value));
    assert.equal(await passwordFits(value, PASSWORD), true);
    for (const other of ['', 'x', `${PASSWORD} `, PASSWORD.slice(1), value]) {
      if (other !== PASSWORD) assert.equal(await passwordFits(value, other), false, other);
    }
  });
}

test('rounds are taken from the value, and passwords of any length', async () => {
  for (const password of ['a', 'x'.repeat(15), 'y'.repeat(16), 'z'.repeat(200)]) {
    for (const form of ['-1', '-5', '-6']) assert.ok(await passwordFits(openssl(form, password), password));
  }
  const value = openssl('-6', PASSWORD, 'rounds=7000$abcdefgh');
  assert.match(value, /rounds=7000/);
  assert.deepEqual(await Promise.all([PASSWORD, 'x'].map((password) => passwordFits(value, password))), [
    true,
    false,
  ]);
});

/** Of `pencil`, by `doveadm pw -s SCRAM-SHA-256`. */
const SCRAM = [
  'luPjNvjmrn43X9HwYj+JMQ==',
  'bZ86DvJi40maZ6Taw7YjdzSadH7eRVTU0yknDvP3qS4=',
  'X73f5/f7mDWa1gQ5quVOiOjmJSTLxFaOpy2Y9ipWJ90=',
];

test('keys of SCRAM, as Dovecot and as RFC 5803 write them, take their password and no other', async () => {
  for (const value of [
    `{SCRAM-SHA-256}4096,${SCRAM.join(',')}`,
    `SCRAM-SHA-256$4096:${SCRAM[0]}$${SCRAM[1]}:${SCRAM[2]}`,
  ]) {
    assert.equal(isKnownScheme(value), true);
    assert.equal(plainOf(value), null);
    assert.equal(await passwordFits(value, 'pencil'), true);
    for (const password of ['pencils', 'Pencil', '', value])
      assert.equal(await passwordFits(value, password), false);
  }
});

test('keys of SCRAM may have been made of the password as it came, or of the prepared one', async () => {
  for (const text of ['\u2168', 'IX']) {
    const salt = Buffer.from('salt');
    const { storedKey, serverKey } = await scramKeys(text, salt, 4096);
    const fields = [salt, storedKey, serverKey].map((bytes) => bytes.toString('base64'));
    assert.equal(await passwordFits(`{SCRAM-SHA-256}4096,${fields.join(',')}`, '\u2168'), true);
  }
});

test('a plain password may begin with the marks of locked accounts', async () => {
  for (const value of ['!secret', '*secret', '!!1', '{PLAIN}!', '{PLAIN}*LK*']) {
    assert.equal(await passwordFits(value, value.replace('{PLAIN}', '')), true, value);
    assert.notEqual(plainOf(value), null);
  }
});

test('a plain password is known as one, with a scheme or without', () => {
  for (const [value, expected] of [
    ['secret', 'secret'],
    ['{PLAIN}secret', 'secret'],
    ['{clear}{x}', '{x}'],
    ['{CLEARTEXT}', null],
    ['', null],
    ['$6$salt$hash', null],
    ['{SSHA}secret', null],
    ['{UNKNOWN}secret', null],
    ['SCRAM-SHA-1$4096:AAAA$AAAA:AAAA', null],
    ['{SCRAM-SHA-512}4096,x', null],
  ] as const)
    assert.equal(plainOf(value), expected, value);
});

const NOTHING: readonly string[] = [
  '',
  '{SSHA}',
  '{SSHA}!!!',
  '{CRYPT}',
  '{CRYPT}x',
  '{CRYPT}abJnggxhB/yWI',
  '{CRYPT}$6$rounds=999999999$salt$x',
  '{CRYPT}$2y$31$213KudwQFRvW5inOEzC44OtM4yPunUZiz6Q2vf8HDq1uw9LTxCcaO',
  '{PBKDF2}0$AAAA$AAAAAAAAAAAAAAAAAAAAAAAA',
  '{PBKDF2}99999999$AAAA$AAAAAAAAAAAAAAAAAAAAAAAA',
  '{PBKDF2}x',
  '{ARGON2}$argon2id$v=19$m=99999999,t=3,p=1$MDEyMzQ1Njc4OWFi$AAAAAAAAAAAAAAAAAAAAAAAAAAA',
  '{ARGON2}$argon2id$v=19$m=1,t=3,p=64$MDEyMzQ1Njc4OWFi$AAAAAAAAAAAAAAAAAAAAAAAAAAA',
  '{UNKNOWN}secret',
  '{SCRAM-SHA-256}4096,AAAA,AAAA,AAAA',
  '{SCRAM-SHA-1}4096,AAAA,AAAA,AAAA',
  'SCRAM-SHA-256$99999999:AAAA$AAAA:AAAA',
  `{CLEARTEXT}${'x'.repeat(5000)}`,
  '*',
  '!',
  '!!',
  '*LK*',
  '*LK*!secret',
  '!{CLEARTEXT}secret',
  '!$6$salt$hash',
  '*{SSHA}x',
];

for (const value of NOTHING) {
  test(`${value.slice(0, 60)} takes no password`, async () => {
    for (const password of ['', 'x', 'secret', value])
      assert.equal(await passwordFits(value, password), false);
    assert.ok(plainOf(value) === null || value.length > 4096);
  });
}

test('a scheme that is not known is told before anybody logs in', () => {
  assert.deepEqual(['{UNKNOWN}x', '{SSHA}x', 'plain', ''].map(isKnownScheme), [false, true, true, false]);
});
