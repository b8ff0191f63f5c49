// The templates of the Sun MMP: filters and replayed names with placeholders in them. Parsed once, filled at each login
// by identity/substitution.ts. Promises: a placeholder of a filter stands in a value and nowhere else, so that a filled
// filter has the shape of its template; what the setting does not know is a mistake, never left as it is.

import { type Filter, isAttributeName, mapValues, parseFilter, unescapeFilterValue } from './ldap-filter.ts';

/** Letters as the MMP has them, see config/guide/directory.md. */
export type Letter = 's' | 'U' | 'V' | 'o' | 'C' | 'S' | 'D';

export type Piece =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'login'; readonly letter: Letter }
  /** `%A[name]`; the name in lower case. */
  | { readonly kind: 'attribute'; readonly attribute: string };

export type Pieces = readonly Piece[];

export type TemplateUse = 'searchFormat' | 'inetDomainSearchFilter' | 'replayFormat';

export interface Wrong {
  readonly problem: string;
}

const LETTERS: Readonly<Record<TemplateUse, string>> = {
  searchFormat: 'sUVoCSD',
  inetDomainSearchFilter: 'UVo',
  replayFormat: 'sUVo',
};

const TEXT_MAX = 1024;

/** A filter whose values are templates. */
export function parseSearchTemplate(
  text: string,
  use: 'searchFormat' | 'inetDomainSearchFilter',
): { readonly filter: Filter<Pieces> } | Wrong {
  const parsed = parseFilter(text);
  if (parsed.kind === 'malformed') return { problem: parsed.reason };
  let problem: string | null = null;
  const filter = mapValues(parsed.filter, (written) => {
    const read = readPieces(written, use);
    if (!('problem' in read)) return read.pieces;
    problem ??= read.problem;
    return [];
  });
  return problem === null ? { filter } : { problem };
}

export function parseReplayTemplate(text: string): { readonly pieces: Pieces } | Wrong {
  if (text === '') return { problem: 'it is empty' };
  if (text.length > TEXT_MAX) return { problem: `it has more than ${TEXT_MAX} characters` };
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(text)) return { problem: 'there is a control character in it' };
  return readPieces(text, 'replayFormat');
}

/** Attributes that a template wants. */
export function attributesOf(pieces: Pieces): string[] {
  return pieces.flatMap((piece) => (piece.kind === 'attribute' ? [piece.attribute] : []));
}

/** Whether a template of a filter has any placeholder; one without finds the same entry for everybody. */
export function hasPlaceholder(filter: Filter<Pieces>): boolean {
  let found = false;
  mapValues(filter, (pieces) => {
    found ||= pieces.some(({ kind }) => kind !== 'text');
  });
  return found;
}

const TOKEN = /%A?\[[^\]]*\]|%[^]|[^%]+|%/gu;

function readPieces(text: string, use: TemplateUse): { readonly pieces: Pieces } | Wrong {
  const pieces: Piece[] = [];
  for (const token of text.match(TOKEN) ?? []) {
    const piece = readPiece(token, use);
    if ('problem' in piece) return piece;
    pieces.push(piece);
  }
  return { pieces };
}

function readPiece(token: string, use: TemplateUse): Piece | Wrong {
  const isFilter = use !== 'replayFormat';
  if (!token.startsWith('%')) {
    const value = isFilter ? unescapeFilterValue(token) : token;
    return value === null ? { problem: 'an escape in it makes no UTF-8' } : { kind: 'text', text: value };
  }
  if (token === '%%') return { kind: 'text', text: '%' };
  const letter = token.slice(1);
  if (LETTERS[use].includes(letter) && letter.length === 1)
    return { kind: 'login', letter: letter as Letter };
  const [, attribute] = /^A?\[([^\]]*)\]$/.exec(letter) ?? [];
  if (attribute !== undefined && !isFilter) {
    // Columns of a database have underscores in their names.
    return isAttributeName(attribute) || /^[a-z_]\w{0,127}$/i.test(attribute)
      ? { kind: 'attribute', attribute: attribute.toLowerCase() }
      : { problem: `${JSON.stringify(attribute)} is no name of an attribute` };
  }
  const known = Array.from(LETTERS[use], (name) => `%${name}`).join(' ');
  const more = isFilter ? '' : ' %A[attribute]';
  return { problem: `${JSON.stringify(token)} is not known here, expected one of ${known}${more} or %%` };
}
