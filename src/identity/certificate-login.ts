// Whom a certificate stands for, once it is known to be good: by certmap.conf where there is one, otherwise by what the
// directory makes of it itself (a script for nginx), or by the mail address in it. Promises: one account or nobody; addresses are taken as texts, never as patterns, and one that is not
// what an address looks like makes the whole certificate nobody's, as do two accounts. That the certificate is believed
// is the caller's business. On failure: nobody, with the reason; what the directory rejects with goes through.

import type { CertMapping } from '../config/legacy/certmap.ts';
import type { CertificateNames, ReadNames } from '../tls/certificate-names.ts';
import { nobody } from './certificate-answer.ts';
import type { CertificateAnswer, Directory, Login } from './directory.ts';

export interface CertificateQuestion {
  readonly login: Login;
  readonly certificate: ReadNames;
  /** null: there is no certmap.conf. */
  readonly mappings: readonly CertMapping[] | null;
}

const ADDRESSES_MAX = 8;
// RFC 5321 4.5.3.1.3: a path has 256 octets, two of them the brackets.
const ADDRESS_MAX = 254;

export async function accountOfCertificate(
  directory: Directory,
  { login, certificate, mappings }: CertificateQuestion,
): Promise<CertificateAnswer> {
  if (certificate.kind === 'odd') return nobody(certificate.reason);
  if (mappings !== null) {
    return (
      (await directory.byCertmap?.(login, certificate, mappings)) ??
      nobody('certmap.conf is about a directory in LDAP, and this is none')
    );
  }
  const judged = await directory.judgeCertificate?.(login);
  if (judged !== undefined && judged.kind !== 'nobody') return judged;
  const steps = judged?.steps ?? [];
  const { addresses, source, reason } = addressesOf(certificate);
  if (reason !== null) return nobody(reason, steps);
  const shown = addresses.join(', ');
  const told = `without certmap.conf the mail address counts: ${shown} (${source})`;
  const found =
    (await directory.byMail?.(login, addresses)) ??
    nobody('there is no directory that says whose address it is');
  const all = [...steps, told, ...found.steps];
  // The log has the reason alone, and the subject need not hold the address.
  return found.kind === 'nobody'
    ? { ...found, reason: `${found.reason} (${shown})`, steps: all }
    : { ...found, steps: all };
}

interface Addresses {
  /** In the order of the certificate, each once. */
  readonly addresses: readonly string[];
  readonly source: string;
  /** Why there is none that counts. */
  readonly reason: string | null;
}

// RFC 5280 4.1.2.6: addresses belong in the alternative name; the one in the subject is for certificates without.
function addressesOf({ subject, mail }: CertificateNames): Addresses {
  const source = mail.alternative.length > 0 ? 'subjectAltName' : 'E of the subject';
  const given = mail.alternative.length > 0 ? mail.alternative : mail.subject;
  const none = (reason: string): Addresses => ({ addresses: [], source, reason });
  if (subject.length === 0) return none('the certificate has an empty subject');
  if (given.length === 0) return none('the certificate has no mail address');
  const odd = given.find((address) => !isAddress(address));
  if (odd !== undefined) return none(`${JSON.stringify(odd.slice(0, 64))} is no mail address`);
  const addresses = [...new Map(given.map((address) => [folded(address), address])).values()];
  return addresses.length > ADDRESSES_MAX
    ? none(`the certificate has more than ${ADDRESSES_MAX} mail addresses`)
    : { addresses, source, reason: null };
}

/**
 * RFC 5280 4.2.1.6: ASCII, in subjectAltName and in E; letters that only look like it, or become it in lower case, are in
 * neither. No blank, no control character, one part on each side.
 */
function isAddress(text: string): boolean {
  return text.length <= ADDRESS_MAX && /^[\x21-\x3f\x41-\x7e]+@[\x21-\x3f\x41-\x7e]+$/.test(text);
}

/** Whether two addresses are the same, as far as mailboxes go. */
export function sameAddress(one: string, other: string): boolean {
  return folded(one) === folded(other);
}

function folded(address: string): string {
  return address.toLowerCase();
}
