// The contents of a message on the wire: where DATA ends, and what may not stand inside (RFC 5321 4.5.2, 2.3.8).
// Promises: only CRLF.CRLF sent by the client itself, or .CRLF as the very first bytes, ends a message. What comes out
// is what went in, in order and terminator included; in refuse mode as views of the chunks, without copying.
// Between two chunks at most 3 bytes are held back (in refuse mode one, a CR); no old chunk is looked at again.
// On failure: a named malformation, the first in the stream; the transaction must then be cut, never ended with a dot.
// Owns nothing; the caller owns the chunks, must not reuse them before `out` is written, and makes one scanner a message.

import { malformed, type Malformation, type Malformed } from './lines.ts';

export type EndingMode = 'refuse' | 'normalise';

export interface DataMore {
  readonly kind: 'more';
  readonly out: readonly Buffer[];
}

export type DataResult =
  DataMore | { readonly kind: 'end'; readonly out: readonly Buffer[]; readonly rest: Buffer } | Malformed;

const CR = 13;
const LF = 10;
const DOT = 46;
const CR_OCTET = Buffer.of(CR);
const TERMINATOR = '\r\n.\r\n';

// One pass finds the first thing of interest. The engine skips over plain text with vector instructions, which is
// faster than a native indexOf a line. A CR at the very end matches nothing: its LF may come with the next chunk.
const EVENT = /\0|\r(?=[^\n])|(?<!\r)\n|\r\n\.\r\n/g;
const OFFENCE = /\0|\r(?=[^\n])|(?<!\r)\n/g;

function firstMatch(pattern: RegExp, text: string): RegExpExecArray | null {
  pattern.lastIndex = 0;
  return pattern.exec(text);
}

function reasonOf(match: string): Malformation {
  if (match === '\0') return 'nul';
  return match === '\n' ? 'bare-lf' : 'bare-cr';
}

export class DataScanner {
  readonly #scan: (chunk: Buffer) => DataResult;

  constructor(mode: EndingMode) {
    const scanner = mode === 'refuse' ? new StrictScanner() : new Normaliser();
    this.#scan = (chunk) => scanner.push(chunk);
  }

  push(chunk: Buffer): DataResult {
    return this.#scan(chunk);
  }
}

/** Refuses every bare CR, bare LF and NUL; forwards everything else untouched. */
class StrictScanner {
  /** How many bytes of CRLF.CRLF the stream ends with; a message starts as if behind a line end. */
  #matched = 2;
  /** The last chunk ended with a CR that has not gone on: a lax server might take CRLF . CR for the end. */
  #heldCr = false;

  push(chunk: Buffer): DataResult {
    const result = this.#scan(chunk);
    if (result.kind === 'malformed') return result;
    const due = this.#heldCr ? [CR_OCTET, ...result.out] : result.out;
    this.#heldCr =
      result.kind === 'more' && (chunk.length === 0 ? this.#heldCr : chunk[chunk.length - 1] === CR);
    return this.#heldCr ? { ...result, out: withoutLastOctet(due) } : { ...result, out: due };
  }

  #scan(chunk: Buffer): DataResult {
    let matched = this.#matched;
    let at = 0;
    // Finish by hand what an earlier chunk began, until the match lies in this chunk alone: four steps at most.
    while (at < chunk.length && at < matched) {
      const byte = chunk[at];
      const behindCr = matched === 1 || matched === 4;
      if (behindCr && byte !== LF) return malformed('bare-cr');
      if (byte === LF && !behindCr) return malformed('bare-lf');
      if (byte === 0) return malformed('nul');
      at += 1;
      if (matched === 4) return endAt(chunk, at);
      matched = advance(matched, byte);
    }
    if (at < matched) {
      this.#matched = matched;
      return { kind: 'more', out: [chunk] };
    }
    return this.#scanRest(chunk, at - matched);
  }

  #scanRest(chunk: Buffer, from: number): DataResult {
    const event = firstMatch(EVENT, chunk.toString('latin1', from));
    if (event === null) {
      this.#matched = matchedAtEnd(chunk, from);
      return { kind: 'more', out: [chunk] };
    }
    if (event[0].length > 1) return endAt(chunk, from + event.index + TERMINATOR.length);
    return malformed(reasonOf(event[0]));
  }
}

function withoutLastOctet(out: readonly Buffer[]): readonly Buffer[] {
  const last = out.findLast((bytes) => bytes.length > 0);
  return out.map((bytes) => (bytes === last ? bytes.subarray(0, -1) : bytes));
}

/** One step through CRLF.CRLF, for a byte that is no offence and does not complete it. */
function advance(matched: number, byte: number | undefined): number {
  if (byte === CR) return matched === 3 ? 4 : 1;
  if (byte === LF) return 2;
  return matched === 2 && byte === DOT ? 3 : 0;
}

function matchedAtEnd(chunk: Buffer, from: number): number {
  const tail = chunk.toString('latin1', Math.max(from, chunk.length - 4));
  for (let size = 4; size > 0; size -= 1) {
    if (tail.endsWith(TERMINATOR.slice(0, size))) return size;
  }
  return 0;
}

function endAt(chunk: Buffer, offset: number): DataResult {
  return { kind: 'end', out: [chunk.subarray(0, offset)], rest: chunk.subarray(offset) };
}

/**
 * Turns bare CR and bare LF into CRLF and drops NULs. A line end so made, or a NUL so dropped, must not bring a dot into
 * a place where it would end the message or be taken for stuffing: such a dot is doubled.
 */
class Normaliser {
  /** Where the text not yet sent begins: behind a line end of the client's, behind one made here, or inside a line. */
  #start: 'real' | 'made' | 'inside' = 'real';
  /** Bytes whose meaning the next chunk decides: '', CR, or at a line's start a dot, dot NUL, dot CR, dot NUL CR. */
  #held = '';

  push(chunk: Buffer): DataResult {
    const text = this.#held + chunk.toString('latin1');
    const dot = this.#terminatorDot(text);
    if (dot < 0) {
      const body = text.slice(0, this.#holdFrom(text));
      const out = this.#forward(body, chunk);
      this.#held = text.slice(body.length).replace(/\0+/, '\0');
      return { kind: 'more', out };
    }
    const end = dot + 3;
    const out = [...this.#forward(text.slice(0, dot), chunk), Buffer.from('.\r\n')];
    return { kind: 'end', out, rest: chunk.subarray(end - this.#held.length) };
  }

  /** Where the dot of the client's own terminator stands, or -1. */
  #terminatorDot(text: string): number {
    if (this.#start === 'real' && text.startsWith('.\r\n')) return 0;
    const at = text.indexOf(TERMINATOR);
    return at < 0 ? -1 : at + 2;
  }

  /** Where the bytes begin that only the next chunk can explain. */
  #holdFrom(text: string): number {
    const beforeCr = text.endsWith('\r') ? text.length - 1 : text.length;
    let dot = beforeCr - 1;
    while (dot >= 0 && text.charCodeAt(dot) === 0) dot -= 1;
    if (dot < 0 || text.charCodeAt(dot) !== DOT) return beforeCr;
    const atLineStart = dot === 0 ? this.#start === 'real' : dot > 1 && text.startsWith('\r\n', dot - 2);
    return atLineStart ? dot : beforeCr;
  }

  #forward(body: string, chunk: Buffer): readonly Buffer[] {
    if (body === '') return [];
    // A CR at the end of the body is bare: were it the last byte so far, it would have been held.
    if (body.endsWith('\r') || firstMatch(OFFENCE, body) !== null)
      return [Buffer.from(this.#rewrite(body), 'latin1')];
    const out: Buffer[] = [];
    if (this.#start === 'made' && body.startsWith('.')) out.push(Buffer.from('.'));
    const held = this.#held.length;
    if (held > 0) out.push(Buffer.from(body.slice(0, held), 'latin1'));
    if (body.length > held) out.push(chunk.subarray(0, body.length - held));
    this.#start = body.endsWith('\r\n') ? 'real' : 'inside';
    return out;
  }

  /** The slow way, line by line, for text in which something has to change. */
  #rewrite(body: string): string {
    let written = '';
    for (const [line, ending] of linesOf(body)) {
      const text = line.replaceAll('\0', '');
      // A dot in front of which something was dropped or made was text to the client: it is stuffed. So is a dot
      // alone on its line, unless both line ends around it are the client's (and that one has been found already).
      const exposed =
        this.#start === 'made' || (this.#start === 'real' && (line.startsWith('\0') || text === '.'));
      written += exposed && text.startsWith('.') ? `.${text}` : text;
      if (ending !== '') {
        written += '\r\n';
        this.#start = ending === '\r\n' ? 'real' : 'made';
      } else if (text !== '') {
        this.#start = 'inside';
      } else if (line !== '' && this.#start === 'real') {
        this.#start = 'made';
      }
    }
    return written;
  }
}

/** The lines of a text with the ends they have: CRLF, CR, LF, or none for the last. */
function* linesOf(text: string): Generator<readonly [line: string, ending: string]> {
  let from = 0;
  for (const match of text.matchAll(/\r\n|\r|\n/g)) {
    yield [text.slice(from, match.index), match[0]];
    from = match.index + match[0].length;
  }
  yield [text.slice(from), ''];
}

/**
 * The contents of BDAT chunks (RFC 3030 2): their size is announced, so nothing ends them and nothing can be rewritten.
 * Therefore both modes refuse. One scanner serves a whole message, because a CRLF may be split between two BDATs;
 * `end` is called behind the last. Not for BODY=BINARYMIME, where lines mean nothing (RFC 3030 3).
 */
export class ChunkScanner {
  #endedWithCr = false;

  constructor(_mode: EndingMode) {}

  push(chunk: Buffer): DataMore | Malformed {
    if (chunk.length === 0) return { kind: 'more', out: [] };
    let from = 0;
    if (this.#endedWithCr) {
      if (chunk[0] !== LF) return malformed('bare-cr');
      from = 1;
    }
    const offence = firstMatch(OFFENCE, chunk.toString('latin1', from));
    if (offence !== null) return malformed(reasonOf(offence[0]));
    this.#endedWithCr = chunk[chunk.length - 1] === CR;
    return { kind: 'more', out: [chunk] };
  }

  end(): DataMore | Malformed {
    return this.#endedWithCr ? malformed('bare-cr') : { kind: 'more', out: [] };
  }
}
