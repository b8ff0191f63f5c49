// The messages of SCRAM: the examples of the RFCs, what is one of them and what is nearly one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';

import {
  formatServerFinal,
  formatServerFirst,
  parseClientFinal,
  parseClientFirst,
} from '../../src/wire/scram.ts';

const first = (text: string): ReturnType<typeof parseClientFirst> => parseClientFirst(Buffer.from(text));
const final = (text: string): ReturnType<typeof parseClientFinal> => parseClientFinal(Buffer.from(text));

test('the client’s messages of RFC 7677 3 are read, and the server’s are written', () => {
  assert.deepEqual(first('n,,n=user,r=rOprNGfwEbeRWgbNEkqO'), {
    binding: { kind: 'n' },
    authzid: '',
    user: 'user',
    nonce: 'rOprNGfwEbeRWgbNEkqO',
    gs2Header: 'n,,',
    bare: 'n=user,r=rOprNGfwEbeRWgbNEkqO',
  });
  const nonce = 'rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0';
  const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64');
  assert.equal(formatServerFirst(nonce, salt, 4096), `r=${nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`);
  const proof = 'dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=';
  assert.deepEqual(final(`c=biws,r=${nonce},p=${proof}`), {
    binding: Buffer.from('n,,'),
    nonce,
    proof: Buffer.from(proof, 'base64'),
    withoutProof: `c=biws,r=${nonce}`,
  });
  const signature = '6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=';
  assert.equal(formatServerFinal(Buffer.from(signature, 'base64')), `v=${signature}`);
});

test('flags of channel binding, an identity to act as, escapes and extensions are read', () => {
  assert.deepEqual(first('p=tls-exporter,,n=user,r=x')?.binding, { kind: 'p', type: 'tls-exporter' });
  assert.deepEqual(first('y,,n=user,r=x')?.binding, { kind: 'y' });
  const named = first('n,a=b=2Cc,n=a=3Db=2C@example.org,r=x');
  assert.deepEqual(
    [named?.authzid, named?.user, named?.gs2Header],
    ['b,c', 'a=b,@example.org', 'n,a=b=2Cc,'],
  );
  assert.equal(first('n,,n=jürgen,r=x')?.user, 'jürgen');
  assert.equal(first('n,,n=user,r=x,t=later,x=y=z')?.nonce, 'x');
  assert.equal(final('c=biws,r=x,t=later,p=AAAA')?.withoutProof, 'c=biws,r=x,t=later');
});

for (const [what, text] of [
  ['nothing', ''],
  ['no header', 'n=user,r=x'],
  ['an unknown flag', 'q,,n=user,r=x'],
  ['a flag in capitals', 'N,,n=user,r=x'],
  ['a binding without a type', 'p=,,n=user,r=x'],
  ['a type with a blank', 'p=tls exporter,,n=user,r=x'],
  ['half a header', 'n,n=user,r=x'],
  ['no name', 'n,,r=x'],
  ['an empty name', 'n,,n=,r=x'],
  ['an escape that there is not', 'n,,n=us=20er,r=x'],
  ['an escape in lower case', 'n,,n=us=2cer,r=x'],
  ['an equal sign by itself', 'n,,n=us=er,r=x'],
  ['a line end in the name', 'n,,n=us\ner,r=x'],
  ['a NUL in the name', 'n,,n=us\0er,r=x'],
  ['an empty identity to act as', 'n,a=,n=user,r=x'],
  ['no nonce', 'n,,n=user'],
  ['an empty nonce', 'n,,n=user,r='],
  ['a blank in the nonce', 'n,,n=user,r=x x'],
  ['a nonce beyond ASCII', 'n,,n=user,r=ü'],
  ['a nonce that is endless', `n,,n=user,r=${'x'.repeat(2000)}`],
  ['the nonce before the name', 'n,,r=x,n=user'],
  ['an extension that must be understood', 'n,,m=x,n=user,r=x'],
  ['the same behind the nonce', 'n,,n=user,r=x,m=x'],
  ['a second nonce', 'n,,n=user,r=x,r=y'],
  ['a comma at the end', 'n,,n=user,r=x,'],
  ['a line end behind', 'n,,n=user,r=x\n'],
] as const) {
  test(`${what} is no first message`, () => assert.equal(first(text), null));
}

test('bytes that are no UTF-8 are no message', () => {
  assert.equal(
    parseClientFirst(Buffer.from([0x6e, 0x2c, 0x2c, 0x6e, 0x3d, 0xff, 0x2c, 0x72, 0x3d, 0x78])),
    null,
  );
});

for (const [what, text] of [
  ['nothing', ''],
  ['no binding', 'r=x,p=AAAA'],
  ['an empty binding', 'c=,r=x,p=AAAA'],
  ['a binding that is no base64', 'c=biw,r=x,p=AAAA'],
  ['a binding with stray bits', 'c=biwt,r=x,p=AB=='],
  ['no proof', 'c=biws,r=x'],
  ['a proof that is no base64', 'c=biws,r=x,p=AAA'],
  ['the proof before the nonce', 'c=biws,p=AAAA,r=x'],
  ['something behind the proof', 'c=biws,r=x,p=AAAA,t=x'],
  ['two proofs', 'c=biws,r=x,p=AAAA,p=AAAA'],
  ['an empty extension', 'c=biws,r=x,t=,p=AAAA'],
] as const) {
  test(`${what} is no final message`, () => assert.equal(final(text), null));
}

test('no bytes make a parser throw, and what is read is what was written', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      parseClientFirst(Buffer.from(bytes));
      parseClientFinal(Buffer.from(bytes));
    }),
  );
  const name = fc
    .string({ unit: 'binary', minLength: 1, maxLength: 40 })
    .filter((text) => !/\p{Cc}/u.test(text) && text.isWellFormed());
  fc.assert(
    fc.property(name, (user) => {
      const escaped = user.replaceAll('=', '=3D').replaceAll(',', '=2C');
      assert.equal(first(`n,,n=${escaped},r=x`)?.user, user);
    }),
  );
});

test('a final message of the largest size is judged in time', () => {
  assert.equal(final(`c=${'A'.repeat(50_000)},r=${'x'.repeat(50_000)}${',t=x'.repeat(10_000)}`), null);
});
