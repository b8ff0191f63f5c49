// A certificate authority that is openssl's: what an operator's CA does elsewhere. Files in the folder that it is given:
// ca.pem, ca.key, and what it certifies. The folder is the caller's.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

export interface Certification {
  readonly request: string;
  readonly form?: 'PEM' | 'DER';
  /** File name. */
  readonly certificate: string;
  /** Default: 50. */
  readonly days?: number;
}

export class OpensslAuthority {
  readonly #folder: string;

  constructor(folder: string, subject = '/CN=The CA') {
    this.#folder = folder;
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'ca.key'];
    this.openssl('req', '-x509', ...key, '-out', 'ca.pem', '-subj', subject, '-days', '365');
  }

  /** Both streams of one that ended with 0. */
  openssl(...words: string[]): string {
    return openssl(this.#folder, ...words);
  }

  /** Path of the certificate, PEM. */
  certify({ request, form = 'PEM', certificate, days = 50 }: Certification): string {
    const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-days', String(days), '-copy_extensions', 'copy'];
    this.openssl('x509', '-req', '-inform', form, '-in', request, ...by, '-out', certificate);
    return join(this.#folder, certificate);
  }
}

export function openssl(folder: string, ...words: string[]): string {
  return execFileSync('openssl', words, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
