// The names in a certificate: every type of string, and what is no certificate that anybody should be known by.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { type CertificateNames, readCertificateNames } from '../../src/tls/certificate-names.ts';
import { dnText } from '../../src/wire/ldap-dn.ts';
import { der, distinguishedName, extension, type IssueOptions, makeAuthority } from '../support/authority.ts';
import { oddCertificate } from '../support/odd-certificates.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-names-'));
after(() => rmSync(folder, { recursive: true }));
const authority = makeAuthority(folder, 'Client CA');

function issued(options: Partial<IssueOptions>): Buffer {
  const { cert } = authority.issue({ names: ['pc.example'], ...options });
  const [, base64 = ''] = /-----BEGIN CERTIFICATE-----([^-]*)/.exec(cert) ?? [];
  return Buffer.from(base64, 'base64');
}

function names(options: Partial<IssueOptions>): CertificateNames {
  const read = readCertificateNames(issued(options));
  assert.ok(read.kind === 'names', JSON.stringify(read));
  return read;
}

function oddity(options: Partial<IssueOptions>): string {
  const read = readCertificateNames(issued(options));
  assert.ok(read.kind === 'odd', JSON.stringify(read));
  return read.reason;
}

test('subject and issuer come in the order of RFC 4514, the addresses with them', () => {
  const subject = distinguishedName([
    ['C', 'US'],
    ['O', 'X'],
    ['OU', 'Eng'],
    ['CN', 'Joe, the first'],
    ['E', 'joe@x.com'],
    ['UID', 'joe'],
  ]);
  const read = names({ subject, emails: ['j@x.com', 'joe@y.com'] });
  assert.equal(dnText(read.subject), String.raw`uid=joe,e=joe@x.com,cn=Joe\, the first,ou=Eng,o=X,c=US`);
  assert.equal(dnText(read.issuer), 'cn=Client CA');
  assert.deepEqual(read.mail, { alternative: ['j@x.com', 'joe@y.com'], subject: ['joe@x.com'] });
});

const big = (text: string): Buffer => Buffer.from(text, 'utf16le').swap16();
const TEXTS: readonly (readonly [string, Buffer, string])[] = [
  ['UTF8String', der(0x0c, Buffer.from('Größe 🙂')), 'Größe 🙂'],
  ['PrintableString', der(0x13, Buffer.from('Anna')), 'Anna'],
  ['TeletexString, which everybody took for Latin 1', der(0x14, Buffer.from('Größe', 'latin1')), 'Größe'],
  ['IA5String', der(0x16, Buffer.from('anna')), 'anna'],
  ['BMPString', der(0x1e, big('Größe')), 'Größe'],
  ['UniversalString', der(0x1c, Buffer.from([0, 0, 0, 0xe4, 0, 1, 0xf6, 0x42])), 'ä🙂'],
];
for (const [type, value, text] of TEXTS) {
  test(`a ${type} is read`, () => {
    assert.equal(names({ subject: distinguishedName([['CN', value]]) }).subject[0]?.[0]?.value, text);
  });
}

const ODD: readonly (readonly [string, Partial<IssueOptions>, RegExp])[] = [
  ['UTF-8 that is none', { subject: distinguishedName([['CN', der(0x0c, Buffer.of(0xc0, 0x80))]]) }, /bytes/],
  [
    'a surrogate without its half',
    { subject: distinguishedName([['CN', der(0x1e, Buffer.of(0xd8, 0x3d))]]) },
    /bytes/,
  ],
  [
    'an odd number of octets',
    { subject: distinguishedName([['CN', der(0x1e, Buffer.of(0, 65, 0))]]) },
    /bytes/,
  ],
  [
    'a code point beyond Unicode',
    { subject: distinguishedName([['CN', der(0x1c, Buffer.of(0xff, 0, 0, 0))]]) },
    /bytes/,
  ],
  ['eight bits in ASCII', { subject: distinguishedName([['CN', der(0x13, Buffer.of(0xe4))]]) }, /bytes/],
  ['a NUL', { subject: distinguishedName([['CN', 'mx.test\0.evil.test']]) }, /control character/],
  ['an escape', { subject: distinguishedName([['CN', '\u001b[2J']]) }, /control character/],
  ['bits in place of text', { subject: distinguishedName([['CN', der(0x03, Buffer.of(0, 1))]]) }, /no text/],
  ['a very long part', { subject: distinguishedName([['CN', 'x'.repeat(5000)]]) }, /longer than/],
  [
    '65 parts',
    { subject: distinguishedName(Array.from({ length: 65 }, (_one, at) => ['OU', String(at)] as const)) },
    /more than 64 parts/,
  ],
  ['a NUL in an address', { emails: ['joe@x.com\0.evil.test'] }, /rfc822Name has a control character/],
  ['an address that is no ASCII', { emails: [Buffer.of(0xe4, 0x40, 0x78)] }, /rfc822Name has bytes/],
  [
    'subjectAltName twice',
    { more: [extension('551d11', der(0x30, der(0x81, Buffer.from('evil@x.com'))))] },
    /there twice/,
  ],
];
for (const [what, options, reason] of ODD) {
  test(`${what} makes a certificate odd`, () => assert.match(oddity(options), reason));
}

test('its neighbours with 64 parts and 4096 octets are read', () => {
  const parts = Array.from({ length: 64 }, (_one, at) => ['OU', String(at)] as const);
  assert.equal(names({ subject: distinguishedName(parts) }).subject.length, 64);
  assert.equal(names({ subject: distinguishedName([['CN', 'x'.repeat(4000)]]) }).subject.length, 1);
});

test('an empty subject is one without parts', () => {
  assert.deepEqual(names({ subject: distinguishedName([]), emails: ['a@x.com'] }).subject, []);
});

test('certificates that OpenSSL reads and nobody should have are odd, the neighbour with BMPString is not', () => {
  const verdict = (kind: Parameters<typeof oddCertificate>[0]): string =>
    readCertificateNames(oddCertificate(kind)).kind;
  assert.deepEqual((['many', 'nul', 'escape', 'bits', 'bmp', 'empty'] as const).map(verdict), [
    'odd',
    'odd',
    'odd',
    'odd',
    'names',
    'names',
  ]);
});

test('whatever is cut off or changed, it gives names or says that it is odd', () => {
  const whole = issued({ emails: ['joe@x.com'], subject: distinguishedName([['E', 'joe@x.com']]) });
  for (let at = 0; at < whole.length; at++) {
    assert.equal(readCertificateNames(whole.subarray(0, at)).kind, 'odd');
    for (const octet of [0x00, 0x7f, 0x80, 0xff]) {
      const changed = Buffer.from(whole);
      changed[at] = octet;
      const read = readCertificateNames(changed);
      assert.ok(read.kind === 'odd' || Array.isArray(read.subject));
    }
  }
  assert.equal(readCertificateNames(Buffer.concat([whole, Buffer.of(0)])).kind, 'odd');
});

test('the addresses are those that the runtime shows', () => {
  const certificate = issued({ emails: ['joe@x.com', 'j@x.com'] });
  assert.match(new X509Certificate(certificate).subjectAltName ?? '', /email:joe@x\.com, email:j@x\.com/);
});
