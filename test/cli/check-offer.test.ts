// What `sallyport check` prints of TLS: what clients are offered, and what became of the ciphers in the settings.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../service/stub-supervisor.ts';
import { makeAuthority } from '../support/authority.ts';
import { run, type Run } from '../support/program.ts';

const main = join(import.meta.dirname, '../../src/main.ts');

function check(folder: string, settings: string, ...args: readonly string[]): Promise<Run> {
  const file = join(folder, 'sallyport.yaml');
  writeFileSync(file, `hostname: mx.test\ndataDir: ./data\n${settings}`);
  return run(process.execPath, [main, 'check', '--config', file, ...args]);
}

const NEWEST = '  TLSv1.3: TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384 TLS_CHACHA20_POLY1305_SHA256';

test('check prints versions, suites, groups and keys of each service, and of what is the same the first only', async () => {
  using folder = temporaryFolder();
  const authority = makeAuthority(folder.path);
  const [rsa, ec] = (['rsa', 'ec'] as const).map((keyType) =>
    authority.issue({ names: ['mx.test'], keyType }),
  );
  const files = [rsa, ec].map((issued) => `{ cert: ${issued?.certFile}, key: ${issued?.keyFile} }`);
  const { code, text } = await check(
    folder.path,
    `
tls: { certificate: [${files.join(', ')}] }
services:
  imap: { protocol: imap, listen: "127.0.0.1:0", tls: musttls, backend: stores }
  pop3: { protocol: pop3, listen: "127.0.0.1:0", tls: musttls, backend: stores }
  clear: { protocol: imap, listen: "127.0.0.1:0", tls: notls, backend: stores }
  modern: { protocol: imap, listen: "127.0.0.1:0", tls: { mode: implicit, ciphers: modern }, backend: stores }
backends: { stores: { servers: "127.0.0.1:1" } }
`,
  );
  assert.equal(code, 0, text);
  const lines = [
    'service imap: imap on 127.0.0.1:0; musttls; to stores',
    NEWEST,
    '  TLSv1.2: ECDHE-ECDSA-AES128-GCM-SHA256 ECDHE-RSA-AES128-GCM-SHA256 ECDHE-ECDSA-AES256-GCM-SHA384 ' +
      'ECDHE-RSA-AES256-GCM-SHA384 ECDHE-ECDSA-CHACHA20-POLY1305 ECDHE-RSA-CHACHA20-POLY1305',
    '  groups: X25519MLKEM768 X25519 P-256 P-384',
    '  certificates: RSA 2048, ECDSA P-256',
    'service pop3: pop3 on 127.0.0.1:0; musttls; to stores',
    '  TLS as for service imap',
    'service clear: imap on 127.0.0.1:0; notls; to stores',
    'service modern: imap on 127.0.0.1:0; implicit; to stores',
    NEWEST,
    '  groups: X25519MLKEM768 X25519 P-256 P-384',
  ];
  assert.ok(text.includes(`${lines.join('\n')}\n`), text);
});

test('with the certificate still to be made, the offer is that of its kind, and the other suites are told as not offered', async () => {
  using folder = temporaryFolder();
  const settings = `
services: { imap: { protocol: imap, listen: "127.0.0.1:0", backend: stores } }
backends: { stores: { servers: "127.0.0.1:1" } }
`;
  const { code, text } = await check(folder.path, settings);
  assert.equal(code, 0, text);
  assert.match(text, /^  certificates: ECDSA P-256$/m);
  assert.match(
    text,
    /^  not offered \(needs a certificate with an RSA key\): ECDHE-RSA-AES128-GCM-SHA256 ECDHE-RSA-AES256-GCM-SHA384 ECDHE-RSA-CHACHA20-POLY1305$/m,
  );
  const json = JSON.parse((await check(folder.path, settings, '--json')).stdout.toString());
  const [imap] = json.services;
  assert.deepEqual(imap.offer.versions[1], {
    version: 'TLSv1.2',
    suites: [
      'ECDHE-ECDSA-AES128-GCM-SHA256',
      'ECDHE-ECDSA-AES256-GCM-SHA384',
      'ECDHE-ECDSA-CHACHA20-POLY1305',
    ],
  });
  assert.deepEqual(imap.offer.keys, ['ECDSA P-256']);
  assert.equal(imap.offer.unusable.length, 3);
});

test('check warns once of each old or unknown name in a list, with all who use it, and of versions without a suite', async () => {
  using folder = temporaryFolder();
  const { code, text } = await check(
    folder.path,
    `
tls: { ciphers: "+rsa_3des_sha,+rsa_rc4_128_md5" }
services:
  imap: { protocol: imap, listen: "127.0.0.1:0", backend: stores }
  pop3: { protocol: pop3, listen: "127.0.0.1:0", backend: popstores }
  oldest: { protocol: imap, listen: "127.0.0.1:0", tls: { mode: implicit, ciphers: HIGH, minVersion: TLSv1.1 }, backend: stores }
  static: { protocol: imap, listen: "127.0.0.1:0", tls: { mode: implicit, ciphers: AES128-SHA }, backend: stores }
backends:
  stores: { servers: "127.0.0.1:1", tls: { ciphers: "ECDHE+AESGCM:NOPE" } }
  popstores: { servers: "127.0.0.1:2" }
`,
  );
  assert.equal(code, 0, text);
  const warnings = text
    .split('\n')
    .filter((line) => line.startsWith('warning: ') && !line.includes('will be made'));
  const expected = [
    /^warning: tls\.ciphers \(for services\.imap, services\.pop3\): rsa_rc4_128_md5 is not served: RC4/,
    /^warning: tls\.ciphers \(for services\.imap, services\.pop3\): rsa_3des_sha is not served: .*"intermediate" stand in/,
    /^warning: tls\.ciphers \(for backends\.stores\): no cipher suite of this OpenSSL matches "NOPE"$/,
    /^warning: services\.oldest\.tls: no cipher suite is left for TLSv1\.1, .*@SECLEVEL=0/,
    /^warning: services\.static\.tls: no cipher suite is left for TLSv1\.2, .*another type of key$/,
  ];
  assert.equal(warnings.length, expected.length, text);
  for (const [index, pattern] of expected.entries()) assert.match(warnings[index] ?? '', pattern);
});
