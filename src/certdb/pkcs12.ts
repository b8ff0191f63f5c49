// PKCS#12 files (RFC 7292): a key with its certificates, as Windows, Java, NSS and OpenSSL exchange them. The outside is
// ours over forge's ASN.1, which reads BER; keys and certificates pass as bytes, so every type of key does.
// Promises of reading: the certificate matches the key; a wrong password is told from a file that is damaged or cut off.
// Promises of writing: `modern` is AES-256 with SHA-256 (OpenSSL 3, Windows 10, Java 8u301, NSS 3.79), `legacy` 3DES
// with SHA-1 for what is older.
// On failure: SettingsError that names the source. Password and key are in no message.

import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { SettingsError } from '../errors.ts';
import { pathOf } from './chain.ts';
import {
  bmpText,
  damaged,
  derOf,
  explicit,
  implicitOctets,
  insideOf,
  integer,
  numberOf,
  octets,
  octetsOf,
  oid,
  oidOf,
  parse,
  partsOf,
  Pkcs12Problem,
  sequence,
  set,
  textOf,
} from './pkcs12-asn1.ts';
import type { Node } from './pkcs12-asn1.ts';
import { decrypt, encrypt, macFits, macOver, MAX_ROUNDS } from './pkcs12-cipher.ts';
import type { Form, Secret } from './pkcs12-cipher.ts';

export interface Bundle {
  readonly key: KeyObject;
  /** PEM. */
  readonly cert: string;
  /** PEM, issuer first, then what belongs to no chain. */
  readonly extra: readonly string[];
  readonly friendlyName: string | null;
}

export interface OpenOptions {
  readonly password: string;
  /** The file, for messages. */
  readonly source: string;
  /** Which of several keys, by its friendly name. */
  readonly name?: string | undefined;
}

interface Named {
  readonly friendlyName: string | null;
}

interface Contents {
  readonly keys: (Named & { readonly key: KeyObject })[];
  readonly certificates: (Named & { readonly certificate: X509Certificate })[];
}

const MAX_FILE_BYTES = 1_048_576;
const MAX_NESTING = 4;
const MAX_NAMED = 5;

const DATA = '1.2.840.113549.1.7.1';
const ENCRYPTED_DATA = '1.2.840.113549.1.7.6';
const BAG = '1.2.840.113549.1.12.10.1';
const KEY_BAG = `${BAG}.1`;
const SHROUDED_KEY_BAG = `${BAG}.2`;
const CERTIFICATE_BAG = `${BAG}.3`;
const NESTED_BAG = `${BAG}.6`;
const X509 = '1.2.840.113549.1.9.22.1';
const FRIENDLY_NAME = '1.2.840.113549.1.9.20';
const LOCAL_KEY_ID = '1.2.840.113549.1.9.21';

export function readPkcs12(bytes: Buffer, options: OpenOptions): Bundle {
  try {
    return bundleOf(contentsOf(fileOf(bytes), options.password), options.name);
  } catch (error) {
    const problem = error instanceof Pkcs12Problem ? error.message : damaged().message;
    const refusal = new SettingsError([`${options.source}: ${problem}`]);
    refusal.cause = error;
    throw refusal;
  }
}

export function writePkcs12(bundle: Bundle & { readonly password: string; readonly form: Form }): Buffer {
  const { form, password } = bundle;
  const leaf = new X509Certificate(bundle.cert);
  const attributes = attributesFor(bundle.friendlyName, createHash('sha1').update(leaf.raw).digest());
  const key = encrypt(form, bundle.key.export({ type: 'pkcs8', format: 'der' }), password);
  const keyBag = sequence(
    oid(SHROUDED_KEY_BAG),
    explicit(0, sequence(key.algorithm, octets(key.bytes))),
    attributes,
  );
  const bags = [
    sequence(...certificateBag(leaf), attributes),
    ...bundle.extra.map((cert) => sequence(...certificateBag(new X509Certificate(cert)))),
  ];
  const certificates = encrypt(form, derOf(sequence(...bags)), password);
  const inner = sequence(oid(DATA), certificates.algorithm, implicitOctets(0, certificates.bytes));
  const safe = derOf(
    sequence(
      sequence(oid(ENCRYPTED_DATA), explicit(0, sequence(integer(0), inner))),
      dataOf(derOf(sequence(keyBag))),
    ),
  );
  return derOf(sequence(integer(3), dataOf(safe), macOver(form, safe, password)));
}

function certificateBag(certificate: X509Certificate): readonly Node[] {
  const value = sequence(oid(X509), explicit(0, octets(certificate.raw)));
  return [oid(CERTIFICATE_BAG), explicit(0, value)];
}

function attributesFor(friendlyName: string | null, keyId: Buffer): Node {
  const id = sequence(oid(LOCAL_KEY_ID), set(octets(keyId)));
  if (friendlyName === null) return set(id);
  return set(id, sequence(oid(FRIENDLY_NAME), set(bmpText(friendlyName))));
}

function dataOf(bytes: Buffer): Node {
  return sequence(oid(DATA), explicit(0, octets(bytes)));
}

/** The file as ASN.1; what is no PKCS#12 at all is told apart. */
function fileOf(bytes: Buffer): Node {
  const other = (problem: string): Pkcs12Problem => new Pkcs12Problem('other', problem);
  if (bytes.length === 0) throw other('is empty, a PKCS#12 file is wanted');
  if (bytes.length > MAX_FILE_BYTES) {
    throw other(`has ${bytes.length} bytes, more than a PKCS#12 file can need`);
  }
  const label = /-----BEGIN ([A-Z0-9 ]{1,40})-----/.exec(bytes.toString('latin1'))?.[1];
  if (label !== undefined && bytes[0] !== 0x30) {
    throw other(`holds a "${label}" in PEM where PKCS#12 is wanted: openssl pkcs12 -export makes one`);
  }
  if (bytes[0] !== 0x30) throw other('is no PKCS#12 file');
  const length = wholeLength(bytes);
  if (length !== null && length > bytes.length) {
    throw other(`is cut off: ${bytes.length} bytes of ${length} are there`);
  }
  let file: Node;
  try {
    file = parse(length === null ? bytes : bytes.subarray(0, length));
  } catch (error) {
    const isShort = error instanceof Error && error.message.startsWith('Too few bytes');
    throw isShort && length === null ? other('is cut off') : damaged();
  }
  if (!isPkcs12(file))
    throw other(isCertificate(bytes) ? 'is a certificate (DER), no PKCS#12 file' : 'is no PKCS#12 file');
  return file;
}

/** What the first length says, with its own octets; null for an open one (BER). */
function wholeLength(bytes: Buffer): number | null {
  const first = bytes[1] ?? 0;
  if (first < 0x80) return first + 2;
  const size = first & 0x7f;
  if (size === 0) return null;
  // Longer than any file that is read.
  if (size > 4) return Infinity;
  let length = 0;
  for (const byte of bytes.subarray(2, 2 + size)) length = length * 256 + byte;
  return length + 2 + size;
}

function isPkcs12(file: Node): boolean {
  try {
    const [version, authSafe] = partsOf(file, 2);
    return numberOf(version) === 3 && oidOf(partsOf(authSafe, 1)[0]).startsWith('1.2.840.113549.1.7.');
  } catch {
    return false;
  }
}

function isCertificate(bytes: Buffer): boolean {
  try {
    return new X509Certificate(bytes).raw.length > 0;
  } catch {
    return false;
  }
}

/** Judges the password by the checksum, and a checksum that is wrong by whether the password opens the rest. */
function contentsOf(file: Node, password: string): Contents {
  const [, authSafe, mac] = partsOf(file, 2);
  const [kind, content] = partsOf(authSafe, 2);
  if (oidOf(kind) !== DATA) {
    throw new Pkcs12Problem(
      'other',
      'is sealed by a public key instead of a password, which is not read here',
    );
  }
  const safe = octetsOf(insideOf(content));
  const budget = { rounds: MAX_ROUNDS };
  const passwords = password === '' ? ['', null] : [password];
  const fits = (candidate: string | null): boolean =>
    mac === undefined || macFits(mac, safe, { password: candidate, budget });
  const found = passwords.find(fits);
  if (found !== undefined) return readSafe(safe, { password: found, budget });
  let isOpened: boolean;
  try {
    readSafe(safe, { password, budget });
    isOpened = true;
  } catch {
    isOpened = false;
  }
  throw isOpened && isLocked(safe)
    ? new Pkcs12Problem('damaged', 'is damaged: its checksum is wrong, though the password opens it')
    : new Pkcs12Problem('password', 'cannot be opened: the password is wrong');
}

function isLocked(safe: Buffer): boolean {
  return partsOf(parse(safe)).some((part) => oidOf(partsOf(part, 1)[0]) === ENCRYPTED_DATA);
}

function readSafe(safe: Buffer, secret: Secret): Contents {
  const contents: Contents = { keys: [], certificates: [] };
  for (const part of partsOf(parse(safe))) {
    const [kind, content] = partsOf(part, 2);
    const type = oidOf(kind);
    if (type === DATA) readBags(parse(octetsOf(insideOf(content))), { contents, secret, depth: 0 });
    else if (type === ENCRYPTED_DATA) {
      const [, inner] = partsOf(insideOf(content), 2);
      const [, algorithm, bytes] = partsOf(inner, 3);
      if (algorithm === undefined) throw damaged();
      const plain = decrypt(algorithm, octetsOf(bytes), secret);
      readBags(opened(plain), { contents, secret, depth: 0 });
    } else {
      throw new Pkcs12Problem(
        'other',
        'is locked by a public key instead of a password, which is not read here',
      );
    }
  }
  return contents;
}

interface Reading {
  readonly contents: Contents;
  readonly secret: Secret;
  readonly depth: number;
}

function readBags(bags: Node, reading: Reading): void {
  if (reading.depth > MAX_NESTING) throw damaged();
  const { contents, secret } = reading;
  for (const bag of partsOf(bags)) {
    const [kind, wrapped, attributes] = partsOf(bag, 2);
    const value = insideOf(wrapped);
    const friendlyName = friendlyNameOf(attributes);
    switch (oidOf(kind)) {
      case KEY_BAG:
        contents.keys.push({ key: keyOf(derOf(value)), friendlyName });
        break;
      case SHROUDED_KEY_BAG: {
        const [algorithm, bytes] = partsOf(value, 2);
        if (algorithm === undefined) throw damaged();
        contents.keys.push({ key: keyOf(decrypt(algorithm, octetsOf(bytes), secret)), friendlyName });
        break;
      }
      case CERTIFICATE_BAG: {
        const [type, certificate] = partsOf(value, 2);
        if (oidOf(type) !== X509) break;
        const der = octetsOf(insideOf(certificate));
        contents.certificates.push({ certificate: new X509Certificate(der), friendlyName });
        break;
      }
      case NESTED_BAG:
        readBags(value, { ...reading, depth: reading.depth + 1 });
        break;
      // Revocation lists and other secrets are of no use here.
      default:
    }
  }
}

/** A wrong key now and then decrypts to something, which is then no ASN.1. */
function opened(plain: Buffer): Node {
  try {
    return parse(plain);
  } catch {
    throw new Pkcs12Problem('password', 'cannot be opened: the password is wrong, or the file is damaged');
  }
}

function keyOf(pkcs8: Buffer): KeyObject {
  try {
    return createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
  } catch {
    throw new Pkcs12Problem('damaged', 'holds a private key that is damaged or of an unknown type');
  }
}

function friendlyNameOf(attributes: Node | undefined): string | null {
  if (attributes === undefined) return null;
  for (const attribute of partsOf(attributes)) {
    const [type, values] = partsOf(attribute, 2);
    if (oidOf(type) === FRIENDLY_NAME) return textOf(partsOf(values)[0]);
  }
  return null;
}

function bundleOf({ keys, certificates }: Contents, wanted: string | undefined): Bundle {
  const other = (problem: string): Pkcs12Problem => new Pkcs12Problem('other', problem);
  const pairs = keys.flatMap(({ key, friendlyName }) => {
    const leaf = certificates.find(({ certificate }) => certificate.checkPrivateKey(key));
    return leaf === undefined
      ? []
      : [{ key, leaf: leaf.certificate, friendlyName: friendlyName ?? leaf.friendlyName }];
  });
  const pair = pairs.length > 1 ? pairs.find(({ friendlyName }) => friendlyName === wanted) : pairs[0];
  if (pair !== undefined) {
    const { key, leaf, friendlyName } = pair;
    const rest = certificates
      .map(({ certificate }) => certificate)
      .filter((one) => !one.raw.equals(leaf.raw));
    const [, ...chain] = pathOf(leaf, rest);
    const extra = [...chain, ...rest.filter((certificate) => !chain.includes(certificate))];
    return { key, cert: leaf.toString(), extra: extra.map(String), friendlyName };
  }
  if (pairs.length > 1) {
    const names = pairs.map(({ friendlyName }) =>
      friendlyName === null ? 'one without a name' : `"${shown(friendlyName)}"`,
    );
    throw other(
      `holds ${pairs.length} keys with certificates, one is wanted: ${names.slice(0, MAX_NAMED).join(', ')}`,
    );
  }
  if (keys.length === 0) throw other('holds no private key');
  throw other(
    certificates.length === 0
      ? 'holds a private key and no certificate'
      : 'holds no certificate that matches its private key',
  );
}

function shown(text: string): string {
  return text.slice(0, 60).replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?');
}
