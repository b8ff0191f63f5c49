// Lines that end in CRLF, cut out of a buffer.
// Promises: never throws, never copies (a line is a view of the buffer), never looks further than `maxBytes` + 2 bytes,
// and gives the same answer however the network split the bytes. The first offence in the stream is the one named.
// On failure: a named malformation; the caller must not go on reading that stream.
// The caller owns the buffer and decides when to drop what was taken.

export type Malformation = 'too-long' | 'bare-cr' | 'bare-lf' | 'nul' | 'syntax';

/** What every parser of this folder says of input that is against its grammar. */
export interface Malformed {
  readonly kind: 'malformed';
  readonly reason: Malformation;
}

export type LineResult =
  | { readonly kind: 'line'; readonly line: Buffer; readonly next: number }
  | { readonly kind: 'need-more' }
  | Malformed;

const CR = 13;
const LF = 10;
const NEED_MORE = { kind: 'need-more' } as const;

export function malformed(reason: Malformation): Malformed {
  return { kind: 'malformed', reason };
}

/** The line that starts at `from`, without its CRLF; `next` is the offset behind it. */
export function takeLine(buffer: Buffer, from: number, maxBytes: number): LineResult {
  const isWhole = from === 0 && buffer.length <= maxBytes + 1;
  const window = isWhole ? buffer : buffer.subarray(from, from + maxBytes + 1);
  const cr = window.indexOf(CR);
  const lf = window.indexOf(LF);
  const stop = cr < 0 || (lf >= 0 && lf < cr) ? lf : cr;
  const text = stop < 0 ? window : window.subarray(0, stop);
  if (text.includes(0)) return malformed('nul');
  if (stop < 0) return window.length > maxBytes ? malformed('too-long') : NEED_MORE;
  if (stop === lf) return malformed('bare-lf');
  const next = from + cr + 1;
  if (next >= buffer.length) return NEED_MORE;
  // RFC 5321 2.3.8: CR and LF may appear together only, as the end of a line.
  return buffer[next] === LF ? { kind: 'line', line: text, next: next + 1 } : malformed('bare-cr');
}
