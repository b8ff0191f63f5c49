// What certmap demands of the other settings: entries of a directory in LDAP, which it is about.

import type { Report } from './check.ts';
import type { GivenSettings } from './entries.ts';
import { everyVariant } from './variants.ts';

export function checkCertmaps(given: GivenSettings, report: Report): void {
  const { top } = given;
  const { type } = top.values.directory;
  if (type === 'ldap' || top.isWrong('directory.type')) return;
  const text = `only for directory.type: ldap, this is ${type}; without it a certificate stands for whoever has its mail address`;
  if (top.values.certmap !== null) report.add(['certmap'], text);
  for (const [{ path, values }, told] of everyVariant(given, report)) {
    if (values.certmap !== null) told.add([...path, 'certmap'], text);
  }
}
