// What a token holds, in the terms of the certificate database: keys and certificates, which belong together by CKA_ID
// (NSS gives all certificates of one subject one nickname, so labels decide nothing but a certificate's name); a Signer
// over a key. Changes nothing, token-changes.ts does.
// On failure: SettingsError with module, token and nickname.

import { verify, X509Certificate } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

import { keyIdOf, keyTypeOf } from './pem.ts';
import type { Signer } from './keys.ts';
import type { KeyType } from './pem.ts';
import {
  CLASS,
  LABEL,
  VALUE,
  KEY_TYPE,
  ID,
  MODULUS,
  PUBLIC_EXPONENT,
  EXTRACTABLE,
  EC_PARAMS,
  EC_POINT,
  ALWAYS_AUTHENTICATE,
  RSA_PKCS,
  ECDSA,
  TYPES,
} from './token-attributes.ts';
import type { Handle, TokenModule, TokenSession } from './token.ts';
import {
  bytesToSign,
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

export const WITHOUT_ID =
  'the key has no id (CKA_ID), by which it would be told from others: give it one with pkcs11-tool --set-id';

export function tokenSigner(session: TokenSession, { id, label, publicKey, keyType }: TokenKeyEntry): Signer {
  if (id === '') throw failure(session, WITHOUT_ID);
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
  const halves = id === '' ? [key] : [...objectsById(session, CLASS.publicKey, id), key];
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
  const [certificate] = id === '' ? [] : objectsById(session, CLASS.certificate, id);
  const value = certificate === undefined ? null : session.read(certificate, VALUE);
  return value === null ? null : (readCertificate(value)?.publicKey ?? null);
}

function privateKeys(session: TokenSession, id: string): readonly Handle[] {
  return objectsById(session, CLASS.privateKey, id);
}

export function objectsById(session: TokenSession, kind: number, id: string): readonly Handle[] {
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

export function isHalfOf(publicKey: KeyObject, certificate: X509Certificate): boolean {
  return keyIdOf(publicKey) === keyIdOf(certificate.publicKey);
}

function endOf({ cert }: TokenCertificate): number {
  return Date.parse(new X509Certificate(cert).validTo);
}

function textOf(bytes: Buffer | null): string {
  // oxlint-disable-next-line no-control-regex
  return (bytes?.toString('utf8') ?? '').replaceAll(/[\u0000-\u001f\u007f]/g, '');
}

export function failure(session: TokenSession, words: string): Error {
  return session.module.failure(words, session.facts);
}
