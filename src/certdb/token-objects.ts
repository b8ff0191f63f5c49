// What a token holds, in the terms of the certificate database: keys and certificates, which belong together by CKA_ID
// (NSS gives all certificates of one subject one nickname, so labels decide nothing but a certificate's name); a Signer
// over a key; new keys, which can neither be read nor extracted; certificates put in and taken out.
// On failure: SettingsError with module, token and nickname.

import { createHash, verify, X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

import { keyIdOf, keyTypeOf } from './pem.ts';
import type { KeyType } from './pem.ts';
import type { Handle, Template, TokenModule, TokenSession } from './token.ts';
import {
  bytesToSign,
  certificateAttributes,
  CURVE_PARAMETERS,
  ecdsaSignature,
  ecPublicKey,
  nearOrAll,
  rsaPublicKey,
  signatureHashOf,
} from './token-values.ts';
import type { TokenKey } from './token-values.ts';

export interface TokenKeyEntry {
  /** CKA_ID, hex. */
  readonly id: string;
  readonly label: string;
  readonly keyType: KeyType;
  readonly bits: number | null;
  /** null: the token does not say. */
  readonly publicKey: KeyObject | null;
  readonly isExtractable: boolean;
  /** It wants the PIN for every signature. */
  readonly asksAlways: boolean;
}

export interface TokenCertificate {
  readonly nickname: string;
  /** CKA_ID, hex; '' where it has none. */
  readonly id: string;
  /** PEM. */
  readonly cert: string;
  readonly keyType: KeyType;
  readonly hasKey: boolean;
}

export interface TokenSigner {
  readonly keyType: KeyType;
  readonly publicKey: KeyObject;
  sign(bytes: Buffer): Promise<Buffer>;
}

/** RSA: bits; EC: 256 or 384. */
export interface TokenKeyWish {
  readonly type: 'rsa' | 'ec';
  readonly bits: number;
}

const CLASS = { type: 0x0, certificate: 1, publicKey: 2, privateKey: 3 } as const;
const LABEL = 0x3;
const ON_TOKEN = 0x1;
const PRIVATE = 0x2;
const VALUE = 0x11;
const CERTIFICATE_TYPE = 0x80;
const ISSUER = 0x81;
const SERIAL = 0x82;
const KEY_TYPE = 0x100;
const SUBJECT = 0x101;
const ID = 0x102;
const SENSITIVE = 0x103;
const SIGN = 0x108;
const VERIFY = 0x10a;
const MODULUS = 0x120;
const MODULUS_BITS = 0x121;
const PUBLIC_EXPONENT = 0x122;
const EXTRACTABLE = 0x162;
const EC_PARAMS = 0x180;
const EC_POINT = 0x181;
const ALWAYS_AUTHENTICATE = 0x202;
const RSA_PAIR = 0x0;
const RSA_PKCS = 0x1;
const EC_PAIR = 0x1040;
const ECDSA = 0x1041;
const TYPES = { rsa: 0, ec: 3 } as const;
const EXPONENT_65537 = Buffer.from([1, 0, 1]);

export function tokenKeys(session: TokenSession): readonly TokenKeyEntry[] {
  return session.find([{ type: CLASS.type, value: CLASS.privateKey }]).map((key) => keyEntry(session, key));
}

/** Also those without a key: issuers, say. */
export function tokenCertificates(session: TokenSession): readonly TokenCertificate[] {
  return session.find([{ type: CLASS.type, value: CLASS.certificate }]).flatMap((object) => {
    const value = session.read(object, VALUE);
    const certificate = value === null ? null : readCertificate(value);
    if (certificate === null) return [];
    const id = session.read(object, ID)?.toString('hex') ?? '';
    return [
      {
        nickname: textOf(session.read(object, LABEL)),
        id,
        cert: certificate.toString(),
        keyType: keyTypeOf(certificate.publicKey),
        hasKey: id !== '' && privateKeys(session, id).length > 0,
      },
    ];
  });
}

/** The certificates of a nickname that have their keys here: of each type of key the one that is valid longest. */
export function namedCertificates(session: TokenSession, nickname: string): readonly TokenCertificate[] {
  const all = tokenCertificates(session);
  const named = all.filter((one) => one.nickname === nickname);
  if (named.length === 0) {
    const names = [...new Set(all.filter(({ hasKey }) => hasKey).map((one) => one.nickname))];
    const none = all.length === 0 ? ', it holds no certificate' : nearOrAll(nickname, names);
    throw failure(session, `no certificate has the nickname "${nickname}"${none}`);
  }
  const served = named.filter(({ hasKey }) => hasKey);
  if (served.length === 0)
    throw failure(session, `there is no private key for the certificate "${nickname}"`);
  const longest = new Map<KeyType, TokenCertificate>();
  for (const one of served) {
    const known = longest.get(one.keyType);
    if (known === undefined || endOf(one) > endOf(known)) longest.set(one.keyType, one);
  }
  return [...longest.values()];
}

/** Proves that the key is there, can sign by itself, and is the certificate's. */
export function proveKey(session: TokenSession, { id, cert, nickname }: TokenCertificate): void {
  const [key] = privateKeys(session, id);
  if (key === undefined) throw failure(session, `there is no private key for the certificate "${nickname}"`);
  const entry = keyEntry(session, key);
  if (entry.asksAlways)
    throw failure(
      session,
      `the key of "${nickname}" wants the PIN for every signature, no server can use it`,
    );
  const { publicKey } = new X509Certificate(cert);
  const bytes = Buffer.from('Sallyport asks whether this key is the one of the certificate.');
  const signature = signBytes(session, { key, bytes, publicKey });
  if (!verify(signatureHashOf(publicKey), bytes, publicKey, signature))
    throw failure(session, `the certificate "${nickname}" does not match the private key of its id`);
}

/** Whether a key that was there still is. Never throws. */
export function holdsKey(session: TokenSession, id: string): boolean {
  try {
    return privateKeys(session, id).length > 0;
  } catch {
    return false;
  }
}

/** By its label or, in hex, its CKA_ID. */
export function findTokenKey(session: TokenSession, name: string): TokenKeyEntry {
  const keys = tokenKeys(session);
  const found = keys.filter(({ id, label }) => label === name || id === name.toLowerCase());
  const [first, second] = found;
  if (first === undefined) {
    const labels = keys.map(({ label }) => label).filter((label) => label !== '');
    throw failure(session, `there is no key "${name}"${nearOrAll(name, labels)}`);
  }
  if (second !== undefined && second.id !== first.id) {
    const ids = found.map(({ id }) => id).join(', ');
    throw failure(session, `there are several keys "${name}", name one by its id: ${ids}`);
  }
  return first;
}

export function tokenSigner(
  session: TokenSession,
  { id, label, publicKey, keyType }: TokenKeyEntry,
): TokenSigner {
  if (publicKey === null)
    throw failure(session, `the token does not tell the public half of the key "${label}"`);
  return {
    keyType,
    publicKey,
    async sign(bytes) {
      const [key] = privateKeys(session, id);
      if (key === undefined) throw failure(session, `the key "${label}" is gone`);
      return signBytes(session, { key, bytes, publicKey });
    },
  };
}

interface ToSign {
  readonly key: Handle;
  readonly bytes: Buffer;
  readonly publicKey: KeyObject;
}

function signBytes(session: TokenSession, { key, bytes, publicKey }: ToSign): Buffer {
  const isRsa = publicKey.asymmetricKeyType === 'rsa';
  const raw = session.sign(isRsa ? RSA_PKCS : ECDSA, key, bytesToSign(bytes, publicKey));
  return isRsa ? raw : ecdsaSignature(raw);
}

/** A new key pair in the token; `id` is 20 random bytes. The label must be free. */
export function generateTokenKey(
  session: TokenSession,
  { type, bits }: TokenKeyWish,
  { label, id }: { readonly label: string; readonly id: Buffer },
): TokenKeyEntry {
  if (tokenKeys(session).some((key) => key.label === label))
    throw failure(session, `there is a key "${label}" already`);
  const names = [
    { type: ON_TOKEN, value: true },
    { type: LABEL, value: Buffer.from(label, 'utf8') },
    { type: ID, value: id },
  ];
  const publicKey: Template = [...names, { type: VERIFY, value: true }];
  const privateKey: Template = [
    ...names,
    { type: PRIVATE, value: true },
    { type: SENSITIVE, value: true },
    { type: EXTRACTABLE, value: false },
    { type: SIGN, value: true },
  ];
  if (type === 'rsa')
    publicKey.push({ type: MODULUS_BITS, value: bits }, { type: PUBLIC_EXPONENT, value: EXPONENT_65537 });
  else publicKey.push({ type: EC_PARAMS, value: CURVE_PARAMETERS[bits] ?? Buffer.alloc(0) });
  session.generate(type === 'rsa' ? RSA_PAIR : EC_PAIR, { publicKey, privateKey });
  return findTokenKey(session, id.toString('hex'));
}

/** Puts a certificate beside its key (PEM); with the nickname of another key type's certificate, or one that is free. */
export function addTokenCertificate(session: TokenSession, nickname: string, cert: string): TokenCertificate {
  const certificate = new X509Certificate(cert);
  const keyType = keyTypeOf(certificate.publicKey);
  const all = tokenCertificates(session);
  if (all.some((one) => new X509Certificate(one.cert).raw.equals(certificate.raw)))
    throw failure(session, `the certificate is there already`);
  if (all.some((one) => one.nickname === nickname && one.keyType === keyType))
    throw failure(session, `the nickname "${nickname}" is taken, by a certificate with a key of this type`);
  const own = tokenKeys(session).find(
    ({ publicKey }) => publicKey !== null && isHalfOf(publicKey, certificate),
  );
  const id =
    own === undefined ? createHash('sha1').update(certificate.raw).digest() : Buffer.from(own.id, 'hex');
  const { value, subject, issuer, serial } = certificateAttributes(cert);
  session.create([
    { type: CLASS.type, value: CLASS.certificate },
    { type: CERTIFICATE_TYPE, value: 0 },
    { type: ON_TOKEN, value: true },
    { type: PRIVATE, value: false },
    { type: LABEL, value: Buffer.from(nickname, 'utf8') },
    { type: ID, value: id },
    { type: SUBJECT, value: subject },
    { type: ISSUER, value: issuer },
    { type: SERIAL, value: serial },
    { type: VALUE, value },
  ]);
  return {
    nickname,
    id: id.toString('hex'),
    cert: certificate.toString(),
    keyType,
    hasKey: own !== undefined,
  };
}

/** The certificates of a nickname, or the one of a key type; `keys: 'too'` takes their keys, which are gone for good. */
export function removeTokenCertificate(
  session: TokenSession,
  nickname: string,
  { keyType, keys }: { readonly keyType?: KeyType | undefined; readonly keys: 'stay' | 'too' },
): readonly TokenCertificate[] {
  const all = tokenCertificates(session);
  const gone = all.filter((one) => one.nickname === nickname && (keyType ?? one.keyType) === one.keyType);
  if (gone.length === 0) {
    const names = [...new Set(all.map((one) => one.nickname))];
    throw failure(session, `no certificate has the nickname "${nickname}"${nearOrAll(nickname, names)}`);
  }
  for (const object of session.find([{ type: CLASS.type, value: CLASS.certificate }])) {
    const value = session.read(object, VALUE);
    if (value !== null && gone.some(({ cert }) => new X509Certificate(cert).raw.equals(value)))
      session.destroy(object);
  }
  if (keys === 'too') for (const { id } of gone) removeTokenKey(session, id);
  return gone;
}

/** Both halves. */
export function removeTokenKey(session: TokenSession, id: string): void {
  for (const half of [CLASS.privateKey, CLASS.publicKey]) {
    for (const object of byId(session, half, id)) session.destroy(object);
  }
}

/** What a worker does before its handshakes use a key: logs in and looks whether it is there. */
export function unlockTokenKey(module: TokenModule, key: TokenKey): TokenSession {
  const facts = module.token();
  // Who proved the PIN left none of these marks: it was changed since, or somebody guesses.
  if (facts.needsLogin && facts.pin !== 'fine')
    throw module.failure(
      'a wrong PIN was tried since the supervisor logged in, so none is tried here',
      facts,
    );
  const session = module.open({ pin: key.pin, source: 'the supervisor' });
  if (session.facts.serial === key.serial && holdsKey(session, key.id)) return session;
  session.close();
  throw module.failure(
    `the token is absent: there is another one in its place, without the key`,
    session.facts,
  );
}

function keyEntry(session: TokenSession, key: Handle): TokenKeyEntry {
  const type = session.read(key, KEY_TYPE);
  const id = session.read(key, ID)?.toString('hex') ?? '';
  const number = type === null ? -1 : type.readUIntLE(0, Math.min(type.length, 6));
  const keyType: KeyType = number === TYPES.rsa ? 'rsa' : number === TYPES.ec ? 'ec' : 'other';
  const publicKey = publicHalf(session, { key, id, keyType });
  const { modulusLength = null, namedCurve } = publicKey?.asymmetricKeyDetails ?? {};
  const curveBits = { prime256v1: 256, secp384r1: 384, secp521r1: 521 }[namedCurve ?? ''] ?? null;
  return {
    id,
    label: textOf(session.read(key, LABEL)),
    keyType,
    bits: modulusLength ?? curveBits,
    publicKey,
    isExtractable: session.read(key, EXTRACTABLE)?.[0] === 1,
    asksAlways: session.read(key, ALWAYS_AUTHENTICATE)?.[0] === 1,
  };
}

interface OneKey {
  readonly key: Handle;
  readonly id: string;
  readonly keyType: KeyType;
}

/** From the private key's own attributes, its public key's, or a certificate of its id. */
function publicHalf(session: TokenSession, { key, id, keyType }: OneKey): KeyObject | null {
  const halves = id === '' ? [key] : [...byId(session, CLASS.publicKey, id), key];
  for (const half of halves) {
    const [one, other] = keyType === 'rsa' ? [MODULUS, PUBLIC_EXPONENT] : [EC_PARAMS, EC_POINT];
    const [first, second] = [session.read(half, one), session.read(half, other)];
    if (first === null || second === null || first.length === 0 || second.length === 0) continue;
    try {
      return keyType === 'rsa' ? rsaPublicKey(first, second) : ecPublicKey(first, second);
    } catch {
      continue;
    }
  }
  const [certificate] = id === '' ? [] : byId(session, CLASS.certificate, id);
  const value = certificate === undefined ? null : session.read(certificate, VALUE);
  return value === null ? null : (readCertificate(value)?.publicKey ?? null);
}

function privateKeys(session: TokenSession, id: string): readonly Handle[] {
  return byId(session, CLASS.privateKey, id);
}

function byId(session: TokenSession, kind: number, id: string): readonly Handle[] {
  return session.find([
    { type: CLASS.type, value: kind },
    { type: ID, value: Buffer.from(id, 'hex') },
  ]);
}

function readCertificate(value: Buffer): X509Certificate | null {
  try {
    return new X509Certificate(value);
  } catch {
    return null;
  }
}

function isHalfOf(publicKey: KeyObject, certificate: X509Certificate): boolean {
  return keyIdOf(publicKey) === keyIdOf(certificate.publicKey);
}

function endOf({ cert }: TokenCertificate): number {
  return Date.parse(new X509Certificate(cert).validTo);
}

function textOf(bytes: Buffer | null): string {
  // oxlint-disable-next-line no-control-regex
  return (bytes?.toString('utf8') ?? '').replaceAll(/[\u0000-\u001f\u007f]/g, '');
}

function failure(session: TokenSession, words: string): Error {
  return session.module.failure(words, session.facts);
}
