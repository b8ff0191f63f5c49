// Distinguished names as LDAP writes them (RFC 4514): text → parts, values escaped, domains as dc components (RFC 2247).
// Promises: never throws; the parts of a name keep the order in which they are written, the most specific first; a
// value is the text itself, whatever was escaped. On failure: why it is no name.

export interface NamePart {
  /** Keyword or dotted OID, in lower case. */
  readonly attribute: string;
  readonly value: string;
}

/** The outer list are the RDNs; one has several attributes where they are joined by `+`. */
export type DistinguishedName = readonly (readonly NamePart[])[];

export type ParsedName =
  | { readonly kind: 'name'; readonly parts: DistinguishedName }
  | { readonly kind: 'malformed'; readonly reason: string };

const TEXT_MAX = 8192;
const PARTS_MAX = 64;
const KEYWORD = /^(?:[a-z][a-z0-9-]*|(?:oid\.)?[0-9]+(?:\.[0-9]+)+)$/i;

/** The empty name is the root of the tree. */
export function parseDn(text: string): ParsedName {
  if (text.length > TEXT_MAX) return malformed(`a name has at most ${TEXT_MAX} characters`);
  if (text.trim() === '') return { kind: 'name', parts: [] };
  const parts: NamePart[][] = [];
  for (const rdn of splitAt(text, /[,;]/)) {
    const pairs: NamePart[] = [];
    for (const pair of splitAt(rdn, /\+/)) {
      const part = readPair(pair);
      if (typeof part === 'string') return malformed(part);
      pairs.push(part);
    }
    parts.push(pairs);
  }
  return parts.length > PARTS_MAX
    ? malformed(`a name has at most ${PARTS_MAX} parts`)
    : { kind: 'name', parts };
}

export function dnText(parts: DistinguishedName): string {
  return parts
    .map((rdn) => rdn.map(({ attribute, value }) => `${attribute}=${escapeDnValue(value)}`).join('+'))
    .join(',');
}

/** RFC 4514 2.4; control characters as bytes. */
export function escapeDnValue(value: string): string {
  return (
    value
      .toWellFormed()
      .replaceAll(/["+,;<>\\=]|^[ #]| $/g, String.raw`\$&`)
      // oxlint-disable-next-line no-control-regex
      .replaceAll(/[\u0000-\u001f\u007f]/g, (found) => {
        return `\\${found.charCodeAt(0).toString(16).padStart(2, '0')}`;
      })
  );
}

/** `siroe.com` under `o=internet` is `dc=siroe,dc=com,o=internet`. */
export function dnOfDomain(domain: string, root: string): string {
  const labels = domain.split('.').map((label) => `dc=${escapeDnValue(label)}`);
  return [...labels, ...(root.trim() === '' ? [] : [root])].join(',');
}

/** Letter case, blanks and the way of escaping aside. */
export function sameName(one: DistinguishedName, other: DistinguishedName): boolean {
  const key = (parts: DistinguishedName): string =>
    JSON.stringify(
      parts.map((rdn) =>
        rdn
          .map(({ attribute, value }) => [attribute, value.toLowerCase().trim().replaceAll(/ +/g, ' ')])
          .toSorted(([a = ''], [b = '']) => (a < b ? -1 : 1)),
      ),
    );
  return key(one) === key(other);
}

/** Whether a name is that of the base, or of something below it. */
export function isBelow(name: string, base: string): boolean {
  const [whole, above] = [parseDn(name), parseDn(base)];
  if (whole.kind === 'malformed' || above.kind === 'malformed') return false;
  const start = whole.parts.length - above.parts.length;
  return start >= 0 && sameName(whole.parts.slice(start), above.parts);
}

function malformed(reason: string): ParsedName {
  return { kind: 'malformed', reason };
}

function readPair(pair: string): NamePart | string {
  const equals = pair.indexOf('=');
  const shown = JSON.stringify(pair.trim().slice(0, 60));
  const keyword = pair.slice(0, Math.max(equals, 0)).trim();
  if (!KEYWORD.test(keyword)) return `${shown} is no attribute=value`;
  const value = unescapeValue(trimBlanks(pair.slice(equals + 1)));
  if (value === null) return `${shown} has a value that is not escaped as RFC 4514 asks for`;
  return { attribute: keyword.toLowerCase().replace(/^oid\./, ''), value };
}

/** At separators that are neither escaped nor in quotes. */
function splitAt(text: string, separator: RegExp): string[] {
  const pieces: string[] = [];
  let piece = '';
  let isQuoted = false;
  for (const token of text.match(/\\[^]|[^]/gu) ?? []) {
    if (token === '"') isQuoted = !isQuoted;
    if (!isQuoted && token.length === 1 && separator.test(token)) {
      pieces.push(piece);
      piece = '';
    } else piece += token;
  }
  return [...pieces, piece];
}

function trimBlanks(text: string): string {
  const start = text.replace(/^ +/, '');
  const end = start.replace(/ +$/, '');
  const backslashes = /\\*$/.exec(end)?.[0].length ?? 0;
  return backslashes % 2 === 1 && end.length < start.length ? `${end} ` : end;
}

function unescapeValue(written: string): string | null {
  const quoted = /^"((?:[^"\\]|\\[^])*)"$/.exec(written)?.[1];
  // `#` begins BER in hexadecimal, which nobody types.
  if (quoted === undefined && written.startsWith('#')) return null;
  const bytes: Buffer[] = [];
  for (const token of (quoted ?? written).match(/\\[0-9a-f]{2}|\\[^]|[^]/giu) ?? []) {
    if (/^\\[0-9a-f]{2}$/i.test(token)) bytes.push(Buffer.from(token.slice(1), 'hex'));
    else if (token === '\\') return null;
    else if (token.startsWith('\\')) {
      if (!/^\\[ "#+,;<=>\\]$/.test(token)) return null;
      bytes.push(Buffer.from(token.slice(1)));
    } else if (quoted === undefined && /^["<>]$/.test(token)) return null;
    else if (!token.isWellFormed()) return null;
    else bytes.push(Buffer.from(token));
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(bytes));
  } catch {
    return null;
  }
}
