// The names in a certificate, read from its DER: subject, issuer, mail addresses. For whom somebody is to be, so it is
// strict: a string that is not of its type, a control character (NUL above all), more parts than a name has, anything
// that does not end where it says make the certificate odd, and an odd one says nothing of anybody. Never throws.

import { contentOf, type Element, elementAt, elementsIn, oidOf, TAG } from '../certdb/der.ts';
import { keywordOf } from '../certdb/name-attributes.ts';
import type { DistinguishedName, NamePart } from '../wire/ldap-dn.ts';

export interface CertificateNames {
  readonly kind: 'names';
  /** In the order of RFC 4514, the most specific part first. */
  readonly subject: DistinguishedName;
  readonly issuer: DistinguishedName;
  readonly mail: {
    /** The rfc822Names of subjectAltName. */
    readonly alternative: readonly string[];
    /** E of the subject. */
    readonly subject: readonly string[];
  };
  readonly der: Buffer;
}

export type ReadNames = CertificateNames | { readonly kind: 'odd'; readonly reason: string };

const PARTS_MAX = 64;
const PAIRS_MAX = 16;
const FIELDS_MAX = 16;
const EXTENSIONS_MAX = 100;
const NAMES_MAX = 1000;
const VALUE_MAX = 4096;
const ALTERNATIVE_NAMES = '2.5.29.17';
// RFC 5280 4.1: [0] version, [3] extensions; 4.2.1.6: [1] rfc822Name.
const VERSION = 0xa0;
const EXTENSIONS = 0xa3;
const MAIL_NAME = 0x81;
const SET = 0x31;

class Odd extends Error {}

export function readCertificateNames(der: Buffer): ReadNames {
  try {
    return namesOf(der);
  } catch (error) {
    if (error instanceof Odd) return { kind: 'odd', reason: error.message };
    throw error;
  }
}

function namesOf(der: Buffer): CertificateNames {
  const outer = elementAt(der, 0);
  if (outer === null || outer.end !== der.length) throw new Odd('the certificate is no DER');
  const [body] = inside(der, outer, { tag: TAG.sequence, max: 3, what: 'certificate' });
  if (body === undefined) throw new Odd('the certificate is empty');
  const fields = inside(der, body, { tag: TAG.sequence, max: FIELDS_MAX, what: 'certificate' });
  // serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo
  const [, , issuer, , subject] = fields[0]?.tag === VERSION ? fields.slice(1) : fields;
  if (issuer === undefined || subject === undefined) throw new Odd('the certificate has no names');
  const extensions = fields.find(({ tag }) => tag === EXTENSIONS);
  const owner = nameOf(der, subject, 'subject');
  return {
    kind: 'names',
    subject: owner,
    issuer: nameOf(der, issuer, 'issuer'),
    mail: {
      alternative: extensions === undefined ? [] : mailNames(der, extensions),
      subject: owner.flat().flatMap(({ attribute, value }) => (attribute === 'e' ? [value] : [])),
    },
    der,
  };
}

/** In the certificate the outermost part is the first. */
function nameOf(der: Buffer, name: Element, what: string): DistinguishedName {
  return inside(der, name, { tag: TAG.sequence, max: PARTS_MAX, what })
    .map((rdn) => inside(der, rdn, { tag: SET, max: PAIRS_MAX, what }).map((pair) => partOf(der, pair, what)))
    .toReversed();
}

function partOf(der: Buffer, pair: Element, what: string): NamePart {
  const [type, value, more] = inside(der, pair, { tag: TAG.sequence, max: 2, what });
  const oid = oidOf(der, type);
  if (oid === '' || value === undefined || more !== undefined)
    throw new Odd(`the ${what} has a part that is no attribute and value`);
  const attribute = keywordOf(oid).toLowerCase();
  return { attribute, value: textOf(der, value, `${attribute} of the ${what}`) };
}

function mailNames(der: Buffer, wrapper: Element): string[] {
  const what = 'list of extensions';
  const [list] = inside(der, wrapper, { tag: EXTENSIONS, max: 1, what });
  if (list === undefined) throw new Odd('the list of extensions is empty');
  const values = inside(der, list, { tag: TAG.sequence, max: EXTENSIONS_MAX, what }).flatMap((extension) => {
    const parts = inside(der, extension, { tag: TAG.sequence, max: 3, what });
    return oidOf(der, parts[0]) === ALTERNATIVE_NAMES ? [parts.at(-1)] : [];
  });
  const [value, another] = values;
  // RFC 5280 4.2: no extension is there twice.
  if (another !== undefined) throw new Odd('subjectAltName is there twice');
  if (value === undefined) return [];
  const names = value.tag === TAG.octetString ? elementAt(der, value.start, value.end) : null;
  if (names === null || names.end !== value.end) throw new Odd('subjectAltName is no DER');
  return inside(der, names, { tag: TAG.sequence, max: NAMES_MAX, what: 'subjectAltName' }).flatMap((name) =>
    name.tag === MAIL_NAME ? [checked(contentOf(der, name), 'ascii', 'rfc822Name')] : [],
  );
}

interface Expected {
  readonly tag: number;
  readonly max: number;
  readonly what: string;
}

function inside(der: Buffer, element: Element, { tag, max, what }: Expected): readonly Element[] {
  if (element.tag !== tag) throw new Odd(`the ${what} is not built as one is`);
  const found = elementsIn(der, element, max);
  if (found === null) throw new Odd(`the ${what} is damaged or has more than ${max} parts`);
  return found;
}

type Repertoire = 'utf-8' | 'ascii' | 'latin1' | 'utf-16be' | 'utf-32be';

/** By tag: UTF8String, NumericString, PrintableString, TeletexString, IA5String, VisibleString, UniversalString, BMPString. */
const STRINGS: Readonly<Record<number, Repertoire>> = {
  0x0c: 'utf-8',
  0x12: 'ascii',
  0x13: 'ascii',
  0x14: 'latin1',
  0x16: 'ascii',
  0x1a: 'ascii',
  0x1c: 'utf-32be',
  0x1e: 'utf-16be',
};

function textOf(der: Buffer, value: Element, what: string): string {
  const repertoire = STRINGS[value.tag];
  if (repertoire === undefined) throw new Odd(`the ${what} is no text`);
  return checked(contentOf(der, value), repertoire, what);
}

function checked(bytes: Buffer, repertoire: Repertoire, what: string): string {
  if (bytes.length > VALUE_MAX) throw new Odd(`the ${what} is longer than ${VALUE_MAX} bytes`);
  const text = decoded(bytes, repertoire);
  if (text === null) throw new Odd(`the ${what} has bytes that its type of string does not have`);
  if (/\p{Cc}/u.test(text)) throw new Odd(`the ${what} has a control character in it`);
  return text;
}

function decoded(bytes: Buffer, repertoire: Repertoire): string | null {
  switch (repertoire) {
    case 'ascii':
      return bytes.every((byte) => byte < 0x80) ? bytes.toString('latin1') : null;
    case 'latin1':
      return bytes.toString('latin1');
    case 'utf-32be':
      return fromCodePoints(bytes);
    case 'utf-8':
    case 'utf-16be':
      try {
        return new TextDecoder(repertoire, { fatal: true, ignoreBOM: true }).decode(bytes);
      } catch {
        return null;
      }
  }
}

function fromCodePoints(bytes: Buffer): string | null {
  if (bytes.length % 4 !== 0) return null;
  const points = Array.from({ length: bytes.length / 4 }, (_none, place) => bytes.readUInt32BE(4 * place));
  if (points.some((point) => point > 0x10_ff_ff)) return null;
  const text = String.fromCodePoint(...points);
  return text.isWellFormed() ? text : null;
}
