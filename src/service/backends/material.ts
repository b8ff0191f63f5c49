// What the settings of the backends name outside the file: CAs, certificates to show, passwords of administrators and of
// probe accounts. Read in the supervisor, in plain data for the workers, which read no such file themselves.
// Mistakes go to `fail`, what serves though badly to `warn`; nothing here throws.

import { X509Certificate } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';

import type { KeyPair } from '../../certdb/pem.ts';
import { resolveSecret } from '../../config/secret.ts';
import type { BackendSettings, CertificateRef, Secret, Settings } from '../../config/settings.ts';
import { SettingsError } from '../../errors.ts';
import { explain } from '../../log.ts';
import { BackendTls } from '../../tls/client.ts';
import { type ServerCertificate, shownCertificate } from '../../tls/context.ts';

/** Of one backend. Never logged. */
export interface BackendSecrets {
  readonly adminPassword: string | null;
  readonly checkPassword: string | null;
  /** PEM, what is shown to the servers. */
  readonly certificates: readonly ServerCertificate[];
}

export const NO_SECRETS: BackendSecrets = { adminPassword: null, checkPassword: null, certificates: [] };

/** Whom and what is believed of all backends alike. */
export interface BackendTrust {
  /** PEM of the CAs that the certificate database trusts for servers, one each. */
  readonly authorities: readonly string[];
  /** DER. */
  readonly crls: readonly Uint8Array[];
}

export const NO_TRUST: BackendTrust = { authorities: [], crls: [] };

export interface BackendMaterial {
  readonly backendTrust: BackendTrust;
  /** By backend name: PEM text, or null for the system's CAs and the database's. */
  readonly backendCas: Readonly<Record<string, string | null>>;
  /** By backend name. */
  readonly backendSecrets: Readonly<Record<string, BackendSecrets>>;
}

export interface BackendReader {
  readonly settings: Settings;
  readonly trust: BackendTrust;
  readonly readPairs: (ref: CertificateRef) => readonly KeyPair[];
  readonly fail: (error: unknown, where: string) => void;
  readonly warn: (ref: CertificateRef, pair: KeyPair) => void;
}

const CA_BYTES_MAX = 4 * 1024 * 1024;

export function readBackendMaterial(reader: BackendReader): BackendMaterial {
  const backendCas: Record<string, string | null> = {};
  const backendSecrets: Record<string, BackendSecrets> = {};
  for (const backend of Object.values(reader.settings.backends)) {
    const { name } = backend;
    backendCas[name] = attempt(reader, name, () => authoritiesOf(backend, reader.trust));
    backendSecrets[name] = readSecrets(backend, reader);
  }
  return { backendTrust: reader.trust, backendCas, backendSecrets };
}

/** Every file of a backend whose change changes the material; certificates by nickname are the caller's. */
export function backendFiles({ tls, admin, check }: BackendSettings): string[] {
  const secrets = [admin?.password, check.password].flatMap((secret) =>
    secret?.kind === 'file' ? [secret.path] : [],
  );
  return [...(tls.ca === null || tls.ca === 'database' ? [] : [tls.ca]), ...secrets];
}

function authoritiesOf({ tls: { ca } }: BackendSettings, { authorities }: BackendTrust): string | null {
  if (ca === null) return null;
  if (ca !== 'database') return readAuthorities(ca).join('');
  if (authorities.length > 0) return authorities.join('');
  throw new SettingsError(['tls.ca: database, and no CA in it is trusted for servers (trust C)']);
}

function readSecrets(backend: BackendSettings, reader: BackendReader): BackendSecrets {
  const { name, tls, admin, check } = backend;
  const secretOf = (secret: Secret | null | undefined): string | null =>
    secret === null || secret === undefined ? null : attempt(reader, name, () => resolveSecret(secret));
  const certificates = tls.certificates.flatMap((ref) => {
    const pairs = attempt(reader, name, () => reader.readPairs(ref)) ?? [];
    for (const pair of pairs) reader.warn(ref, pair);
    return pairs.map(shownCertificate);
  });
  // Keys and ciphers that do not go together are found here, not by the workers.
  attempt(reader, name, () => new BackendTls({ ...tls, ca: null, verify: false, certificates }));
  return {
    adminPassword: secretOf(admin?.password),
    checkPassword: secretOf(check.password),
    certificates,
  };
}

function attempt<T>(reader: BackendReader, name: string, read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    reader.fail(error, ` (for backends.${name})`);
    return null;
  }
}

// A file of CAs is read whole: one certificate in it that is damaged or cut off is a mistake, not one CA less.
export function readAuthorities(file: string): readonly string[] {
  const text = readBounded(file);
  const blocks =
    text.match(/-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[^]*?(?:-----END [A-Z0-9 ]+-----|$)/g) ?? [];
  if (blocks.length === 0) throw new SettingsError([`${file}: expected CA certificates in PEM, found none`]);
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block).toString();
    } catch {
      throw new SettingsError([`${file}: certificate ${index + 1} in it is damaged`]);
    }
  });
}

function readBounded(file: string): string {
  try {
    const descriptor = openSync(file, 'r');
    try {
      const stats = fstatSync(descriptor);
      if (!stats.isFile() || stats.size > CA_BYTES_MAX) {
        throw new SettingsError([`${file}: expected a file of at most ${CA_BYTES_MAX} bytes`]);
      }
      return readFileSync(descriptor, 'latin1');
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    if (error instanceof SettingsError) throw error;
    throw new SettingsError([`${file}: the CA file cannot be read (${explain(error)})`]);
  }
}
