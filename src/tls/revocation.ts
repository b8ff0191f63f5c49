// Whether certificates that OpenSSL has verified are revoked, by the CRLs that the settings name. (Node's own `crl` wants
// a current one for every authority on the way, and fails every handshake without.) Here an authority that has a CRL is
// asked, others are not; a CRL that is past its nextUpdate still counts, since what it revokes stays revoked.
// Judged is the whole way from the certificate to one that is trusted, and on to those above that are trusted too. Where
// none can be found among what the peer sent, the verdict is `no-path`, not `good`: OpenSSL may have gone by a certificate
// that we are not shown.
// On the hot path only where there are CRLs; the signature of each is verified once per authority. Never throws.

import { X509Certificate } from 'node:crypto';

import { isIssuedBy } from '../certdb/chain.ts';
import { isCrlOf, parseCrl, serialOf } from '../certdb/crl.ts';
import type { Crl } from '../certdb/crl.ts';

export type RevocationVerdict = 'good' | 'revoked' | 'no-path';

/** A PKI has a handful of levels. */
const PATH_MAX = 10;
const WHOLE_MAX = 2 * PATH_MAX;
const PRESENTED_MAX = 32;
const ISSUERS_MAX = 256;

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g;

/** The authorities that a service or a backend trusts. */
export class Anchors {
  readonly #pem: readonly string[];
  #certificates: readonly X509Certificate[] | null = null;

  /** PEM texts with one or more in each; looked into when they are needed. */
  constructor(pem: readonly string[]) {
    this.#pem = pem;
  }

  /** From the certificate up to a trusted one, which is the last; null: there is no such way. */
  path(
    leaf: X509Certificate,
    presented: readonly X509Certificate[],
    now: number,
  ): readonly X509Certificate[] | null {
    this.#certificates ??= this.#pem.flatMap((pem) =>
      (pem.match(PEM_CERTIFICATE) ?? []).map((block) => new X509Certificate(block)),
    );
    const path = [leaf];
    while (path.length <= PATH_MAX) {
      const last = path.at(-1) ?? leaf;
      if (this.#certificates.some(({ fingerprint256 }) => fingerprint256 === last.fingerprint256))
        return path;
      const anchor = this.#certificates.find((candidate) => isIssued(last, candidate));
      if (anchor !== undefined) return [...path, anchor];
      const issuer = presented.find(
        (one) => !path.includes(one) && one.ca && isCurrent(one, now) && isIssued(last, one),
      );
      if (issuer === undefined) return null;
      path.push(issuer);
    }
    return null;
  }

  /** A way and on from its end, over others that are trusted as well: one above may have revoked it. */
  upward(path: readonly X509Certificate[] | null): readonly X509Certificate[] | null {
    if (path === null) return null;
    const whole = [...path];
    for (let last = whole.at(-1); last !== undefined && whole.length < WHOLE_MAX;) {
      const below = last;
      last = this.#certificates?.find(
        (one) =>
          whole.every(({ fingerprint256 }) => fingerprint256 !== one.fingerprint256) && isIssued(below, one),
      );
      if (last !== undefined) whole.push(last);
    }
    return whole;
  }
}

export class Revocation {
  readonly #crls: readonly Crl[];
  /** By fingerprint of the authority. */
  readonly #byIssuer = new Map<string, readonly Crl[]>();

  /** DER; what is no CRL was refused by whoever read the file. */
  constructor(crls: readonly Uint8Array[]) {
    this.#crls = crls.flatMap((der) => parsed(der) ?? []);
  }

  get isEmpty(): boolean {
    return this.#crls.length === 0;
  }

  /** `path` from the certificate to its anchor. */
  judge(path: readonly X509Certificate[] | null): RevocationVerdict {
    if (this.isEmpty) return 'good';
    if (path === null) return 'no-path';
    const revoked = path.some((certificate, place) => {
      const issuer = path[place + 1];
      if (issuer === undefined) return false;
      const serial = serialOf(certificate);
      return this.#crlsOf(issuer).some(({ serials }) => serials.has(serial));
    });
    return revoked ? 'revoked' : 'good';
  }

  #crlsOf(issuer: X509Certificate): readonly Crl[] {
    const { fingerprint256 } = issuer;
    const known = this.#byIssuer.get(fingerprint256);
    if (known !== undefined) return known;
    const found = this.#crls.filter((crl) => isCrlOf(crl, issuer));
    if (this.#byIssuer.size >= ISSUERS_MAX) this.#byIssuer.clear();
    this.#byIssuer.set(fingerprint256, found);
    return found;
  }
}

/** Services and backends are given the same bytes. */
const parsedCrls = new WeakMap<Uint8Array, Crl | null>();

function parsed(der: Uint8Array): Crl | null {
  const known = parsedCrls.get(der);
  if (known !== undefined) return known;
  const crl = parseCrl(Buffer.from(der.buffer, der.byteOffset, der.byteLength));
  const made = 'problem' in crl ? null : crl;
  parsedCrls.set(der, made);
  return made;
}

/** What the peer showed, in its order, its own certificate first. */
export function presentedBy(leaf: X509Certificate): readonly X509Certificate[] {
  const shown: X509Certificate[] = [];
  for (
    let one: X509Certificate | undefined = leaf;
    one !== undefined && shown.length < PRESENTED_MAX;
    one = one.issuerCertificate
  ) {
    shown.push(one);
  }
  return shown;
}

/** A key that the runtime does not know has signed nothing. */
function isIssued(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return isIssuedBy(certificate, issuer);
  } catch {
    return false;
  }
}

function isCurrent({ validFrom, validTo }: X509Certificate, now: number): boolean {
  return Date.parse(validFrom) <= now && Date.parse(validTo) > now;
}
