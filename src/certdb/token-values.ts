// What goes in and out of a token, in the terms of X.509 and of the settings: names of tokens, PINs by module, public
// keys from their attributes, the bytes that a token signs, signatures as certificates have them. Pure.

import { createHash, createPublicKey, X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { existsSync, globSync } from 'node:fs';
import path from 'node:path';

import { SettingsError } from '../errors.ts';
import { nearNames } from '../spelling.ts';
import type { KeyType } from './pem.ts';

/** A key in a token, as whoever uses it must be told: plain data, never logged for its PIN. */
export interface TokenKey {
  /** The module's name in the settings. */
  readonly module: string;
  readonly library: string;
  /** Parameters of an NSS database; null: none. */
  readonly parameters: string | null;
  /** Of the token. */
  readonly label: string;
  readonly serial: string;
  /** CKA_ID, hex. */
  readonly id: string;
  readonly keyType: KeyType;
  /** null: the token wants none. */
  readonly pin: string | null;
}

/** A module as the settings name it. */
export interface ModuleSource {
  readonly name: string;
  readonly library: string | null;
  readonly nss: string | null;
  readonly token: string | null;
  readonly slot: number | null;
}

const SOFTOKN_PLACES = [
  '/usr/lib/*/libsoftokn3.so',
  '/usr/lib/*/nss/libsoftokn3.so',
  '/usr/lib64/libsoftokn3.so',
  '/usr/lib/libsoftokn3.so',
];

/** Where the module's library is; one that cannot be is a SettingsError. */
export function libraryOf({ name, library, nss }: ModuleSource): string {
  const key = `certificates.modules.${name}`;
  if (library !== null) {
    if (existsSync(library)) return library;
    throw new SettingsError([`${key}: there is no file ${library}, expected a PKCS#11 library`]);
  }
  const [found] = globSync(SOFTOKN_PLACES).toSorted();
  if (nss !== null && found !== undefined) return found;
  const wanted = `expected libsoftokn3.so in ${SOFTOKN_PLACES.join(', ')}: apt install libnss3`;
  throw new SettingsError([nss === null ? `${key}: expected a library` : `${key}: ${wanted}`]);
}

/** How libsoftokn3 is told of its database. */
export function nssParameters({ name, nss }: ModuleSource, access: 'read' | 'write'): string | null {
  if (nss === null) return null;
  const key = `certificates.modules.${name}`;
  if (!existsSync(path.join(nss, 'cert9.db'))) {
    const old = existsSync(path.join(nss, 'cert8.db'));
    const upgrade = `certutil -K -X -d sql:${nss}`;
    throw new SettingsError([
      old
        ? `${key}: ${nss} holds an NSS database of the old kind (cert8.db), expected cert9.db and key4.db: ${upgrade}`
        : `${key}: ${nss} holds no NSS database, expected cert9.db and key4.db`,
    ]);
  }
  const folder = nss.replaceAll('\\', '\\\\').replaceAll("'", "\\'");
  const flags = access === 'read' ? 'flags=readOnly' : '';
  return `configdir='sql:${folder}' certPrefix='' keyPrefix='' secmod='secmod.db' ${flags}`.trimEnd();
}

/** By the name of the module or the label of the token. */
export function pinOf(
  passwords: ReadonlyMap<string, string>,
  { module, label }: { readonly module: string; readonly label: string },
): string | null {
  return passwords.get(module) ?? passwords.get(label) ?? null;
}

/** `, did you mean "a" or "b"?`, or all there are. */
export function nearOrAll(name: string, known: readonly string[]): string {
  const near = nearNames(name, known, 3).map((one) => `"${one}"`);
  if (near.length > 0) return `, did you mean ${near.join(' or ')}?`;
  return known.length === 0 ? '' : `, there is ${known.map((one) => `"${one}"`).join(', ')}`;
}

/** What Signer signs with: SHA-256, on P-384 SHA-384. RFC 5758 3.2 */
export function signatureHashOf(key: KeyObject): 'sha256' | 'sha384' {
  return key.asymmetricKeyDetails?.namedCurve === 'secp384r1' ? 'sha384' : 'sha256';
}

// RFC 8017 9.2: DigestInfo of SHA-256.
const SHA256_INFO = Buffer.from('3031300d060960864801650304020105000420', 'hex');

/** The input of CKM_RSA_PKCS or CKM_ECDSA, which hash nothing themselves. */
export function bytesToSign(bytes: Buffer, key: KeyObject): Buffer {
  const digest = createHash(signatureHashOf(key)).update(bytes).digest();
  return key.asymmetricKeyType === 'rsa' ? Buffer.concat([SHA256_INFO, digest]) : digest;
}

// RFC 3279 2.2.3: a SEQUENCE of two INTEGERs; a token gives both with a fixed length.
export function ecdsaSignature(raw: Buffer): Buffer {
  const half = raw.length / 2;
  return sequence([integer(raw.subarray(0, half)), integer(raw.subarray(half))]);
}

function integer(bytes: Buffer): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0);
  const short = first < 0 ? Buffer.from([0]) : bytes.subarray(first);
  const body = (short[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), short]) : short;
  return tagged(0x02, body);
}

function sequence(parts: readonly Buffer[]): Buffer {
  return tagged(0x30, Buffer.concat(parts));
}

function tagged(tag: number, body: Buffer): Buffer {
  const length = body.length;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), body]);
  if (length < 0x100) return Buffer.concat([Buffer.from([tag, 0x81, length]), body]);
  return Buffer.concat([Buffer.from([tag, 0x82, length >> 8, length & 0xff]), body]);
}

export function rsaPublicKey(modulus: Buffer, exponent: Buffer): KeyObject {
  const encode = (bytes: Buffer): string => bytes.toString('base64url');
  return createPublicKey({
    key: { kty: 'RSA', n: encode(modulus), e: encode(exponent) },
    format: 'jwk',
  });
}

const EC_PUBLIC_KEY = Buffer.from('06072a8648ce3d0201', 'hex');

/** `parameters`: CKA_EC_PARAMS; `point`: CKA_EC_POINT, which by the book is an OCTET STRING and with some tokens is bare. */
export function ecPublicKey(parameters: Buffer, point: Buffer): KeyObject {
  const isWrapped = point[0] === 0x04 && (point[1] === point.length - 2 || point[1] === 0x81);
  const bare = isWrapped ? point.subarray(point[1] === 0x81 ? 3 : 2) : point;
  const bits = tagged(0x03, Buffer.concat([Buffer.from([0]), bare]));
  const spki = sequence([sequence([EC_PUBLIC_KEY, parameters]), bits]);
  return createPublicKey({ key: spki, format: 'der', type: 'spki' });
}

/** CKA_EC_PARAMS of the curves that we make keys on. */
export const CURVE_PARAMETERS: Readonly<Record<number, Buffer>> = {
  256: Buffer.from('06082a8648ce3d030107', 'hex'),
  384: Buffer.from('06052b81040022', 'hex'),
};

/** DER of subject, issuer and serial number, as a certificate object has them. */
export function certificateAttributes(pem: string): {
  readonly subject: Buffer;
  readonly issuer: Buffer;
  readonly serial: Buffer;
  readonly value: Buffer;
} {
  const value = new X509Certificate(pem).raw;
  const tbs = contentOf(contentOf(value).first).parts;
  // RFC 5280 4.1: version [0] may be left out.
  const fields = tbs[0]?.[0] === 0xa0 ? tbs.slice(1) : tbs;
  const [serial, , issuer, , subject] = fields;
  const none = Buffer.alloc(0);
  return { value, serial: serial ?? none, issuer: issuer ?? none, subject: subject ?? none };
}

function contentOf(der: Buffer): { readonly first: Buffer; readonly parts: readonly Buffer[] } {
  const { start, end } = frameOf(der, 0);
  const parts: Buffer[] = [];
  for (let at = start; at < end;) {
    const next = frameOf(der, at).end;
    parts.push(der.subarray(at, next));
    at = next;
  }
  return { first: parts[0] ?? Buffer.alloc(0), parts };
}

/** Only for DER that OpenSSL has read before. */
function frameOf(der: Buffer, at: number): { readonly start: number; readonly end: number } {
  const first = der[at + 1] ?? 0;
  if (first < 0x80) return { start: at + 2, end: at + 2 + first };
  const count = first & 0x7f;
  const start = at + 2 + count;
  return { start, end: start + der.readUIntBE(at + 2, count) };
}
