import assert from 'node:assert/strict';
import { createHmac, pbkdf2Sync, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { parseName } from '../../src/certdb/distinguished-name.ts';
import { selfSign, makeRequest, signRequest } from '../../src/certdb/issue.ts';
import { generateKey, softwareSigner } from '../../src/certdb/keys.ts';
import { readPkcs12, writePkcs12 } from '../../src/certdb/pkcs12.ts';
import {
  derOf,
  explicit,
  insideOf,
  integer,
  none,
  octets,
  octetsOf,
  oid,
  parse,
  partsOf,
  sequence,
} from '../../src/certdb/pkcs12-asn1.ts';
import type { Node } from '../../src/certdb/pkcs12-asn1.ts';
import { macOver } from '../../src/certdb/pkcs12-cipher.ts';
import type { Bundle } from '../../src/certdb/pkcs12.ts';
import { SettingsError } from '../../src/errors.ts';
import { openBer } from '../support/open-ber.ts';

const now = Date.UTC(2026, 0, 1);
const noNames = { dns: [], ip: [], email: [] };

async function makeBundle(type: 'rsa' | 'ec' | 'ed25519'): Promise<Bundle> {
  const [caName, subject] = [parseName('CN=Our CA'), parseName('CN=mx.test')];
  assert.ok(!('problem' in caName) && !('problem' in subject));
  const caSigner = softwareSigner(generateKey({ type: 'ec' }));
  const ca = await selfSign(caSigner, { ...noNames, subject: caName, use: 'ca', now });
  const key = generateKey(type === 'rsa' ? { type, bits: 2048 } : { type });
  const request = await makeRequest(softwareSigner(key), { ...noNames, subject });
  const issuer = { certificate: new X509Certificate(ca), signer: caSigner };
  const cert = await signRequest({ request, issuer, now, use: 'server' });
  return { key, cert, extra: [ca], friendlyName: 'Größe 😀' };
}

const bundles = {
  rsa: await makeBundle('rsa'),
  ec: await makeBundle('ec'),
  ed25519: await makeBundle('ed25519'),
};
const password = 'geheimé "1"';
const source = 'a.p12';
const file = writePkcs12({ ...bundles.ec, password, form: 'legacy' });

function refuses(bytes: Buffer, message: RegExp, given = password): void {
  assert.throws(
    () => readPkcs12(bytes, { password: given, source }),
    (error) => {
      assert.ok(error instanceof SettingsError, String(error));
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /geheim/);
      return true;
    },
  );
}

for (const type of ['rsa', 'ec', 'ed25519'] as const) {
  for (const form of ['modern', 'legacy'] as const) {
    test(`a bundle of ${type} in the ${form} form comes back whole`, () => {
      const written = writePkcs12({ ...bundles[type], password, form });
      const read = readPkcs12(written, { password, source });
      assert.ok(read.key.equals(bundles[type].key));
      assert.deepEqual({ ...read, key: null }, { ...bundles[type], key: null });
    });
  }
}

test('an empty password and no name are possible', () => {
  const written = writePkcs12({ ...bundles.ec, friendlyName: null, password: '', form: 'modern' });
  assert.equal(readPkcs12(written, { password: '', source }).friendlyName, null);
});

test('a wrong password is said to be wrong', () => {
  refuses(file, /^a\.p12: cannot be opened: the password is wrong$/, 'other');
  refuses(file, /password is wrong/, '');
});

test('a file that is cut off is said to be, wherever it was cut', () => {
  for (let length = 4; length < file.length; length += 11) refuses(file.subarray(0, length), /is cut off/);
});

test('a changed byte is refused by name, or it was one that says nothing', () => {
  for (let place = 0; place < file.length; place += 13) {
    const changed = Buffer.from(file);
    changed[place] = (changed[place] ?? 0) ^ 0x10;
    try {
      assert.equal(readPkcs12(changed, { password, source }).cert, bundles.ec.cert);
    } catch (error) {
      assert.ok(error instanceof SettingsError, String(error));
      assert.match(error.message, /^a\.p12: /);
    }
  }
});

test('a checksum that is wrong under the right password is damage', () => {
  const changed = Buffer.from(file);
  // The last digest: before a salt of 16 octets and the number of rounds.
  const place = changed.length - 30;
  changed[place] = (changed[place] ?? 0) ^ 1;
  refuses(changed, /is damaged: its checksum is wrong, though the password opens it/);
});

test('lengths left open and strings in pieces, as old writers have them, are read', () => {
  const ber = openBer(file);
  assert.equal(readPkcs12(ber, { password, source }).cert, bundles.ec.cert);
  refuses(ber.subarray(0, ber.length - 40), /is cut off|is damaged/);
});

test('bytes after the end are of no interest', () => {
  const longer = Buffer.concat([file, Buffer.from('\n')]);
  assert.equal(readPkcs12(longer, { password, source }).cert, bundles.ec.cert);
});

test('what is no PKCS#12 is named', () => {
  refuses(Buffer.alloc(0), /is empty/);
  refuses(Buffer.from('hello'), /is no PKCS#12 file/);
  refuses(Buffer.from(bundles.ec.cert), /holds a "CERTIFICATE" in PEM/);
  refuses(new X509Certificate(bundles.ec.cert).raw, /is a certificate \(DER\)/);
  refuses(Buffer.alloc(1_048_577, 0x30), /1048577 bytes/);
});

test('rounds without end are refused before they are run', () => {
  // 10 000 rounds, 02 02 27 10, is what the legacy form has; a length of 2 becomes a number of some thousand millions.
  const changed = Buffer.from(file);
  const rounds = Buffer.from('02022710', 'hex');
  const place = changed.lastIndexOf(rounds);
  assert.ok(place > 0);
  const grown = Buffer.concat([changed.subarray(0, place), Buffer.from('02047fffffff', 'hex')]);
  refuses(lengthened(grown, 2), /more than 10000000 rounds/);
});

/** The file with the lengths of its outer and its last sequence made larger; both have two octets or one. */
function lengthened(bytes: Buffer, more: number): Buffer {
  const longer = Buffer.from(bytes);
  longer.writeUInt16BE(longer.readUInt16BE(2) + more, 2);
  const mac = longer.lastIndexOf(Buffer.from('30213009', 'hex')) - 1;
  longer[mac] = (longer[mac] ?? 0) + more;
  return longer;
}

test('a key without its certificate, and none at all, are named', () => {
  const other = writePkcs12({ ...bundles.ec, key: bundles.rsa.key, password, form: 'legacy' });
  refuses(other, /holds no certificate that matches its private key/);
});

const partsOfFile = (bytes: Buffer): readonly Node[] => partsOf(parse(bytes));
const safeOf = (bytes: Buffer): Buffer => octetsOf(insideOf(partsOf(partsOfFile(bytes)[1])[1]));
const dataOf = (safe: Buffer): Node => sequence(oid('1.2.840.113549.1.7.1'), explicit(0, octets(safe)));

test('of several keys in one file the one of the name is taken, and none without a name', () => {
  const other = writePkcs12({ ...bundles.rsa, friendlyName: 'other', password, form: 'legacy' });
  const safe = derOf(sequence(...[file, other].flatMap((one) => partsOf(parse(safeOf(one))))));
  const both = derOf(sequence(integer(3), dataOf(safe), macOver('modern', safe, password)));
  refuses(both, /holds 2 keys with certificates, one is wanted: "Größe 😀", "other"$/);
  assert.ok(readPkcs12(both, { password, source, name: 'other' }).key.equals(bundles.rsa.key));
});

test('a checksum by PBMAC1, as the newest writers have it, is checked', () => {
  const safe = safeOf(file);
  const salt = Buffer.alloc(16, 7);
  const hmac = sequence(oid('1.2.840.113549.2.9'), none());
  const derivation = sequence(octets(salt), integer(10), integer(32), hmac);
  const parameters = sequence(sequence(oid('1.2.840.113549.1.5.12'), derivation), hmac);
  const key = pbkdf2Sync(password, salt, 10, 32, 'sha256');
  const digest = createHmac('sha256', key).update(safe).digest();
  const info = sequence(sequence(oid('1.2.840.113549.1.5.14'), parameters), octets(digest));
  const mac = sequence(info, octets(Buffer.from('NOT USED')), integer(1));
  const written = derOf(sequence(integer(3), dataOf(safe), mac));
  assert.equal(readPkcs12(written, { password, source }).cert, bundles.ec.cert);
  refuses(written, /password is wrong/, 'other');
});
