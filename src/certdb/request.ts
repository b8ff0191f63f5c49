// Certificate requests (PKCS#10, RFC 2986): written through a Signer, and read from others with the proof that the
// sender has the private key.
// On failure: SettingsError that says what is wrong with the request.

import { createPublicKey, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { AsnConvert } from '@peculiar/asn1-schema';
import { CertificationRequest, CertificationRequestInfo } from '@peculiar/asn1-csr';
import {
  AlgorithmIdentifier,
  Attribute,
  Extensions,
  SubjectAlternativeName,
  SubjectPublicKeyInfo,
  Name as DerName,
} from '@peculiar/asn1-x509';
import { SettingsError } from '../errors.ts';
import { readName, writeName } from './distinguished-name.ts';
import type { Name } from './distinguished-name.ts';
import { checkedNames, extensionValue, namesExtension, OID, withHostOf } from './extensions.ts';
import type { AlternativeNames } from './extensions.ts';
import { keyTypeOf } from './pem.ts';
import { signatureHash } from './keys.ts';
import type { Signer } from './keys.ts';

export interface RequestWish extends AlternativeNames {
  readonly subject: Name;
}

/** What a request asks for, once it has proved that it owns the key. */
export interface Requested {
  /** DER. */
  readonly subject: ArrayBuffer;
  readonly subjectName: Name;
  readonly names: AlternativeNames;
  readonly publicKey: KeyObject;
}

const EXTENSION_REQUEST = '1.2.840.113549.1.9.14';
const MAX_REQUEST_BYTES = 65_536;
const LEAST_RSA_BITS = 2048;
const BER_LIMITS = { maxDepth: 32, maxNodes: 8192, maxContentLength: MAX_REQUEST_BYTES } as const;

/** OID → the hash of the proof, null where the algorithm has its own. MD5 and SHA-1 prove too little. */
const PROOFS: Readonly<Record<string, string | null>> = {
  '1.2.840.113549.1.1.11': 'sha256',
  '1.2.840.113549.1.1.12': 'sha384',
  '1.2.840.113549.1.1.13': 'sha512',
  '1.2.840.10045.4.3.2': 'sha256',
  '1.2.840.10045.4.3.3': 'sha384',
  '1.2.840.10045.4.3.4': 'sha512',
  '1.3.101.112': null,
};
const WEAK_PROOFS: Readonly<Record<string, string>> = {
  '1.2.840.113549.1.1.4': 'MD5',
  '1.2.840.113549.1.1.5': 'SHA-1',
  '1.2.840.10045.4.1': 'SHA-1',
};

/** DER. A common name that is a host is among the alternative names, where no other name is asked for. */
export async function makeRequest(signer: Signer, wish: RequestWish): Promise<Buffer> {
  const named = wish.email.length > 0 ? wish : withHostOf(wish.subject, wish);
  const extensions = namesExtension(checkedNames(named), wish.subject);
  const info = new CertificationRequestInfo({
    subject: AsnConvert.parse(writeName(wish.subject), DerName),
    subjectPKInfo: publicKeyInfo(signer.publicKey),
  });
  if (extensions.length > 0) {
    const values = [AsnConvert.serialize(new Extensions([...extensions]))];
    info.attributes.push(new Attribute({ type: EXTENSION_REQUEST, values }));
  }
  const signature = await signer.sign(Buffer.from(AsnConvert.serialize(info)));
  const request = new CertificationRequest({
    certificationRequestInfo: info,
    signatureAlgorithm: signatureAlgorithm(signer.publicKey),
    signature: bytesOf(signature),
  });
  return Buffer.from(AsnConvert.serialize(request));
}

/** DER or PEM; `source` is what messages name. */
export function readRequest(bytes: Buffer, source: string): Requested {
  const der = requestBytes(bytes, source);
  let request: CertificationRequest;
  let publicKey: KeyObject;
  let asked: Pick<Requested, 'subject' | 'subjectName' | 'names'>;
  try {
    request = AsnConvert.parse(der, CertificationRequest, { berOptions: BER_LIMITS });
    publicKey = createPublicKey({
      key: Buffer.from(AsnConvert.serialize(request.certificationRequestInfo.subjectPKInfo)),
      format: 'der',
      type: 'spki',
    });
    asked = askedBy(request.certificationRequestInfo);
  } catch (error) {
    throw refusal(source, 'is no certificate request, or it is damaged', error);
  }
  checkKey(publicKey, source);
  checkProof(request, publicKey, source);
  return { ...asked, publicKey };
}

export function publicKeyInfo(key: KeyObject): SubjectPublicKeyInfo {
  return AsnConvert.parse(key.export({ type: 'spki', format: 'der' }), SubjectPublicKeyInfo);
}

/** How a signature by this key is announced. RFC 4055 5, RFC 5758 3.2, RFC 8410 3. */
export function signatureAlgorithm(key: KeyObject): AlgorithmIdentifier {
  const hash = signatureHash(key);
  if (hash === null) return new AlgorithmIdentifier({ algorithm: '1.3.101.112' });
  const last = { sha256: 0, sha384: 1, sha512: 2 }[hash];
  if (keyTypeOf(key) === 'ec') return new AlgorithmIdentifier({ algorithm: `1.2.840.10045.4.3.${2 + last}` });
  return new AlgorithmIdentifier({ algorithm: `1.2.840.113549.1.1.${11 + last}`, parameters: null });
}

export function bytesOf(buffer: Buffer): ArrayBuffer {
  return Uint8Array.from(buffer).buffer;
}

function requestBytes(bytes: Buffer, source: string): Buffer {
  if (bytes.length > MAX_REQUEST_BYTES) {
    throw refusal(source, `has ${bytes.length} bytes, more than a certificate request can need`);
  }
  if (bytes.length === 0) throw refusal(source, 'is empty, a certificate request is wanted');
  const text = bytes.toString('latin1');
  // NSS writes NEW, and a page of text before it.
  const body = /-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----([A-Za-z0-9+/=\s]*)-----END/.exec(text)?.[1];
  if (body !== undefined) return Buffer.from(body, 'base64');
  const label = /-----BEGIN ([A-Z0-9 ]{1,40})-----/.exec(text)?.[1];
  if (label?.endsWith('CERTIFICATE REQUEST') === true) throw refusal(source, 'is cut off or damaged');
  if (label !== undefined) throw refusal(source, `holds a "${label}" where a certificate request is wanted`);
  return bytes;
}

function askedBy({ subject, attributes }: CertificationRequestInfo): Omit<Requested, 'publicKey'> {
  const der = AsnConvert.serialize(subject);
  const wanted = attributes.find(({ type }) => type === EXTENSION_REQUEST)?.values[0];
  const extensions = wanted === undefined ? [] : [...AsnConvert.parse(wanted, Extensions)];
  const value = extensionValue(extensions, OID.alternativeNames);
  const general = value === null ? [] : [...AsnConvert.parse(value, SubjectAlternativeName)];
  // Other kinds of names mean nothing to mail and are not certified.
  return {
    subject: der,
    subjectName: readName(der),
    names: {
      dns: general.flatMap(({ dNSName }) => dNSName ?? []),
      ip: general.flatMap(({ iPAddress }) => iPAddress ?? []),
      email: general.flatMap(({ rfc822Name }) => rfc822Name ?? []),
    },
  };
}

function checkKey(key: KeyObject, source: string): void {
  const type = keyTypeOf(key);
  if (type === 'other') {
    throw refusal(
      source,
      `has a key of type ${key.asymmetricKeyType ?? 'unknown'}: RSA, EC and Ed25519 are taken`,
    );
  }
  const bits = key.asymmetricKeyDetails?.modulusLength ?? LEAST_RSA_BITS;
  if (bits < LEAST_RSA_BITS) {
    throw refusal(source, `has an RSA key of ${bits} bits, ${LEAST_RSA_BITS} at least are wanted`);
  }
}

function checkProof(request: CertificationRequest, key: KeyObject, source: string): void {
  const { algorithm } = request.signatureAlgorithm;
  const weak = WEAK_PROOFS[algorithm];
  if (weak !== undefined)
    throw refusal(source, `is signed with ${weak}: make it anew with SHA-256 (openssl req -sha256)`);
  const hash = PROOFS[algorithm];
  if (hash === undefined) throw refusal(source, `is signed by an algorithm that is not known (${algorithm})`);
  const signed = request.certificationRequestInfoRaw;
  let isProved: boolean;
  try {
    isProved = signed !== undefined && verify(hash, Buffer.from(signed), key, Buffer.from(request.signature));
  } catch {
    isProved = false;
  }
  if (!isProved) throw refusal(source, 'is not signed by its own key: it was changed or damaged');
}

function refusal(source: string, problem: string, cause?: unknown): SettingsError {
  const error = new SettingsError([`${source}: ${problem}`]);
  if (cause !== undefined) error.cause = cause;
  return error;
}
