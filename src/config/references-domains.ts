// What administrators, of a backend or of one address of a service, and the rules for them demand: a password beside the
// name, a protocol in which somebody can log in for somebody else to read their mail.

import type { Checked, Report } from './check.ts';
import type { GivenDomain, GivenService, GivenSettings } from './entries.ts';
import type { backendSchema } from './schema-backend.ts';
import { variantOf } from './variants.ts';

export function checkDomains(given: GivenSettings, report: Report): void {
  for (const { domains } of given.services.values()) {
    for (const domain of domains.values()) checkAdmin(domain, report);
  }
  const isThere = [...given.backends.values()].some(hasAdmin);
  const { top } = given;
  const isScript = top.values.directory.type === 'http' && !top.isWrong('directory.type');
  for (const service of given.services.values()) {
    checkPolicy(service, { isThere, isScript }, report);
    for (const domain of service.domains.values()) {
      if (domain.values.adminPolicy === null) continue;
      const facts = { isThere: isThere || hasAdmin(domain), isScript };
      checkPolicy(variantOf(service, domain), facts, report);
    }
  }
}

function hasAdmin({ values: { admin } }: GivenDomain | Checked<typeof backendSchema>): boolean {
  return admin.user !== null;
}

/** `isThere`: there is an administrator of a store. `isScript`: users are asked of a script, by their passwords. */
function checkPolicy(
  { path, values, isWrong }: GivenService,
  { isThere, isScript }: { readonly isThere: boolean; readonly isScript: boolean },
  report: Report,
): void {
  const { protocol, adminPolicy } = values;
  if (adminPolicy === 'none' || isWrong('adminPolicy')) return;
  const place = [...path, 'adminPolicy'];
  if (protocol === 'smtp') report.add(place, 'only for imap and pop3, this is smtp');
  else if (isScript)
    report.add(
      place,
      'expected none: `directory.type: http` tells of no user without the password of that user',
    );
  else if (adminPolicy === 'simple' && !isThere)
    report.add(place, 'nobody could log in for others, no backend has an `admin`');
}

/** True: it is named, with a password. */
export function checkAdmin(
  { path, values, isWrong }: GivenDomain | Checked<typeof backendSchema>,
  report: Report,
): boolean {
  const { admin } = values;
  const place = [...path, 'admin'];
  if (['admin', 'admin.user', 'admin.password', 'admin.passwordFile'].some(isWrong)) return true;
  const passwords = [admin.password, admin.passwordFile].filter((one) => one !== null).length;
  if (passwords > 1) report.add([...place, 'passwordFile'], 'the password is given twice, by `password` too');
  if (admin.user !== null && passwords === 0) {
    report.add([...place, 'password'], 'missing, an administrator is a user and a password');
  } else if (admin.user === null && passwords > 0) {
    report.add([...place, 'user'], 'missing, an administrator is a user and a password');
  }
  return admin.user !== null || passwords > 0;
}
