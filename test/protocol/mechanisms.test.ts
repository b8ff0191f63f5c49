// What is offered on which leg: a table.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Mechanism } from '../../src/config/settings.ts';
import { offeredNow, type Standing, wantsPrivacy } from '../../src/protocol/mechanisms.ts';

const ALL: readonly Mechanism[] = [
  'PLAIN',
  'LOGIN',
  'XOAUTH2',
  'OAUTHBEARER',
  'EXTERNAL',
  'CRAM-MD5',
  'SCRAM-SHA-256',
  'SCRAM-SHA-256-PLUS',
  'APOP',
];
const CLEAR: Standing = { secured: false, certified: false, bindable: false, restricted: false };
const TLS: Standing = { ...CLEAR, secured: true, bindable: true };
const PASSWORDS = ['PLAIN', 'LOGIN', 'XOAUTH2', 'OAUTHBEARER'];

for (const [what, standing, expected] of [
  ['in clear', CLEAR, [...PASSWORDS, 'CRAM-MD5', 'SCRAM-SHA-256']],
  ['in clear where passwords are restricted', { ...CLEAR, restricted: true }, ['CRAM-MD5', 'SCRAM-SHA-256']],
  ['in TLS', TLS, [...PASSWORDS, 'CRAM-MD5', 'SCRAM-SHA-256', 'SCRAM-SHA-256-PLUS']],
  [
    'in TLS where passwords are restricted',
    { ...TLS, restricted: true },
    [...PASSWORDS, 'CRAM-MD5', 'SCRAM-SHA-256', 'SCRAM-SHA-256-PLUS'],
  ],
  [
    'in TLS that a balancer has ended',
    { ...TLS, bindable: false },
    [...PASSWORDS, 'CRAM-MD5', 'SCRAM-SHA-256'],
  ],
  [
    'with a certificate',
    { ...TLS, certified: true },
    [...PASSWORDS, 'EXTERNAL', 'CRAM-MD5', 'SCRAM-SHA-256', 'SCRAM-SHA-256-PLUS'],
  ],
] as const) {
  test(`${what}: ${expected.join(' ')}`, () => assert.deepEqual(offeredNow(ALL, standing), expected));
}

test('nothing is offered that is not listed', () => {
  assert.deepEqual(offeredNow(['SCRAM-SHA-256'], { ...TLS, certified: true }), ['SCRAM-SHA-256']);
});

test('what is refused for want of TLS alone, in whatever letters', () => {
  const restricted = { secured: false, restricted: true };
  assert.deepEqual(
    ['plain', 'LOGIN', 'XOAuth2', 'CRAM-MD5', 'GSSAPI'].map((name) => wantsPrivacy(name, restricted)),
    [true, true, true, false, false],
  );
  assert.equal(wantsPrivacy('PLAIN', { secured: true, restricted: true }), false);
});
