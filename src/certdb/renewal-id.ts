// What a certificate is called when its CA is asked when to renew it (RFC 9773 4.1). Pure.

import type { X509Certificate } from 'node:crypto';
import { AsnConvert } from '@peculiar/asn1-schema';
import { AuthorityKeyIdentifier } from '@peculiar/asn1-x509';

import { tbsOf } from './certificate-shapes.ts';
import { extensionValue, OID } from './extensions.ts';

/** null: it does not say which key its issuer has, or is not understood. */
export function renewalId(certificate: X509Certificate): string | null {
  try {
    const value = extensionValue(tbsOf(certificate).extensions, OID.authorityKey);
    const issuer = value === null ? undefined : AsnConvert.parse(value, AuthorityKeyIdentifier).keyIdentifier;
    if (issuer === undefined) return null;
    const serial = Buffer.from(certificate.serialNumber, 'hex');
    // As in DER, where a number that begins with a set bit would be negative.
    const padded = (serial[0] ?? 0) < 0x80 ? serial : Buffer.concat([Buffer.of(0), serial]);
    return `${Buffer.from(issuer.buffer).toString('base64url')}.${padded.toString('base64url')}`;
  } catch {
    return null;
  }
}
