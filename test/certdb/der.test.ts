// DER is walked without trust in its lengths.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contentOf, elementAt, elementsIn, oidOf, timeOf } from '../../src/certdb/der.ts';

const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex');
const oid = (hex: string): string => oidOf(bytes(hex), elementAt(bytes(hex), 0) ?? undefined);
const time = (tag: string, text: string): number | null => {
  const der = Buffer.concat([bytes(tag), Buffer.of(text.length), Buffer.from(text)]);
  return timeOf(der, elementAt(der, 0) ?? undefined);
};

test('an element ends where its length says, in the short form and in the long one', () => {
  assert.deepEqual(elementAt(bytes('020105ff'), 0), { tag: 2, at: 0, start: 2, end: 3 });
  const long = Buffer.concat([bytes('0482012c'), Buffer.alloc(300)]);
  assert.deepEqual(elementAt(long, 0), { tag: 4, at: 0, start: 4, end: 304 });
});

test('a length that leads out, an endless one and a tag of several octets are no element', () => {
  for (const hex of [
    '',
    '02',
    '0205ff',
    '0280',
    '0284ffffffff00',
    '0285000000000101',
    '1f8101',
    '30020102',
  ]) {
    const element = elementAt(bytes(hex), 0);
    const inner = element === null ? null : elementsIn(bytes(hex), element, 4);
    assert.ok(element === null || inner === null, hex);
  }
});

test('what is inside is counted, and must end where the whole ends', () => {
  const list = bytes('3006020101020102');
  const outer = elementAt(list, 0);
  assert.ok(outer !== null);
  const found = elementsIn(list, outer, 2);
  assert.deepEqual(
    found?.map((one) => contentOf(list, one).toString('hex')),
    ['01', '02'],
  );
  assert.equal(elementsIn(list, outer, 1), null);
});

test('object identifiers are written in dots', () => {
  assert.equal(oid('06032a0304'), '1.2.3.4');
  assert.equal(oid('0603551d14'), '2.5.29.20');
  assert.equal(oid('06092a864886f70d01010b'), '1.2.840.113549.1.1.11');
  assert.equal(oid('0600'), '');
  assert.equal(oid('020101'), '');
  assert.equal(oid('0606ffffffffff7f'), '');
});

test('times are those of RFC 5280, in both spellings', () => {
  assert.equal(time('17', '260102030405Z'), Date.UTC(2026, 0, 2, 3, 4, 5));
  assert.equal(time('17', '990102030405Z'), Date.UTC(1999, 0, 2, 3, 4, 5));
  assert.equal(time('18', '20510102030405Z'), Date.UTC(2051, 0, 2, 3, 4, 5));
  assert.equal(time('17', '2601020304Z'), null);
  assert.equal(time('18', '20510102030405.5Z'), null);
  assert.equal(time('02', '260102030405Z'), null);
});
