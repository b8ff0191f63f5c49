import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  bearerToken,
  decodeBase64,
  formatPlain,
  parseOauthBearer,
  parsePlain,
  parseXoauth2,
} from '../../src/wire/sasl.ts';

const MAX = 4096;
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

test('property: base64 gives back every message, and nothing above the limit', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.integer({ min: 0, max: 64 }), (message, limit) => {
      const text = Buffer.from(message).toString('base64');
      const decoded = decodeBase64(text, limit);
      if (message.length > limit) assert.equal(decoded, null);
      else assert.deepEqual(decoded, Buffer.from(message));
    }),
  );
});

test('a lone = is an empty response, and anything but strict base64 is refused', () => {
  assert.deepEqual(decodeBase64('=', MAX), Buffer.alloc(0));
  assert.deepEqual(decodeBase64('', MAX), Buffer.alloc(0));
  assert.deepEqual(decodeBase64('AGEAYg==', MAX), bytes('\0a\0b'));
  for (const text of [
    'AGEAYg',
    'AGEAYg=',
    'AGE AYg==',
    'AGEAYg==\n',
    'AGEAYh==',
    '====',
    'A-_A',
    '*',
    'AGEA====',
  ]) {
    assert.equal(decodeBase64(text, MAX), null, JSON.stringify(text));
  }
});

test('property: PLAIN gives back what was formatted', () => {
  const part = fc.string({ unit: 'grapheme' }).filter((text) => !/\p{Cc}/u.test(text));
  const filled = part.filter((text) => text !== '');
  fc.assert(
    fc.property(part, filled, filled, (authzid, user, password) => {
      const credentials = { authzid, user, password };
      assert.deepEqual(parsePlain(formatPlain(credentials)), credentials);
    }),
  );
});

test('PLAIN needs two NULs, a user, a password and UTF-8 (RFC 4616 2)', () => {
  assert.deepEqual(parsePlain(bytes('boss\0bob\0pw')), { authzid: 'boss', user: 'bob', password: 'pw' });
  for (const text of ['', 'bob\0pw', '\0bob\0', '\0\0pw', '\0bob\0pw\0', '\0bob\0pw\0x', '\0bob\0\xff']) {
    assert.equal(parsePlain(bytes(text)), null, JSON.stringify(text));
  }
});

test('no part of PLAIN can smuggle a line end into a protocol of lines, while blanks and umlauts pass', () => {
  for (const text of ['\0bob\r\nDELE 1\0pw', 'a\nb\0bob\0pw', '\0bob\0pw\r\nDELE 1', '\0bob\x07\0pw']) {
    assert.equal(parsePlain(bytes(text)), null, JSON.stringify(text));
  }
  const credentials = { authzid: '', user: 'jürgen b', password: ' pä\tss ' };
  assert.deepEqual(parsePlain(formatPlain(credentials)), credentials);
});

test('XOAUTH2 tells the user and never the token', () => {
  assert.deepEqual(parseXoauth2(bytes('user=bob@x.org\x01auth=Bearer ya29.to=ken\x01\x01')), {
    user: 'bob@x.org',
  });
  const wrong = [
    '',
    'user=bob\x01auth=Bearer t\x01',
    'user=\x01auth=Bearer t\x01\x01',
    'auth=Bearer t\x01\x01',
    'user=bob\x01auth=Basic t\x01\x01',
    'user=bob\x01auth=Bearer \x01\x01',
    'user=bob\x01\x01',
    'user=bob\x01auth=Bearer t\x01auth=Bearer u\x01\x01',
    'user=bob\r\nx\x01auth=Bearer t\x01\x01',
    'user=bob\0\x01auth=Bearer t\x01\x01',
    'user=\xff\x01auth=Bearer t\x01\x01',
  ];
  for (const text of wrong) assert.equal(parseXoauth2(bytes(text)), null, JSON.stringify(text));
});

test('OAUTHBEARER tells the user, unescaped, and never the token (RFC 7628 3.1)', () => {
  const tail = '\x01host=mx\x01port=143\x01auth=Bearer abc\x01\x01';
  assert.deepEqual(parseOauthBearer(bytes(`n,a=bob@x.org,${tail}`)), { user: 'bob@x.org' });
  assert.deepEqual(parseOauthBearer(bytes(`n,a=b=2Co=3Db,${tail}`)), { user: 'b,o=b' });
  assert.deepEqual(parseOauthBearer(bytes(`n,,${tail}`)), { user: '' });
  const wrong = [
    '',
    'n,a=bob,',
    `a=bob,${tail}`,
    `p=tls-unique,a=bob,${tail}`,
    `n,a=,${tail}`,
    `n,a=b=41,${tail}`,
    `n,a=bob${tail}`,
    'n,a=bob,\x01host=mx\x01\x01',
    'n,a=bob,\x01auth=Bearer abc\x01',
    'n,a=bob,\x01auth=Bearer a b\x01\x01',
    'n,a=bob,\x01x\x01auth=Bearer abc\x01\x01',
  ];
  for (const text of wrong) assert.equal(parseOauthBearer(bytes(text)), null, JSON.stringify(text));
});

test('the token of a message is what stands behind Bearer, and there is one or none', () => {
  assert.equal(bearerToken(bytes('user=a\x01auth=Bearer ey.J-w==\x01\x01')), 'ey.J-w==');
  assert.equal(bearerToken(bytes('n,a=a,\x01host=h\x01port=143\x01auth=bearer  t\x01\x01')), 't');
  for (const message of [
    'user=a\x01\x01',
    'user=a\x01auth=Basic t\x01\x01',
    'user=a\x01auth=Bearer t\x01auth=Bearer u\x01\x01',
    'user=a\x01auth=Bearer t\r\nX: y\x01\x01',
  ]) {
    assert.equal(bearerToken(bytes(message)), null, message);
  }
});
