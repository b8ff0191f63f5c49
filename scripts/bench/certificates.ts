// Certificates of the bench: one self-signed for localhost per key type, made by the openssl command for this run
// only. Keys are readable by their owner only; all files go with the bench's folder.

import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export type KeyType = 'rsa' | 'p256';

export const KEY_TITLES: Readonly<Record<KeyType, string>> = { rsa: 'RSA-2048', p256: 'P-256' };

export interface Certificate {
  readonly keyType: KeyType;
  readonly certFile: string;
  readonly keyFile: string;
  /** Certificate and key in one file, as HAProxy takes them. */
  readonly bothFile: string;
  readonly pem: string;
}

const NEW_KEY: Readonly<Record<KeyType, readonly string[]>> = {
  rsa: ['-newkey', 'rsa:2048'],
  p256: ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'],
};

export function makeCertificate(folder: string, keyType: KeyType): Certificate {
  const certFile = join(folder, `${keyType}.crt`);
  const keyFile = join(folder, `${keyType}.key`);
  const bothFile = join(folder, `${keyType}.pem`);
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  execFileSync(
    'openssl',
    [
      'req',
      '-x509',
      ...NEW_KEY[keyType],
      '-nodes',
      '-days',
      '2',
      ...names,
      '-keyout',
      keyFile,
      '-out',
      certFile,
    ],
    { stdio: 'ignore' },
  );
  chmodSync(keyFile, 0o600);
  const pem = readFileSync(certFile, 'utf8');
  writeFileSync(bothFile, pem + readFileSync(keyFile, 'utf8'), { mode: 0o600 });
  return { keyType, certFile, keyFile, bothFile, pem };
}
