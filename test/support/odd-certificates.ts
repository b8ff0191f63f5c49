// Certificates with subjects that nobody should have, and that some have: self-signed, ECDSA P-256, DER.

import { generateKeyPairSync, sign } from 'node:crypto';
import { AsnConvert } from '@peculiar/asn1-schema';
import {
  AttributeTypeAndValue,
  AttributeValue,
  Name,
  RelativeDistinguishedName,
  Validity,
  Version,
} from '@peculiar/asn1-x509';
import { newTbs, writeCertificate } from '../../src/certdb/certificate-shapes.ts';
import { publicKeyInfo, signatureAlgorithm } from '../../src/certdb/request.ts';

const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });

const common = (value: ConstructorParameters<typeof AttributeValue>[0]): RelativeDistinguishedName =>
  new RelativeDistinguishedName([
    new AttributeTypeAndValue({ type: '2.5.4.3', value: new AttributeValue(value) }),
  ]);

const SUBJECTS = {
  empty: [],
  many: Array.from({ length: 100 }, (_one, place) => common({ utf8String: `part ${place}` })),
  nul: [common({ utf8String: 'mx.test\0.evil.test' })],
  bmp: [common({ bmpString: 'Größe' })],
  escape: [common({ utf8String: '\u001B[2Jmx' })],
  bits: [common({ anyValue: Uint8Array.from([3, 2, 0, 1]).buffer })],
} as const;

export function oddCertificate(kind: keyof typeof SUBJECTS): Buffer {
  const subject = AsnConvert.serialize(new Name([...SUBJECTS[kind]]));
  const tbs = newTbs({
    version: Version.v3,
    serialNumber: Uint8Array.from([0x41]).buffer,
    signature: signatureAlgorithm(keys.publicKey),
    issuer: subject,
    subject,
    validity: new Validity({ notBefore: new Date(0), notAfter: new Date('2090-01-01') }),
    subjectPublicKeyInfo: publicKeyInfo(keys.publicKey),
  });
  return writeCertificate(tbs, sign('sha256', Buffer.from(AsnConvert.serialize(tbs)), keys.privateKey));
}
