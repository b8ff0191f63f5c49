// The attributes that names are made of: their keywords, OIDs, upper bounds (RFC 5280 A.1) and string types. Pure.

export interface Attribute {
  /** Dotted OID. */
  readonly type: string;
  readonly value: string;
  /** How it stands in a certificate. */
  readonly string: 'printableString' | 'utf8String' | 'ia5String';
}

interface Kind {
  readonly keyword: string;
  readonly oid: string;
  readonly most: number;
  readonly also?: readonly string[];
  readonly only?: 'printableString' | 'ia5String';
}

const UNBOUNDED = 32_768;

const KINDS: readonly Kind[] = [
  { keyword: 'CN', oid: '2.5.4.3', most: 64, also: ['COMMONNAME'] },
  { keyword: 'OU', oid: '2.5.4.11', most: 64, also: ['ORGANIZATIONALUNITNAME'] },
  { keyword: 'O', oid: '2.5.4.10', most: 64, also: ['ORGANIZATIONNAME'] },
  { keyword: 'L', oid: '2.5.4.7', most: 128, also: ['LOCALITYNAME'] },
  { keyword: 'ST', oid: '2.5.4.8', most: 128, also: ['S', 'STATEORPROVINCENAME'] },
  { keyword: 'C', oid: '2.5.4.6', most: 2, also: ['COUNTRYNAME'], only: 'printableString' },
  { keyword: 'STREET', oid: '2.5.4.9', most: UNBOUNDED, also: ['STREETADDRESS'] },
  {
    keyword: 'DC',
    oid: '0.9.2342.19200300.100.1.25',
    most: UNBOUNDED,
    also: ['DOMAINCOMPONENT'],
    only: 'ia5String',
  },
  { keyword: 'UID', oid: '0.9.2342.19200300.100.1.1', most: 256, also: ['USERID'] },
  {
    keyword: 'E',
    oid: '1.2.840.113549.1.9.1',
    most: 255,
    also: ['EMAIL', 'EMAILADDRESS', 'MAIL'],
    only: 'ia5String',
  },
  { keyword: 'SERIALNUMBER', oid: '2.5.4.5', most: 64, only: 'printableString' },
  { keyword: 'SN', oid: '2.5.4.4', most: UNBOUNDED, also: ['SURNAME'] },
  { keyword: 'GIVENNAME', oid: '2.5.4.42', most: UNBOUNDED, also: ['GN'] },
  { keyword: 'TITLE', oid: '2.5.4.12', most: 64, also: ['T'] },
];

const PRINTABLE = /^[A-Za-z0-9 '()+,\-./:=?]*$/;
const ASCII = /^[\u0020-\u007e]*$/;
const OID = /^(?:OID\.)?([0-2](?:\.(?:0|[1-9]\d{0,17})){1,20})$/i;

export function keywordOf(oid: string): string {
  return KINDS.find((kind) => kind.oid === oid)?.keyword ?? oid;
}

/** As it was found in a certificate. */
export function attributeOf(oid: string, value: string): Attribute {
  return { type: oid, value, string: stringOf(kindOf(oid), value) };
}

/** As it was typed, and judged. */
export function attributeNamed(typed: string, value: string): Attribute | { readonly problem: string } {
  const kind = kindOf(typed);
  if (kind === null)
    return { problem: `the name has a part "${shown(typed)}" that is not known: ${known()}` };
  const problem = valueProblem(kind, value);
  if (problem !== null) return { problem: `${kind.keyword}=${shown(value)} in the name ${problem}` };
  return { type: kind.oid, value, string: stringOf(kind, value) };
}

function kindOf(typed: string): Kind | null {
  const keyword = typed.toUpperCase();
  const oid = OID.exec(typed)?.[1];
  const kind = KINDS.find(
    (candidate) =>
      candidate.keyword === keyword || candidate.also?.includes(keyword) === true || candidate.oid === oid,
  );
  if (kind !== undefined) return kind;
  return oid === undefined || !isOid(oid) ? null : { keyword: oid, oid, most: UNBOUNDED };
}

// X.660: the second arc stays below 40 under the first two roots.
function isOid(oid: string): boolean {
  const [first, second] = oid.split('.').map(Number);
  return first === 2 || (second ?? 40) < 40;
}

function valueProblem(kind: Kind, value: string): string | null {
  if (value === '') return 'is empty';
  if (/\p{Cc}/u.test(value)) return 'has control characters';
  if (!value.isWellFormed()) return 'is no well-formed text';
  const { length } = Array.from(value);
  if (kind.keyword === 'C') {
    return /^[A-Za-z]{2}$/.test(value) ? null : 'is no country of two letters, such as US';
  }
  if (length > kind.most) return `has ${length} characters, ${kind.most} at most are allowed`;
  if (kind.only === 'printableString' && !PRINTABLE.test(value))
    return "may have letters, digits and '()+,-./:=? only";
  if (kind.only === 'ia5String' && !ASCII.test(value)) return 'may have ASCII characters only';
  return null;
}

// RFC 5280 4.1.2.4: PrintableString where that can say it, UTF8String where it cannot.
function stringOf(kind: Kind | null, value: string): Attribute['string'] {
  if (kind?.only === 'ia5String' && ASCII.test(value)) return 'ia5String';
  return PRINTABLE.test(value) ? 'printableString' : 'utf8String';
}

function known(): string {
  return KINDS.map((kind) => kind.keyword).join(', ');
}

function shown(text: string): string {
  return text.slice(0, 40).replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?');
}
