// Queries with named placeholders (`:user`), as they are written in the settings. Parsed once; what is made of one is the
// text for a server, with that server's own marks in place of the names, and the order in which values are bound to them.
// Pure. Promises: a name becomes a mark and never text; what stands in quotes, comments and dollar quotes, and casts
// (`::text`), is left as it is; one query is one statement; marks of the server's own (?, $1, @name) are mistakes, for
// nobody would bind anything to them.

/** Whose rules of quoting hold. */
export type SqlDialect = 'postgres' | 'mysql' | 'sqlite';

/** What a query may ask of a login. */
export const PLACEHOLDERS = [
  'user',
  'domain',
  'login',
  'id',
  'client',
  'server',
  'subject',
  'service',
  'protocol',
  'mail',
] as const;
export type Placeholder = (typeof PLACEHOLDERS)[number];

export type SqlUse = 'userQuery' | 'domainQuery' | 'mailQuery';

const ANYWHERE = ['client', 'server', 'subject', 'service', 'protocol'] as const;

/** Names that each query knows; without one of `some` it finds the same for everybody. */
const USES: Readonly<
  Record<SqlUse, { readonly known: readonly Placeholder[]; readonly some: readonly Placeholder[] }>
> = {
  userQuery: {
    known: ['user', 'domain', 'login', 'id', ...ANYWHERE],
    some: ['user', 'login', 'id', 'subject'],
  },
  domainQuery: { known: ['domain', 'client', 'server', 'service', 'protocol'], some: ['domain'] },
  mailQuery: { known: ['mail', ...ANYWHERE], some: ['mail'] },
};

export interface SqlQuery {
  /** For the server. */
  readonly text: string;
  /** What is bound, in this order. */
  readonly values: readonly Placeholder[];
  /** Each once. */
  readonly uses: ReadonlySet<Placeholder>;
}

export interface WrongQuery {
  readonly problem: string;
}

export const QUERY_MAX = 10_000;

export function parseSqlQuery(
  written: string,
  { dialect, use }: { readonly dialect: SqlDialect; readonly use: SqlUse },
): SqlQuery | WrongQuery {
  if (written.length > QUERY_MAX) return { problem: `it has more than ${QUERY_MAX} characters` };
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/.test(written) || !written.isWellFormed())
    return { problem: 'there is a control character in it' };
  const query = new Writer(dialect);
  const { known, some } = USES[use];
  let ended = false;
  for (let at = 0; at < written.length;) {
    const piece = nextPiece(written, at, dialect);
    if ('problem' in piece) return piece;
    const text = written.slice(at, piece.end);
    at = piece.end;
    if (piece.kind === 'end') {
      ended = true;
      continue;
    }
    const isBlank = piece.kind === 'comment' || text.trim() === '';
    if (ended && !isBlank) return { problem: 'there are several statements in it' };
    if (piece.kind !== 'name') query.text(text);
    else {
      const name = known.find((one) => one === text.slice(1));
      if (name === undefined) return { problem: unknown(text, known) };
      query.placeholder(name);
    }
  }
  const made = query.end();
  if (made.text === '') return { problem: 'it is empty' };
  if (some.some((name) => made.uses.has(name))) return made;
  const words = some.map((name) => `:${name}`).join(', ');
  return { problem: `nothing of the login is in it, expected one of ${words}` };
}

function unknown(found: string, known: readonly Placeholder[]): string {
  const words = known.map((name) => `:${name}`).join(' ');
  return `${JSON.stringify(found)} is not known here, expected one of ${words}`;
}

class Writer {
  readonly #dialect: SqlDialect;
  readonly #values: Placeholder[] = [];
  #text = '';

  constructor(dialect: SqlDialect) {
    this.#dialect = dialect;
  }

  text(text: string): void {
    this.#text += text;
  }

  /** One name is one parameter, so that the server sees one type; MySQL has no names for them. */
  placeholder(name: Placeholder): void {
    const known = this.#values.indexOf(name);
    const isNew = known < 0 || this.#dialect === 'mysql';
    const place = isNew ? this.#values.push(name) : known + 1;
    this.#text += this.#dialect === 'mysql' ? '?' : `${this.#dialect === 'postgres' ? '$' : '?'}${place}`;
  }

  end(): SqlQuery {
    return { text: this.#text.trim(), values: this.#values, uses: new Set(this.#values) };
  }
}

type Piece =
  { readonly kind: 'text' | 'comment' | 'name' | 'end'; readonly end: number } | { readonly problem: string };

interface Rule {
  readonly kind: 'text' | 'comment' | 'name' | 'end';
  readonly pattern: RegExp;
  readonly only?: readonly SqlDialect[];
}

/** The first that fits at a place says what stands there. All are sticky, and each takes at least a character. */
const RULES: readonly Rule[] = [
  // A name that ends where a quote begins would be a prefix of the quote: E'…', N'…', U&'…'.
  { kind: 'text', pattern: /[eE]'(?:[^'\\]|\\[^]|'')*'/y, only: ['postgres'] },
  { kind: 'text', pattern: /'(?:[^'\\]|\\[^]|'')*'/y, only: ['mysql'] },
  { kind: 'text', pattern: /"(?:[^"\\]|\\[^]|"")*"/y, only: ['mysql'] },
  { kind: 'text', pattern: /'(?:[^']|'')*'/y, only: ['postgres', 'sqlite'] },
  { kind: 'text', pattern: /"(?:[^"]|"")*"/y, only: ['postgres', 'sqlite'] },
  { kind: 'text', pattern: /`(?:[^`]|``)*`/y, only: ['mysql', 'sqlite'] },
  { kind: 'text', pattern: /\[[^\]]*\]/y, only: ['sqlite'] },
  {
    kind: 'text',
    pattern: /\$([A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$[^]*?\$\1\$/y,
    only: ['postgres'],
  },
  { kind: 'comment', pattern: /--[^\n]*/y, only: ['postgres', 'sqlite'] },
  { kind: 'comment', pattern: /--(?=\s|$)[^\n]*|#[^\n]*/y, only: ['mysql'] },
  { kind: 'comment', pattern: /\/\*(?![!]|M!)(?:[^*]|\*(?!\/))*\*\//y, only: ['mysql', 'sqlite'] },
  { kind: 'text', pattern: /::|:=/y },
  { kind: 'name', pattern: /:[A-Za-z_]\w*/y },
  { kind: 'end', pattern: /;/y },
  // A whole word or number, so that no rule begins in the middle of one.
  { kind: 'text', pattern: /[\w\u0080-\uffff$]*[\w\u0080-\uffff]/y, only: ['mysql'] },
  { kind: 'text', pattern: /[A-Za-z_\u0080-\uffff][\w\u0080-\uffff$]*|\d\w*/y },
  { kind: 'text', pattern: /\s+/y },
];

function nextPiece(written: string, at: number, dialect: SqlDialect): Piece {
  for (const { kind, pattern, only } of RULES) {
    if (only !== undefined && !only.includes(dialect)) continue;
    pattern.lastIndex = at;
    const [found = ''] = pattern.exec(written) ?? [];
    if (found !== '') return { kind, end: at + found.length };
  }
  const rest = written.slice(at, at + 2);
  if (rest === '/*') return dialect === 'postgres' ? nestedComment(written, at) : strangeComment(written, at);
  const sign = rest[0] ?? '';
  const quotes = dialect === 'postgres' ? `'"` : dialect === 'mysql' ? `'"\`` : `'"\`[`;
  if (quotes.includes(sign)) return { problem: `a quote (${sign}) is not closed` };
  if (isOwnMark(written.slice(at, at + 64), dialect))
    return { problem: `${JSON.stringify(sign)} is no placeholder here, expected a name as in :login` };
  return { kind: 'text', end: at + 1 };
}

/** What the server itself would take for a parameter. */
function isOwnMark(rest: string, dialect: SqlDialect): boolean {
  // Of PostgreSQL's operators some have a question mark in them.
  if (dialect === 'postgres') return rest.startsWith('$');
  if (dialect === 'mysql') return rest.startsWith('?');
  return /^(\?|[@$#][A-Za-z_:])/.test(rest);
}

function strangeComment(written: string, at: number): Piece {
  return written.startsWith('/*!', at) || written.startsWith('/*M!', at)
    ? { problem: 'a comment that the server would run (/*!) is in it' }
    : { problem: 'a comment is not closed' };
}

/** In PostgreSQL comments can hold comments. */
function nestedComment(written: string, at: number): Piece {
  const marks = /\/\*|\*\//g;
  marks.lastIndex = at;
  let depth = 0;
  for (let mark = marks.exec(written); mark !== null; mark = marks.exec(written)) {
    depth += mark[0] === '/*' ? 1 : -1;
    if (depth === 0) return { kind: 'comment', end: marks.lastIndex };
  }
  return { problem: 'a comment is not closed' };
}
