import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { takeLine } from '../../src/wire/lines.ts';

const MAX = 12;
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

function answer(text: string, from = 0): string {
  const result = takeLine(bytes(text), from, MAX);
  if (result.kind === 'line') return `line ${result.line.toString('latin1')} ${result.next}`;
  return result.kind === 'malformed' ? result.reason : result.kind;
}

test('a line is what stands in front of CRLF, and next is the offset behind it', () => {
  assert.equal(answer('NOOP\r\nQUIT\r\n'), 'line NOOP 6');
  assert.equal(answer('NOOP\r\nQUIT\r\n', 6), 'line QUIT 12');
  assert.equal(answer('\r\n'), 'line  2');
  assert.equal(answer('NOOP\r\n', 6), 'need-more');
});

test('a CR as the last byte so far waits, a CR followed by anything but LF is refused', () => {
  assert.equal(answer('NOOP\r'), 'need-more');
  assert.equal(answer('NOOP\rX'), 'bare-cr');
  assert.equal(answer('NOOP\r\r\n'), 'bare-cr');
});

test('a bare LF or a NUL in front of the line end is refused, behind it it is the next line’s affair', () => {
  assert.equal(answer('NO\nOP\r\n'), 'bare-lf');
  assert.equal(answer('NO\0OP\r\n'), 'nul');
  assert.equal(answer('NO\0'), 'nul');
  assert.equal(answer('NOOP\r\n\n\0'), 'line NOOP 6');
});

test('a line of exactly the limit passes, one byte more is too long, with or without its line end', () => {
  assert.equal(answer(`${'x'.repeat(MAX)}\r\n`), `line ${'x'.repeat(MAX)} ${MAX + 2}`);
  assert.equal(answer(`${'x'.repeat(MAX)}\r`), 'need-more');
  assert.equal(answer('x'.repeat(MAX)), 'need-more');
  assert.equal(answer('x'.repeat(MAX + 1)), 'too-long');
  assert.equal(answer(`${'x'.repeat(MAX + 1)}\r\n`), 'too-long');
  assert.equal(answer('x'.repeat(100_000)), 'too-long');
});

test('property: a line is judged the same however the network split it, and every answer comes from the bytes in order', () => {
  const piece = fc.constantFrom('\r', '\n', '\0', 'a', 'bcd', '\r\n', '\r\n');
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20, size: 'max' }), (pieces) => {
      const whole = bytes(pieces.join(''));
      const final = takeLine(whole, 0, MAX);
      for (let size = 0; size <= whole.length; size += 1) {
        const early = takeLine(whole.subarray(0, size), 0, MAX);
        if (early.kind !== 'need-more') return assert.deepEqual(early, final);
        assert.ok(size <= MAX + 1, 'waits for more than the limit allows');
      }
      return assert.equal(final.kind, 'need-more');
    }),
    { numRuns: 2000 },
  );
});

test('a view of the buffer is handed out, not a copy', () => {
  const buffer = bytes('AB\r\n');
  const result = takeLine(buffer, 0, MAX);
  assert.ok(result.kind === 'line');
  buffer[0] = 0x5a;
  assert.equal(result.line.toString(), 'ZB');
});
