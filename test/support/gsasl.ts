// GNU SASL's program: a client that says hello by IMAP or SMTP, takes STARTTLS and logs in, and a maker of stored keys.

import assert from 'node:assert/strict';

import { run, type Run } from './program.ts';

export interface GsaslVisit {
  readonly protocol: 'imap' | 'smtp';
  readonly mechanism: string;
  readonly login: { readonly user: string; readonly password: string };
  readonly port: number;
  /** File of whom it trusts. */
  readonly ca: string;
  readonly more?: readonly string[];
}

/** It ends with 0 where it was let in and the server has proven itself too. */
export function visitByGsasl({ protocol, mechanism, login, port, ca, more = [] }: GsaslVisit): Promise<Run> {
  return run('gsasl', [
    `--${protocol}`,
    '--verbose',
    '--starttls',
    `--x509-ca-file=${ca}`,
    `--mechanism=${mechanism}`,
    `--authentication-id=${login.user}`,
    `--password=${login.password}`,
    `--connect=localhost:${port}`,
    ...more,
  ]);
}

/** `{SCRAM-SHA-256}…` of a password. */
export async function storedKeys(password: string): Promise<string> {
  const args = ['--mkpasswd', '--mechanism=SCRAM-SHA-256', `--password=${password}`];
  const { stdout, text } = await run('gsasl', args);
  const keys = stdout.toString().trim();
  assert.match(keys, /^\{SCRAM-SHA-256\}65536,/, text);
  return keys;
}
