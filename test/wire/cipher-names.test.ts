import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { meansNothing, oldCipherNotes, parseCiphers } from '../../src/wire/cipher-names.ts';

const namesOf = (list: readonly { readonly name: string }[]): string[] => list.map(({ name }) => name);

test('of the six documented names one is replaced and five are refused, each with its reason', () => {
  const six = 'rsa_rc4_128_md5,rsa_3des_sha,rsa_des_sha,rsa_rc4_40_md5,rsa_rc2_40_md5,rsa_null_md5';
  const words = parseCiphers(six);
  assert.deepEqual(namesOf(words.replaced), ['rsa_3des_sha']);
  assert.deepEqual(
    namesOf(words.refused),
    six.split(',').filter((name) => name !== 'rsa_3des_sha'),
  );
  assert.equal(words.preset, 'intermediate');
  assert.equal(meansNothing(words), false);
  assert.equal(oldCipherNotes(words).length, 6);
  for (const note of oldCipherNotes(words)) assert.match(note, /^rsa_\w+ is not served: .*RFC \d+/);
});

test('the descriptions of the documented table mean the same as the names', () => {
  const described =
    'RC4 with 128-bit encryption and MD5 message authentication, ' +
    'Triple DES  with 168-bit encryption and SHA message authentication, ' +
    'No encryption, only MD5 message authentication';
  const words = parseCiphers(described);
  assert.deepEqual(namesOf(words.replaced), ['rsa_3des_sha']);
  assert.deepEqual(namesOf(words.refused), ['rsa_rc4_128_md5', 'rsa_null_md5']);
});

test('+ switches a name on as none does, - switches it off, and +all means the modern set', () => {
  assert.deepEqual(namesOf(parseCiphers('+rsa_des_sha,-rsa_rc4_40_md5').refused), ['rsa_des_sha']);
  assert.equal(meansNothing(parseCiphers('-all,-rsa_3des_sha')), true);
  assert.equal(parseCiphers('-all,+rsa_3des_sha').preset, 'intermediate');
  assert.equal(parseCiphers('+all').preset, 'intermediate');
  assert.equal(meansNothing(parseCiphers('+RSA_RC4_128_MD5')), true);
});

test('a name that is nearly an old one is unknown, not an OpenSSL name', () => {
  assert.deepEqual(parseCiphers('+rsa_rc4_128_md6').unknown, ['rsa_rc4_128_md6']);
});

test('OpenSSL’s lists stay as they were written, also those with -ALL and +AES', () => {
  for (const list of [
    'HIGH:!aNULL:-ALL:AES128-SHA',
    'AES128-SHA, AES256-SHA',
    'HIGH:+AES:@STRENGTH',
    'TLS_AES_128_GCM_SHA256',
  ]) {
    assert.deepEqual(parseCiphers(list), {
      preset: null,
      openssl: list,
      replaced: [],
      refused: [],
      unknown: [],
    });
  }
});

test('beside old names, suites of OpenSSL stay', () => {
  assert.equal(parseCiphers('rsa_rc4_128_md5:ECDHE+AESGCM AES128-SHA').openssl, 'ECDHE+AESGCM:AES128-SHA');
  assert.equal(parseCiphers('rsa_rc4_128_md5:ECDHE+AESGCM').preset, null);
});

test('presets are words, and default is one of them', () => {
  assert.equal(parseCiphers('default').preset, 'intermediate');
  for (const preset of ['modern', 'intermediate', 'old'] as const)
    assert.equal(parseCiphers(preset).preset, preset);
  assert.equal(parseCiphers('Modern').preset, null);
});

test('any text is taken', () => {
  fc.assert(fc.property(fc.string(), (text) => typeof parseCiphers(text).openssl === 'string'));
});
