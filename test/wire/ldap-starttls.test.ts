import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readStartTlsAnswer, STARTTLS_REQUEST } from '../../src/wire/ldap-starttls.ts';

const OK = Buffer.from('300c02010178070a010004000400', 'hex');

test('the request is the extended request of RFC 4511 4.14.1', () => {
  assert.equal(
    STARTTLS_REQUEST.toString('hex'),
    `301d02010177188016${Buffer.from('1.3.6.1.4.1.1466.20037').toString('hex')}`,
  );
});

test('success is code 0 with nothing behind it, however it is split', () => {
  for (let size = 0; size < OK.length; size++)
    assert.deepEqual(readStartTlsAnswer(OK.subarray(0, size)), { kind: 'more' });
  assert.deepEqual(readStartTlsAnswer(OK), { kind: 'answer', code: 0, rest: 0 });
});

test('what is put in behind it is counted', () => {
  assert.deepEqual(readStartTlsAnswer(Buffer.concat([OK, OK])), { kind: 'answer', code: 0, rest: OK.length });
});

test('lengths in the long form, and a refusal', () => {
  const long = Buffer.from('308400000010020101788400000007 0a010204000400'.replace(' ', ''), 'hex');
  assert.deepEqual(readStartTlsAnswer(long), { kind: 'answer', code: 2, rest: 0 });
});

test('other messages, other numbers, endless ones and garbage are malformed', () => {
  for (const hex of [
    '300c02010061070a010004000400',
    '300c02010278070a010004000400',
    '300c02010178070a0100040004',
    '3080020101',
    '30850000000001',
    '485454502f312e31203430300d0a',
  ]) {
    const { kind } = readStartTlsAnswer(Buffer.from(hex, 'hex'));
    assert.ok(kind === 'malformed' || (kind === 'more' && hex.length < 28), hex);
  }
  assert.equal(
    readStartTlsAnswer(Buffer.concat([Buffer.from('3084ffffffff', 'hex'), Buffer.alloc(5000)])).kind,
    'malformed',
  );
});

test('reading never throws', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => void readStartTlsAnswer(Buffer.from(bytes))),
  );
});
