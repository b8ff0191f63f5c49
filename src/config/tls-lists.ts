// Lists for OpenSSL in the settings: what it takes, and why a list of ciphers gives none.

import { createSecureContext } from 'node:tls';
import {
  CIPHER_PRESETS,
  meansNothing,
  OLD_CIPHER_NAMES,
  oldCipherNotes,
  parseCiphers,
  safeList,
  strangeNewest,
} from '../wire/cipher-names.ts';
import { found } from './misfit.ts';
import { suggest } from './suggest.ts';

export function openSslTakes(options: { ciphers: string } | { ecdhCurve: string }): boolean {
  try {
    createSecureContext(options);
    return true;
  } catch {
    return false;
  }
}

/** Why a list gives no cipher, as the end of a sentence; null: it does. */
export function wrongCiphers(text: string): string | null {
  const words = parseCiphers(text);
  const [unknown] = words.unknown;
  if (unknown !== undefined) {
    return `: there is no cipher ${found(unknown)}${suggest(unknown, OLD_CIPHER_NAMES)}`;
  }
  if (meansNothing(words)) return `: ${oldCipherNotes(words).join('; ') || 'it switches every cipher off'}`;
  const strange = strangeNewest(words.openssl);
  if (strange !== null) return `: ${strange}`;
  if (words.openssl === '' || openSslTakes({ ciphers: safeList(words.openssl) })) return null;
  return suggest(text, ['default', ...CIPHER_PRESETS]);
}
