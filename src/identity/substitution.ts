// Fills the templates of wire/login-template.ts with what is known of a login. Pure. Promises: a filled filter has the
// shape of its template, whatever the client sent, for what is put in are values of a tree and not pieces of text; what a
// placeholder stands for is never quietly empty: then there is no filter, and no name to log in with.

import { type Filter, mapValues } from '../wire/ldap-filter.ts';
import type { Letter, Pieces } from '../wire/login-template.ts';

/** A login, as far as templates ask for it. */
export interface LoginFacts {
  /** As the client sent it. */
  readonly original: string;
  readonly userId: string;
  /** '' where there is none. */
  readonly domain: string;
  /** Between the two in %s. */
  readonly delimiter: string;
  readonly clientAddress: string;
  readonly serverAddress: string;
  /** '' without a certificate. */
  readonly certificateSubject: string;
}

/** By lower-case name. */
export type Attributes = ReadonlyMap<string, readonly string[]>;

const VALUE_MAX = 4096;
const NAME_MAX = 1024;

/** null: a placeholder stands for something that this login does not have. */
export function fillFilter(template: Filter<Pieces>, facts: LoginFacts): Filter<string> | null {
  let isWhole = true;
  const filter = mapValues(template, (pieces) => {
    const value = fill(pieces, facts, new Map());
    if (typeof value === 'string' && value.length <= VALUE_MAX) return value;
    isWhole = false;
    return '';
  });
  return isWhole ? filter : null;
}

/** The name to log in with at the store, or what is missing. */
export function fillReplay(
  template: Pieces,
  facts: LoginFacts,
  attributes: Attributes,
): { readonly name: string } | { readonly problem: string } {
  const name = fill(template, facts, attributes);
  if (typeof name !== 'string') return name;
  // A line break would be a second command at the store.
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(name)) return { problem: 'a control character' };
  return name.length > NAME_MAX ? { problem: `more than ${NAME_MAX} characters` } : { name };
}

function fill(
  pieces: Pieces,
  facts: LoginFacts,
  attributes: Attributes,
): string | { readonly problem: string } {
  let text = '';
  for (const piece of pieces) {
    if (piece.kind === 'text') text += piece.text;
    else if (piece.kind === 'login') {
      const value = VALUES[piece.letter](facts);
      if (value === '') return { problem: `nothing for %${piece.letter}` };
      text += value;
    } else {
      const [value = ''] = attributes.get(piece.attribute) ?? [];
      if (value === '') return { problem: `no attribute ${piece.attribute}` };
      text += value;
    }
  }
  return text;
}

const VALUES: Readonly<Record<Letter, (facts: LoginFacts) => string>> = {
  s: ({ userId, domain, delimiter }) => (domain === '' ? userId : `${userId}${delimiter}${domain}`),
  U: ({ userId }) => userId,
  V: ({ domain }) => domain,
  o: ({ original }) => original,
  C: ({ clientAddress }) => clientAddress,
  S: ({ serverAddress }) => serverAddress,
  D: ({ certificateSubject }) => certificateSubject,
};
