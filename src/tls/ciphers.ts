// Cipher suites and key exchange groups: what 'default' means, and whether a list from the settings is usable.
// The defaults: TLS 1.3 suites and forward-secret AEAD suites of TLS 1.2, no CBC, no static RSA, no finite-field
// Diffie-Hellman; X25519MLKEM768 first where the runtime's OpenSSL has it. The checks return text, they never throw.

import tls from 'node:tls';
import type { TlsVersion } from '../config/settings.ts';

const TLS13_SUITES = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256';

const TLS12_SUITES = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

/** TLS 1.0 and 1.1 know CBC with SHA-1 only, which OpenSSL 3 allows at security level 0. */
const OLD_SUITES = [
  'ECDHE-ECDSA-AES128-SHA',
  'ECDHE-RSA-AES128-SHA',
  'ECDHE-ECDSA-AES256-SHA',
  'ECDHE-RSA-AES256-SHA',
  '@SECLEVEL=0',
].join(':');

const CLASSIC_GROUPS = 'X25519:P-256:P-384';
const PREFERRED_GROUPS = `X25519MLKEM768:${CLASSIC_GROUPS}`;
const MAX_LIST_CHARS = 4096;

/** The list for OpenSSL: 'default' spelt out, and TLS 1.3 kept on when a list speaks of TLS 1.2 only. */
export function cipherList(ciphers: string, minVersion: TlsVersion): string {
  if (ciphers === 'default') {
    const suites = `${TLS13_SUITES}:${TLS12_SUITES}`;
    return minVersion === 'TLSv1' || minVersion === 'TLSv1.1' ? `${suites}:${OLD_SUITES}` : suites;
  }
  // Node turns TLS 1.3 off for a list without a suite of it.
  return tokensOf(ciphers).some((token) => token.startsWith('TLS_')) ? ciphers : `${TLS13_SUITES}:${ciphers}`;
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
  if (list === 'default') return null;
  if (list.length > MAX_LIST_CHARS) return `the cipher list is longer than ${MAX_LIST_CHARS} characters`;
  const tokens = tokensOf(list);
  if (tokens.length === 0) return 'the cipher list is empty';
  const positive = tokens.filter((token) => !/^[!@+-]/.test(token));
  const unknown = positive.filter((token) => !isAccepted({ ciphers: token }));
  if (unknown.length > 0) {
    return `no cipher suite of this OpenSSL matches ${unknown.map((token) => `"${token}"`).join(', ')}`;
  }
  return isAccepted({ ciphers: list }) ? null : `OpenSSL takes no cipher suite from "${list}"`;
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
