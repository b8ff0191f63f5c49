// Certificates, requests and PKCS#12 files between ours and the programs that administrators have: openssl, NSS
// (certutil, pk12util) and Java's keytool, in both directions, for RSA, EC and Ed25519.
// NSS as Debian 12 has it (3.87) knows no Ed25519, so that column is left out there; openssl and Java 17 know all three.

import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { certificateFacts } from '../../src/certdb/describe.ts';
import { certificateNames, parseName } from '../../src/certdb/distinguished-name.ts';
import type { Name } from '../../src/certdb/distinguished-name.ts';
import { makeRequest, selfSign, signRequest } from '../../src/certdb/issue.ts';
import { generateKey, softwareSigner } from '../../src/certdb/keys.ts';
import type { Signer } from '../../src/certdb/keys.ts';
import { readPkcs12, writePkcs12 } from '../../src/certdb/pkcs12.ts';
import { readCertificates } from '../../src/certdb/read-certificate.ts';
import { run } from '../support/program.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-pki-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => path.join(folder, name);

const TYPES = ['rsa', 'ec', 'ed25519'] as const;
const NSS_TYPES = ['rsa', 'ec'] as const;
const FORMS = ['modern', 'legacy'] as const;
const PASSWORD = 'secret 22';
const NICKNAME = 'mx.siroe.com';
const none = { dns: [], ip: [], email: [] };
const passwordFile = at('password');
writeFileSync(passwordFile, `${PASSWORD}\n`, { mode: 0o600 });

async function ok(program: string, args: readonly string[]): Promise<string> {
  const done = await run(program, args);
  assert.equal(done.code, 0, `${program} ${args.join(' ')}\n${done.text}`);
  return `${done.stdout.toString()}${done.stderr.toString()}`;
}

function name(text: string): Name {
  const parsed = parseName(text);
  assert.ok(!('problem' in parsed));
  return parsed;
}

interface Kit {
  readonly key: KeyObject;
  readonly cert: string;
  readonly ca: string;
  readonly caSigner: Signer;
  readonly request: Buffer;
  readonly certFile: string;
  readonly caFile: string;
  readonly keyFile: string;
  readonly requestFile: string;
}

async function makeKit(type: (typeof TYPES)[number]): Promise<Kit> {
  const now = Date.now();
  const caSigner = softwareSigner(generateKey({ type }));
  const ca = await selfSign(caSigner, { ...none, subject: name('CN=Größe CA,O=Siroe'), use: 'ca', now });
  const key = generateKey({ type });
  const subject = name('CN=mx.siroe.com,OU=Messaging,O="Siroe, Inc.",L=SantaClara,ST=ca,C=us');
  const request = await makeRequest(softwareSigner(key), {
    ...none,
    subject,
    dns: ['mx.siroe.com'],
    ip: ['::1'],
  });
  const issuer = { certificate: new X509Certificate(ca), signer: caSigner };
  const cert = await signRequest({ request, issuer, now, use: 'server' });
  const file = (ending: string, content: string | Buffer): string => {
    writeFileSync(at(`${type}.${ending}`), content, { mode: 0o600 });
    return at(`${type}.${ending}`);
  };
  return {
    key,
    cert,
    ca,
    caSigner,
    request,
    certFile: file('cert.pem', cert),
    caFile: file('ca.pem', ca),
    keyFile: file('key.pem', key.export({ type: 'pkcs8', format: 'pem' })),
    requestFile: file('csr', request),
  };
}

const kits = { rsa: await makeKit('rsa'), ec: await makeKit('ec'), ed25519: await makeKit('ed25519') };

function bundleFile(type: (typeof TYPES)[number], form: (typeof FORMS)[number], password = PASSWORD): string {
  const { key, cert, ca } = kits[type];
  const file = at(`${type}.${form}.p12`);
  writeFileSync(file, writePkcs12({ key, cert, extra: [ca], friendlyName: NICKNAME, password, form }), {
    mode: 0o600,
  });
  return file;
}

/** The bundle that a program wrote holds what went into it. */
function holds(file: string, kit: { key: KeyObject; cert: string }): void {
  const bundle = readPkcs12(readFileSync(file), { password: PASSWORD, source: file });
  assert.ok(bundle.key.equals(kit.key));
  assert.equal(bundle.cert, kit.cert);
}

/** A new NSS database with the password of all of them. */
async function nssDatabase(label: string): Promise<string> {
  const place = `sql:${at(label)}`;
  mkdirSync(at(label));
  await ok('certutil', ['-N', '-d', place, '-f', passwordFile]);
  return place;
}

async function addToNss(
  database: string,
  { nickname, trust, file }: { nickname: string; trust: string; file: string },
): Promise<void> {
  const what = ['-n', nickname, '-t', trust, '-i', file, '-a'];
  await ok('certutil', ['-A', '-d', database, '-f', passwordFile, ...what]);
}

for (const type of TYPES) {
  test(`openssl reads our ${type} certificate and request, and verifies both`, async () => {
    const { certFile, caFile, requestFile, cert } = kits[type];
    await ok('openssl', ['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', caFile, certFile]);
    await ok('openssl', ['verify', '-x509_strict', '-CAfile', caFile, caFile]);
    const request = ['req', '-inform', 'DER', '-in', requestFile, '-verify', '-noout', '-text'];
    const asked = await ok('openssl', request);
    assert.match(asked, /verify OK/);
    assert.match(asked, /DNS:mx\.siroe\.com, IP Address:0:0:0:0:0:0:0:1/);
    const text = await ok('openssl', [
      'x509',
      '-in',
      certFile,
      '-noout',
      '-text',
      '-nameopt',
      'RFC2253,utf8,-esc_msb',
    ]);
    assert.ok(text.includes(`Subject: ${certificateNames(new X509Certificate(cert)).subject}\n`), text);
    assert.match(text, /Issuer: CN=Größe CA,O=Siroe\n/);
    const serial = certificateFacts(cert, { trust: ',,' }).serialNumber.toLowerCase();
    assert.ok(text.includes(serial), text);
  });

  test(`we sign the ${type} request that openssl makes, and read its certificate`, async () => {
    const { keyFile, caFile, key } = kits[type];
    const file = at(`openssl.${type}.csr`);
    const subject = [
      '-subj',
      '/C=us/O=Größe/CN=a.siroe.com',
      '-utf8',
      '-addext',
      'subjectAltName=DNS:b.siroe.com',
    ];
    await ok('openssl', ['req', '-new', '-key', keyFile, ...subject, '-out', file]);
    const issuer = { certificate: new X509Certificate(kits.ec.ca), signer: kits.ec.caSigner };
    const cert = await signRequest({ request: readFileSync(file), issuer, now: Date.now(), use: 'client' });
    const made = new X509Certificate(cert);
    assert.ok(made.checkPrivateKey(key));
    assert.equal(made.subjectAltName, 'DNS:b.siroe.com');
    assert.equal(certificateNames(made).subject, 'CN=a.siroe.com,O=Größe,C=us');
    assert.equal(readCertificates(caFile, Date.now()).certificates[0], kits[type].ca);
  });

  for (const form of FORMS) {
    test(`openssl opens our ${form} PKCS#12 of ${type}`, async () => {
      const file = bundleFile(type, form);
      const args = ['pkcs12', '-in', file, '-passin', `file:${passwordFile}`, '-nodes', '-info'];
      const text = await ok('openssl', args);
      assert.match(
        text,
        form === 'modern' ? /AES-256-CBC.*hmacWithSHA256/ : /pbeWithSHA1And3-KeyTripleDES-CBC/,
      );
      assert.match(text, /friendlyName: mx\.siroe\.com/);
      assert.ok(text.includes(kits[type].cert));
      assert.ok(text.includes(kits[type].ca));
      const key = /-----BEGIN PRIVATE KEY-----[^]*?-----END PRIVATE KEY-----/.exec(text)?.[0] ?? '';
      assert.ok(createPrivateKey(key).equals(kits[type].key));
    });
  }

  for (const options of [
    ['-certpbe', 'AES-256-CBC', '-keypbe', 'AES-256-CBC', '-macalg', 'sha256'],
    ['-legacy'],
    ['-legacy', '-certpbe', 'PBE-SHA1-RC2-128', '-keypbe', 'PBE-SHA1-2DES'],
    ['-certpbe', 'AES-128-CBC', '-keypbe', 'DES-EDE3-CBC', '-macalg', 'sha512', '-iter', '7'],
    ['-nomac'],
  ]) {
    test(`we open the PKCS#12 of ${type} that openssl writes with ${options.join(' ')}`, async () => {
      const { keyFile, certFile } = kits[type];
      const file = at('openssl.p12');
      const named = ['-name', NICKNAME, '-passout', `file:${passwordFile}`];
      await ok('openssl', [
        'pkcs12',
        '-export',
        '-inkey',
        keyFile,
        '-in',
        certFile,
        ...named,
        ...options,
        '-out',
        file,
      ]);
      holds(file, kits[type]);
    });
  }
}

for (const type of NSS_TYPES) {
  for (const form of FORMS) {
    test(`NSS takes our ${form} PKCS#12 of ${type}, believes the chain, and writes it back`, async () => {
      const database = await nssDatabase(`nss.${type}.${form}`);
      const open = ['-d', database, '-k', passwordFile, '-w', passwordFile];
      await ok('pk12util', ['-i', bundleFile(type, form), ...open]);
      await addToNss(database, { nickname: 'ca', trust: 'C,,', file: kits[type].caFile });
      await ok('certutil', ['-V', '-d', database, '-n', NICKNAME, '-u', 'V', '-e', '-f', passwordFile]);
      // Long names go on in the next line there.
      const text = (await ok('certutil', ['-L', '-d', database, '-n', NICKNAME])).replaceAll(/\n +/g, '');
      const { subject } = certificateNames(new X509Certificate(kits[type].cert));
      assert.ok(text.includes('CN=mx.siroe.com,OU=Messaging,O="Siroe, Inc.",L=SantaClara,ST=ca,C=us'), text);
      assert.equal(subject, 'CN=mx.siroe.com,OU=Messaging,O=Siroe\\, Inc.,L=SantaClara,ST=ca,C=us');
      const back = at(`nss.${type}.${form}.p12`);
      await ok('pk12util', ['-o', back, '-n', NICKNAME, ...open]);
      holds(back, kits[type]);
    });
  }

  test(`we open the ${type} PKCS#12 of NSS, old and new, and sign its request`, async () => {
    const database = await nssDatabase(`nss.${type}.own`);
    const kind = type === 'rsa' ? ['-k', 'rsa', '-g', '2048'] : ['-k', 'ec', '-q', 'secp256r1'];
    const noise = at('noise');
    writeFileSync(noise, 'not much of a noise, and enough for a test');
    const made = ['-d', database, '-f', passwordFile, '-z', noise, ...kind];
    await ok('certutil', ['-S', '-x', '-n', 'own', '-s', 'CN=nss.siroe.com,O=Siroe', '-t', ',,', ...made]);
    const pem = await ok('certutil', ['-L', '-d', database, '-n', 'own', '-a']);
    const own = new X509Certificate(pem);
    assert.equal(certificateNames(own).subject, 'CN=nss.siroe.com,O=Siroe');
    const old = ['-c', 'PKCS #12 V2 PBE With SHA-1 And 3KEY Triple DES-CBC'];
    const oldest = ['-C', 'PKCS #12 V2 PBE With SHA-1 And 40 Bit RC2 CBC'];
    for (const options of [[], [...old, ...oldest], ['-c', 'AES-256-CBC', '-C', 'AES-256-CBC']]) {
      const file = at('nss.own.p12');
      rmSync(file, { force: true });
      const open = ['-d', database, '-k', passwordFile, '-w', passwordFile];
      await ok('pk12util', ['-o', file, '-n', 'own', ...open, ...options]);
      const bundle = readPkcs12(readFileSync(file), { password: PASSWORD, source: file });
      assert.equal(bundle.cert, own.toString());
      assert.equal(bundle.friendlyName, 'own');
    }
    const request = at('nss.csr');
    await ok('certutil', ['-R', '-s', 'CN=req.siroe.com', '-o', request, '-a', ...made]);
    const issuer = { certificate: new X509Certificate(kits[type].ca), signer: kits[type].caSigner };
    const signed = await signRequest({
      request: readFileSync(request),
      issuer,
      now: Date.now(),
      use: 'server',
    });
    const file = at('nss.signed.pem');
    writeFileSync(file, signed);
    await addToNss(database, { nickname: 'ca', trust: 'C,,', file: kits[type].caFile });
    await addToNss(database, { nickname: 'signed', trust: ',,', file });
    await ok('certutil', ['-V', '-d', database, '-n', 'signed', '-u', 'V', '-e', '-f', passwordFile]);
  });
}

/** Java's own words for the three. */
const JAVA = {
  rsa: ['-keyalg', 'RSA', '-keysize', '2048'],
  ec: ['-keyalg', 'EC', '-groupname', 'secp256r1'],
  ed25519: ['-keyalg', 'Ed25519'],
} as const;

for (const type of TYPES) {
  for (const form of FORMS) {
    test(`Java opens our ${form} PKCS#12 of ${type} and writes it back`, async () => {
      const file = bundleFile(type, form);
      const list = [
        '-list',
        '-v',
        '-storetype',
        'PKCS12',
        '-keystore',
        file,
        '-storepass:file',
        passwordFile,
      ];
      const text = await ok('keytool', list);
      assert.match(text, /Alias name: mx\.siroe\.com/);
      assert.match(text, /Entry type: PrivateKeyEntry/);
      assert.match(text, /Certificate chain length: 2/);
      const back = at(`java.${type}.${form}.p12`);
      const from = ['-srckeystore', file, '-srcstoretype', 'PKCS12', '-srcstorepass:file', passwordFile];
      const to = ['-destkeystore', back, '-deststoretype', 'PKCS12', '-deststorepass:file', passwordFile];
      await ok('keytool', ['-importkeystore', '-noprompt', ...from, ...to]);
      holds(back, kits[type]);
    });
  }

  test(`we open the ${type} PKCS#12 that Java makes, old and new, and sign its request`, async () => {
    for (const java of [[], ['-J-Dkeystore.pkcs12.legacy']]) {
      const file = at(`java.${type}.${java.length}.p12`);
      const store = [
        '-storetype',
        'PKCS12',
        '-keystore',
        file,
        '-storepass:file',
        passwordFile,
        '-alias',
        'own',
      ];
      await ok('keytool', [
        '-genkeypair',
        ...JAVA[type],
        '-dname',
        'CN=java.siroe.com, O=Siroe',
        ...store,
        ...java,
      ]);
      const bundle = readPkcs12(readFileSync(file), { password: PASSWORD, source: file });
      assert.equal(bundle.friendlyName, 'own');
      assert.equal(certificateNames(new X509Certificate(bundle.cert)).subject, 'CN=java.siroe.com,O=Siroe');
      const request = at('java.csr');
      await ok('keytool', ['-certreq', '-file', request, ...store]);
      const issuer = { certificate: new X509Certificate(kits[type].ca), signer: kits[type].caSigner };
      const cert = await signRequest({
        request: readFileSync(request),
        issuer,
        now: Date.now(),
        use: 'server',
      });
      assert.ok(new X509Certificate(cert).checkPrivateKey(bundle.key));
    }
    const text = await ok('keytool', ['-printcert', '-file', kits[type].certFile]);
    assert.match(text, /DNSName: mx\.siroe\.com/);
    // It takes requests in PEM only.
    const request = at('ours.csr');
    const body = kits[type].request.toString('base64').replaceAll(/.{64}/g, '$&\n');
    writeFileSync(
      request,
      `-----BEGIN CERTIFICATE REQUEST-----\n${body}\n-----END CERTIFICATE REQUEST-----\n`,
    );
    assert.match(await ok('keytool', ['-printcertreq', '-file', request]), /Siroe, Inc\./);
  });
}

test('a password with other letters opens what openssl wrote with it, and ours there', async () => {
  const password = 'geheimé 22';
  const file = at('letters.p12');
  const { keyFile, certFile } = kits.ec;
  for (const legacy of [[], ['-legacy']]) {
    const written = ['-passout', `pass:${password}`, ...legacy, '-out', file];
    await ok('openssl', ['pkcs12', '-export', '-inkey', keyFile, '-in', certFile, ...written]);
    assert.equal(readPkcs12(readFileSync(file), { password, source: file }).cert, kits.ec.cert);
  }
  for (const form of FORMS) {
    await ok('openssl', [
      'pkcs12',
      '-in',
      bundleFile('ec', form, password),
      '-passin',
      `pass:${password}`,
      '-noout',
    ]);
  }
});
