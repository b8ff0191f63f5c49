import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  certificateNames,
  commonNameOf,
  nameOf,
  nameText,
  parseName,
  readName,
  writeName,
} from '../../src/certdb/distinguished-name.ts';
import type { Name } from '../../src/certdb/distinguished-name.ts';
import { oddCertificate } from '../support/odd-certificates.ts';

function name(text: string): Name {
  const parsed = parseName(text);
  assert.ok(!('problem' in parsed), `${text}: ${'problem' in parsed ? parsed.problem : ''}`);
  return parsed;
}

function refuses(text: string, problem: RegExp): void {
  const parsed = parseName(text);
  assert.ok('problem' in parsed, `${text} was taken`);
  assert.match(parsed.problem, problem);
}

const KEYWORDS = ['CN', 'OU', 'O', 'L', 'ST', 'STREET', 'UID', 'TITLE', '2.5.4.99'];
const value = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
  .filter((text) => !/\p{Cc}/u.test(text) && Array.from(text).length <= 64);
const attribute = fc.tuple(fc.constantFrom(...KEYWORDS), value);
const parts = fc.array(fc.array(attribute, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 6 });

/** As an operator may type it: every character that could mean something has its backslash. */
const typed = (text: string): string =>
  Array.from(text, (one) => (/[ "#+,;<=>\\]/.test(one) ? `\\${one}` : one)).join('');

test('a name that was typed with escapes comes back as text that says the same name', () => {
  fc.assert(
    fc.property(parts, (wanted) => {
      const text = wanted.map((part) => part.map(([key, one]) => `${key}=${typed(one)}`).join('+')).join(',');
      const parsed = name(text);
      assert.deepEqual(
        parsed.parts.map((part) => part.map((one) => one.value)),
        wanted.map((part) => part.map(([, one]) => one)),
      );
      assert.deepEqual(name(nameText(parsed)), parsed);
    }),
  );
});

test('a name goes into a certificate and comes out in the order of typing', () => {
  fc.assert(
    fc.property(parts, (wanted) => {
      const single = wanted.flatMap(([first]) => (first === undefined ? [] : [first]));
      const parsed = name(single.map(([key, one]) => `${key}=${typed(one)}`).join(','));
      assert.deepEqual(readName(writeName(parsed)), parsed);
    }),
  );
});

test('no text makes the parser throw, and none that it takes holds control characters', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[CNO=,+"\\# a;0]*$/)), (text) => {
      const parsed = parseName(text);
      if (!('problem' in parsed)) assert.doesNotMatch(nameText(parsed), /[\p{Cc}\p{Cf}]/u);
      else assert.doesNotMatch(parsed.problem, /[\p{Cc}\p{Cf}]/u);
    }),
    { numRuns: 500 },
  );
});

test('the fields of the command come in the documented order', () => {
  const fields = { name: 'SFO', city: 'SC', state: 'ca', country: 'us' };
  const made = nameOf(fields);
  assert.ok(!('problem' in made));
  assert.equal(nameText(made), 'CN=SFO,L=SC,ST=ca,C=us');
  const whole = nameOf({ ...fields, org: 'comms', orgUnit: 'Messaging' });
  assert.ok(!('problem' in whole));
  assert.equal(nameText(whole), 'CN=SFO,OU=Messaging,O=comms,L=SC,ST=ca,C=us');
});

test('spaces around the separators, quotes and long keywords are what people type', () => {
  const text = 'commonName = mail.siroe.com , O = "Siroe, Inc." , emailAddress=a@b.c, OID.2.5.4.11=x';
  assert.equal(nameText(name(text)), 'CN=mail.siroe.com,O=Siroe\\, Inc.,E=a@b.c,OU=x');
});

test('a value of other letters is UTF-8, one that PrintableString can say is that', () => {
  const bytes = (text: string): string => Buffer.from(writeName(name(text))).toString('hex');
  assert.match(bytes('CN=Größe'), /0c074772c3b6c39f65/);
  assert.match(bytes('CN=Groesse'), /130747726f65737365/);
  assert.match(bytes('C=us'), /13027573/);
  assert.match(bytes('E=a@b'), /1603614062/);
});

for (const [text, problem] of [
  ['', /is empty/],
  ['CN', /no NAME=VALUE/],
  ['CN=', /CN= in the name is empty/],
  ['CN=a,,O=b', /no NAME=VALUE/],
  ['XX=a', /"XX" that is not known: CN, OU/],
  ['CN=#0401', /in hexadecimal/],
  ['C=usa', /no country of two letters/],
  ['C=u1', /no country of two letters/],
  [`CN=${'a'.repeat(65)}`, /65 characters, 64 at most/],
  ['CN=a;O=b', /a ; that needs a backslash/],
  ['CN=a\\', /lone backslash/],
  ['CN=a\\x', /backslash before what needs none/],
  ['CN=\\ff', /no UTF-8/],
  ['CN=a\\00b', /control characters/],
  ['E=ö@b', /ASCII/],
  ['9.9.9=a', /not known/],
] as const) {
  test(`the name ${text.slice(0, 12)} is refused by what is wrong with it`, () => refuses(text, problem));
}

test('the twins of what is refused are taken', () => {
  const texts = [
    'C=US',
    `CN=${'a'.repeat(64)}`,
    'CN=\\#0401',
    'CN=a\\;O',
    'CN=\\c3\\b6',
    '2.5.4.65=x',
    'CN=a=b',
  ];
  for (const text of texts) name(text);
  assert.equal(commonNameOf(name('O=x,CN=\\c3\\b6')), 'ö');
});

test('the names of odd certificates are read without a throw and without control characters', () => {
  const names = (...kind: Parameters<typeof oddCertificate>): string =>
    certificateNames(new X509Certificate(oddCertificate(...kind))).subject;
  assert.equal(names('empty'), '');
  assert.equal(names('many').split(',').length, 100);
  assert.equal(names('nul'), 'CN=mx.test\\00.evil.test');
  assert.equal(names('bmp'), 'CN=Größe');
  assert.equal(names('escape'), 'CN=\\1b[2Jmx');
  assert.match(names('bits'), /^CN=/);
});
