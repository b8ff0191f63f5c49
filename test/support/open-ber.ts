// DER made into the BER of old writers: lengths left open, long strings in pieces. Says the same.

const END = Buffer.from([0, 0]);
const PIECE = 100;

export function openBer(der: Buffer): Buffer {
  const pieces: Buffer[] = [];
  for (let place = 0; place < der.length;) {
    const { tag, content, next } = elementAt(der, place);
    const body = der.subarray(content, next);
    if ((tag & 0x20) !== 0) pieces.push(Buffer.from([tag, 0x80]), openBer(body), END);
    else if (tag === 0x04 && body.length > PIECE) {
      pieces.push(Buffer.from([0x24, 0x80]), ...inPieces(body), END);
    } else pieces.push(der.subarray(place, next));
    place = next;
  }
  return Buffer.concat(pieces);
}

function inPieces(body: Buffer): readonly Buffer[] {
  const pieces: Buffer[] = [];
  for (let start = 0; start < body.length; start += PIECE) {
    const piece = body.subarray(start, start + PIECE);
    pieces.push(Buffer.from([0x04, piece.length]), piece);
  }
  return pieces;
}

function elementAt(der: Buffer, place: number): { tag: number; content: number; next: number } {
  const [tag = 0, first = 0] = der.subarray(place);
  if (first < 0x80) return { tag, content: place + 2, next: place + 2 + first };
  const size = first & 0x7f;
  const content = place + 2 + size;
  return { tag, content, next: content + der.readUIntBE(place + 2, size) };
}
