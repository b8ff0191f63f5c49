import assert from 'node:assert/strict';
import { test } from 'node:test';
import tls from 'node:tls';
import { checkCiphers, checkGroups, cipherList, groupList } from '../../src/tls/ciphers.ts';
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
