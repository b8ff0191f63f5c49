// Name and digest, as CRAM-MD5 and APOP have it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';

import { parseDigestLogin } from '../../src/wire/digest-login.ts';

const DIGEST = 'b913a602c7eda7a495b4e6e7334d3890';
const parse = (text: string): ReturnType<typeof parseDigestLogin> => parseDigestLogin(Buffer.from(text));

test('the answer of RFC 2195 2 is a name and a digest', () => {
  assert.deepEqual(parse(`tim ${DIGEST}`), { user: 'tim', digest: DIGEST });
});

test('a name may have blanks and letters of any script', () => {
  assert.equal(parse(`jürgen von x ${DIGEST}`)?.user, 'jürgen von x');
});

for (const [what, text] of [
  ['nothing', ''],
  ['a name alone', 'tim'],
  ['a digest alone', DIGEST],
  ['an empty name', ` ${DIGEST}`],
  ['capitals', `tim ${DIGEST.toUpperCase()}`],
  ['a digit too few', `tim ${DIGEST.slice(1)}`],
  ['a digit too many', `tim ${DIGEST}0`],
  ['a line end behind', `tim ${DIGEST}\n`],
  ['a line end in the name', `ti\nm ${DIGEST}`],
  ['a NUL in the name', `ti\0m ${DIGEST}`],
] as const) {
  test(`${what} is no answer`, () => assert.equal(parse(text), null));
}

test('no bytes make it throw, bytes that are no UTF-8 are no answer', () => {
  assert.equal(parseDigestLogin(Buffer.concat([Buffer.of(0xff), Buffer.from(` ${DIGEST}`)])), null);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      parseDigestLogin(Buffer.from(bytes));
    }),
  );
});
