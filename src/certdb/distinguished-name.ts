// Distinguished names: from what an operator types to what a certificate holds, and back to text.
// The text is RFC 4514 with the names that people know (`E`, also OIDs and values in quotes); it stands in the order of
// typing, which is the reverse of the order in the certificate (RFC 4514 2.1), as NSS has it.
// Promises: nameText(parseName(text)) says the same name; nothing that comes out holds a control character; reading
// never throws, whatever a certificate holds.

import type { X509Certificate } from 'node:crypto';
import { AsnConvert } from '@peculiar/asn1-schema';
import {
  AttributeTypeAndValue,
  AttributeValue,
  Name as DerName,
  RelativeDistinguishedName,
} from '@peculiar/asn1-x509';
import { attributeNamed, attributeOf, keywordOf } from './name-attributes.ts';
import type { Attribute } from './name-attributes.ts';
import { tbsOf } from './certificate-shapes.ts';

export interface Name {
  /** In the order of typing; a part has more than one attribute where they are joined by `+`. */
  readonly parts: readonly (readonly Attribute[])[];
}

export interface NameProblem {
  readonly problem: string;
}

export interface NameFields {
  readonly name?: string | undefined;
  readonly org?: string | undefined;
  readonly orgUnit?: string | undefined;
  readonly city?: string | undefined;
  readonly state?: string | undefined;
  readonly country?: string | undefined;
}

const MAX_TEXT_CHARS = 8192;
const MAX_PARTS = 64;
const QUOTED = /^"((?:[^"\\]|\\[^])*)"$/;
/** What would move a terminal's cursor or turn its text around. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

export function parseName(text: string): Name | NameProblem {
  if (text.trim() === '') return { problem: 'a name is empty' };
  if (text.length > MAX_TEXT_CHARS) return { problem: `a name has at most ${MAX_TEXT_CHARS} characters` };
  const parts: Attribute[][] = [];
  for (const part of splitAt(text, ',')) {
    const attributes: Attribute[] = [];
    for (const pair of splitAt(part, '+')) {
      const attribute = parseAttribute(pair);
      if ('problem' in attribute) return attribute;
      attributes.push(attribute);
    }
    parts.push(attributes);
  }
  if (parts.length > MAX_PARTS) return { problem: `a name has at most ${MAX_PARTS} parts` };
  return { parts };
}

/** The fields of `--name`, `--org` and so on, in the documented order. */
export function nameOf(fields: NameFields): Name | NameProblem {
  const given = [
    ['CN', fields.name],
    ['OU', fields.orgUnit],
    ['O', fields.org],
    ['L', fields.city],
    ['ST', fields.state],
    ['C', fields.country],
  ] as const;
  const parts: Attribute[][] = [];
  for (const [keyword, value] of given) {
    if (value === undefined) continue;
    const attribute = attributeNamed(keyword, value);
    if ('problem' in attribute) return attribute;
    parts.push([attribute]);
  }
  return parts.length > 0 ? { parts } : { problem: 'a name is empty' };
}

export function nameText({ parts }: Name): string {
  return parts
    .map((part) => part.map(({ type, value }) => `${keywordOf(type)}=${escapeValue(value)}`).join('+'))
    .join(',');
}

/** The first common name, as it stands; null where there is none. */
export function commonNameOf({ parts }: Name): string | null {
  return parts.flat().find(({ type }) => keywordOf(type) === 'CN')?.value ?? null;
}

/** Any text for a terminal: what moves the cursor or turns the text around is spelled out. */
export function printable(text: string): string {
  return text.toWellFormed().replaceAll(UNSEEN, escapeBytes);
}

/** For messages and lists: a name that has nothing in it is the empty text. */
export function certificateNames(certificate: X509Certificate): { subject: string; issuer: string } {
  try {
    const { subject, issuer } = tbsOf(certificate);
    return { subject: nameText(readName(subject)), issuer: nameText(readName(issuer)) };
  } catch {
    // OpenSSL took it, so it knows how to say it.
    const text = (lines: string | undefined): string =>
      (lines ?? '').split('\n').toReversed().map(printable).join(',');
    return { subject: text(certificate.subject), issuer: text(certificate.issuer) };
  }
}

/** DER. */
export function writeName({ parts }: Name): ArrayBuffer {
  const sequence = parts.toReversed().map((part) => {
    const attributes = part.map(
      ({ type, value, string }) =>
        new AttributeTypeAndValue({ type, value: new AttributeValue({ [string]: value }) }),
    );
    // DER sorts a SET OF by its bytes.
    const bytesOf = (attribute: AttributeTypeAndValue): Buffer =>
      Buffer.from(AsnConvert.serialize(attribute));
    return new RelativeDistinguishedName(
      attributes.toSorted((one, other) => Buffer.compare(bytesOf(one), bytesOf(other))),
    );
  });
  return AsnConvert.serialize(new DerName(sequence));
}

/** Throws for what is no name. */
export function readName(der: ArrayBuffer): Name {
  const sequence = [...AsnConvert.parse(der, DerName)];
  return {
    parts: sequence
      .toReversed()
      .map((part) => [...part].map(({ type, value }) => attributeOf(type, value.toString()))),
  };
}

function parseAttribute(pair: string): Attribute | NameProblem {
  const equals = pair.indexOf('=');
  const shown = pair.trim().slice(0, 40).replaceAll(UNSEEN, escapeBytes);
  if (equals < 0) return { problem: `"${shown}" in the name is no NAME=VALUE` };
  const typed = trimSpaces(pair.slice(equals + 1));
  if (typed.startsWith('#')) {
    return {
      problem: `"${shown}" in the name has a value in hexadecimal: write it as text, or \\# for a "#"`,
    };
  }
  const value = unescapeValue(typed);
  if (typeof value !== 'string') return { problem: `"${shown}" in the name ${value.problem}` };
  return attributeNamed(pair.slice(0, equals).trim(), value);
}

/** At a separator that is neither escaped nor in quotes. */
function splitAt(text: string, separator: ',' | '+'): readonly string[] {
  const pieces = [''];
  let isQuoted = false;
  for (const token of text.match(/\\[^]|[^]/gu) ?? []) {
    if (token === '"') isQuoted = !isQuoted;
    if (token === separator && !isQuoted) pieces.push('');
    else pieces.push(`${pieces.pop() ?? ''}${token}`);
  }
  return pieces;
}

/** Without spaces around it, but for an escaped one at the end. Other white space is part of the value. */
function trimSpaces(text: string): string {
  const trimmed = text.replace(/^ +/, '').replace(/ +$/, '');
  const backslashes = /\\*$/.exec(trimmed)?.[0].length ?? 0;
  return backslashes % 2 === 1 && text.endsWith(' ') ? `${trimmed} ` : trimmed;
}

function unescapeValue(typed: string): string | NameProblem {
  const quoted = QUOTED.exec(typed)?.[1];
  const bytes: Buffer[] = [];
  for (const token of (quoted ?? typed).match(/\\[0-9a-f]{2}|\\[^]|[^]/giu) ?? []) {
    if (/^\\[0-9a-f]{2}$/i.test(token)) bytes.push(Buffer.from(token.slice(1), 'hex'));
    else if (token === '\\') return { problem: 'ends in a lone backslash' };
    else if (token.startsWith('\\')) {
      if (!/^\\[ "#+,;<=>\\]$/.test(token)) return { problem: 'has a backslash before what needs none' };
      bytes.push(Buffer.from(token.slice(1)));
    } else if (quoted === undefined && /^[";<>]$/.test(token)) {
      return { problem: `has a ${token} that needs a backslash before it` };
    } else if (!token.isWellFormed()) return { problem: 'is no well-formed text' };
    else bytes.push(Buffer.from(token));
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(bytes));
  } catch {
    return { problem: 'has escapes that make no UTF-8' };
  }
}

// RFC 4514 2.4.
function escapeValue(value: string): string {
  const characters = Array.from(value.toWellFormed());
  const last = characters.length - 1;
  return characters
    .map((character, place) => {
      const atEdge =
        (character === ' ' && (place === 0 || place === last)) || (character === '#' && place === 0);
      return atEdge || /["+,;<>\\]/.test(character) ? `\\${character}` : character;
    })
    .join('')
    .replaceAll(UNSEEN, escapeBytes);
}

function escapeBytes(characters: string): string {
  return Buffer.from(characters)
    .toString('hex')
    .replaceAll(/../g, String.raw`\$&`);
}
