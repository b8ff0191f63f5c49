// Search filters of LDAP (RFC 4515) as values: text → tree → text. Promises: never throws; a filter that is not well
// formed is named malformed and never mended, but for the outermost parentheses and blanks between filters, which Sun's
// servers do not ask for; filterText() escapes every value, so that what a value holds cannot become another filter.

export type Filter<V> =
  | { readonly kind: 'and' | 'or'; readonly filters: readonly Filter<V>[] }
  | { readonly kind: 'not'; readonly filter: Filter<V> }
  | { readonly kind: Comparison; readonly attribute: string; readonly value: V }
  | { readonly kind: 'present'; readonly attribute: string }
  | {
      readonly kind: 'substrings';
      readonly attribute: string;
      readonly initial: V | null;
      readonly any: readonly V[];
      readonly final: V | null;
    }
  | {
      readonly kind: 'extensible';
      readonly attribute: string;
      readonly rule: string;
      readonly withDn: boolean;
      readonly value: V;
    };

type Comparison = 'equal' | 'greater' | 'less' | 'approx';

export type ParsedFilter =
  /** Values as they are written, escapes and all. */
  | { readonly kind: 'filter'; readonly filter: Filter<string> }
  | { readonly kind: 'malformed'; readonly reason: string };

const TEXT_MAX = 4096;
const DEPTH_MAX = 16;

const SIGNS: Readonly<Record<Comparison, string>> = { equal: '=', greater: '>=', less: '<=', approx: '~=' };

// RFC 4512 1.4, 2.5: a name or an OID, options after it.
const ATTRIBUTE = /^(?:[a-z][a-z0-9-]*|[0-9]+(?:\.[0-9]+)+)(?:;[a-z0-9-]+)*$/i;
const RULE = /^(?:[a-z][a-z0-9-]*|[0-9]+(?:\.[0-9]+)+)$/i;
const COMPARISON = /^([^=<>~:]*)(=|>=|<=|~=)([^]*)$/;
const EXTENSIBLE = /^([^:=]*)(:dn)?(?::([^:=]+))?:=([^]*)$/i;

export function isAttributeName(text: string): boolean {
  return text.length <= 128 && ATTRIBUTE.test(text);
}

export function parseFilter(text: string): ParsedFilter {
  if (text.length > TEXT_MAX)
    return { kind: 'malformed', reason: `a filter has at most ${TEXT_MAX} characters` };
  const trimmed = text.trim();
  const whole = trimmed.startsWith('(') ? trimmed : `(${trimmed})`;
  try {
    const parser = new Parser(whole);
    const filter = parser.filter(0);
    parser.end();
    return { kind: 'filter', filter };
  } catch (error) {
    if (error instanceof Malformed) return { kind: 'malformed', reason: error.message };
    throw error;
  }
}

/** With each value changed. */
export function mapValues<A, B>(filter: Filter<A>, change: (value: A) => B): Filter<B> {
  switch (filter.kind) {
    case 'and':
    case 'or':
      return { kind: filter.kind, filters: filter.filters.map((inner) => mapValues(inner, change)) };
    case 'not':
      return { kind: 'not', filter: mapValues(filter.filter, change) };
    case 'present':
      return filter;
    case 'substrings': {
      const { attribute, initial, any, final } = filter;
      const ends = (value: A | null): B | null => (value === null ? null : change(value));
      return {
        kind: 'substrings',
        attribute,
        initial: ends(initial),
        any: any.map(change),
        final: ends(final),
      };
    }
    default:
      return { ...filter, value: change(filter.value) };
  }
}

/** Of plain values. */
export function filterText(filter: Filter<string>): string {
  switch (filter.kind) {
    case 'and':
      return `(&${filter.filters.map(filterText).join('')})`;
    case 'or':
      return `(|${filter.filters.map(filterText).join('')})`;
    case 'not':
      return `(!${filterText(filter.filter)})`;
    case 'present':
      return `(${filter.attribute}=*)`;
    case 'substrings': {
      const values = [filter.initial ?? '', ...filter.any, filter.final ?? ''];
      return `(${filter.attribute}=${values.map(escapeFilterValue).join('*')})`;
    }
    case 'extensible': {
      const rule = filter.rule === '' ? '' : `:${filter.rule}`;
      return `(${filter.attribute}${filter.withDn ? ':dn' : ''}${rule}:=${escapeFilterValue(filter.value)})`;
    }
    default:
      return `(${filter.attribute}${SIGNS[filter.kind]}${escapeFilterValue(filter.value)})`;
  }
}

/** RFC 4515 3, and every other control character, that logs stay readable. */
export function escapeFilterValue(value: string): string {
  return (
    value
      .toWellFormed()
      // oxlint-disable-next-line no-control-regex
      .replaceAll(/[\u0000-\u001f\u007f()*\\]/g, (found) => {
        return `\\${found.charCodeAt(0).toString(16).padStart(2, '0')}`;
      })
  );
}

/** What a written value means; null where a backslash is not followed by two hexadecimal digits, or no text comes out. */
export function unescapeFilterValue(written: string): string | null {
  if (/\\(?![0-9a-f]{2})/i.test(written)) return null;
  if (!written.includes('\\')) return written;
  const bytes = (written.match(/\\[0-9a-f]{2}|[^\\]+/gi) ?? []).map((piece) =>
    piece.startsWith('\\') ? Buffer.from(piece.slice(1), 'hex') : Buffer.from(piece),
  );
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(bytes));
  } catch {
    return null;
  }
}

class Malformed extends Error {}

class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  filter(depth: number): Filter<string> {
    if (depth > DEPTH_MAX) throw new Malformed(`a filter has at most ${DEPTH_MAX} levels`);
    this.#expect('(');
    const sign = this.#text[this.#at] ?? '';
    if (sign === '&' || sign === '|') {
      this.#at++;
      const filters: Filter<string>[] = [];
      for (this.#blanks(); this.#text[this.#at] === '('; this.#blanks()) filters.push(this.filter(depth + 1));
      if (filters.length === 0) throw new Malformed(`there is no filter behind ${sign}`);
      this.#expect(')');
      return { kind: sign === '&' ? 'and' : 'or', filters };
    }
    if (sign === '!') {
      this.#at++;
      this.#blanks();
      const filter = this.filter(depth + 1);
      this.#blanks();
      this.#expect(')');
      return { kind: 'not', filter };
    }
    const end = this.#text.slice(this.#at).search(/[()]/);
    const item = end < 0 ? this.#text.slice(this.#at) : this.#text.slice(this.#at, this.#at + end);
    this.#at += item.length;
    this.#expect(')');
    return readItem(item);
  }

  end(): void {
    this.#blanks();
    if (this.#at < this.#text.length) throw new Malformed('something follows the filter');
  }

  #blanks(): void {
    while (this.#text[this.#at] === ' ') this.#at++;
  }

  #expect(character: string): void {
    if (this.#text[this.#at] !== character) {
      const found = this.#text[this.#at];
      throw new Malformed(`expected ${character}, found ${found === undefined ? 'the end' : found}`);
    }
    this.#at++;
  }
}

function readItem(item: string): Filter<string> {
  if (item.includes('\0')) throw new Malformed('there is a NUL in it');
  const [, left = '', dn, rule = '', matched] = EXTENSIBLE.exec(item) ?? [];
  if (matched !== undefined) {
    const fits = (left === '' || isAttributeName(left)) && (rule === '' ? left !== '' : RULE.test(rule));
    if (!fits) throw new Malformed(`${JSON.stringify(item)} names no attribute and rule`);
    return { kind: 'extensible', attribute: left, rule, withDn: dn !== undefined, value: plain(matched) };
  }
  const [, name = '', sign = '', value = ''] = COMPARISON.exec(item) ?? [];
  const attribute = name.trim();
  if (sign === '') throw new Malformed(`${JSON.stringify(item)} is no attribute=value`);
  if (!isAttributeName(attribute))
    throw new Malformed(`${JSON.stringify(attribute)} is no name of an attribute`);
  if (sign === '=' && value === '*') return { kind: 'present', attribute };
  if (sign === '=' && value.includes('*')) {
    const [initial = '', ...rest] = value.split('*');
    const final = rest.pop() ?? '';
    const ends = (text: string): string | null => (text === '' ? null : plain(text));
    const any = rest.filter((text) => text !== '').map(plain);
    return { kind: 'substrings', attribute, initial: ends(initial), any, final: ends(final) };
  }
  const kind = (['equal', 'greater', 'less', 'approx'] as const).find((known) => SIGNS[known] === sign);
  return { kind: kind ?? 'equal', attribute, value: plain(value) };
}

function plain(value: string): string {
  if (value.includes('*')) throw new Malformed('a * in a value is written \\2a');
  if (/\\(?![0-9a-f]{2})/i.test(value))
    throw new Malformed('a backslash in a value is followed by two hexadecimal digits, as in \\5c');
  return value;
}
