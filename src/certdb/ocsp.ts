// OCSP (RFC 6960, in the light profile of RFC 5019): who is to be asked about a certificate, the question as DER, and
// what an answer is worth. Nothing is fetched here, and no clock is read.
// An answer is believed when it is about this certificate, signed by the certificate's issuer or by a responder that the
// issuer certified for OCSP signing, and current. Whatever else comes, of at most MAX_RESPONSE_BYTES, is a named
// refusal; nothing throws. SHA-1 names the certificate, as responders expect it, and signs nothing.
// What clients are given is written anew around the signed part, with the signer's certificate and no other: the shell
// came over http and is not signed, and a client may break off a handshake over DER that is a little wrong.
// The packages that know ASN.1 are loaded at the first question, so that workers without a responder never carry them.

import { createHash, X509Certificate } from 'node:crypto';
import type { CertID, ResponseData, SingleResponse } from '@peculiar/asn1-ocsp';
import type { AlgorithmIdentifier, TBSCertificate } from '@peculiar/asn1-x509';

import { isIssuedBy } from './chain.ts';
import { isSignedBy, signatureKeyType } from './signature.ts';

/** A certificate whose status can be asked for. */
export interface OcspSubject {
  readonly certificate: X509Certificate;
  readonly issuer: X509Certificate;
  /** http URL; the first that the certificate names. */
  readonly responder: string;
}

export type OcspRefusal =
  'malformed' | 'not-successful' | 'other-certificate' | 'bad-signature' | 'not-current' | 'unknown';

export type OcspAnswer =
  | {
      readonly kind: 'good';
      readonly staple: Buffer;
      readonly thisUpdate: number;
      readonly nextUpdate: number;
    }
  /** `revoked` is signed and current like `good`. */
  | { readonly kind: 'revoked'; readonly at: number }
  | { readonly kind: 'refused'; readonly cause: OcspRefusal; readonly detail: string };

export const MAX_RESPONSE_BYTES = 65_536;

/** RFC 6960 4.2.2.1: without nextUpdate there is newer news at any time; so it is believed for an hour. */
const LIFE_DEFAULT_MS = 3_600_000;
const CLOCK_SKEW_MS = 300_000;
const MAX_DELEGATES = 8;
const BER_LIMITS = { maxDepth: 32, maxNodes: 4096, maxContentLength: MAX_RESPONSE_BYTES } as const;

const SHA1 = '1.3.14.3.2.26';
const BASIC_RESPONSE = '1.3.6.1.5.5.7.48.1.1';
const OCSP_SIGNING = '1.3.6.1.5.5.7.3.9';

/** What can be asked about the first certificate of a PEM chain; null where it names no responder that speaks http. */
export function ocspSubject(chain: string): OcspSubject | 'no-issuer' | null {
  const blocks = chain.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g) ?? [];
  if (blocks[0] === undefined) return null;
  const certificate = new X509Certificate(blocks[0]);
  const responder = ocspResponder(certificate);
  if (responder === null) return null;
  const issuer = blocks
    .slice(1)
    .map((block) => new X509Certificate(block))
    .find((candidate) => isIssuedBy(certificate, candidate));
  return issuer === undefined ? 'no-issuer' : { certificate, issuer, responder };
}

/** The first responder that it names and that speaks http. */
export function ocspResponder({ infoAccess }: X509Certificate): string | null {
  const responder = /^OCSP - URI:(http:\/\/\S+)$/im.exec(infoAccess ?? '')?.[1];
  return responder === undefined || !URL.canParse(responder) ? null : responder;
}

/** RFC 6960 4.1: one certificate, no nonce (RFC 5019 2.1.1), no signature. */
export async function encodeOcspRequest(subject: OcspSubject): Promise<Buffer> {
  const { schema, ocsp } = await codec();
  const request = new ocsp.OCSPRequest({
    tbsRequest: new ocsp.TBSRequest({
      requestList: [new ocsp.Request({ reqCert: await certIdOf(subject) })],
    }),
  });
  return Buffer.from(schema.AsnConvert.serialize(request));
}

/** What the bytes of a responder say about the subject at the time `now`. */
export async function readOcspResponse(
  bytes: Buffer,
  subject: OcspSubject,
  now: number,
): Promise<OcspAnswer> {
  if (bytes.length > MAX_RESPONSE_BYTES) return refused('malformed', `${bytes.length} bytes`);
  const wanted = await certIdOf(subject);
  const decoder = await codec();
  try {
    return judge(bytes, { decoder, subject, wanted, now });
  } catch (error) {
    return refused('malformed', error instanceof Error ? error.message.slice(0, 200) : 'not DER');
  }
}

interface Case {
  readonly decoder: Codec;
  readonly subject: OcspSubject;
  readonly wanted: CertID;
  readonly now: number;
}

function judge(bytes: Buffer, { decoder, subject, wanted, now }: Case): OcspAnswer {
  const { schema, ocsp } = decoder;
  const outer = schema.AsnConvert.parse(bytes, ocsp.OCSPResponse, { berOptions: BER_LIMITS });
  if (outer.responseStatus !== ocsp.OCSPResponseStatus.successful) {
    const name = ocsp.OCSPResponseStatus[outer.responseStatus] ?? String(outer.responseStatus);
    return refused('not-successful', `the responder says ${name}`);
  }
  if (outer.responseBytes?.responseType !== BASIC_RESPONSE) return refused('malformed', 'no basic response');
  const signed = schema.AsnConvert.parse(outer.responseBytes.response.buffer, decoder.SignedResponse, {
    berOptions: BER_LIMITS,
  });
  const single = signed.tbsResponseData.responses.find(({ certID }) => isSameCertificate(certID, wanted));
  if (single === undefined) return refused('other-certificate', 'it is about another certificate');
  const signer = signerOf(signed, { decoder, subject, now });
  if (signer === null) {
    return refused('bad-signature', 'signed neither by the issuer nor by a responder of the issuer');
  }
  return (
    statusOf(single, now) ?? { kind: 'good', staple: staple(signed, signer, decoder), ...lifeOf(single, now) }
  );
}

function lifeOf(single: SingleResponse, now: number): { thisUpdate: number; nextUpdate: number } {
  const thisUpdate = single.thisUpdate.getTime();
  const nextUpdate = single.nextUpdate?.getTime() ?? Math.max(thisUpdate, now) + LIFE_DEFAULT_MS;
  return { thisUpdate, nextUpdate };
}

/** null: good. */
function statusOf(single: SingleResponse, now: number): OcspAnswer | null {
  const { thisUpdate, nextUpdate } = lifeOf(single, now);
  const isCurrent = thisUpdate <= now + CLOCK_SKEW_MS && nextUpdate > now && nextUpdate > thisUpdate;
  if (!isCurrent)
    return refused('not-current', `it is from ${timeText(thisUpdate)} to ${timeText(nextUpdate)}`);
  const { good, revoked } = single.certStatus;
  if (revoked !== undefined) return { kind: 'revoked', at: revoked.revocationTime.getTime() };
  if (good === undefined) return refused('unknown', 'the responder does not know the certificate');
  return null;
}

function timeText(time: number): string {
  return Number.isFinite(time) ? new Date(time).toISOString() : 'no time';
}

function refused(cause: OcspRefusal, detail: string): OcspAnswer {
  return { kind: 'refused', cause, detail };
}

function isSameCertificate(found: CertID, wanted: CertID): boolean {
  return (
    found.hashAlgorithm.algorithm === wanted.hashAlgorithm.algorithm &&
    isSame(found.issuerNameHash.buffer, wanted.issuerNameHash.buffer) &&
    isSame(found.issuerKeyHash.buffer, wanted.issuerKeyHash.buffer) &&
    isSame(found.serialNumber, wanted.serialNumber)
  );
}

function isSame(a: ArrayBuffer, b: ArrayBuffer): boolean {
  return Buffer.from(a).equals(Buffer.from(b));
}

// RFC 6960 4.2.2.2: the issuer itself, or whom the issuer certified, itself and for this purpose.
function signerOf(
  signed: Signed,
  { decoder, subject, now }: Omit<Case, 'wanted'>,
): X509Certificate | 'issuer' | null {
  const bytes = signed.tbsResponseDataRaw;
  const { algorithm } = signed.signatureAlgorithm;
  if (bytes === undefined || signatureKeyType(algorithm) === null) return null;
  const statement = { algorithm, bytes: Buffer.from(bytes), signature: Buffer.from(signed.signature) };
  const delegates = (signed.certs ?? [])
    .slice(0, MAX_DELEGATES)
    .map((der) => new X509Certificate(Buffer.from(der)))
    .filter((candidate) => isDelegate(candidate, subject.issuer, now));
  const signer = [subject.issuer, ...delegates].find(
    (candidate) =>
      isNamed(signed.tbsResponseData, candidate, decoder) && isSignedBy(statement, candidate.publicKey),
  );
  return signer === subject.issuer ? 'issuer' : (signer ?? null);
}

// RFC 6960 4.2.1: OCSPResponse with a BasicOCSPResponse in it.
function staple(signed: Signed, signer: X509Certificate | 'issuer', { schema, ocsp, x509 }: Codec): Buffer {
  const { algorithm } = signed.signatureAlgorithm;
  const parameters = signatureKeyType(algorithm) === 'rsa' ? { parameters: null } : {};
  const basic = der(
    0x30,
    Buffer.from(signed.tbsResponseDataRaw ?? new ArrayBuffer(0)),
    Buffer.from(schema.AsnConvert.serialize(new x509.AlgorithmIdentifier({ algorithm, ...parameters }))),
    der(0x03, Buffer.of(0), Buffer.from(signed.signature)),
    ...(signer === 'issuer' ? [] : [der(0xa0, der(0x30, signer.raw))]),
  );
  const response = new ocsp.OCSPResponse({
    responseStatus: ocsp.OCSPResponseStatus.successful,
    responseBytes: new ocsp.ResponseBytes({
      responseType: BASIC_RESPONSE,
      response: new schema.OctetString(Uint8Array.from(basic).buffer),
    }),
  });
  return Buffer.from(schema.AsnConvert.serialize(response));
}

/** Around bytes that must stay as they are; none is as long as 64 KiB. */
function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const size = content.length;
  const length = size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff];
  return Buffer.concat([Buffer.of(tag, ...length), content]);
}

function isDelegate(candidate: X509Certificate, issuer: X509Certificate, now: number): boolean {
  return (
    (candidate.keyUsage ?? []).includes(OCSP_SIGNING) &&
    Date.parse(candidate.validFrom) <= now + CLOCK_SKEW_MS &&
    Date.parse(candidate.validTo) > now &&
    signatureKeyType(candidate.signatureAlgorithmOid) !== null &&
    isIssuedBy(candidate, issuer)
  );
}

/** Clients look for the signer by this, so an answer that names another one is of no use to them. */
function isNamed({ responderID }: ResponseData, signer: X509Certificate, decoder: Codec): boolean {
  const { subject, subjectPublicKeyInfo } = tbsOf(signer, decoder);
  const { byKey, byName } = responderID;
  if (byKey !== undefined) return isSame(byKey.buffer, sha1(subjectPublicKeyInfo.subjectPublicKey));
  const { AsnConvert } = decoder.schema;
  return byName !== undefined && isSame(AsnConvert.serialize(byName), AsnConvert.serialize(subject));
}

async function certIdOf({ certificate, issuer }: OcspSubject): Promise<CertID> {
  const decoder = await codec();
  const { schema, ocsp, x509 } = decoder;
  const { serialNumber, issuerRaw } = tbsOf(certificate, decoder);
  const { subjectPublicKeyInfo } = tbsOf(issuer, decoder);
  return new ocsp.CertID({
    hashAlgorithm: new x509.AlgorithmIdentifier({ algorithm: SHA1, parameters: null }),
    issuerNameHash: new schema.OctetString(sha1(issuerRaw ?? new ArrayBuffer(0))),
    issuerKeyHash: new schema.OctetString(sha1(subjectPublicKeyInfo.subjectPublicKey)),
    serialNumber,
  });
}

function tbsOf(certificate: X509Certificate, { schema, NamedCertificate }: Codec): NamedTbs {
  return schema.AsnConvert.parse(certificate.raw, NamedCertificate).tbsCertificate;
}

function sha1(bytes: ArrayBuffer): ArrayBuffer {
  return Uint8Array.from(createHash('sha1').update(Buffer.from(bytes)).digest()).buffer;
}

type NamedTbs = TBSCertificate & { issuerRaw?: ArrayBuffer };

interface Signed {
  tbsResponseData: ResponseData;
  tbsResponseDataRaw?: ArrayBuffer;
  signatureAlgorithm: AlgorithmIdentifier;
  signature: ArrayBuffer;
  /** DER as it came: OpenSSL judges it, not what we would write in its place. */
  certs?: ArrayBuffer[];
}

interface Codec {
  readonly schema: typeof import('@peculiar/asn1-schema');
  readonly ocsp: typeof import('@peculiar/asn1-ocsp');
  readonly x509: typeof import('@peculiar/asn1-x509');
  readonly SignedResponse: new () => Signed;
  readonly NamedCertificate: new () => { tbsCertificate: NamedTbs };
}

let loading: Promise<Codec> | null = null;

function codec(): Promise<Codec> {
  return (loading ??= load());
}

async function load(): Promise<Codec> {
  const [schema, ocsp, x509] = await Promise.all([
    import('@peculiar/asn1-schema'),
    import('@peculiar/asn1-ocsp'),
    import('@peculiar/asn1-x509'),
  ]);
  const { AsnProp, AsnPropTypes } = schema;
  class SignedResponse implements Signed {
    tbsResponseData = new ocsp.ResponseData();
    signatureAlgorithm = new x509.AlgorithmIdentifier();
    signature = new ArrayBuffer(0);
  }
  const { prototype } = SignedResponse;
  AsnProp({ type: ocsp.ResponseData, raw: true })(prototype, 'tbsResponseData');
  AsnProp({ type: x509.AlgorithmIdentifier })(prototype, 'signatureAlgorithm');
  AsnProp({ type: AsnPropTypes.BitString })(prototype, 'signature');
  AsnProp({ type: AsnPropTypes.Any, repeated: 'sequence', optional: true, context: 0 })(prototype, 'certs');
  class NamedTbsCertificate extends x509.TBSCertificate {}
  AsnProp({ type: x509.Name, raw: true })(NamedTbsCertificate.prototype, 'issuer');
  class NamedCertificate extends x509.Certificate {}
  AsnProp({ type: NamedTbsCertificate, raw: true })(NamedCertificate.prototype, 'tbsCertificate');
  return { schema, ocsp, x509, SignedResponse, NamedCertificate };
}
