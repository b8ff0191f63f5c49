// What administrators, of a backend or of one address of a service, and the rules for them demand: a password beside the
// name, a protocol in which somebody can log in for somebody else to read their mail.

import type { Checked, Report } from './check.ts';
import type { GivenDomain, GivenSettings } from './entries.ts';
import type { backendSchema } from './schema-backend.ts';
import { everyVariant } from './variants.ts';

export function checkDomains(given: GivenSettings, report: Report): void {
  for (const { domains } of given.services.values()) {
    for (const domain of domains.values()) checkAdmin(domain, report);
  }
  for (const [{ path, values, isWrong }, told] of everyVariant(given, report)) {
    if (values.protocol !== 'smtp' || values.adminPolicy === 'none' || isWrong('adminPolicy')) continue;
    told.add([...path, 'adminPolicy'], 'only for imap and pop3, this is smtp');
  }
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
