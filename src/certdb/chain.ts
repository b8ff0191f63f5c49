// The way from a certificate to its root, put together from certificates at hand. Pure.

import { X509Certificate } from 'node:crypto';

/** A PKI has a handful of levels; a longer way is a loop or an attack. */
const MAX_CHAIN = 10;

/**
 * The certificate and those above it as far as the given ones lead; a self-signed root is left out, clients have it or
 * will not believe it (RFC 8446 4.4.2).
 */
export function servedChain(
  leaf: X509Certificate,
  known: readonly X509Certificate[],
): readonly X509Certificate[] {
  return pathOf(leaf, known).filter((certificate, place) => place === 0 || !isSelfSigned(certificate));
}

/** The same with the root, where it is known. Of several issuers the first one that outlives the leaf counts. */
export function pathOf(leaf: X509Certificate, known: readonly X509Certificate[]): readonly X509Certificate[] {
  const chain = [leaf];
  while (chain.length < MAX_CHAIN) {
    const last = chain.at(-1) ?? leaf;
    if (isSelfSigned(last)) break;
    const issuers = known.filter((candidate) => !chain.includes(candidate) && isIssuedBy(last, candidate));
    const issuer = issuers.find((candidate) => endOf(candidate) >= endOf(leaf)) ?? lastingLongest(issuers);
    if (issuer === undefined) break;
    chain.push(issuer);
  }
  return chain;
}

/** A CA that was renewed with its key has several certificates; clients refuse the way through one that has expired. */
function lastingLongest(issuers: readonly X509Certificate[]): X509Certificate | undefined {
  return issuers.toSorted((one, other) => endOf(other) - endOf(one))[0];
}

function endOf(certificate: X509Certificate): number {
  return Date.parse(certificate.validTo);
}

export function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

/** RFC 5280 3.2; whether it may sign others as well does not matter, as it would to isIssuedBy. */
export function isSelfSigned(certificate: X509Certificate): boolean {
  return certificate.subject === certificate.issuer && certificate.verify(certificate.publicKey);
}
