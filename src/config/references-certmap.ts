// What certmap demands of the other settings: entries of a directory in LDAP, which it is about.

import type { Report } from './check.ts';
import type { GivenSettings } from './entries.ts';
import type { Path } from './lines.ts';

export function checkCertmaps({ top, services }: GivenSettings, report: Report): void {
  const { type } = top.values.directory;
  if (type === 'ldap' || top.isWrong('directory.type')) return;
  const given: (readonly [Path, string | null])[] = [
    [['certmap'], top.values.certmap],
    ...[...services.values()].flatMap(({ path, values, domains }): (readonly [Path, string | null])[] => [
      [[...path, 'certmap'], values.certmap],
      ...[...domains.values()].map((own) => [[...own.path, 'certmap'], own.values.certmap] as const),
    ]),
  ];
  for (const [path, file] of given)
    if (file !== null)
      report.add(
        path,
        `only for directory.type: ldap, this is ${type}; without it a certificate stands for whoever has its mail address`,
      );
}
