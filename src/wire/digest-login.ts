// A name and a keyed MD5 digest, as CRAM-MD5 (RFC 2195 2) and APOP (RFC 1939 7) have it. Promises: never throws; the digest
// is the last word, 32 digits in lower case; the name is UTF-8 without control characters. On failure: null.

import { isUtf8 } from 'node:buffer';

export interface DigestLogin {
  readonly user: string;
  readonly digest: string;
}

const CONTROL = /\p{Cc}/u;

export function parseDigestLogin(message: Buffer): DigestLogin | null {
  if (!isUtf8(message)) return null;
  const [, user = '', digest = ''] = /^(.+) ([0-9a-f]{32})$/s.exec(message.toString('utf8')) ?? [];
  return user === '' || CONTROL.test(user) ? null : { user, digest };
}
