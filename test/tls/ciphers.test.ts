import assert from 'node:assert/strict';
import { test } from 'node:test';
import tls from 'node:tls';
import { checkCiphers, checkGroups, cipherList, groupList, suitesIn } from '../../src/tls/ciphers.ts';
import { makeTicketKeys, sessionContextName } from '../../src/tls/tickets.ts';
import { manualWorld } from '../support/manual-world.ts';

test('the default list is forward-secret and authenticated encryption only', () => {
  const names = cipherList('default', 'TLSv1.2').split(':');
  assert.ok(
    names.every((name) => /^TLS_|^ECDHE-(RSA|ECDSA)-.*(GCM|POLY1305)/.test(name)),
    names.join(' '),
  );
  assert.equal(checkCiphers(names.join(':')), null);
});

test('modern has suites of TLS 1.3 only, old goes down to static RSA, and old names stand for the default', () => {
  assert.match(cipherList('modern', 'TLSv1.3'), /^(TLS_\w+:?)+$/);
  const old = cipherList('old', 'TLSv1').split(':');
  assert.ok(['AES128-SHA', 'ECDHE-RSA-AES256-SHA384', '@SECLEVEL=0'].every((token) => old.includes(token)));
  assert.equal(checkCiphers(old.join(':')), null);
  assert.doesNotMatch(old.join(':'), /3DES|DES-CBC|RC4|NULL|DHE-RSA-AES128-SHA256:DHE/);
  assert.doesNotMatch(cipherList('old', 'TLSv1.2'), /SECLEVEL/);
  assert.equal(cipherList('rsa_3des_sha,rsa_rc4_128_md5', 'TLSv1.2'), cipherList('default', 'TLSv1.2'));
  for (const preset of ['modern', 'intermediate', 'old', 'rsa_3des_sha'])
    assert.equal(checkCiphers(preset), null);
});

test('this OpenSSL has no 3DES, RC4 or DES, which is why their names are not mapped to themselves', () => {
  for (const name of ['DES-CBC3-SHA', 'RC4-MD5', 'DES-CBC-SHA']) {
    assert.throws(() => tls.createSecureContext({ ciphers: `${name}:@SECLEVEL=0` }), /no cipher match/, name);
  }
});

test('suites without encryption or authentication come from no list', () => {
  assert.match(checkCiphers('eNULL:aNULL:@SECLEVEL=0') ?? '', /takes no cipher suite/);
  assert.match(cipherList('ALL:eNULL', 'TLSv1.2'), /:!eNULL:!aNULL$/);
  assert.equal(checkCiphers('AES128-SHA:NULL-SHA'), null);
});

test('a suite of TLS 1.3 without encryption, or IANA’s name of an older suite, is refused: Node would serve it, or nothing', () => {
  for (const name of ['TLS_SHA256_SHA256', 'TLS_SHA384_SHA384']) {
    assert.match(checkCiphers(`${name}:AES128-SHA:@SECLEVEL=0`) ?? '', /encrypts nothing/);
  }
  assert.match(checkCiphers('TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256') ?? '', /no cipher suite of TLS 1\.3/);
  assert.equal(checkCiphers('TLS_AES_128_CCM_8_SHA256:TLS_CHACHA20_POLY1305_SHA256'), null);
});

test('the suites of a list are found out, whatever notation it is in', () => {
  assert.deepEqual(suitesIn('ECDHE+AESGCM:!aECDSA:TLS_AES_128_GCM_SHA256'), [
    'ECDHE-RSA-AES128-GCM-SHA256',
    'ECDHE-RSA-AES256-GCM-SHA384',
  ]);
  assert.deepEqual(suitesIn(cipherList('modern', 'TLSv1.3')), []);
  assert.equal(suitesIn(cipherList('intermediate', 'TLSv1.2')).length, 6);
});

test('the default groups start with the post-quantum one and work', () => {
  assert.equal(groupList('default'), 'X25519MLKEM768:X25519:P-256:P-384');
  tls.createSecureContext({ ecdhCurve: groupList('default') });
  assert.equal(groupList('P-256'), 'P-256');
});

test('useful cipher lists pass, in OpenSSL’s notations', () => {
  const lists = [
    'default',
    'HIGH:!aNULL:!MD5',
    'ECDHE+AESGCM',
    'TLS_AES_128_GCM_SHA256',
    'AES128-SHA,AES256-SHA',
  ];
  for (const list of [...lists, 'AES128-SHA:@SECLEVEL=0', 'HIGH:-RC4:+AES256']) {
    assert.equal(checkCiphers(list), null, list);
  }
});

test('unknown names in a cipher list are told, though OpenSSL would pass over them', () => {
  assert.match(
    checkCiphers('ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES129-GCM:NOPE') ?? '',
    /matches "ECDHE-RSA-AES129-GCM", "NOPE"$/,
  );
  assert.match(checkCiphers('TLS_NOPE') ?? '', /"TLS_NOPE"/);
  assert.match(checkCiphers('') ?? '', /empty/);
  assert.match(checkCiphers('!!') ?? '', /takes no cipher suite/);
  assert.match(checkCiphers('A'.repeat(5000)) ?? '', /longer than 4096/);
});

test('unknown groups are told by name, known ones pass', () => {
  assert.equal(checkGroups('default'), null);
  assert.equal(checkGroups('X25519:P-521'), null);
  assert.match(checkGroups('X25519:NOPE') ?? '', /no key exchange group "NOPE"$/);
  assert.match(checkGroups('X25519::P-256') ?? '', /""$/);
});

test('ticket keys have 48 bytes, and a session context name fits OpenSSL and differs by service and client CAs', () => {
  assert.equal(makeTicketKeys(manualWorld()).length, 48);
  const names = [
    sessionContextName('imaps', null),
    sessionContextName('pop3s', null),
    sessionContextName('imaps', 'AA:BB'),
    sessionContextName('imaps', 'null'),
  ];
  assert.equal(new Set(names).size, names.length);
  for (const name of names) assert.ok(Buffer.byteLength(name) <= 32);
  assert.equal(names[0], sessionContextName('imaps', null));
});
