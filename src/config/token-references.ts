// `module:nickname`, a certificate in a token: how it is told from a nickname of the database, and whether there is such
// a module. The internal module of old is the database itself.

import type { Report } from './check.ts';
import type { GivenCertificate, GivenCertificates, GivenSettings } from './entries.ts';
import type { Path } from './lines.ts';
import { found } from './misfit.ts';
import { INTERNAL_NAMES } from './password-file.ts';
import type { CertificateRef } from './settings.ts';
import { suggest } from './suggest.ts';

type NamedCertificate = Extract<CertificateRef, { kind: 'nickname' | 'token' }>;

export function namedCertificate(text: string): NamedCertificate {
  const colon = text.indexOf(':');
  const [module, nickname] = [text.slice(0, Math.max(colon, 0)), text.slice(colon + 1)];
  if (colon < 0 || INTERNAL_NAMES.includes(module)) return { kind: 'nickname', nickname };
  return { kind: 'token', module, nickname };
}

export function checkTokens(given: GivenSettings, report: Report): void {
  const known = [...given.modules.keys()];
  for (const { path, certificate } of shownCertificates(given)) {
    if (typeof certificate !== 'string') continue;
    const ref = namedCertificate(certificate);
    if (ref.kind !== 'token' || known.includes(ref.module)) continue;
    const hint = suggest(ref.module, known);
    const one = `there is no module ${found(ref.module)} in certificates.modules`;
    report.add(path, `${one}${hint || `, for ${found(certificate)}`}`);
  }
}

interface Shown {
  readonly path: Path;
  readonly certificate: GivenCertificate;
}

function shownCertificates({ shown, services, backends }: GivenSettings): Shown[] {
  const ofMap = (path: Path, { certificates, sni }: GivenCertificates): Shown[] => [
    ...(certificates ?? []).map((certificate) => ({ path: [...path, 'tls', 'certificate'], certificate })),
    ...[...(sni ?? [])].flatMap(([name, some]) =>
      some.map((certificate) => ({ path: [...path, 'tls', 'sni', name], certificate })),
    ),
  ];
  return [
    ...ofMap([], shown),
    ...[...services.values()].flatMap((service) => ofMap(service.path, service.shown)),
    ...[...backends.values()].flatMap(({ path, certificates }) => ofMap(path, { certificates, sni: null })),
  ];
}
