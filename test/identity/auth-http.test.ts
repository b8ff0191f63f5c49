// The words of nginx's auth_http: what the script is told of a login, and what its answers mean.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { readAnswer, requestHeaders } from '../../src/identity/auth-http.ts';
import type { Login, Shown } from '../../src/identity/directory.ts';

const LOGIN: Login = {
  id: 'anna',
  service: 'imap',
  protocol: 'imap',
  tls: false,
  client: { address: '192.0.2.7', port: 50_001 },
  server: { address: '198.51.100.1', port: 143 },
  certificateSubject: null,
  attempt: 2,
};

function sent(login: Partial<Login> = {}, password: string | null = 'secret'): Record<string, string> {
  return Object.fromEntries(requestHeaders({ login: { ...LOGIN, ...login }, password, attempt: 2 }));
}

test('the request has the headers of the contract, and the ports besides', () => {
  assert.deepEqual(sent(), {
    'Auth-Method': 'plain',
    'Auth-User': 'anna',
    'Auth-Pass': 'secret',
    'Auth-Protocol': 'imap',
    'Auth-Login-Attempt': '2',
    'Client-IP': '192.0.2.7',
    'Client-Port': '50001',
    'Auth-Server-Address': '198.51.100.1',
    'Auth-Server-Port': '143',
  });
  assert.equal(sent({ protocol: 'smtp' })['Client-Host'], '[UNAVAILABLE]');
  assert.equal(sent({ protocol: 'smtp', clientName: 'pc.example' })['Client-Host'], 'pc.example');
});

test('what is known of the TLS and of the balancer in front is told, and nothing where it is not known', () => {
  const told = (login: Partial<Login>): string[] => {
    const own = new Set(Object.keys(sent()));
    return Object.entries(sent(login)).flatMap(([name, value]) =>
      own.has(name) ? [] : [`${name}: ${value}`],
    );
  };
  const tlsFacts = { version: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384' };
  const [protocol, cipher] = ['Auth-SSL-Protocol: TLSv1.3', 'Auth-SSL-Cipher: TLS_AES_256_GCM_SHA384'];
  assert.deepEqual(told({ tls: true }), ['Auth-SSL: on']);
  assert.deepEqual(told({ tls: true, tlsFacts }), ['Auth-SSL: on', protocol, cipher]);
  assert.deepEqual(told({ tlsFacts }), []);
  assert.deepEqual(told({ tls: true, tlsFacts: { version: null, cipher: 'x\r\nX-Auth-Key: y' } }), [
    'Auth-SSL: on',
  ]);
  assert.equal(sent({ protocol: 'smtp', clientName: 'pc\n.example' })['Client-Host'], '[UNAVAILABLE]');
  assert.deepEqual(told({ tls: true, certificateWord: 'none' }), ['Auth-SSL: on', 'Auth-SSL-Verify: NONE']);
  assert.deepEqual(told({ tls: true, certificateWord: { fault: 'expired' } }), [
    'Auth-SSL: on',
    'Auth-SSL-Verify: FAILED:expired',
  ]);
  const proxied = {
    source: { address: '192.0.2.9', port: 50_002 },
    destination: { address: '198.51.100.9', port: 993 },
  };
  assert.deepEqual(told({ proxied }), [
    'Proxy-Protocol-Addr: 192.0.2.9',
    'Proxy-Protocol-Port: 50002',
    'Proxy-Protocol-Server-Addr: 198.51.100.9',
    'Proxy-Protocol-Server-Port: 993',
  ]);
});

test('a challenge and its answer go as such, and a token where it may', () => {
  const shownBy = (shown: Shown): (string | undefined)[] => {
    const headers = Object.fromEntries(requestHeaders({ login: LOGIN, password: null, shown, attempt: 1 }));
    return [headers['Auth-Method'], headers['Auth-Pass'], headers['Auth-Salt']];
  };
  const [challenge, digest] = ['<1.2@mail.test>', 'c4c9334bac560ecc979e58001b3e22fb'];
  for (const mechanism of ['APOP', 'CRAM-MD5'] as const) {
    assert.deepEqual(shownBy({ kind: 'digest', mechanism, challenge, digest }), [
      mechanism.toLowerCase(),
      digest,
      challenge,
    ]);
  }
  const token = { kind: 'token', mechanism: 'XOAUTH2', token: 'a%b' } as const;
  assert.deepEqual(shownBy(token), ['xoauth2', 'a%25b', undefined]);
  const kept = sent({ byToken: 'OAUTHBEARER' }, null);
  assert.deepEqual([kept['Auth-Method'], kept['Auth-Pass']], ['oauthbearer', '']);
});

/** By `openssl x509 -nameopt RFC2253`, which is what nginx sends, and as Node has the same name, joined. */
const NAMES: readonly (readonly [string, string])[] = [
  ['CN=Some CA,O=Some Org\\, Ltd,C=DE', 'CN=Some CA,O=Some Org\\, Ltd,C=DE'],
  ['O=Ümläut\\, Inc,C=DE', 'O=\\C3\\9Cml\\C3\\A4ut\\, Inc,C=DE'],
  ['CN=a,OU=x y + O=z \\+ w,C=DE', 'CN=a,O=z \\+ w+OU=x y,C=DE'],
  ['CN=anna\\"\\<\\>\\;=#\\\\,C=DE', 'CN=anna\\"\\<\\>\\;=#\\\\,C=DE'],
];

for (const [name, expected] of NAMES) {
  test(`the name ${name} goes as nginx has it`, () => {
    assert.equal(sent({ tls: true, certificateSubject: name })['Auth-SSL-Subject'], expected);
  });
}

test('a certificate takes the place of a password, and nothing else does', () => {
  const certificate = { issuer: 'CN=Some CA', serial: '4A', der: Buffer.from('the certificate') };
  const login = { tls: true, certificateSubject: 'CN=anna', certificate } as const;
  const shown = sent({ ...login, byCertificate: true }, null);
  assert.deepEqual(
    [shown['Auth-Method'], shown['Auth-SSL-Verify'], shown['Auth-SSL-Subject'], shown['Auth-SSL-Issuer']],
    ['external', 'SUCCESS', 'CN=anna', 'CN=Some CA'],
  );
  assert.equal(shown['Auth-SSL-Serial'], '4A');
  assert.equal(shown['Auth-SSL-Fingerprint'], createHash('sha1').update('the certificate').digest('hex'));
  // One that is shown beside a token, say.
  assert.equal(sent(login, 'secret')['Auth-Method'], 'plain');
  assert.equal(shown['Auth-SSL-Cert'], undefined);
  const asked = { login: { ...LOGIN, ...login }, password: null, attempt: 1, passClientCert: true };
  assert.equal(
    Object.fromEntries(requestHeaders(asked))['Auth-SSL-Cert'],
    `-----BEGIN%20CERTIFICATE-----%0A${Buffer.from('the certificate').toString('base64')}%0A-----END%20CERTIFICATE-----%0A`,
  );
  // Where a mailbox is that an administrator asks for.
  assert.equal(sent({}, null)['Auth-Method'], 'none');
});

test('nothing in a name or password begins another header', () => {
  const headers = sent({ id: 'a b%\r\nX: y\0' }, '\r\nAuth-User: root ä');
  assert.equal(headers['Auth-User'], 'a%20b%25%0D%0AX:%20y%00');
  assert.equal(headers['Auth-Pass'], `%0D%0AAuth-User:%20root%20${Buffer.from('ä').toString('latin1')}`);
});

const OK = { 'auth-status': 'OK', 'auth-server': '192.0.2.1', 'auth-port': '143' };

const ANSWERS: readonly (readonly [Record<string, string>, Record<string, unknown>])[] = [
  [OK, { kind: 'ok', server: '192.0.2.1:143', user: null, password: null }],
  [
    { ...OK, 'auth-server': 'imap1.internal' },
    { kind: 'ok', server: 'imap1.internal:143' },
  ],
  [
    { ...OK, 'auth-server': '2001:db8::1' },
    { kind: 'ok', server: '[2001:db8::1]:143' },
  ],
  [
    { ...OK, 'auth-user': 'robert', 'auth-pass': 'p' },
    { kind: 'ok', user: 'robert', password: 'p' },
  ],
  [{ 'auth-status': 'OK' }, { kind: 'ok', server: null }],
  [
    { ...OK, 'auth-user': '', 'auth-pass': '' },
    { kind: 'ok', user: null, password: null },
  ],
  [
    { 'auth-server': '192.0.2.1', 'auth-port': '143' },
    { kind: 'ok', server: '192.0.2.1:143' },
  ],
  [
    { 'auth-status': 'No', 'auth-wait': '3' },
    { kind: 'refused', temporary: false, text: 'No', waitMs: 3000 },
  ],
  [{ 'auth-status': 'No' }, { kind: 'refused', waitMs: null }],
  [
    { 'auth-status': 'No', 'auth-error-sasl': 'e30=' },
    { kind: 'refused', saslError: 'e30=' },
  ],
  [
    { 'auth-status': 'No', 'auth-error-sasl': 'e30=\rA' },
    { kind: 'refused', saslError: undefined },
  ],
  [
    { 'auth-status': 'Later', 'auth-error-code': '451 4.3.0' },
    { kind: 'refused', temporary: true, smtpCode: '451 4.3.0' },
  ],
  [{ 'auth-status': 'a\tb\x01' }, { kind: 'refused', text: 'a?b?' }],
  [
    { 'auth-status': 'WAIT', 'auth-wait': '2' },
    { kind: 'wait', ms: 2000 },
  ],
  [{}, { kind: 'unusable' }],
  [{ ...OK, 'auth-port': '0' }, { kind: 'unusable' }],
  [{ ...OK, 'auth-port': '143x' }, { kind: 'unusable' }],
  [{ 'auth-status': 'OK', 'auth-server': '192.0.2.1' }, { kind: 'unusable' }],
  [{ ...OK, 'auth-server': 'a b' }, { kind: 'unusable' }],
];

for (const [headers, expected] of ANSWERS) {
  test(`the answer ${JSON.stringify(headers)} means ${JSON.stringify(expected)}`, () => {
    const outcome: Record<string, unknown> = { ...readAnswer(headers, 200) };
    for (const [key, value] of Object.entries(expected)) assert.deepEqual(outcome[key], value, key);
  });
}

test('a status that is no success is heard only where Auth-Status says something', () => {
  assert.equal(readAnswer({ 'auth-server': '192.0.2.1', 'auth-port': '143' }, 500).kind, 'unusable');
  assert.equal(readAnswer(OK, 500).kind, 'ok');
});
