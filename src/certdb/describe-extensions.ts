// The extensions of a certificate in words. One that cannot be read is said to be so, and the rest is read all the same.

import { AsnConvert } from '@peculiar/asn1-schema';
import {
  AuthorityKeyIdentifier,
  BasicConstraints,
  ExtendedKeyUsage,
  KeyUsage,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
} from '@peculiar/asn1-x509';
import type { Extension, GeneralName } from '@peculiar/asn1-x509';
import { nameText, readName, printable } from './distinguished-name.ts';
import { OID } from './extensions.ts';

export interface ExtensionFacts {
  readonly oid: string;
  /** In words, or the OID again. */
  readonly name: string;
  readonly critical: boolean;
  readonly values: readonly string[];
}

const MAX_VALUES = 200;

/** In the order of the bits. RFC 5280 4.2.1.3. */
const USAGES = [
  'Digital Signature',
  'Non-Repudiation',
  'Key Encipherment',
  'Data Encipherment',
  'Key Agreement',
  'Certificate Signing',
  'CRL Signing',
  'Encipher Only',
  'Decipher Only',
] as const;

const PURPOSES: Readonly<Record<string, string>> = {
  '1.3.6.1.5.5.7.3.1': 'TLS Server Authentication',
  '1.3.6.1.5.5.7.3.2': 'TLS Client Authentication',
  '1.3.6.1.5.5.7.3.3': 'Code Signing',
  '1.3.6.1.5.5.7.3.4': 'E-Mail Protection',
  '1.3.6.1.5.5.7.3.8': 'Time Stamping',
  '1.3.6.1.5.5.7.3.9': 'OCSP Signing',
  '2.5.29.37.0': 'Any',
};

const READERS: Readonly<
  Record<string, readonly [name: string, read: (der: ArrayBuffer) => readonly string[]]>
> = {
  [OID.basicConstraints]: ['Certificate Basic Constraints', readConstraints],
  [OID.keyUsage]: ['Certificate Key Usage', readUsage],
  [OID.extendedUsage]: [
    'Extended Key Usage',
    (der) => [...AsnConvert.parse(der, ExtendedKeyUsage)].map((oid) => PURPOSES[oid] ?? oid),
  ],
  [OID.alternativeNames]: [
    'Certificate Subject Alt Name',
    (der) => [...AsnConvert.parse(der, SubjectAlternativeName)].map(generalName),
  ],
  [OID.subjectKey]: [
    'Certificate Subject Key ID',
    (der) => [hex(AsnConvert.parse(der, SubjectKeyIdentifier).buffer)],
  ],
  [OID.authorityKey]: [
    'Certificate Authority Key Identifier',
    (der) => {
      const { keyIdentifier } = AsnConvert.parse(der, AuthorityKeyIdentifier);
      return keyIdentifier === undefined ? [] : [hex(keyIdentifier.buffer)];
    },
  ],
};

export function readExtensions(extensions: readonly Extension[]): readonly ExtensionFacts[] {
  return extensions.map(({ extnID: oid, critical, extnValue }) => {
    const [name, read] = READERS[oid] ?? [oid, null];
    return { oid, name, critical, values: read === null ? [] : tried(() => read(extnValue.buffer)) };
  });
}

function tried(read: () => readonly string[]): readonly string[] {
  try {
    const values = read().map(printable);
    const more = values.length - MAX_VALUES;
    return more > 0 ? [...values.slice(0, MAX_VALUES), `and ${more} more`] : values;
  } catch {
    return ['cannot be read'];
  }
}

function readConstraints(der: ArrayBuffer): readonly string[] {
  const { cA, pathLenConstraint } = AsnConvert.parse(der, BasicConstraints);
  if (!cA) return ['Is not a CA.'];
  return [
    pathLenConstraint === undefined
      ? 'Is a CA with no maximum path length.'
      : `Is a CA with a maximum path length of ${pathLenConstraint}.`,
  ];
}

function readUsage(der: ArrayBuffer): readonly string[] {
  const bits = AsnConvert.parse(der, KeyUsage).toNumber();
  return USAGES.filter((_usage, place) => (bits & (1 << place)) !== 0);
}

function generalName(name: GeneralName): string {
  if (name.dNSName !== undefined) return `DNS: ${name.dNSName}`;
  if (name.iPAddress !== undefined) return `IP: ${name.iPAddress}`;
  if (name.rfc822Name !== undefined) return `E-mail: ${name.rfc822Name}`;
  if (name.uniformResourceIdentifier !== undefined) return `URI: ${name.uniformResourceIdentifier}`;
  if (name.directoryName !== undefined) {
    return `Name: ${nameText(readName(AsnConvert.serialize(name.directoryName)))}`;
  }
  return 'a name of another kind';
}

function hex(bytes: ArrayBuffer): string {
  return (Buffer.from(bytes).toString('hex').match(/../g) ?? []).join(':').toUpperCase();
}
