// The extensions of certificates and requests that are made here (RFC 5280 4.2), and what is read of those of others.
// Alternative names are checked and brought into the form that certificates have.
// On failure: SettingsError that names the name that cannot be in a certificate.

import { createHash } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import net from 'node:net';
import { domainToASCII } from 'node:url';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import {
  AuthorityKeyIdentifier,
  BasicConstraints,
  ExtendedKeyUsage,
  Extension,
  GeneralName,
  KeyIdentifier,
  KeyUsage,
  KeyUsageFlags,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
} from '@peculiar/asn1-x509';
import { SettingsError } from '../errors.ts';
import { commonNameOf } from './distinguished-name.ts';
import type { Name } from './distinguished-name.ts';
import { keyTypeOf } from './pem.ts';

export type CertificateUse = 'server' | 'client' | 'ca';

export interface AlternativeNames {
  readonly dns: readonly string[];
  readonly ip: readonly string[];
  readonly email: readonly string[];
}

export const OID = {
  subjectKey: '2.5.29.14',
  keyUsage: '2.5.29.15',
  alternativeNames: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKey: '2.5.29.35',
  extendedUsage: '2.5.29.37',
} as const;

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const MAX_NAMES = 1000;
const MAX_DNS_CHARS = 253;
const LABEL = '[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?';
const DNS_NAME = new RegExp(String.raw`^(?:\*\.)?${LABEL}(?:\.${LABEL})*$`);
const HOST = /^(?:\*\.)?[A-Za-z0-9][A-Za-z0-9-]*(?:\.[A-Za-z0-9][A-Za-z0-9-]*)*$/;
const EMAIL = /^[\u0021-\u003f\u0041-\u007e]{1,64}@[A-Za-z0-9.-]{1,253}$/;

/** RFC 5280 4.2: what a certificate for this use carries, but for names and the issuer's key. */
export function useExtensions(use: CertificateUse, publicKey: KeyObject): readonly Extension[] {
  const isCa = use === 'ca';
  const extended = isCa
    ? []
    : [extensionOf(OID.extendedUsage, new ExtendedKeyUsage([use === 'server' ? SERVER_AUTH : CLIENT_AUTH]))];
  return [
    extensionOf(OID.basicConstraints, new BasicConstraints({ cA: isCa }), 'critical'),
    extensionOf(OID.keyUsage, keyUsageFor(use, publicKey), 'critical'),
    ...extended,
    extensionOf(OID.subjectKey, new SubjectKeyIdentifier(keyIdentifier(publicKey))),
  ];
}

/** RFC 5280 4.2.1.1: by the issuer's key, never by its name and serial number, which a renewal changes. */
export function authorityExtension(identifier: ArrayBuffer): Extension {
  return extensionOf(
    OID.authorityKey,
    new AuthorityKeyIdentifier({ keyIdentifier: new KeyIdentifier(identifier) }),
  );
}

/** None where there are no names; critical where nothing else names the subject (RFC 5280 4.2.1.6). */
export function namesExtension(names: AlternativeNames, subject: Name): readonly Extension[] {
  const general = [
    ...names.dns.map((dNSName) => new GeneralName({ dNSName })),
    ...names.ip.map((iPAddress) => new GeneralName({ iPAddress })),
    ...names.email.map((rfc822Name) => new GeneralName({ rfc822Name })),
  ];
  if (general.length === 0) return [];
  const weight = subject.parts.length === 0 ? 'critical' : 'not critical';
  return [extensionOf(OID.alternativeNames, new SubjectAlternativeName(general), weight)];
}

/** Checked, each once, host names as DNS has them. */
export function checkedNames(names: AlternativeNames): AlternativeNames {
  const { dns, ip, email } = names;
  if (dns.length + ip.length + email.length > MAX_NAMES) {
    throw new SettingsError([`a certificate has at most ${MAX_NAMES} alternative names`]);
  }
  return { dns: each(dns, dnsName), ip: each(ip, ipAddress), email: each(email, emailAddress) };
}

/**
 * The names with the common name of the subject, where that is a host and no other host is named: those who check a
 * host look at the alternative names only (RFC 6125 6.4.4).
 */
export function withHostOf(subject: Name, names: AlternativeNames): AlternativeNames {
  const common = commonNameOf(subject);
  if (common === null || names.dns.length + names.ip.length > 0) return names;
  if (net.isIP(common) !== 0) return { ...names, ip: [common] };
  return HOST.test(common) && common.length <= MAX_DNS_CHARS ? { ...names, dns: [common] } : names;
}

/** RFC 5280 4.2.1.2, method 1: a name for the key and no proof of anything, so SHA-1 does. */
export function keyIdentifier(publicKey: KeyObject): ArrayBuffer {
  const spki = AsnConvert.parse(publicKey.export({ type: 'spki', format: 'der' }), SubjectPublicKeyInfo);
  return Uint8Array.from(createHash('sha1').update(Buffer.from(spki.subjectPublicKey)).digest()).buffer;
}

/** The value of an extension, DER. */
export function extensionValue(
  extensions: readonly Extension[] | undefined,
  oid: string,
): ArrayBuffer | null {
  const found = extensions?.find(({ extnID }) => extnID === oid);
  return found === undefined ? null : found.extnValue.buffer;
}

function keyUsageFor(use: CertificateUse, publicKey: KeyObject): KeyUsage {
  const { digitalSignature, keyEncipherment, keyCertSign, cRLSign } = KeyUsageFlags;
  if (use === 'ca') return new KeyUsage(keyCertSign | cRLSign);
  // TLS 1.2 without forward secrecy: an RSA key of a server also decrypts.
  const isRsaServer = use === 'server' && keyTypeOf(publicKey) === 'rsa';
  return new KeyUsage(isRsaServer ? digitalSignature | keyEncipherment : digitalSignature);
}

function each(names: readonly string[], form: (name: string) => string): readonly string[] {
  return [...new Set(names.map(form))];
}

function dnsName(name: string): string {
  const plain = name.replace(/\.$/, '');
  const ascii = /^[\u0021-\u007e]*$/.test(plain) ? plain : asciiName(plain);
  if (ascii.length <= MAX_DNS_CHARS && net.isIP(ascii) === 0 && DNS_NAME.test(ascii)) return ascii;
  const hint = net.isIP(plain) === 0 ? '' : ': give it as an IP address';
  throw new SettingsError([`"${shown(name)}" is no host name that can be in a certificate${hint}`]);
}

function asciiName(name: string): string {
  const star = name.startsWith('*.') ? '*.' : '';
  return `${star}${domainToASCII(name.slice(star.length))}`;
}

function ipAddress(address: string): string {
  const family = net.isIP(address);
  if (family === 0 || address.includes('%')) {
    throw new SettingsError([`"${shown(address)}" is no IP address that can be in a certificate`]);
  }
  return family === 6 ? new net.SocketAddress({ address, family: 'ipv6' }).address : address;
}

// RFC 5280 4.2.1.6: rfc822Name is ASCII.
function emailAddress(address: string): string {
  if (EMAIL.test(address)) return address;
  throw new SettingsError([
    `"${shown(address)}" is no e-mail address that can be in a certificate: ASCII, with one @`,
  ]);
}

function extensionOf(oid: string, value: object, weight?: 'critical' | 'not critical'): Extension {
  const extnValue = new OctetString(AsnConvert.serialize(value));
  return new Extension({ extnID: oid, critical: weight === 'critical', extnValue });
}

function shown(text: string): string {
  return text.slice(0, 60).replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?');
}
