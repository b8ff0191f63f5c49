// Certificates as ASN.1, with both names kept as the DER they came in: a name is compared and copied byte for byte
// (RFC 5280 7.1 leaves the rest to luck), whatever odd string types it is made of.

import { X509Certificate } from 'node:crypto';
import { AsnConvert, AsnProp, AsnPropTypes } from '@peculiar/asn1-schema';
import { Certificate, TBSCertificate } from '@peculiar/asn1-x509';

export interface RawNames {
  issuer: ArrayBuffer;
  subject: ArrayBuffer;
}

export type NamedTbs = Omit<TBSCertificate, keyof RawNames> & RawNames;

// Written without decorators, which are no erasable syntax.
class RawNamedTbs extends TBSCertificate {}
AsnProp({ type: AsnPropTypes.Any })(RawNamedTbs.prototype, 'issuer');
AsnProp({ type: AsnPropTypes.Any })(RawNamedTbs.prototype, 'subject');

class RawNamedCertificate extends Certificate {}
AsnProp({ type: RawNamedTbs, raw: true })(RawNamedCertificate.prototype, 'tbsCertificate');

export function newTbs(parts: Partial<NamedTbs>): NamedTbs {
  return Object.assign(new RawNamedTbs(), parts) as unknown as NamedTbs;
}

/** Throws for what is no certificate; node:crypto has looked at it before. */
export function tbsOf(certificate: X509Certificate): NamedTbs {
  const parsed = AsnConvert.parse(certificate.raw, RawNamedCertificate);
  return parsed.tbsCertificate as unknown as NamedTbs;
}

/** DER of the whole, once it is signed. */
export function writeCertificate(tbs: NamedTbs, signature: Buffer): Buffer {
  const certificate = new RawNamedCertificate({
    tbsCertificate: tbs as unknown as TBSCertificate,
    signatureAlgorithm: tbs.signature,
    signatureValue: Uint8Array.from(signature).buffer,
  });
  return Buffer.from(AsnConvert.serialize(certificate));
}
