import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ChunkScanner, DataScanner, type EndingMode } from '../../src/wire/smtp-data.ts';

interface Verdict {
  readonly kind: 'more' | 'end' | 'malformed';
  readonly reason?: string;
  readonly out: string;
  readonly rest?: string;
}

const END = '\r\n.\r\n';

/** The obviously right model of refuse mode: byte by byte over the whole stream. */
function refuseModel(input: string): Verdict {
  for (let at = 0; at < input.length; at += 1) {
    const seen = `\r\n${input.slice(0, at + 1)}`;
    const [before, byte, after] = [input[at - 1], input[at], input[at + 1]];
    if (byte === '\0') return { kind: 'malformed', reason: 'nul', out: '' };
    if (byte === '\n' && before !== '\r') return { kind: 'malformed', reason: 'bare-lf', out: '' };
    if (byte === '\r' && after !== undefined && after !== '\n') {
      return { kind: 'malformed', reason: 'bare-cr', out: '' };
    }
    if (seen.endsWith(END)) return { kind: 'end', out: input.slice(0, at + 1), rest: input.slice(at + 1) };
  }
  return { kind: 'more', out: input };
}

/** The model of normalise mode, for input that ends: the whole stream as a list of lines with their two neighbours. */
function normaliseModel(input: string): Verdict {
  const dot = `\r\n${input}`.indexOf(END);
  assert.ok(dot >= 0, 'the model wants input that ends');
  const parts = input.slice(0, dot).split(/(\r\n|\r|\n)/);
  let out = '';
  for (let at = 0; at < parts.length; at += 2) {
    const line = parts[at] ?? '';
    const behind = parts[at - 1] ?? '\r\n';
    const ahead = parts[at + 1];
    const clean = line.split('\0').join('');
    const ofClient = behind === '\r\n' && line.startsWith('.');
    const wouldEnd = clean === '.' && !(line === '.' && ahead === '\r\n');
    out +=
      (clean.startsWith('.') && (!ofClient || wouldEnd) ? '.' : '') +
      clean +
      (ahead === undefined ? '' : '\r\n');
  }
  return { kind: 'end', out: `${out}.\r\n`, rest: input.slice(dot + 3) };
}

function scan(mode: EndingMode, chunks: readonly string[]): Verdict {
  const scanner = new DataScanner(mode);
  let out = '';
  for (const [index, chunk] of chunks.entries()) {
    const result = scanner.push(Buffer.from(chunk, 'latin1'));
    if (result.kind === 'malformed') return { kind: 'malformed', reason: result.reason, out: '' };
    out += Buffer.concat(result.out).toString('latin1');
    if (result.kind === 'end') {
      const rest = result.rest.toString('latin1') + chunks.slice(index + 1).join('');
      return { kind: 'end', out, rest };
    }
  }
  return { kind: 'more', out };
}

/** Every way to cut a short text in two, whole, and byte by byte. */
function* cuttings(text: string): Generator<readonly string[]> {
  for (let at = 0; at <= text.length; at += 1) yield [text.slice(0, at), text.slice(at)];
  yield text.split('');
}

function cut(text: string, sizes: readonly number[]): readonly string[] {
  const chunks: string[] = [];
  let at = 0;
  for (const size of sizes) {
    chunks.push(text.slice(at, at + size));
    at += size;
  }
  return [...chunks, text.slice(at)];
}

const piece = fc.constantFrom('\r', '\n', '.', '\0', 'a', '\r\n', '\r\n', '\r\n.', '..', 'bcdefgh', '\xe9');
const legalPiece = fc.constantFrom('.', 'a', '\r\n', '\r\n', '\r\n.', '..', 'bcdefgh', '\xe9');
const sizes = fc.array(fc.integer({ min: 0, max: 7 }), { maxLength: 60, size: 'max' });
const stream = fc.array(piece, { maxLength: 40, size: 'max' }).map((pieces) => pieces.join(''));
const legalStream = fc.array(legalPiece, { maxLength: 40, size: 'max' }).map((pieces) => pieces.join(''));

test('property: refuse mode agrees with the model however the stream is cut', () => {
  fc.assert(
    fc.property(fc.oneof(stream, legalStream), sizes, (input, where) => {
      const model = refuseModel(input);
      // A CR at the very end waits for what comes behind it.
      const held = model.kind === 'more' && model.out.endsWith('\r');
      assert.deepEqual(
        scan('refuse', cut(input, where)),
        held ? { ...model, out: model.out.slice(0, -1) } : model,
      );
    }),
    { numRuns: 20_000 },
  );
});

test('property: normalise mode agrees with the model however the stream is cut', () => {
  fc.assert(
    fc.property(stream, stream, sizes, (input, behind, where) => {
      const whole = `${input}${END}${behind}`;
      assert.deepEqual(scan('normalise', cut(whole, where)), normaliseModel(whole));
    }),
    { numRuns: 20_000 },
  );
});

test('property: what normalise mode writes has no bare CR, bare LF or NUL, and no end of data but the last', () => {
  fc.assert(
    fc.property(stream, sizes, (input, where) => {
      const { kind, out } = scan('normalise', cut(input, where));
      assert.doesNotMatch(out, /\0|\r(?!\n)|(?<!\r)\n/);
      const end = `\r\n${out}`.indexOf(END);
      assert.equal(end, kind === 'end' ? out.length - 3 : -1);
    }),
    { numRuns: 20_000 },
  );
});

test('property: mail without offences passes both modes octet by octet', () => {
  fc.assert(
    fc.property(legalStream, sizes, (input, where) => {
      const mail = `a${input}${END}RSET\r\n`;
      assert.deepEqual(scan('normalise', cut(mail, where)), scan('refuse', cut(mail, where)));
      assert.equal(scan('refuse', [mail]).kind, 'end');
    }),
    { numRuns: 5000 },
  );
});

const SMUGGLED = 'MAIL FROM:<evil@example.org>\r\n';
const ATTACKS: readonly (readonly [attack: string, normalised: string])[] = [
  ['\n.\n', '\r\n..\r\n'],
  ['\n.\r\n', '\r\n..\r\n'],
  ['\r\n.\n', '\r\n..\r\n'],
  ['\r.\r', '\r\n..\r\n'],
  ['\r.\r\n', '\r\n..\r\n'],
  ['\r\n.\r', '\r\n..\r\n'],
  ['\n.\r', '\r\n..\r\n'],
  ['\r.\n', '\r\n..\r\n'],
  ['\n\n.\r\n', '\r\n\r\n..\r\n'],
  ['\r\r\n.\r\r\n', '\r\n\r\n..\r\n\r\n'],
  ['\r\n\0.\r\n', '\r\n..\r\n'],
  ['\r\n.\0\r\n', '\r\n..\r\n'],
  ['\r\n.\r\0\n', '\r\n..\r\n\r\n'],
  ['\r\0\n.\r\n', '\r\n\r\n..\r\n'],
  ['\r\n\0\0.\0\0\r\n', '\r\n..\r\n'],
];

for (const [attack, normalised] of ATTACKS) {
  const name = JSON.stringify(attack);
  test(`${name} does not end a message, while CRLF.CRLF in its place does (RFC 5321 4.5.2)`, () => {
    const stream = `hello${attack}${SMUGGLED}`;
    for (const chunks of cuttings(stream)) {
      assert.equal(scan('refuse', chunks).kind, 'malformed');
      assert.deepEqual(scan('normalise', chunks), { kind: 'more', out: `hello${normalised}${SMUGGLED}` });
    }
    const twin = `hello${END}${SMUGGLED}`;
    for (const mode of ['refuse', 'normalise'] as const) {
      for (const chunks of cuttings(twin)) {
        assert.deepEqual(scan(mode, chunks), { kind: 'end', out: `hello${END}`, rest: SMUGGLED });
      }
    }
  });
}

test('a message that is empty ends with .CRLF as its first bytes, but not behind a NUL or a bare LF', () => {
  for (const mode of ['refuse', 'normalise'] as const) {
    for (const chunks of cuttings('.\r\nQUIT\r\n')) {
      assert.deepEqual(scan(mode, chunks), { kind: 'end', out: '.\r\n', rest: 'QUIT\r\n' });
    }
  }
  for (const start of ['\0', '\n', '\r']) {
    for (const chunks of cuttings(`${start}.\r\n`)) {
      assert.equal(scan('refuse', chunks).kind, 'malformed');
      assert.equal(scan('normalise', chunks).kind, 'more');
    }
  }
});

test('a dot in a line, dots stuffed by the client and a dot line with blanks do not end a message', () => {
  for (const text of ['a.\r\nb', '\r\n..\r\nb', '\r\n. \r\nb', '\r\n.a\r\n', '\r\n..a\r\n', '...\r\n']) {
    for (const mode of ['refuse', 'normalise'] as const) {
      for (const chunks of cuttings(`${text}x`)) {
        assert.deepEqual(scan(mode, chunks), { kind: 'more', out: `${text}x` });
      }
    }
  }
});

test('a CR at the end of a chunk waits for the next one, and goes no further where that makes it a bare one', () => {
  const scanner = new DataScanner('refuse');
  const first = scanner.push(Buffer.from('abc\r\n.\r'));
  assert.ok(first.kind === 'more');
  assert.equal(Buffer.concat(first.out).toString(), 'abc\r\n.');
  assert.deepEqual(scanner.push(Buffer.from('def')), { kind: 'malformed', reason: 'bare-cr' });
});

test('a CRLF that is cut in two goes on whole', () => {
  const scanner = new DataScanner('refuse');
  scanner.push(Buffer.from('abc\r'));
  const second = scanner.push(Buffer.from('\ndef\r'));
  assert.ok(second.kind === 'more');
  assert.equal(Buffer.concat(second.out).toString(), '\r\ndef');
});

test('the offence behind the end of data is not this message’s affair', () => {
  assert.deepEqual(scan('refuse', [`a${END}\n\0\r`]), { kind: 'end', out: `a${END}`, rest: '\n\0\r' });
});

test('refuse mode hands out views of the chunk, not copies', () => {
  const chunk = Buffer.from(`one\r\ntwo${END}rest`);
  const result = new DataScanner('refuse').push(chunk);
  assert.ok(result.kind === 'end');
  for (const buffer of [...result.out, result.rest]) assert.equal(buffer.buffer, chunk.buffer);
});

test('a flood of NULs behind a dot does not grow what normalise mode holds back', () => {
  const scanner = new DataScanner('normalise');
  scanner.push(Buffer.from('.'));
  for (let n = 0; n < 100; n += 1) {
    const result = scanner.push(Buffer.alloc(65_536));
    assert.ok(result.kind === 'more' && result.out.length === 0);
  }
  const result = scanner.push(Buffer.from('\r\nx'));
  assert.ok(result.kind === 'more');
  assert.equal(Buffer.concat(result.out).toString(), '..\r\nx');
});

function scanChunks(mode: EndingMode, chunks: readonly string[]): string {
  const scanner = new ChunkScanner(mode);
  let out = '';
  for (const chunk of chunks) {
    const result = scanner.push(Buffer.from(chunk, 'latin1'));
    if (result.kind === 'malformed') return result.reason;
    out += Buffer.concat(result.out).toString('latin1');
  }
  const end = scanner.end();
  return end.kind === 'malformed' ? end.reason : out;
}

test('property: BDAT contents pass untouched, or are refused for the first bare CR, bare LF or NUL, in both modes', () => {
  fc.assert(
    fc.property(fc.oneof(stream, legalStream), sizes, (input, where) => {
      const offence = /\0|\r(?!\n)|(?<!\r)\n/.exec(input)?.[0];
      const names = new Map([
        ['\0', 'nul'],
        ['\r', 'bare-cr'],
        ['\n', 'bare-lf'],
      ]);
      const expected = offence === undefined ? input : names.get(offence);
      assert.equal(scanChunks('refuse', cut(input, where)), expected);
      assert.equal(scanChunks('normalise', cut(input, where)), expected);
    }),
    { numRuns: 10_000 },
  );
});

test('a dot line is plain text in BDAT, and CRLF may be split between two BDATs (RFC 3030 2)', () => {
  assert.equal(scanChunks('refuse', [`a\r`, `\n.\r\nb`]), 'a\r\n.\r\nb');
  assert.equal(scanChunks('refuse', ['a\r']), 'bare-cr');
});
