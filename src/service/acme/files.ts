// What the settings of ACME name besides themselves: CAs and the key of an external account binding, read and judged, so
// that `check` finds what is wrong with them before an order does. On failure: SettingsError that names the setting.

import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';

import type { AcmeTask } from '../../certdb/acme.ts';
import { resolveSecret } from '../../config/secret.ts';
import type { AcmeSettings, Settings } from '../../config/settings.ts';
import { SettingsError } from '../../errors.ts';

const FILE_BYTES_MAX = 4_194_304;

export function readAcmeFiles({ ca, eab }: AcmeSettings): Pick<AcmeTask, 'ca' | 'eab'> {
  return {
    ca: ca === null ? null : readAuthorities(ca),
    eab: eab === null ? null : { kid: eab.kid, key: readBindingKey(eab.key) },
  };
}

/** Sentences; empty where all can be read. */
export function wrongAcmeFiles({ certificates: { acme } }: Settings): readonly string[] {
  if (acme === null) return [];
  try {
    readAcmeFiles(acme);
    return [];
  } catch (error) {
    if (error instanceof SettingsError) return error.mistakes;
    throw error;
  }
}

function readAuthorities(file: string): string {
  const refuse = (problem: string): never => {
    throw new SettingsError([`certificates.acme.ca: ${file}: ${problem}`]);
  };
  let text: string;
  try {
    text = readFileSync(file, 'latin1');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    return refuse(`cannot be read (${code}), CA certificates in PEM are wanted`);
  }
  const blocks = text
    .slice(0, FILE_BYTES_MAX)
    .match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g);
  if (blocks === null) return refuse('holds no certificate in PEM');
  try {
    return blocks.map((block) => new X509Certificate(block).toString()).join('');
  } catch {
    return refuse('holds a certificate that is damaged');
  }
}

// RFC 8555 7.3.4: base64url; some CAs print plain base64.
function readBindingKey(secret: NonNullable<AcmeSettings['eab']>['key']): string {
  try {
    const key = resolveSecret(secret);
    if (/^[A-Za-z0-9_+/-]{16,}=*$/.test(key)) return key;
    throw new SettingsError([
      'expected a MAC key in base64url of 16 characters or more, found something else',
    ]);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    throw new SettingsError(error.mistakes.map((mistake) => `certificates.acme.eab.key: ${mistake}`));
  }
}
