// What the text of `ciphers` says: a preset, a list for OpenSSL, or the names that Sun's servers knew (Administration
// Guide 6.3, table 23-2; `+name,-name` as in encryption.nsssl3ciphers). Pure; never throws. Whether OpenSSL knows the
// suites of a list is not judged here.
// No suite behind an old name is left in TLS. For those that were strong in their time newer suites stand in, which
// every client of the last fifteen years has; the broken ones are refused, each with its reason.

export const CIPHER_PRESETS = ['modern', 'intermediate', 'old'] as const;
export type CipherPreset = (typeof CIPHER_PRESETS)[number];

/** An old name that was switched on, and why its suite is not to be had. */
export interface OldCipher {
  readonly name: string;
  readonly reason: string;
}

export interface CipherWords {
  /** Whose suites come first; null: a list for OpenSSL alone. */
  readonly preset: CipherPreset | null;
  /** A list for OpenSSL, or empty. */
  readonly openssl: string;
  /** Newer suites stand in for these. */
  readonly replaced: readonly OldCipher[];
  readonly refused: readonly OldCipher[];
  /** Look like old names and are none. */
  readonly unknown: readonly string[];
}

interface Row extends OldCipher {
  /** As the documentation describes it. */
  readonly wording?: string;
  /** intermediate stands in for it. */
  readonly replaced?: true;
}

// RFC 7465 2: RC4 must not be negotiated. RFC 9325 4.1: no NULL, no export strength, nothing below 112 bits, and
// nothing below 128 that can be avoided (3DES has 112).
const RC4 = 'RC4 is forbidden in TLS (RFC 7465)';
const EXPORT = 'export strength, broken and gone from TLS (RFC 9325 4.1)';
const DES = 'DES has 56 bits and is gone from TLS (RFC 9325 4.1)';
const NULL = 'it encrypts nothing (RFC 9325 4.1)';
const TRIPLE_DES = '3DES is advised against (RFC 9325 4.1) and this OpenSSL has no suite with it';
const STATIC_RSA = 'a key exchange by RSA alone keeps no secret once the key is known (RFC 9325 4.1)';
const FORTEZZA = 'Fortezza is gone';

/** The six documented names first. */
const ROWS: readonly Row[] = [
  {
    name: 'rsa_rc4_128_md5',
    wording: 'RC4 with 128-bit encryption and MD5 message authentication',
    reason: RC4,
  },
  {
    name: 'rsa_3des_sha',
    wording: 'Triple DES with 168-bit encryption and SHA message authentication',
    reason: TRIPLE_DES,
    replaced: true,
  },
  {
    name: 'rsa_des_sha',
    wording: 'DES with 56-bit encryption and SHA message authentication',
    reason: DES,
  },
  {
    name: 'rsa_rc4_40_md5',
    wording: 'RC4 with 40-bit encryption and MD5 message authentication',
    reason: EXPORT,
  },
  {
    name: 'rsa_rc2_40_md5',
    wording: 'RC2 with 40-bit encryption and MD5 message authentication',
    reason: EXPORT,
  },
  {
    name: 'rsa_null_md5',
    wording: 'No encryption only MD5 message authentication',
    reason: NULL,
  },
  { name: 'rsa_aes_128_sha', reason: STATIC_RSA, replaced: true },
  { name: 'rsa_aes_256_sha', reason: STATIC_RSA, replaced: true },
  { name: 'fips_3des_sha', reason: TRIPLE_DES, replaced: true },
  { name: 'rsa_fips_3des_sha', reason: TRIPLE_DES, replaced: true },
  { name: 'fips_des_sha', reason: DES },
  { name: 'rsa_fips_des_sha', reason: DES },
  { name: 'rsa_rc4_128_sha', reason: RC4 },
  { name: 'rsa_null_sha', reason: NULL },
  { name: 'rsa_des_56_sha', reason: EXPORT },
  { name: 'rsa_rc4_56_sha', reason: EXPORT },
  { name: 'tls_rsa_export1024_with_des_cbc_sha', reason: EXPORT },
  { name: 'tls_rsa_export1024_with_rc4_56_sha', reason: EXPORT },
  { name: 'fortezza', reason: FORTEZZA },
  { name: 'fortezza_rc4_128_sha', reason: FORTEZZA },
  { name: 'fortezza_null', reason: FORTEZZA },
];

export const OLD_CIPHER_NAMES: readonly string[] = ROWS.map(({ name }) => name);
const BY_WORDS: ReadonlyMap<string, Row> = new Map(
  ROWS.flatMap((row) =>
    [row.name, ...(row.wording === undefined ? [] : [plain(row.wording)])].map((words) => [words, row]),
  ),
);
/** The one description with a comma in it. */
const COMMA_INSIDE = /(no encryption)\s*,\s*(?=only)/gi;
const ALL = /^[+-]all$/i;
const LOOKS_OLD = /^(rsa|fips|fortezza|tls_rsa_export|ssl3?)_[a-z0-9_]+$/;

export function parseCiphers(text: string): CipherWords {
  const none = { replaced: [], refused: [], unknown: [] };
  if (text === 'default') return { preset: 'intermediate', openssl: '', ...none };
  if (isPreset(text)) return { preset: text, openssl: '', ...none };
  const items = text
    .replace(COMMA_INSIDE, '$1 ')
    .split(/[,:]/)
    .flatMap((item) => (rowOf(item) === null ? item.split(/\s+/) : [item.trim()]));
  const given = items.filter((item) => item !== '');
  const isOld = (item: string): boolean => rowOf(item) !== null || LOOKS_OLD.test(bare(item));
  // OpenSSL's own notation stays as it was written.
  if (!given.some(isOld) && !(given.length > 0 && given.every((item) => ALL.test(item))))
    return { preset: null, openssl: text, ...none };
  const replaced: OldCipher[] = [];
  const refused: OldCipher[] = [];
  const unknown: string[] = [];
  for (const item of given.filter(isOld)) {
    const row = rowOf(item);
    if (row === null) unknown.push(item.replace(/^[+-]/, ''));
    else if (!item.startsWith('-'))
      (row.replaced ? replaced : refused).push({ name: row.name, reason: row.reason });
  }
  const others = given.filter((item) => !isOld(item) && !ALL.test(item));
  const everything = given.some((item) => item.toLowerCase() === '+all');
  const preset = replaced.length > 0 || everything ? 'intermediate' : null;
  return { preset, openssl: others.join(':'), replaced, refused, unknown };
}

/** Whether a text means no cipher at all once the refused ones are gone. */
export function meansNothing({ preset, openssl }: CipherWords): boolean {
  return preset === null && openssl.trim() === '';
}

/** All suites of TLS 1.3 that encrypt. */
const NEWEST =
  /^TLS_(AES_128_GCM_SHA256|AES_256_GCM_SHA384|CHACHA20_POLY1305_SHA256|AES_128_CCM(_8)?_SHA256)$/;

/**
 * What is wrong with a list's names of the form TLS_…; null: nothing. To Node all of these are of TLS 1.3, and a list with
 * the name that the IANA gave to an older suite serves nobody.
 */
export function strangeNewest(openssl: string): string | null {
  const strange = openssl.split(/[:, ]+/).find((token) => token.startsWith('TLS_') && !NEWEST.test(token));
  if (strange === undefined) return null;
  // RFC 9150 9: integrity only.
  if (/^TLS_SHA\d+_SHA\d+$/.test(strange)) return `"${strange}" encrypts nothing (RFC 9150)`;
  return `"${strange}" is no cipher suite of TLS 1.3; older ones go by OpenSSL's names, as ECDHE-RSA-AES128-GCM-SHA256`;
}

// RFC 9325 4.1: never without encryption or authentication. OpenSSL has such suites at security level 0.
const NEVER = ':!eNULL:!aNULL';

/** A list for OpenSSL without the suites that nobody may have. */
export function safeList(openssl: string): string {
  const isNewestOnly = openssl.split(/[:, ]+/).every((token) => token === '' || token.startsWith('TLS_'));
  return isNewestOnly ? openssl : `${openssl}${NEVER}`;
}

/** Why each refused or replaced name is not served, in one sentence apiece. */
export function oldCipherNotes({ replaced, refused }: CipherWords): string[] {
  return [
    ...refused.map(({ name, reason }) => `${name} is not served: ${reason}`),
    ...replaced.map(
      ({ name, reason }) =>
        `${name} is not served: ${reason}; the suites of "intermediate" stand in for it, and those of "old" would for clients that have none of them`,
    ),
  ];
}

function isPreset(text: string): text is CipherPreset {
  return CIPHER_PRESETS.some((preset) => preset === text);
}

function rowOf(item: string): Row | null {
  return BY_WORDS.get(bare(item)) ?? null;
}

function bare(item: string): string {
  return plain(item).replace(/^[+-]\s*/, '');
}

function plain(text: string): string {
  return text.trim().replace(/\s+/g, ' ').toLowerCase();
}
