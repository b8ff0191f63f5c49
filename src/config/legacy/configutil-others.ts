// Why the other options of a configutil listing are not in the settings: each gets its note. Those of the TLS of Sun's
// servers have a reason of their own.

import type { Line, Listing } from './configutil-listing.ts';

const WEBMAIL = 'there is no webmail here';

/** The first that fits counts. */
const REASONS: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/^encryption\.nsssl2/, 'SSL 2 is gone from TLS (RFC 6176)'],
  [
    /^encryption\.nsssl3$/,
    'SSL 3.0 is gone from TLS (RFC 7568); versions are tls.minVersion and tls.maxVersion',
  ],
  [/^encryption\.fortezza\./, 'Fortezza is gone'],
  [/^encryption\./, 'there is no such setting here'],
  [/^local\.(http|webmail)\.|^service\.http\.|^local\.service\.http\./, WEBMAIL],
  [
    /^sasl\.default\.ldap\.has_plain_passwords$/,
    'APOP and CRAM-MD5 are among the `mechanisms` of a service whose directory holds plain passwords; DIGEST-MD5 is gone (RFC 6331)',
  ],
  [/^sasl\./, 'what passwords are checked against is the business of the stores'],
  [
    /^store\.(admins|serviceadmingroupdn)$/,
    'who may log in for others through here: directory.admins and directory.ldap.adminGroup, with `adminPolicy` of a service',
  ],
  [/^local\.service\.proxy\./, 'only imapport, imapssl and admin of a host are read'],
  [
    /^service\.(imap|pop)\./,
    'not about TLS; there may be a setting for it (limits, timeouts, access, banner)',
  ],
];

export function noteOthers(listing: Listing): void {
  for (const line of listing.rest()) {
    const reason = reasonFor(line);
    if (reason !== null) listing.note(line, reason);
  }
}

/** null: it says what is so here anyway. */
function reasonFor({ name, value }: Line): string | null {
  const lower = name.toLowerCase();
  const isOff = /^(no|off|0|false)$/i.test(value);
  if (isOff && /^encryption\.(nsssl2|nsssl3|fortezza\.nssslactivation)$/.test(lower)) return null;
  const [, reason] = REASONS.find(([pattern]) => pattern.test(lower)) ?? [];
  return reason ?? 'not about TLS at a front, so not read';
}
