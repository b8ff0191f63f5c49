// Cipher suites and key exchange groups: what presets and old names mean for OpenSSL, and what is wrong with a list.
// The presets follow Mozilla's "Server Side TLS" (modern, intermediate, old), without finite-field Diffie-Hellman, for
// which we have no parameters, and without 3DES, which this OpenSSL has not. `default` is `intermediate`: TLS 1.3, and
// forward-secret AEAD suites of TLS 1.2; no CBC, no static RSA. X25519MLKEM768 comes first among the groups where the
// runtime's OpenSSL has it. The checks return text, they never throw.

import tls from 'node:tls';
import type { TlsVersion } from '../config/settings.ts';
import { type CipherPreset, parseCiphers, safeList, strangeNewest } from '../wire/cipher-names.ts';

const TLS13_SUITES = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'];

const AEAD_SUITES = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
];

/** TLS 1.0 and 1.1 know CBC with SHA-1 only. */
const OLDEST_SUITES = [
  'ECDHE-ECDSA-AES128-SHA',
  'ECDHE-RSA-AES128-SHA',
  'ECDHE-ECDSA-AES256-SHA',
  'ECDHE-RSA-AES256-SHA',
];

const CBC_SUITES = [
  'ECDHE-ECDSA-AES128-SHA256',
  'ECDHE-RSA-AES128-SHA256',
  'ECDHE-ECDSA-AES256-SHA384',
  'ECDHE-RSA-AES256-SHA384',
];

/** No forward secrecy: for clients that have nothing else. */
const STATIC_RSA_SUITES = [
  'AES128-GCM-SHA256',
  'AES256-GCM-SHA384',
  'AES128-SHA256',
  'AES256-SHA256',
  'AES128-SHA',
  'AES256-SHA',
];

const PRESETS: Readonly<Record<CipherPreset, readonly string[]>> = {
  modern: TLS13_SUITES,
  intermediate: [...TLS13_SUITES, ...AEAD_SUITES],
  old: [...TLS13_SUITES, ...AEAD_SUITES, ...CBC_SUITES, ...OLDEST_SUITES, ...STATIC_RSA_SUITES],
};

/** What OpenSSL 3 asks for before it does TLS 1.0 and 1.1, whose handshakes are signed with SHA-1. */
const OLD_LEVEL = '@SECLEVEL=0';

const CLASSIC_GROUPS = 'X25519:P-256:P-384';
const PREFERRED_GROUPS = `X25519MLKEM768:${CLASSIC_GROUPS}`;
const MAX_LIST_CHARS = 4096;
/** Families that `tls.getCiphers()` leaves out, or that we cannot serve. */
const UNCOUNTED = ['!eNULL', '!aNULL', '!PSK', '!SRP', '!CAMELLIA', '!ARIA', '!AESCCM', '!aDSS'];

/** The list for OpenSSL: words and old names spelt out, and TLS 1.3 kept on when a list speaks of TLS 1.2 only. */
export function cipherList(ciphers: string, minVersion: TlsVersion): string {
  const { preset, openssl } = parseCiphers(ciphers);
  if (preset === null) {
    // Node turns TLS 1.3 off for a list without a suite of it.
    const hasNewest = tokensOf(openssl).some((token) => token.startsWith('TLS_'));
    return [...(hasNewest ? [] : TLS13_SUITES), safeList(openssl)].join(':');
  }
  const isOldest = minVersion === 'TLSv1' || minVersion === 'TLSv1.1';
  const suites =
    isOldest && preset === 'intermediate' ? [...PRESETS[preset], ...OLDEST_SUITES] : PRESETS[preset];
  const extra = openssl === '' ? [] : [safeList(openssl)];
  return [...suites, ...extra, ...(isOldest ? [OLD_LEVEL] : [])].join(':');
}

/** Whether OpenSSL then takes any signature and any key of a certificate, too. */
export function allowsWeak(ciphers: string, minVersion: TlsVersion): boolean {
  return cipherList(ciphers, minVersion).includes('@SECLEVEL=0');
}

let supportedGroups: string | null = null;

/** The groups for OpenSSL: 'default' means what this runtime supports of the preferred ones. */
export function groupList(groups: string): string {
  if (groups !== 'default') return groups;
  supportedGroups ??= checkGroups(PREFERRED_GROUPS) === null ? PREFERRED_GROUPS : CLASSIC_GROUPS;
  return supportedGroups;
}

/** What is wrong with a cipher list, or null. Unknown names are told one by one. */
export function checkCiphers(list: string): string | null {
  if (list.length > MAX_LIST_CHARS) return `the cipher list is longer than ${MAX_LIST_CHARS} characters`;
  const { preset, openssl } = parseCiphers(list);
  if (preset !== null && openssl === '') return null;
  const tokens = tokensOf(openssl);
  if (tokens.length === 0) return 'the cipher list is empty';
  const strange = strangeNewest(openssl);
  if (strange !== null) return strange;
  const positive = tokens.filter((token) => !/^[!@+-]/.test(token));
  const unknown = positive.filter((token) => !isAccepted({ ciphers: token }));
  if (unknown.length > 0) {
    return `no cipher suite of this OpenSSL matches ${unknown.map((token) => `"${token}"`).join(', ')}`;
  }
  return isAccepted({ ciphers: safeList(openssl) })
    ? null
    : `OpenSSL takes no cipher suite from "${openssl}"`;
}

/** The suites of TLS 1.2 and older in a list, whether they can serve or not; in the order of OpenSSL's names. */
export function suitesIn(list: string): string[] {
  const old = tokensOf(list).filter((token) => !token.startsWith('TLS_'));
  const known = tls
    .getCiphers()
    .map((name) => name.toUpperCase())
    .filter((name) => !name.startsWith('TLS_'));
  // A list without all the others is accepted where the one is in it.
  const isIn = (name: string): boolean => {
    const others = known.filter((other) => other !== name).map((other) => `!${other}`);
    return isAccepted({ ciphers: [...old, ...UNCOUNTED, ...others].join(':') });
  };
  return old.length === 0 ? [] : known.filter(isIn);
}

/** What is wrong with a list of groups, or null. */
export function checkGroups(list: string): string | null {
  if (list === 'default') return null;
  if (list.length > MAX_LIST_CHARS) return `the list of groups is longer than ${MAX_LIST_CHARS} characters`;
  const unknown = list.split(':').filter((group) => group === '' || !isAccepted({ ecdhCurve: group }));
  if (unknown.length === 0) return null;
  return `this OpenSSL has no key exchange group ${unknown.map((group) => `"${group}"`).join(', ')}`;
}

function tokensOf(list: string): readonly string[] {
  return list.split(/[:, ]+/).filter((token) => token !== '');
}

function isAccepted(options: tls.SecureContextOptions): boolean {
  try {
    tls.createSecureContext(options);
    return true;
  } catch {
    return false;
  }
}
