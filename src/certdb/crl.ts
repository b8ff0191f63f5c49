// Certificate revocation lists (RFC 5280 5): what one says, and whether an authority said it. Written by strangers, so
// bounded in size, and whatever does not fit is a named malformation; nothing throws.
// Refused as a whole: delta and indirect lists, and those with a critical extension that is unknown (RFC 5280 5.2).
// Serial numbers are kept as they stand in the list, so that a list of a hundred thousand costs some megabytes.

import type { X509Certificate } from 'node:crypto';

import { contentOf, elementAt, elementsIn, oidOf, TAG, timeOf, wholeOf } from './der.ts';
import type { Element } from './der.ts';
import { isSignedBy, signatureKeyType } from './signature.ts';

export interface Crl {
  /** The whole of it. */
  readonly der: Buffer;
  /** The issuer's name, DER. */
  readonly issuer: Buffer;
  /** The key identifier of the issuer, where it says one. */
  readonly issuerKeyId: Buffer | null;
  /** Milliseconds since 1970. */
  readonly thisUpdate: number;
  /** null: it does not say when the next one comes. */
  readonly nextUpdate: number | null;
  readonly algorithm: string;
  /** What is revoked. */
  readonly serials: ReadonlySet<string>;
}

export interface CrlProblem {
  /** The words behind the file's name. */
  readonly problem: string;
}

export const CRL_BYTES_MAX = 32 * 1024 * 1024;
const FIELDS_MAX = 8;
const EXTENSIONS_MAX = 32;

const AUTHORITY_KEY_ID = '2.5.29.35';
const SUBJECT_KEY_ID = '2.5.29.14';
const CRL_NUMBER = '2.5.29.20';
const DELTA_INDICATOR = '2.5.29.27';
const DISTRIBUTION_POINT = '2.5.29.28';
/** [4] of IssuingDistributionPoint, RFC 5280 5.2.5. */
const INDIRECT = 0x84;

/** Those of a file, in PEM or as DER. */
export function readCrls(bytes: Buffer): readonly Crl[] | CrlProblem {
  if (bytes.length > CRL_BYTES_MAX) return { problem: `has more than ${CRL_BYTES_MAX} bytes` };
  if (bytes.length === 0) return { problem: 'is empty, a CRL is wanted' };
  if (bytes[0] === TAG.sequence) {
    const crl = parseCrl(bytes);
    return 'problem' in crl ? crl : [crl];
  }
  const text = bytes.toString('latin1');
  const blocks = text.split('-----BEGIN X509 CRL-----').slice(1);
  if (blocks.length === 0) {
    const other = /-----BEGIN ([A-Z0-9 ]{1,40})-----/.exec(text)?.[1];
    return { problem: other === undefined ? 'holds no CRL' : `holds "${other}" where a CRL is wanted` };
  }
  const crls: Crl[] = [];
  for (const [index, block] of blocks.entries()) {
    const end = block.indexOf('-----END X509 CRL-----');
    const crl = end < 0 ? CUT_OFF : parseCrl(Buffer.from(block.slice(0, end), 'base64'));
    if ('problem' in crl) {
      return blocks.length === 1 ? crl : { problem: `CRL ${index + 1} in it: ${crl.problem}` };
    }
    crls.push(crl);
  }
  return crls;
}

const CUT_OFF: CrlProblem = { problem: 'is cut off' };
const DAMAGED: CrlProblem = { problem: 'is damaged or no CRL' };

/** One CRL as DER. */
export function parseCrl(der: Buffer): Crl | CrlProblem {
  const outer = elementAt(der, 0);
  if (outer === null) return CUT_OFF;
  const parts = outer.tag === TAG.sequence && outer.end === der.length ? elementsIn(der, outer, 3) : null;
  const [body, algorithm, signature] = parts ?? [];
  if (body?.tag !== TAG.sequence || algorithm?.tag !== TAG.sequence || signature?.tag !== TAG.bitString) {
    return DAMAGED;
  }
  const fields = elementsIn(der, body, FIELDS_MAX);
  // The first octet tells how many bits of the last one do not count: none, in a signature.
  if (fields === null || signature.end === signature.start || der[signature.start] !== 0) return DAMAGED;
  const rest = [...fields];
  if (rest[0]?.tag === TAG.integer) rest.shift();
  const [inner, issuer, from] = rest.splice(0, 3);
  const thisUpdate = timeOf(der, from);
  if (inner === undefined || issuer?.tag !== TAG.sequence || thisUpdate === null) return DAMAGED;
  const nextUpdate = timeOf(der, rest[0]);
  if (nextUpdate !== null) rest.shift();
  const revoked = rest[0]?.tag === TAG.sequence ? rest.shift() : undefined;
  const extensions = rest[0]?.tag === 0xa0 ? rest.shift() : undefined;
  const serials = revoked === undefined ? new Set<string>() : serialsIn(der, revoked);
  if (serials === null || rest.length > 0) return DAMAGED;
  // RFC 5280 5.1.1.2: the same algorithm, inside of what is signed and outside.
  if (!wholeOf(der, inner).equals(wholeOf(der, algorithm))) return DAMAGED;
  const known = extensions === undefined ? { issuerKeyId: null } : judgeExtensions(der, extensions);
  if ('problem' in known) return known;
  const oid = oidOf(der, elementsIn(der, algorithm, 2)?.[0]);
  if (signatureKeyType(oid) === null) {
    return { problem: `is signed with an algorithm that is not believed (${oid || 'damaged'})` };
  }
  const name = Buffer.from(wholeOf(der, issuer));
  return { der, issuer: name, thisUpdate, nextUpdate, algorithm: oid, serials, ...known };
}

/** Whether this authority has signed it, so that it speaks of the authority's certificates. */
export function isCrlOf(crl: Crl, issuer: X509Certificate): boolean {
  const { subject, keyId } = namesOfIssuer(issuer);
  const sameKey = crl.issuerKeyId !== null && keyId !== null && crl.issuerKeyId.equals(keyId);
  if (!sameKey && !crl.issuer.equals(subject)) return false;
  const outer = elementAt(crl.der, 0);
  const [body, , signature] = (outer === null ? null : elementsIn(crl.der, outer, 3)) ?? [];
  if (body === undefined || signature === undefined) return false;
  const signed = {
    algorithm: crl.algorithm,
    bytes: wholeOf(crl.der, body),
    signature: contentOf(crl.der, signature).subarray(1),
  };
  return isSignedBy(signed, issuer.publicKey);
}

/** As in `serials`. */
export function serialOf(certificate: X509Certificate): string {
  const { raw } = certificate;
  const serial = tbsFields(raw)?.serial;
  return serial === undefined ? '' : contentOf(raw, serial).toString('latin1');
}

function serialsIn(der: Buffer, list: Element): Set<string> | null {
  const serials = new Set<string>();
  for (let at = list.start; at < list.end;) {
    const entry = elementAt(der, at, list.end);
    const serial = entry?.tag === TAG.sequence ? elementAt(der, entry.start, entry.end) : null;
    if (entry === null || serial?.tag !== TAG.integer) return null;
    serials.add(contentOf(der, serial).toString('latin1'));
    at = entry.end;
  }
  return serials;
}

interface Extension {
  readonly id: string;
  readonly critical: boolean;
  readonly value: Element;
}

function extensionsIn(der: Buffer, wrapper: Element): readonly Extension[] | null {
  const list = elementAt(der, wrapper.start, wrapper.end);
  const entries = list === null ? null : elementsIn(der, list, EXTENSIONS_MAX);
  if (entries === null) return null;
  const found: Extension[] = [];
  for (const entry of entries) {
    const parts = elementsIn(der, entry, 3) ?? [];
    const [name, second] = parts;
    const value = parts.at(-1);
    if (value?.tag !== TAG.octetString) return null;
    const critical = second?.tag === TAG.boolean && der[second.start] !== 0;
    found.push({ id: oidOf(der, name), critical, value });
  }
  return found;
}

function judgeExtensions(der: Buffer, wrapper: Element): { issuerKeyId: Buffer | null } | CrlProblem {
  const extensions = extensionsIn(der, wrapper);
  if (extensions === null) return DAMAGED;
  let issuerKeyId: Buffer | null = null;
  for (const { id, critical, value } of extensions) {
    if (id === DELTA_INDICATOR) return { problem: 'is a delta CRL, a complete one is wanted' };
    if (id === DISTRIBUTION_POINT) {
      const point = elementAt(der, value.start, value.end);
      const parts = point === null ? null : elementsIn(der, point, FIELDS_MAX);
      if (parts === null) return DAMAGED;
      if (parts.some(({ tag, start }) => tag === INDIRECT && der[start] !== 0)) {
        return { problem: 'is an indirect CRL, one of the authority itself is wanted' };
      }
    } else if (id === AUTHORITY_KEY_ID) issuerKeyId = keyIdIn(der, value);
    else if (critical && id !== CRL_NUMBER) {
      return { problem: `has a critical extension that is not known (${id})` };
    }
  }
  return { issuerKeyId };
}

/** [0] of AuthorityKeyIdentifier. */
function keyIdIn(der: Buffer, value: Element): Buffer | null {
  const identifier = elementAt(der, value.start, value.end);
  const first = identifier === null ? null : elementAt(der, identifier.start, identifier.end);
  return first?.tag === 0x80 ? Buffer.from(contentOf(der, first)) : null;
}

interface TbsFields {
  readonly serial: Element;
  readonly subject: Element;
  readonly extensions: Element | undefined;
}

/** RFC 5280 4.1. */
function tbsFields(der: Buffer): TbsFields | null {
  const outer = elementAt(der, 0);
  const body = outer === null ? null : elementAt(der, outer.start, outer.end);
  const all = body === null ? null : elementsIn(der, body, 12);
  if (all === null) return null;
  const fields = all[0]?.tag === 0xa0 ? all.slice(1) : all;
  const [serial, , , , subject] = fields;
  if (serial === undefined || subject === undefined) return null;
  return { serial, subject, extensions: fields.find(({ tag }) => tag === 0xa3) };
}

function namesOfIssuer({ raw }: X509Certificate): { subject: Buffer; keyId: Buffer | null } {
  const fields = tbsFields(raw);
  if (fields === null) return { subject: Buffer.alloc(0), keyId: null };
  const { subject, extensions } = fields;
  const all = extensions === undefined ? null : extensionsIn(raw, extensions);
  const value = all?.find(({ id }) => id === SUBJECT_KEY_ID)?.value;
  const inner = value === undefined ? null : elementAt(raw, value.start, value.end);
  return { subject: wholeOf(raw, subject), keyId: inner === null ? null : contentOf(raw, inner) };
}
