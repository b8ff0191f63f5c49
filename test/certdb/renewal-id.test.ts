import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { renewalId } from '../../src/certdb/renewal-id.ts';
import { makeAuthority } from '../support/authority.ts';
import { run } from '../support/program.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-renewal-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const authority = makeAuthority(folder);

// RFC 9773 4.1: key identifier and serial number as in DER, each base64url.
for (const [serial, bytes] of [
  ['40ffeeddccbbaa99887766554433221f', '40ffeeddccbbaa99887766554433221f'],
  ['00876543210000000000000000000001', '00876543210000000000000000000001'],
] as const) {
  test(`a certificate with the serial number ${serial} is called as openssl shows it`, async () => {
    const { cert, certFile } = authority.issue({ names: ['mail.example.com'], serial });
    const id = renewalId(new X509Certificate(cert));
    const { text } = await run('openssl', [
      'x509',
      '-in',
      certFile,
      '-noout',
      '-ext',
      'authorityKeyIdentifier',
    ]);
    const key = Buffer.from(
      (/([0-9A-F]{2}(?::[0-9A-F]{2})+)/.exec(text)?.[1] ?? '').replaceAll(':', ''),
      'hex',
    );
    assert.equal(key.length, 20, text);
    assert.equal(id, `${key.toString('base64url')}.${Buffer.from(bytes, 'hex').toString('base64url')}`);
  });
}
