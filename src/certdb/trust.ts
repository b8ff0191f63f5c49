// What a certificate is trusted for, written as NSS writes it: three fields for SSL, e-mail and object signing. `C` is a
// CA trusted for servers, `T` a CA trusted for clients, `c` a valid CA, `P` and `p` a trusted and a valid peer, `u` a
// certificate whose private key is here (known by looking, so it is taken and left out). Pure.

export interface Trust {
  readonly ssl: string;
  readonly email: string;
  readonly signing: string;
}

export interface TrustProblem {
  readonly problem: string;
}

/** In the order in which NSS writes them. */
const FLAGS = 'pPcCT';
const IGNORED = /[uw]/g;

/** `CT,,`; fields that are left out at the end are empty. */
export function parseTrust(text: string): Trust | TrustProblem {
  const fields = text.split(',').map((field) => field.trim());
  if (fields.length > 3) {
    return { problem: `trust "${shown(text)}" has ${fields.length} fields, three are wanted, such as "C,,"` };
  }
  const unknown = Array.from(text).find((letter) => !`${FLAGS}uw, `.includes(letter));
  if (unknown !== undefined) {
    return {
      problem: `trust "${shown(text)}" has the flag "${shown(unknown)}": C (a CA for servers), T (a CA for clients), c, P and p are known`,
    };
  }
  const [ssl = '', email = '', signing = ''] = fields.map(inOrder);
  return { ssl, email, signing };
}

export function trustText({ ssl, email, signing }: Trust): string {
  return `${ssl},${email},${signing}`;
}

/** Backends that this CA certified are believed. */
export function isServerAuthority(trust: string): boolean {
  return sslOf(trust).includes('C');
}

/** Clients that this CA certified may log in by certificate. */
export function isClientAuthority(trust: string): boolean {
  return sslOf(trust).includes('T');
}

/** In the list of CA certificates, trusted or just known as one. */
export function isAuthority(trust: string): boolean {
  return /[cCT]/.test(trust);
}

/** The words of show-cert for one field, in its order. */
export function trustWords(field: string): readonly string[] {
  const words: string[] = [];
  if (/[cCT]/.test(field)) words.push('Valid CA');
  if (field.includes('C')) words.push('Trusted CA');
  if (field.includes('T')) words.push('Trusted Client CA');
  if (/[pP]/.test(field)) words.push(field.includes('P') ? 'Trusted Peer' : 'Valid Peer');
  if (field.includes('u')) words.push('User');
  return words;
}

function sslOf(trust: string): string {
  return trust.split(',')[0] ?? '';
}

function inOrder(field: string): string {
  const flags = field.replaceAll(IGNORED, '');
  return FLAGS.split('')
    .filter((flag) => flags.includes(flag))
    .join('');
}

function shown(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.slice(0, 40).replaceAll(/[^\u0020-\u007e]/g, '?');
}
