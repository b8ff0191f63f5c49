// Changes of what a token holds: new keys, which can neither be read nor extracted, and certificates put in, replaced and
// taken out. Each object is written whole by the token; a certificate is put in before the one that it replaces goes.
// On failure: SettingsError with module, token and nickname.

import { createHash, X509Certificate } from 'node:crypto';

import { keyTypeOf } from './pem.ts';
import type { KeyType } from './pem.ts';
import {
  CLASS,
  LABEL,
  ON_TOKEN,
  PRIVATE,
  VALUE,
  CERTIFICATE_TYPE,
  ISSUER,
  SERIAL,
  SUBJECT,
  ID,
  SENSITIVE,
  SIGN,
  VERIFY,
  MODULUS_BITS,
  PUBLIC_EXPONENT,
  EXTRACTABLE,
  EC_PARAMS,
  RSA_PAIR,
  EC_PAIR,
  EXPONENT_65537,
} from './token-attributes.ts';
import {
  WITHOUT_ID,
  failure,
  findTokenKey,
  isHalfOf,
  namedCertificates,
  objectsById,
  tokenCertificates,
  tokenKeys,
} from './token-objects.ts';
import type { TokenCertificate, TokenKeyEntry } from './token-objects.ts';
import type { Handle, Template, TokenSession } from './token.ts';
import { certificateAttributes, CURVE_PARAMETERS, nearOrAll } from './token-values.ts';

/** RSA: bits; EC: 256 or 384. */
export interface TokenKeyWish {
  readonly type: 'rsa' | 'ec';
  readonly bits: number;
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
  return { ...putCertificate(session, { nickname, certificate, id }), hasKey: own !== undefined };
}

interface NewObject {
  readonly nickname: string;
  readonly certificate: X509Certificate;
  readonly id: Buffer;
}

function putCertificate(
  session: TokenSession,
  { nickname, certificate, id }: NewObject,
): Omit<TokenCertificate, 'hasKey'> {
  const cert = certificate.toString();
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
  return { nickname, id: id.toString('hex'), cert, keyType: keyTypeOf(certificate.publicKey) };
}

/**
 * The certificates of a nickname, or the one of a key type; `keys: 'too'` takes their keys, which are gone for good, but
 * those that other certificates have as well. Tells of each whether its key went.
 */
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
  for (const one of gone) for (const object of certificateObjects(session, one)) session.destroy(object);
  const needed = new Set(all.flatMap((one) => (gone.includes(one) ? [] : [one.id])));
  const removed = gone.map((one) => ({
    ...one,
    hasKey: keys === 'too' && one.hasKey && !needed.has(one.id),
  }));
  for (const { id, hasKey } of removed) if (hasKey) removeTokenKey(session, id);
  return removed;
}

/** A new certificate for the key that the nickname's has, in the place of that one. */
export function replaceTokenCertificate(
  session: TokenSession,
  nickname: string,
  cert: string,
): TokenCertificate {
  const certificate = new X509Certificate(cert);
  const old = namedCertificates(session, nickname).find((one) =>
    isHalfOf(new X509Certificate(one.cert).publicKey, certificate),
  );
  if (old === undefined)
    throw failure(
      session,
      `the new certificate does not match the private key of "${nickname}", which is left as it was`,
    );
  const former = certificateObjects(session, old);
  const added = putCertificate(session, { nickname, certificate, id: Buffer.from(old.id, 'hex') });
  for (const object of former) session.destroy(object);
  return { ...added, hasKey: true };
}

function certificateObjects(session: TokenSession, { cert }: TokenCertificate): readonly Handle[] {
  const { raw } = new X509Certificate(cert);
  return session
    .find([{ type: CLASS.type, value: CLASS.certificate }])
    .filter((object) => session.read(object, VALUE)?.equals(raw) === true);
}

/** Both halves. All keys without an id are one to a token. */
export function removeTokenKey(session: TokenSession, id: string): void {
  if (id === '') throw failure(session, WITHOUT_ID);
  for (const half of [CLASS.privateKey, CLASS.publicKey]) {
    for (const object of objectsById(session, half, id)) session.destroy(object);
  }
}
