// What becomes of a certificate's way to its root: which certificates it goes through, where it ends, and what is wrong
// with it. Trust is that of the database; the CAs that systems bring are only recognised. Pure.

import { X509Certificate } from 'node:crypto';
import { rootCertificates } from 'node:tls';

import { isIssuedBy, isSelfSigned, pathOf } from '../../certdb/chain.ts';
import type { Entry } from '../../certdb/database.ts';
import { certificateNames } from '../../certdb/distinguished-name.ts';
import { isClientAuthority, isServerAuthority } from '../../certdb/trust.ts';
import { dateText } from './table.ts';
import { quoted } from './verb.ts';

export interface Verdict {
  readonly steps: readonly Step[];
  /**
   * `trusted`: a CA that the database trusts for servers or clients; `public`: one that systems trust; `alone`: the
   * certificate itself, self-signed; `untrusted`: a root that nobody trusts; `missing`: the way is not whole.
   */
  readonly end: 'trusted' | 'public' | 'alone' | 'untrusted' | 'missing';
  /** Nobody: empty. */
  readonly trustedFor: readonly ('servers' | 'clients')[];
  /** In words, the end of the way among them. */
  readonly problems: readonly string[];
}

export interface Step {
  readonly certificate: X509Certificate;
  readonly subject: string;
  readonly issuer: string;
  /** What it is called in the database; null: it came with the certificate. */
  readonly alias: string | null;
  readonly trust: string;
}

export function judgePath(
  { cert, extra }: Pick<Entry, 'cert' | 'extra'>,
  known: readonly Entry[],
  { now, tool }: { readonly now: number; readonly tool: string },
): Verdict {
  const others = [...extra, ...known.map((entry) => entry.cert)].map((pem) => new X509Certificate(pem));
  const steps = pathOf(new X509Certificate(cert), others).map((certificate) => stepOf(certificate, known));
  const trusts = steps.filter(({ certificate }) => certificate.ca).map(({ trust }) => trust);
  const trustedFor = [
    ...(trusts.some(isServerAuthority) ? (['servers'] as const) : []),
    ...(trusts.some(isClientAuthority) ? (['clients'] as const) : []),
  ];
  const last = steps.at(-1);
  const end = trustedFor.length > 0 || last === undefined ? 'trusted' : endOf(steps, last.certificate);
  const problems = steps.flatMap((step) => datesProblem(step, now));
  if (last !== undefined) problems.push(...endProblem(end, last, tool));
  return { steps, end, trustedFor, problems };
}

function stepOf(certificate: X509Certificate, known: readonly Entry[]): Step {
  const entry = known.find(({ cert }) => new X509Certificate(cert).raw.equals(certificate.raw));
  return {
    certificate,
    ...certificateNames(certificate),
    alias: entry?.nickname ?? null,
    trust: entry?.trust ?? ',,',
  };
}

function endOf(steps: readonly Step[], last: X509Certificate): Verdict['end'] {
  if (isPublic(last)) return 'public';
  if (!isSelfSigned(last)) return 'missing';
  return steps.length === 1 ? 'alone' : 'untrusted';
}

/** The CAs that come with the runtime, for recognising one. */
function isPublic(last: X509Certificate): boolean {
  return rootCertificates.some((pem) => {
    const root = new X509Certificate(pem);
    return root.raw.equals(last.raw) || (last.checkIssued(root) && isIssuedBy(last, root));
  });
}

function datesProblem({ certificate, subject }: Step, now: number): string[] {
  const [from, to] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
  if (to <= now) return [`${subject} has expired, on ${dateText(to)}`];
  return from > now ? [`${subject} is not yet valid, before ${dateText(from)}`] : [];
}

function endProblem(end: Verdict['end'], { subject, issuer, alias }: Step, tool: string): string[] {
  switch (end) {
    case 'trusted':
    case 'public':
      return [];
    case 'alone':
      return ['it is self-signed: nobody trusts it who does not know it'];
    case 'missing':
      return [
        `the certificate of its issuer ${issuer} is not there: ${tool} add-cert -C CERT_ALIAS CERT_FILE`,
      ];
    case 'untrusted': {
      const remedy = alias === null ? `add-cert -C CERT_ALIAS CERT_FILE` : `trust ${quoted(alias)} C,,`;
      return [`it ends in ${subject}, which is not trusted: ${tool} ${remedy}`];
    }
  }
}
