// Walks DER (X.690 8.1) without decoding it: where an element is, what is in it. For what is asked of every connection,
// or has hundreds of thousands of elements, where the packages that know ASN.1 are slow. Takes any bytes; never throws.

export interface Element {
  readonly tag: number;
  /** Where its header begins. */
  readonly at: number;
  /** Its content. */
  readonly start: number;
  readonly end: number;
}

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
} as const;

const LENGTH_BYTES_MAX = 4;

/** The element that begins at `at` and ends before `limit`; null: there is none, or it is damaged. */
export function elementAt(der: Buffer, at: number, limit = der.length): Element | null {
  const tag = der[at];
  const first = der[at + 1];
  // Tags above 30 take more octets; X.509 has none.
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f) return null;
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  const start = at + 2 + lengthBytes;
  if (first === 0x80 || lengthBytes > LENGTH_BYTES_MAX || start > limit || start > der.length) return null;
  const size = lengthBytes === 0 ? first : der.readUIntBE(at + 2, lengthBytes);
  const end = start + size;
  return end > limit || end > der.length ? null : { tag, at, start, end };
}

/** What is inside of an element, at most `max` of it; null: it does not end where its last element does. */
export function elementsIn(der: Buffer, { start, end }: Element, max: number): readonly Element[] | null {
  const found: Element[] = [];
  for (let at = start; at < end;) {
    const element = elementAt(der, at, end);
    if (element === null || found.length === max) return null;
    found.push(element);
    at = element.end;
  }
  return found;
}

export function contentOf(der: Buffer, { start, end }: Element): Buffer {
  return der.subarray(start, end);
}

/** With its header. */
export function wholeOf(der: Buffer, { at, end }: Element): Buffer {
  return der.subarray(at, end);
}

/** An object identifier in dots; '' where it is none. */
export function oidOf(der: Buffer, element: Element | undefined): string {
  if (element?.tag !== TAG.oid || element.end === element.start) return '';
  const arcs: number[] = [];
  let arc = 0;
  for (const octet of contentOf(der, element)) {
    arc = arc * 128 + (octet & 0x7f);
    if (arc > 0xffff_ffff) return '';
    if (octet >= 0x80) continue;
    if (arcs.length === 0)
      arcs.push(Math.min(Math.floor(arc / 40), 2), arc - Math.min(Math.floor(arc / 40), 2) * 40);
    else arcs.push(arc);
    arc = 0;
  }
  return arcs.join('.');
}

// RFC 5280 4.1.2.5: UTCTime with two digits of the year, up to 2049, or GeneralizedTime; both in Zulu, with seconds.
export function timeOf(der: Buffer, element: Element | undefined): number | null {
  if (element === undefined) return null;
  const text = contentOf(der, element).toString('latin1');
  const short = element.tag === TAG.utcTime;
  if (!short && element.tag !== TAG.generalizedTime) return null;
  const parts = (
    short ? /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/ : /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/
  ).exec(text);
  if (parts === null) return null;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts.slice(1).map(Number);
  const fullYear = short ? year + (year < 50 ? 2000 : 1900) : year;
  return Date.UTC(fullYear, month - 1, day, hour, minute, second);
}
