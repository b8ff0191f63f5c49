import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { certificateFacts, certificateText } from '../../src/certdb/describe.ts';
import { parseName } from '../../src/certdb/distinguished-name.ts';
import { selfSign } from '../../src/certdb/issue.ts';
import { generateKey, softwareSigner } from '../../src/certdb/keys.ts';
import { oddCertificate } from '../support/odd-certificates.ts';

const NOW = Date.UTC(2006, 6, 28, 19, 58, 31);

async function certificate(type: 'rsa' | 'ec' | 'ed25519', use: 'server' | 'ca' = 'server'): Promise<string> {
  const subject = parseName('CN=mx.test,O=Größe,C=us');
  assert.ok(!('problem' in subject));
  const signer = softwareSigner(generateKey(type === 'rsa' ? { type, bits: 2048 } : { type }));
  return selfSign(signer, { subject, dns: ['mx.test'], ip: ['::1'], email: ['a@b.test'], now: NOW, use });
}

test('the page of an RSA certificate has the documented layout', async () => {
  const text = certificateText(await certificate('rsa'), { trust: 'CT,,', hasKey: true });
  const plain = text
    .replaceAll(/^( +)[0-9a-f]{2}(:[0-9a-f]{2})+$/gim, '$1xx')
    .replaceAll(/(^ +xx\n)\1+/gm, '$1');
  assert.equal(
    plain,
    `Certificate:
    Data:
        Version: 3 (0x2)
        Serial Number:
            xx
        Signature Algorithm: PKCS #1 SHA-256 With RSA Encryption
        Issuer: "CN=mx.test,O=Größe,C=us"
        Validity:
            Not Before: Fri Jul 28 19:58:31 2006
            Not After : Sat Oct 28 19:58:31 2006
        Subject: "CN=mx.test,O=Größe,C=us"
        Subject Public Key Info:
            Public Key Algorithm: PKCS #1 RSA Encryption
            RSA Public Key: (2048 bit)
                Modulus:
                    xx
                Exponent: 65537 (0x10001)
        Signed Extensions:
            Name: Certificate Basic Constraints
            Critical: True
                Is not a CA.
            Name: Certificate Key Usage
            Critical: True
                Digital Signature
                Key Encipherment
            Name: Extended Key Usage
                TLS Server Authentication
            Name: Certificate Subject Key ID
                xx
            Name: Certificate Subject Alt Name
                DNS: mx.test
                IP: ::1
                E-mail: a@b.test
    Signature Algorithm: PKCS #1 SHA-256 With RSA Encryption
    Fingerprint (MD5):
        xx
    Fingerprint (SHA1):
        xx
    Fingerprint (SHA-256):
        xx
    Certificate Trust Flags:
        SSL Flags:
            Valid CA
            Trusted CA
            Trusted Client CA
            User
        Email Flags:
        Object Signing Flags:
`,
  );
});

test('an EC and an Ed25519 certificate say so', async () => {
  const ec = certificateText(await certificate('ec', 'ca'), { trust: ',,' });
  assert.match(ec, /Signature Algorithm: ANSI X9\.62 ECDSA with SHA-256\n/);
  assert.match(ec, /Public Key Algorithm: ANSI X9\.62 Elliptic Curve Public Key\n {12}Curve: P-256\n/);
  assert.match(ec, /Is a CA with no maximum path length\./);
  assert.match(ec, /Certificate Signing\n {16}CRL Signing\n/);
  assert.match(
    certificateText(await certificate('ed25519'), { trust: ',,' }),
    /Public Key Algorithm: Ed25519\n/,
  );
});

test('the facts are those that OpenSSL has', async () => {
  const pem = await certificate('ec');
  const known = new X509Certificate(pem);
  const facts = certificateFacts(pem, { trust: ',,' });
  assert.equal(facts.serialNumber.replaceAll(':', ''), known.serialNumber);
  assert.equal(facts.fingerprints.sha256, known.fingerprint256);
  assert.deepEqual([facts.notBefore, facts.notAfter], ['2006-07-28T19:58:31Z', '2006-10-28T19:58:31Z']);
  assert.deepEqual(facts.trust, { ssl: [], email: [], signing: [] });
});

test('odd certificates are described all the same, without control characters', () => {
  for (const kind of ['empty', 'many', 'nul', 'bmp', 'escape', 'bits'] as const) {
    const text = certificateText(new X509Certificate(oddCertificate(kind)), { trust: ',,' });
    assert.doesNotMatch(text.replaceAll('\n', ''), /\p{Cc}/u);
    assert.match(text, /Version: 3 \(0x2\)/);
  }
});
